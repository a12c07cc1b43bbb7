"""The WebSocket end of uvicorn, with the direct way for what many sockets get alike (apps/common/direct_socket.py).

Everything else about a socket stays uvicorn's own.
"""

import socket
from asyncio import BaseTransport
from typing import Final

from typing_extensions import override
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request
from websockets.protocol import State

from apps.common.direct_socket import EXTENSION

# What the kernel keeps for a client that has stopped reading (it doubles the number for its own account). Six frames of all prices
# fit in; at a round trip of 100 ms it still carries six times what a terminal gets.
_SEND_BUFFER_BYTES: Final = 32 * 1024


class DirectWebSocket(WebSocketsSansIOProtocol):
    """One WebSocket that also can be written to at once."""

    @override
    def connection_made(self, transport: BaseTransport) -> None:
        """Bound what waits in the kernel, then serve."""
        connection: socket.socket | None = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        super().connection_made(transport)

    @override
    def handle_connect(self, event: Request) -> None:
        """Serve a connection; its application starts with the next turn of the loop, so the scope can still be added to."""
        super().handle_connect(event)
        if not self.handshake_complete:
            self.scope["extensions"] = {**(self.scope["extensions"] or {}), EXTENSION: self}  # type: ignore[dict-item]  # ours, beside uvicorn's

    def is_clear(self) -> bool:
        """Return whether the connection is open and everything written before has left this process."""
        return (
            self.handshake_complete
            and self.conn.state is State.OPEN
            and not self.transport.get_write_buffer_size()
            and not self.transport.is_closing()
        )

    def write(self, framed: bytes) -> None:
        """Write whole frames past the protocol's own state, which single data frames do not change."""
        self.transport.write(framed)
