"""The WebSocket end of uvicorn, with a direct way out and a direct way in (apps/common/direct_socket.py).

The way in is for what nearly every message is: one whole frame of text in one read of the socket. Everything else stays uvicorn's own.
"""

import socket
from asyncio import BaseTransport
from typing import Final

from typing_extensions import override
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets import frames
from websockets.http11 import Request
from websockets.protocol import State

from apps.common.direct_socket import EXTENSION, Taker

# What the kernel keeps for a client that has stopped reading (it doubles the number for its own account). Six frames of all prices
# fit in; at a round trip of 100 ms it still carries six times what a terminal gets.
_SEND_BUFFER_BYTES: Final = 32 * 1024

# The first byte of a frame that is a whole message of text, the bit of the second that says masked, and the length that says that
# it stands in two bytes more.
_WHOLE_TEXT: Final = 0x81
_MASKED: Final = 0x80
_LENGTH_IN_TWO: Final = 126
_MASK_BYTES: Final = 4
# Bound once: every look into an enumeration is a search of its class.
_OPEN: Final = State.OPEN
_HEAD_END: Final = b"\r\n\r\n"

# In C where the library has it so.
_unmask: Final = vars(frames)["apply_mask"]


class DirectWebSocket(WebSocketsSansIOProtocol):
    """One WebSocket that also can be written to and heard at once."""

    _taker: Taker | None = None
    # The beginning of a frame whose end has not come yet; None once a client has sent anything before it was answered.
    _begun: bytes | None = b""

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

    @override
    def data_received(self, data: bytes) -> None:
        """Take in what one read of the socket has brought."""
        if self._taker is not None and self._begun == b"":
            text = self._text_of(data)
            if text is not None and self._taker(text):
                return
        if self.handshake_complete and self._begun is not None:
            self._begun = unfinished(self._begun + data)
        elif not self.handshake_initiated and data.find(_HEAD_END) == len(data) - len(_HEAD_END):
            self._begun = b""
        else:
            self._begun = None
        super().data_received(data)

    def _text_of(self, data: bytes) -> str | None:
        """Return the message that some data is, if it is nothing else and its turn has come."""
        size, start = len(data), 2 + _MASK_BYTES
        if size <= start or data[0] != _WHOLE_TEXT:
            return None
        length = data[1] - _MASKED
        if length == _LENGTH_IN_TWO:
            length, start = data[2] << 8 | data[3], start + 2
        elif length > _LENGTH_IN_TWO:
            return None
        if size != start + length or length > self.config.ws_max_size:
            return None
        # Not within a message of several frames, nor before one that waits, nor after the end.
        if self.frames or not self.queue.empty() or self.close_sent:
            return None
        if self.conn.state is not _OPEN:
            return None
        try:
            return str(_unmask(data[start:], data[start - _MASK_BYTES : start]), "utf-8")
        except UnicodeDecodeError:
            return None

    def hear(self, taker: Taker) -> None:
        """Offer messages to a function as they come."""
        self._taker = taker

    def is_clear(self) -> bool:
        """Return whether the connection is open and everything written before has left this process."""
        return (
            self.handshake_complete
            and self.conn.state is _OPEN
            and not self.transport.get_write_buffer_size()
            and not self.transport.is_closing()
        )

    def write(self, framed: bytes) -> None:
        """Write whole frames past the protocol's own state, which single data frames do not change."""
        self.transport.write(framed)


def unfinished(data: bytes) -> bytes:
    """Return what stands behind the last whole frame of a client's."""
    at, size = 0, len(data)
    while size - at >= 2:
        length, start = data[at + 1] & 0x7F, at + 2
        if length >= _LENGTH_IN_TWO:
            start += 2 if length == _LENGTH_IN_TWO else 8
            if size < start:
                break
            length = int.from_bytes(data[at + 2 : start])
        end = start + _MASK_BYTES + length
        if size < end:
            break
        at = end
    return data[at:]
