"""Load for the HTTP bench: clients so thin that they leave the machine to the server, for REST and for the socket."""

import asyncio
import base64
import os
import struct
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import cast

_OPEN = b'{"symbol":"BTCUSDT","type":"buy","quantity":"0.001","leverage":10}'
_ORDER_ID = b'"orderId":"'


def _order_id_of(body: bytes) -> bytes:
    start = body.index(_ORDER_ID) + len(_ORDER_ID)
    return body[start : body.index(b'"', start)]


class HttpConnection(asyncio.Protocol):
    """One keep-alive connection; requests are answered in turn."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._waiting: deque[asyncio.Future[tuple[int, bytes]]] = deque()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # What create_connection gives, whatever loop it is; uvloop's is no subclass of asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    @property
    def is_closed(self) -> bool:
        """Return whether the server has hung up, as it does after some idle seconds."""
        return self._transport is None or self._transport.is_closing()

    def connection_lost(self, exc: Exception | None) -> None:
        while self._waiting:
            self._waiting.popleft().set_exception(exc or ConnectionError("the server hung up"))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (head_end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._buffer[:head_end]).lower()
            at = head.index(b"content-length:") + 15
            line_end = head.find(b"\r\n", at)
            length = int(head[at : line_end if line_end >= 0 else None])
            end = head_end + 4 + length
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[head_end + 4 : end])
            del self._buffer[:end]
            self._waiting.popleft().set_result((int(head[9:12]), body))

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Send one request and return status and body."""
        future: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        if self._transport is None:
            raise ConnectionError("not connected")
        self._transport.write(request)
        return await future

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()


async def http_connect(port: int) -> HttpConnection:
    """Connect to a server on this machine."""
    loop = asyncio.get_running_loop()
    _, protocol = await loop.create_connection(HttpConnection, "127.0.0.1", port)
    return protocol


