"""Frames written to real sockets without a task each: the same bytes for all, in order with ordinary answers, bounded for who stops reading."""

import asyncio
import json
import socket
from contextlib import asynccontextmanager

import msgspec
import pytest
import uvicorn
from uvicorn.server import ServerState
from websockets.asyncio.client import connect
from websockets.frames import Frame, Opcode

from apps.common.direct_socket import direct_socket_of, framed
from apps.market import frames
from apps.market.broadcaster import STALLED_SECONDS, Broadcaster
from apps.market.candles.live import CandleLive
from apps.market.candles.memory import CandleMemory
from apps.market.candles.reader import CandleReader
from apps.market.prices import PriceBook
from cryptocfd.web_socket import DirectWebSocket, unfinished
from engine.messages.commands import Quote
from engine.messages.streams import PriceBatch
from engine.values import SourceClass
from tests.apps.market.support import shipped_instruments, until

pytestmark = [pytest.mark.integration, pytest.mark.asyncio]

INSTRUMENTS = shipped_instruments()
SYMBOLS = sorted(INSTRUMENTS)


class House:
    """A broadcaster behind the web server's own protocol; each socket subscribes to all prices and has its messages echoed."""

    def __init__(self):
        memory = CandleMemory(redis_url="unix:///nowhere", prefix="")
        self.book = PriceBook(redis_url="unix:///nowhere", prefix="", now_us=lambda: 0)
        self.hub = Broadcaster(self.book, CandleLive(memory, CandleReader(memory)))
        self.subscriptions = []
        self.stalled = 0
        self.step = 0

    async def application(self, scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})

        async def text(one):
            await send({"type": "websocket.send", "text": one})

        async def stalled():
            self.stalled += 1
            await send({"type": "websocket.close", "code": 4408})

        direct = direct_socket_of(scope)
        assert direct is not None
        subscription = self.hub.subscribe(text, None, on_stalled=stalled, direct=direct)
        self.subscriptions.append(subscription)
        while (message := await receive())["type"] == "websocket.receive":
            if message["text"].isdigit():
                subscription.ack(int(message["text"]))
            else:
                await text(json.dumps({"ch": "reply", "said": message["text"]}))
        subscription.close()

    def tell(self):
        self.step += 1
        quotes = tuple(
            Quote(symbol, 1_000_000 + self.step, 1_000_010 + self.step, self.step)
            for symbol in SYMBOLS
        )
        self.book._take_prices(
            msgspec.json.encode(
                PriceBatch(source="x", source_class=SourceClass.LIVE, sent_us=1, quotes=quotes)
            )
        )


@asynccontextmanager
async def served(house):
    """Yield the port at which the web server's protocol serves the house."""
    config = uvicorn.Config(
        house.application,
        ws=DirectWebSocket,
        interface="asgi3",
        ws_per_message_deflate=False,
        log_config=None,
    )
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: DirectWebSocket(config, state, {}), "127.0.0.1", 0, start_serving=True
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await until(lambda: not state.tasks and not state.connections)


def client_frame(text, *, first=0x81, mask=b"\1\2\3\4"):
    raw = text if isinstance(text, bytes) else text.encode()
    size = len(raw)
    length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2)
    masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(raw))
    return bytes((first,)) + length + mask + masked


