"""A mail server on loopback that takes every letter and keeps it: as much of SMTP as a client needs."""

import socketserver
import threading
from typing import Any, Self


class _Talk(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self._say("220 ready")
        while line := self.rfile.readline():
            verb = line[:4].upper().strip()
            if verb == b"DATA":
                self._say("354 go on")
                letter = bytearray()
                while (part := self.rfile.readline()) not in {b".\r\n", b""}:
                    letter += part
                self.server.letters.append(bytes(letter))
            self._say("221 bye" if verb == b"QUIT" else "250 ok")
            if verb == b"QUIT":
                return

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


class MailServer(socketserver.ThreadingTCPServer):
    """Listens on a free port while it is entered."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Talk)
        self.letters: list[bytes] = []
        self.port = int(self.server_address[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}).start()
        return self

    def __exit__(self, *args: Any) -> None:
        self.shutdown()
        self.server_close()
