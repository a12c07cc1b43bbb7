"""Proxies between a part and a server: one that loses what it is told to lose, one whose lines can be stopped and let go again."""

import select
import socket
import threading
from contextlib import suppress
from pathlib import Path


class _Proxy:
    """Listens on a Unix socket and carries every connection to a server's."""

    def __init__(self, listen: Path, server: str) -> None:
        self.url = f"unix://{listen}"
        self._server = server.removeprefix("unix://")
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(listen))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with client, server, suppress(OSError):
            server.connect(self._server)
            self._carry(client, server)

    def _is_next(self) -> bool:
        """Count a request that is to be lost. It is lost too if the server has closed the connection meanwhile."""
        with self._counting:
            if not self._times:
                return False
            self._times -= 1
            self.lost += 1
            return True

    def _carry(self, client: socket.socket, server: socket.socket) -> None:
        raise NotImplementedError


class CloggedProxy(_Proxy):
    """Passes everything on; while it is clogged nothing moves, and nothing is lost or closed."""

    def __init__(self, listen: Path, server: str) -> None:
        self._is_open = threading.Event()
        self._is_open.set()
        # Set as soon as somebody waits for what does not come through.
        self.is_felt = threading.Event()
        super().__init__(listen, server)

    def clog(self) -> None:
        self.is_felt.clear()
        self._is_open.clear()

    def release(self) -> None:
        self._is_open.set()

    def _carry(self, client: socket.socket, server: socket.socket) -> None:
        goals = {client: server, server: client}
        while True:
            for source in select.select(list(goals), [], [])[0]:
                data = source.recv(1 << 16)
                if not data:
                    return
                if not self._is_open.is_set():
                    self.is_felt.set()
                    self._is_open.wait()
                goals[source].sendall(data)


class LossyProxy(_Proxy):
    """Listens on a Unix socket and passes everything on, until told otherwise."""

    def __init__(self, listen: Path, server: str) -> None:
        self.lost = 0
        # What a request must contain to be lost, how often it still is, and whether before or after it is passed on.
        self._needle = b""
        self._times = 0
        self._is_passed_on = True
        # Bytes of a lost request that are passed on all the same.
        self._kept = 0
        self._counting = threading.Lock()
        super().__init__(listen, server)

    def lose_reply_to(self, needle: bytes, *, times: int = 1) -> None:
        """Pass the next such requests on, and close the connection in place of their replies."""
        self._needle, self._is_passed_on, self._times = needle, True, times

    def lose_request(self, needle: bytes, *, times: int = 1) -> None:
        """Close the connection in place of passing the next such requests on."""
        self._needle, self._is_passed_on, self._times = needle, False, times

    def cut_request(self, needle: bytes, kept: int) -> None:
        """Pass only the first bytes of the next such request on, and close the connection."""
        self._needle, self._is_passed_on, self._times, self._kept = needle, False, 1, kept

    def _carry(self, client: socket.socket, server: socket.socket) -> None:
        while True:
            readable, _, _ = select.select([client, server], [], [])
            if client in readable:
                request = client.recv(1 << 20)
                if not request:
                    return
                if self._needle in request and self._is_next():
                    if self._is_passed_on:
                        server.sendall(request)
                        server.recv(1)
                    elif self._kept:
                        server.sendall(request[: self._kept])
                    return
                server.sendall(request)
            if server in readable:
                reply = server.recv(1 << 20)
                if not reply:
                    return
                client.sendall(reply)
