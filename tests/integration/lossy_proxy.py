"""A proxy between an engine and its Valkey that loses what it is told to lose."""

import select
import socket
import threading
from contextlib import suppress
from pathlib import Path


class LossyProxy:
    """Listens on a Unix socket and passes everything on, until told otherwise."""

    def __init__(self, listen: Path, server: str) -> None:
        self.url = f"unix://{listen}"
        self.lost = 0
        self._server = server.removeprefix("unix://")
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(listen))
        self._listener.listen()
        # What a request must contain to be lost, how often it still is, and whether before or after it is passed on.
        self._needle = b""
        self._times = 0
        self._is_passed_on = True
        # Bytes of a lost request that are passed on all the same.
        self._kept = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def lose_reply_to(self, needle: bytes, *, times: int = 1) -> None:
        """Pass the next such requests on, and close the connection in place of their replies."""
        self._needle, self._is_passed_on, self._times = needle, True, times

    def lose_request(self, needle: bytes, *, times: int = 1) -> None:
        """Close the connection in place of passing the next such requests on."""
        self._needle, self._is_passed_on, self._times = needle, False, times

    def cut_request(self, needle: bytes, kept: int) -> None:
        """Pass only the first bytes of the next such request on, and close the connection."""
        self._needle, self._is_passed_on, self._times, self._kept = needle, False, 1, kept

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with client, server, suppress(OSError):
            server.connect(self._server)
            while True:
                readable, _, _ = select.select([client, server], [], [])
                if client in readable:
                    request = client.recv(1 << 20)
                    if not request:
                        return
                    if self._times and self._needle in request:
                        self._times -= 1
                        if self._is_passed_on:
                            server.sendall(request)
                            server.recv(1)
                        elif self._kept:
                            server.sendall(request[: self._kept])
                        self.lost += 1
                        return
                    server.sendall(request)
                if server in readable:
                    reply = server.recv(1 << 20)
                    if not reply:
                        return
                    client.sendall(reply)
