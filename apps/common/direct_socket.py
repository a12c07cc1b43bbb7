"""A socket that can be written to at once: what our web server offers beside ASGI's awaited send, and how a text is framed for it.

ASGI's send is a coroutine, so a text for a thousand sockets would be a thousand tasks that each frame it anew. A server that can do
better puts an object of this protocol into the scope's extensions; where none does, the ordinary send is used.
"""

from collections.abc import Mapping
from typing import Any, Final, Protocol

from websockets.frames import Frame, Opcode

EXTENSION: Final = "cryptocfd.direct_socket"


class DirectSocket(Protocol):
    """The server's end of one WebSocket. Used on its event loop only."""

    def is_clear(self) -> bool:
        """Return whether the connection is open and everything written before has left this process."""

    def write(self, framed: bytes) -> None:
        """Write whole frames, made by framed(); only while the socket is clear, so that what waits is bounded by one write."""


def direct_socket_of(scope: Mapping[str, Any]) -> DirectSocket | None:
    """Return the direct way to the socket of an ASGI scope; None where the server has none."""
    found: DirectSocket | None = (scope.get("extensions") or {}).get(EXTENSION)
    return found


def framed(text: str) -> bytes:
    """Return a text as one WebSocket frame of a server: unmasked and uncompressed, so the same for every socket."""
    return Frame(Opcode.TEXT, text.encode()).serialize(mask=False)