def http_request(path: str, body: bytes, token: str, *headers: str) -> bytes:
    """Return the bytes of one POST."""
    lines = [
        f"POST {path} HTTP/1.1",
        "host: localhost",
        "content-type: application/json",
        f"content-length: {len(body)}",
        f"authorization: Bearer {token}",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class RestTrader:
    """One user who opens and closes in turn over one connection."""

    def __init__(self, port: int, token: str, *headers: str) -> None:
        self._port = port
        self._connection = HttpConnection()
        self._token = token
        self._headers = headers
        self._open = http_request("/api/v1/trade/create", _OPEN, token, *headers)
        self._order_id = b""

    async def order(self) -> None:
        """Send one order and wait for its answer."""
        if self._connection.is_closed:
            self._connection = await http_connect(self._port)
        if not self._order_id:
            status, body = await self._connection.ask(self._open)
            if status == 200:
                self._order_id = _order_id_of(body)
        else:
            close = b'{"orderId":"' + self._order_id + b'"}'
            self._order_id = b""
            status, body = await self._connection.ask(
                http_request("/api/v1/trade/close", close, self._token, *self._headers)
            )
        if status != 200:
            raise RuntimeError(f"an order was refused: {status} {body[:300]!r}")


# Kinds of WebSocket frames.
_TEXT, _PING, _PONG = 1, 9, 10


class SocketConnection(asyncio.Protocol):
    """One WebSocket; text frames only, masked by zeros, which changes nothing."""

    def __init__(self) -> None:
        self._buffer = b""
        self._loop = asyncio.get_running_loop()
        # Who asked last; a frame that nobody waits for is none of ours.
        self._on_answer: Callable[[bytes], None] | None = None
        self._upgraded: asyncio.Future[None] = self._loop.create_future()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = taken = cast("asyncio.Transport", transport)
        key = base64.b64encode(os.urandom(16)).decode()
        taken.write(
            "GET /ws/ HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
            f"sec-websocket-key: {key}\r\nsec-websocket-version: 13\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        data = self._buffer + data if self._buffer else data
        if not self._upgraded.done():
            head_end = data.find(b"\r\n\r\n")
            if head_end < 0:
                self._buffer = data
                return
            data = data[head_end + 4 :]
            self._upgraded.set_result(None)
        at = 0
        while (end := _frame_end(data, at)) > 0:
            frame = data[at + (2 if data[at + 1] < 126 else 4) : end]
            kind, at = data[at] & 0x0F, end
            if kind == _TEXT:
                self._answer(frame)
            elif kind == _PING and self._transport is not None:
                # Who does not answer is hung up on.
                head = bytes((0x80 | _PONG, 0x80 | len(frame)))
                self._transport.write(head + b"\0\0\0\0" + frame)
        self._buffer = data[at:]

    def connection_lost(self, _: Exception | None) -> None:
        # Whoever waits for a frame gets an empty one, which no answer is.
        self._answer(b"")

    def _answer(self, frame: bytes) -> None:
        on_answer, self._on_answer = self._on_answer, None
        if on_answer is not None:
            on_answer(frame)

    async def ready(self) -> None:
        """Return when the server has taken the socket."""
        await self._upgraded

    def send(self, message: bytes, on_answer: Callable[[bytes], None]) -> None:
        """Send one message; on_answer gets the next frame, an empty one if the server hangs up."""
        size = len(message)
        head = bytes((0x81, 0x80 | size)) if size < 126 else struct.pack(">BBH", 0x81, 0xFE, size)
        if self._transport is None or self._transport.is_closing():
            on_answer(b"")
            return
        self._on_answer = on_answer
        self._transport.write(head + b"\0\0\0\0" + message)

    async def ask(self, message: bytes) -> bytes:
        """Send one message and return the next frame."""
        answer: asyncio.Future[bytes] = self._loop.create_future()
        self.send(message, answer.set_result)
        return await answer

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()


def _frame_end(data: bytes, at: int) -> int:
    """Return where the frame ends that begins at a place, 0 while it is not whole."""
    left = len(data) - at
    if left < 2:
        return 0
    size = data[at + 1] & 0x7F
    if size < 126:
        end = at + 2 + size
    elif left < 4:
        return 0
    else:
        end = at + 4 + ((data[at + 2] << 8) | data[at + 3])
    return end if end <= len(data) else 0


async def socket_connect(port: int, token: str) -> SocketConnection:
    """Open a socket and sign in."""
    loop = asyncio.get_running_loop()
    _, socket = await loop.create_connection(SocketConnection, "127.0.0.1", port)
    await socket.ready()
    answer = await socket.ask(b'{"op":"auth","token":"' + token.encode() + b'"}')
    if b'"success":true' not in answer:
        raise RuntimeError(f"the socket did not sign in: {answer!r}")
    return socket


class SocketTrader:
    """One user who opens and closes in turn over one socket."""

    def __init__(self, socket: SocketConnection) -> None:
        self._socket = socket
        self._order_id = b""

    def send(self, on_answer: Callable[[bytes], None]) -> None:
        """Send one order; on_answer gets what the server says."""
        if self._order_id:
            self._socket.send(
                b'{"op":"order.close","orderId":"' + self._order_id + b'"}', on_answer
            )
        else:
            self._socket.send(b'{"op":"order.create",' + _OPEN[1:], on_answer)

    def take(self, answer: bytes) -> None:
        """Take the answer to the order.

        Errors: RuntimeError when it was refused.
        """
        if b'"success":true' not in answer:
            raise RuntimeError(f"an order was refused: {answer[:300]!r}")
        self._order_id = b"" if self._order_id else _order_id_of(answer)


async def socket_loop(traders: list[SocketTrader], total: int) -> tuple[list[float], float]:
    """As closed_loop, without a task and a future for each order: the load shares the machine with what it measures."""
    left = total
    took_ms: list[float] = []
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def begin(trader: SocketTrader) -> None:
        nonlocal left
        if left > 0:
            left -= 1
            began = time.perf_counter()
            trader.send(lambda answer: end(trader, began, answer))

    def end(trader: SocketTrader, began: float, answer: bytes) -> None:
        took_ms.append((time.perf_counter() - began) * 1_000)
        try:
            trader.take(answer)
        except RuntimeError as error:
            if not done.done():
                done.set_exception(error)
            return
        begin(trader)
        if len(took_ms) == total and not done.done():
            done.set_result(None)

    began = time.perf_counter()
    for trader in traders:
        begin(trader)
    await done
    return took_ms, total / (time.perf_counter() - began)


Order = Callable[[], Awaitable[None]]


async def closed_loop(orders: list[Order], total: int) -> tuple[list[float], float]:
    """Keep every client busy with one order at a time; return the milliseconds of each, and orders per second."""
    left = total
    took_ms: list[float] = []

    async def busy(order: Order) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            began = time.perf_counter()
            await order()
            took_ms.append((time.perf_counter() - began) * 1_000)

    began = time.perf_counter()
    await asyncio.gather(*map(busy, orders))
    return took_ms, len(took_ms) / (time.perf_counter() - began)


async def open_loop(orders: list[Order], per_second: int, seconds: float) -> list[float]:
    """Send at a fixed rate whatever the answers do; return the milliseconds of each from the moment it was due."""
    loop = asyncio.get_running_loop()
    free: asyncio.Queue[Order] = asyncio.Queue()
    for order in orders:
        free.put_nowait(order)
    took_ms: list[float] = []
    tasks: list[asyncio.Task[None]] = []

    async def one(due_s: float) -> None:
        order = await free.get()
        await order()
        took_ms.append((loop.time() - due_s) * 1_000)
        free.put_nowait(order)

    began_s = loop.time()
    for number in range(int(per_second * seconds)):
        due_s = began_s + number / per_second
        if (wait_s := due_s - loop.time()) > 0:
            await asyncio.sleep(wait_s)
        tasks.append(loop.create_task(one(due_s)))
    await asyncio.gather(*tasks)
    return took_ms