class Listener:
    """An application that takes what begins with a T as it comes, and receives the rest."""

    def __init__(self):
        self.taken = []
        self.received = []

    def take(self, text):
        if text.startswith("T"):
            self.taken.append(text)
            return True
        return False

    async def application(self, scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        direct_socket_of(scope).hear(self.take)
        while (message := await receive())["type"] == "websocket.receive":
            self.received.append(message["text"])


async def raw_client(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        b"GET / HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
        b"sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-version: 13\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer


async def test_whole_messages_are_taken_at_once_and_all_others_in_their_turn():
    listener = Listener()
    async with served(listener) as port:
        reader, writer = await raw_client(port)

        async def say(data, taken, received):
            writer.write(data)
            await until(lambda: (len(listener.taken), len(listener.received)) == (taken, received))

        await say(client_frame("T1 ü"), 1, 0)
        await say(client_frame("T2" * 100), 2, 0)
        # Not taken by the application; then two in one read, which are received in order.
        await say(client_frame("R1"), 2, 1)
        await say(client_frame("R2") + client_frame("T3"), 2, 3)
        # One message in two frames, and a taken one after it.
        await say(client_frame("T", first=0x01) + client_frame("4", first=0x80), 2, 4)
        await say(client_frame("T5"), 3, 4)
        # A frame in two reads: what its second half looks like is no frame of its own.
        whole = client_frame("R" + client_frame("T no").decode("latin-1"), mask=bytes(4))
        writer.write(whole[:7])
        await asyncio.sleep(0.05)
        await say(whole[7:], 3, 5)
        await say(client_frame("T6"), 4, 5)
        # Text that is not UTF-8 ends the socket, as ever.
        writer.write(client_frame(b"T\xff"))
        assert (await asyncio.wait_for(reader.read(4), 10))[2:] == (1007).to_bytes(2)
        writer.close()

    assert listener.taken == ["T1 ü", "T2" * 100, "T5", "T6"]
    assert listener.received[:4] == ["R1", "R2", "T3", "T4"]


@pytest.mark.parametrize("size", [0, 5, 125, 126, 300, 65_535, 65_536])
async def test_the_beginning_of_a_frame_is_told_from_whole_ones(size):
    raw = b"x" * size
    length = (
        bytes((0x80 | size,))
        if size < 126
        else b"\xfe" + size.to_bytes(2)
        if size < 65_536
        else b"\xff" + size.to_bytes(8)
    )
    whole = b"\x81" + length + bytes(4) + raw

    assert unfinished(whole + whole) == b""
    for cut in {1, 2, 3, len(whole) // 2, len(whole) - 1}:
        assert unfinished(whole + whole[:cut]) == whole[:cut]


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
async def test_texts_are_framed_as_the_library_does(size):
    text = "x" * size

    assert framed(text) == Frame(Opcode.TEXT, text.encode()).serialize(mask=False)


@pytest.fixture
def house(monkeypatch):
    monkeypatch.setattr(frames, "instruments_by_symbol", lambda: INSTRUMENTS)
    return House()


async def prices_heard(client):
    while True:
        frame = json.loads(await asyncio.wait_for(client.recv(), 10))
        if frame["ch"] == "prices":
            return frame


async def test_all_sockets_get_the_same_frames_between_their_own_answers(house):
    async with served(house) as port:
        url = f"ws://127.0.0.1:{port}/"
        async with connect(url) as one, connect(url) as other:
            await until(lambda: len(house.subscriptions) == 2)
            house.tell()
            house.hub.flush(0.0)
            first = await prices_heard(one), await prices_heard(other)
            await one.send("hello")
            answer = json.loads(await asyncio.wait_for(one.recv(), 10))
            house.tell()
            house.hub.flush(0.1)
            second = await prices_heard(one), await prices_heard(other)

    assert first[0] == first[1]
    assert [row[0] for row in first[0]["d"]] == SYMBOLS
    assert answer == {"ch": "reply", "said": "hello"}
    assert second[0] == second[1]
    assert second[0]["n"] > first[0]["n"]
    assert all(row[3] == 0 for row in second[0]["d"])
    assert not house.hub._subscriptions


async def test_socket_that_stops_reading_is_bounded_catches_up_and_changes_nothing_for_others(
    house,
):
    async with served(house) as port, connect(f"ws://127.0.0.1:{port}/") as well:
        with socket.socket() as stuck:
            # Small, so that not the reader's kernel takes what it does not read.
            stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            stuck.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(stuck, ("127.0.0.1", port))
            await loop.sock_sendall(
                stuck,
                b"GET / HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
                b"sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-version: 13\r\n\r\n",
            )
            await until(lambda: len(house.subscriptions) == 2)
            slow = house.subscriptions[1]
            waiting = []
            for step in range(30):
                house.tell()
                house.hub.flush(step / 10)
                heard = await prices_heard(well)
                await well.send(str(heard["n"]))
                waiting.append(slow._direct.transport.get_write_buffer_size())
                # Every change has reached the other one.
                assert heard["d"][0][1] == frames.Fragments(house.book).of(SYMBOLS[0]).split('"')[3]

            assert not slow._direct.is_clear()
            # One frame at most waits in this process, whatever is missed.
            assert 0 < max(waiting) < 16 * 1024
            assert slow.backlog == set(SYMBOLS)
            assert len(slow.unacknowledged) < 30

            house.hub.flush(3.0 + STALLED_SECONDS)
            await until(lambda: house.stalled == 1)
            assert slow not in house.hub._subscriptions


async def test_socket_that_has_gone_is_not_written_to(house):
    async with served(house) as port:
        client = await connect(f"ws://127.0.0.1:{port}/")
        await until(lambda: len(house.subscriptions) == 1)
        direct = house.subscriptions[0]._direct
        client.transport.abort()
        await until(lambda: not direct.is_clear())
        house.tell()
        house.hub.flush(0.0)
        await until(lambda: not house.hub._subscriptions)
