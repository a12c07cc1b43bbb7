"""A connection to Valkey that sends what it is told, once, and never again.

Written by hand on hiredis: `import redis` alone costs an engine's start 300 ms, its parsing of streams four times the
time of the bytes themselves, and its default is to send a lost command again. Blocking, for one thread.
"""

import select
import socket
import ssl
from collections.abc import Sequence
from typing import Final, cast
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import hiredis

# What a command may consist of.
Argument = bytes | str | int

_TCP_PORT: Final = 6379
_READ_BYTES: Final = 262_144


class ConnectionLostError(Exception):
    """The server cannot be reached, went away, or did not answer in time."""


class ServerError(Exception):
    """The server answered with an error; the command was not carried out."""


class Connection:
    """One connection; made by connect(), usable until the first ConnectionLostError."""

    def __init__(self, url: str, *, timeout_ms: int) -> None:
        self._address = urlsplit(url)
        if self._address.scheme not in {"unix", "redis", "rediss"}:
            raise ValueError(
                f"expected a unix://, redis:// or rediss:// address, found {self._address.scheme!r}"
            )
        self._timeout_s = timeout_ms / 1_000
        self._socket: socket.socket | None = None
        self._reader = hiredis.Reader()
        self._nothing = object()

    @property
    def is_connected(self) -> bool:
        """Return whether there is a connection, as far as we know."""
        return self._socket is not None

    def connect(self) -> None:
        """Make a fresh connection, dropping the one before with whatever was on its way.

        Errors: ConnectionLostError, ServerError when the server refuses the credentials.
        """
        self.close()
        self._reader = hiredis.Reader(notEnoughData=self._nothing)
        try:
            self._socket = self._open()
        except OSError as error:
            raise ConnectionLostError(f"cannot connect to {self._name()}: {error}") from error
        for command in _greeting(self._address):
            self.call(*command)

    def _name(self) -> str:
        address = self._address
        return address.path if address.scheme == "unix" else f"{address.hostname}:{address.port}"

    def _open(self) -> socket.socket:
        address = self._address
        if address.scheme == "unix":
            plain = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            plain.settimeout(self._timeout_s)
            try:
                plain.connect(unquote(address.path))
            except OSError:
                plain.close()
                raise
            return plain
        host = address.hostname or "localhost"
        plain = socket.create_connection((host, address.port or _TCP_PORT), self._timeout_s)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if address.scheme == "redis":
            return plain
        authorities = parse_qs(address.query).get("ssl_ca_certs", [None])[0]
        context = ssl.create_default_context(cafile=authorities)
        return context.wrap_socket(plain, server_hostname=host)

    def close(self) -> None:
        """Drop the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        return self._live().fileno()

    def _live(self) -> socket.socket:
        if self._socket is None:
            raise ConnectionLostError(f"not connected to {self._name()}")
        return self._socket

    def send(self, *commands: Sequence[Argument]) -> None:
        """Send commands in one write; each of them gets one reply, in order."""
        # Its stub says "a tuple of one"; it takes any number.
        packed = b"".join(
            [hiredis.pack_command(cast("tuple[Argument]", tuple(command))) for command in commands]
        )
        try:
            self._live().sendall(packed)
        except OSError as error:
            self.close()
            raise ConnectionLostError(f"lost {self._name()} while sending: {error}") from error

    def receive(self) -> object:
        """Return the next reply, waiting for it at most the time-out.

        Errors: ServerError when the reply is one, ConnectionLostError.
        """
        while (reply := self._buffered()) is self._nothing:
            self._fill()
        return reply

    def receive_now(self) -> tuple[bool, object]:
        """Return (True, reply) if a whole reply is there, else (False, None).

        Call it when the descriptor is readable, and again until it returns False: replies may stand in the buffer.
        Errors: as receive().
        """
        reply = self._buffered()
        if reply is self._nothing and self._is_readable():
            self._fill()
            reply = self._buffered()
        return (False, None) if reply is self._nothing else (True, reply)

    def has_reply(self) -> bool:
        """Return whether bytes were read that no reply was made of yet; they no longer show in the descriptor."""
        return self._reader.has_data()

    def is_readable(self) -> bool:
        """Return whether more of a reply can be read without waiting, or the connection has ended."""
        if self._socket is None or self._reader.has_data():
            return True
        return self._is_readable()

    def _is_readable(self) -> bool:
        connection = self._live()
        if isinstance(connection, ssl.SSLSocket) and connection.pending():
            return True
        poller = select.poll()
        poller.register(connection, select.POLLIN)
        return bool(poller.poll(0))

    def _fill(self) -> None:
        try:
            data = self._live().recv(_READ_BYTES)
            # A TLS record that was decrypted already does not show in the descriptor.
            while isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
                data += self._socket.recv(_READ_BYTES)
        except OSError as error:
            self.close()
            raise ConnectionLostError(f"lost {self._name()} while waiting: {error}") from error
        if not data:
            self.close()
            raise ConnectionLostError(f"{self._name()} closed the connection")
        self._reader.feed(data)

    def _buffered(self) -> object:
        try:
            reply: object = self._reader.gets()
        except hiredis.ProtocolError as error:
            self.close()
            raise ConnectionLostError(f"{self._name()} does not speak RESP: {error}") from error
        if isinstance(reply, hiredis.ReplyError):
            raise ServerError(str(reply))
        return reply

    def call(self, *command: Argument) -> object:
        """Send one command and return its reply; errors as receive()."""
        self.send(command)
        return self.receive()


def _greeting(address: SplitResult) -> list[tuple[Argument, ...]]:
    """Return the commands that a URL asks for at the start: password and database."""
    query = parse_qs(address.query)
    commands: list[tuple[Argument, ...]] = []
    password = unquote(address.password or "") or query.get("password", [""])[0]
    if password:
        commands.append(("AUTH", unquote(address.username or "") or "default", password))
    path = "" if address.scheme == "unix" else address.path.strip("/")
    database = query.get("db", [path or "0"])[0]
    if database != "0":
        commands.append(("SELECT", database))
    return commands
