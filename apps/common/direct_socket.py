"""A socket that can be written to and heard at once: what our web server offers beside ASGI, and how a text is framed for it.

ASGI's send is a coroutine, so a text for a thousand sockets would be a thousand tasks that each frame it anew; its receive hands each
message from a queue to a task. A server that can do better puts an object of this protocol into the scope's extensions; where none
does, ASGI's ways are used.
"""

import struct
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

EXTENSION: Final = "cryptocfd.direct_socket"

# Takes a whole text message at once and returns True, or leaves it to ASGI's receive.
Taker = Callable[[str], bool]

# A last frame of text.
_TEXT: Final = 0x81
_SHORT: Final = struct.Struct(">BB")
_MIDDLE: Final = struct.Struct(">BBH")
_LONG: Final = struct.Struct(">BBQ")


class DirectSocket(Protocol):
    """The server's end of one WebSocket. Used on its event loop only."""

    def is_clear(self) -> bool:
        """Return whether the connection is open and everything written before has left this process."""

    def write(self, framed: bytes) -> None:
        """Write whole frames, made by framed(); only while the socket is clear, so that what waits is bounded by one write."""

    def hear(self, taker: Taker) -> None:
        """Offer each text message to a function as it comes, unless one before it still waits to be received."""


def direct_socket_of(scope: Mapping[str, Any]) -> DirectSocket | None:
    """Return the direct way to the socket of an ASGI scope; None where the server has none."""
    found: DirectSocket | None = (scope.get("extensions") or {}).get(EXTENSION)
    return found


def framed(text: str) -> bytes:
    """Return a text as one WebSocket frame of a server: unmasked and uncompressed, so the same for every socket."""
    return framed_bytes(text.encode())


def framed_bytes(raw: bytes) -> bytes:
    """Return text in UTF-8 as one WebSocket frame, as framed()."""
    size = len(raw)
    if size < 126:
        return _SHORT.pack(_TEXT, size) + raw
    if size < 65_536:
        return _MIDDLE.pack(_TEXT, 126, size) + raw
    return _LONG.pack(_TEXT, 127, size) + raw
