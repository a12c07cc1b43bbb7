"""What prices cost on their way to browsers: 123 symbols, ten times a second, to 100, 500 and 1,000 sockets of one web process.

The web process is that of `serve --only web`; here are the feed's end and all clients. The lag of a frame is counted from the feed's
publication, so it includes the conflation of 100 ms. Limits in brackets are those of the project.
"""

import argparse
import asyncio
import base64
import contextlib
import gc
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.bench_candles import answers, cpu_of, free_port, note, platform
from engine.values import check

LIMITS = {"lag_1000_p99_ms": 250.0, "core_1000_percent": 50.0, "stalled_kib_each": 64.0}
STAGES = (100, 500, 1_000)
STALLED = 50
WARM_SECONDS, MEASURE_SECONDS, STALL_SECONDS = 3.0, 12.0, 20.0
PERIOD_SECONDS = 0.1
ACK_SECONDS = 1.0
CONNECT_AT_ONCE = 25
SHORT_LENGTH, LONG_LENGTH = 126, 127
PING, PONG = 0x89, 0x8A


def show(name: str, value: float, unit: str) -> None:
    limit = LIMITS.get(name)
    against = f" ({value / limit:.2f} of {limit:g})" if limit else ""
    print(f"{name}: {value:.1f} {unit}{against}", flush=True)


class Client(asyncio.Protocol):
    """A browser reduced to what costs the server something: reads frames, acknowledges the newest once a second."""

    def __init__(self, token: str) -> None:
        self._token = token
        self._buffer = b""
        self._is_upgraded = False
        self.transport: Any = None
        self.lags: list[float] = []
        self.frames = 0
        self.newest = 0
        self.ready = asyncio.Event()
        self.lost = False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET /ws/ HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
            f"sec-websocket-key: {key}\r\nsec-websocket-version: 13\r\n\r\n".encode()
        )

    def connection_lost(self, _error: Exception | None) -> None:
        self.lost = True

    def data_received(self, data: bytes) -> None:
        # Most often a whole frame has come at once: then nothing is copied but its payload.
        self._buffer = self._buffer + data if self._buffer else data
        if not self._is_upgraded:
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            check(head.startswith(b"HTTP/1.1 101"), head.decode())
            self._is_upgraded, self._buffer = True, rest
            self.say({"op": "auth", "token": self._token})
            self.say({"op": "subscribe", "channels": ["prices:*"]})
        while (frame := self._frame()) is not None:
            self._hear(frame)

    def _frame(self) -> bytes | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        length, start = buffer[1], 2
        if length in (SHORT_LENGTH, LONG_LENGTH):
            start = 4 if length == SHORT_LENGTH else 10
            if len(buffer) < start:
                return None
            length = int.from_bytes(buffer[2:start])
        if len(buffer) < start + length:
            return None
        self._buffer = buffer[start + length :]
        payload = buffer[start : start + length]
        if buffer[0] == PING:
            # Who does not answer is taken for dead after twenty seconds.
            self.transport.write(bytes([PONG, 0x80 | length]) + bytes(4) + payload)
        return payload

    def _hear(self, frame: bytes) -> None:
        if not frame.startswith(b'{"ch":"prices"'):
            return
        self.frames += 1
        self.newest = int(frame[19 : frame.index(b",", 19)])
        # The last row's time: ...,1780000000123]]}
        self.lags.append(time.time() * 1000 - int(frame[-16:-3]))  # noqa: TID251 - the feed's clock is this one
        self.ready.set()

    def say(self, message: dict[str, object]) -> None:
        raw = json.dumps(message).encode()
        length = (
            bytes([0x80 | len(raw)]) if len(raw) < SHORT_LENGTH else b"\xfe" + len(raw).to_bytes(2)
        )
        # A mask of zeros is a mask.
        self.transport.write(b"\x81" + length + bytes(4) + raw)


async def feed(symbols: list[str]) -> None:
    """Publish all symbols ten times a second, as the feed does."""
    from django.conf import settings
    from redis.asyncio import Redis

    from engine.messages.codec import encode
    from engine.messages.commands import Quote
    from engine.messages.streams import PriceBatch, prices_channel
    from engine.values import SourceClass

    client = Redis.from_url(settings.REDIS_URL)
    due, step = time.monotonic(), 0
    while True:
        step += 1
        now_us = int(time.time() * 1e6)  # noqa: TID251 - the lag is counted from here
        quotes = tuple(Quote(s, 775_000 + step % 97, 775_008 + step % 97, now_us) for s in symbols)
        batch = PriceBatch(
            source="bench", source_class=SourceClass.SIMULATED, sent_us=now_us, quotes=quotes
        )
        await client.publish(prices_channel(settings.STREAM_PREFIX), encode(batch))
        due += PERIOD_SECONDS
        await asyncio.sleep(max(0.0, due - time.monotonic()))


async def acknowledge(clients: list[Client]) -> None:
    """Let every client acknowledge once a second, spread over it."""
    while True:
        for number in range(20):
            for client in clients[number::20]:
                if client.newest and not client.lost:
                    client.say({"op": "ack", "frame": client.newest})
            await asyncio.sleep(ACK_SECONDS / 20)


async def connect(port: int, token: str, count: int) -> list[Client]:
    """Open sockets, some at once, and wait until each has had prices."""
    loop = asyncio.get_running_loop()
    clients: list[Client] = []
    for start in range(0, count, CONNECT_AT_ONCE):
        some = [Client(token) for _ in range(min(CONNECT_AT_ONCE, count - start))]
        for client in some:
            await loop.create_connection(lambda made=client: made, "127.0.0.1", port)  # type: ignore[misc]
        await asyncio.wait_for(asyncio.gather(*(one.ready.wait() for one in some)), 60)
        clients += some
    return clients


async def measure(pid: int, clients: list[Client], name: str) -> None:
    """Measure lag, processor time and evenness of these clients."""
    # The collector of this process would stop all clients for a tenth of a second, which is no lag of the server.
    gc.collect()
    gc.freeze()
    await asyncio.sleep(WARM_SECONDS)
    for client in clients:
        client.lags.clear()
        client.frames = 0
    cpu, began = cpu_of(pid), time.monotonic()
    await asyncio.sleep(MEASURE_SECONDS)
    seconds = time.monotonic() - began
    cpu = cpu_of(pid) - cpu
    lags = [lag for client in clients for lag in client.lags]
    show(f"lag_{name}_p99_ms", statistics.quantiles(lags, n=100)[98], "ms")
    show(f"core_{name}_percent", 100 * cpu / seconds, "% of a core")
    rates = [client.frames / seconds for client in clients]
    note(
        f"p50 {statistics.median(lags):.0f} ms, longest {max(lags):.0f} ms; {sum(rates):.0f} frames/s; the slowest socket"
        f" {min(rates):.1f}, the fastest {max(rates):.1f} frames/s"
    )
    check(not any(client.lost for client in clients), "a socket was closed")


async def stalled(port: int, token: str, pid: int, clients: list[Client], name: str) -> None:
    """Let fifty more clients stop reading, and measure what that costs and whether the others notice."""
    before = _resident_kib(pid)
    slow = await connect(port, token, STALLED)
    for client in slow:
        client.transport.pause_reading()
    await measure(pid, clients, f"{name}_beside_stalled")
    await asyncio.sleep(max(0.0, STALL_SECONDS - WARM_SECONDS - MEASURE_SECONDS))
    show("stalled_kib_each", max(0, _resident_kib(pid) - before) / STALLED, "KiB")
    for client in slow:
        client.transport.abort()


def _resident_kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


async def run(port: int, token: str, pid: int, symbols: list[str], stages: tuple[int, ...]) -> None:
    await answers(port)
    clients: list[Client] = []
    tasks = [asyncio.create_task(feed(symbols)), asyncio.create_task(acknowledge(clients))]
    try:
        for count in stages:
            clients += await connect(port, token, count - len(clients))
            await measure(pid, clients, str(count))
        await stalled(port, token, pid, clients, str(stages[-1]))
    finally:
        for task in tasks:
            task.cancel()
        for client in clients:
            client.transport.abort()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stages", type=int, nargs="+", default=STAGES)
    stages = tuple(parser.parse_args().stages)
    with platform() as environment:
        from rest_framework.test import APIClient

        from apps.auth.facade import login_link_create, users_seed
        from apps.market import selectors

        users_seed()
        selectors.instruments_refresh()
        symbols = [info.symbol for info in selectors.instruments()]
        link = login_link_create("alice@example.com").url
        token = APIClient(HTTP_HOST="localhost").get(link).json()["data"]["accessToken"]
        port = free_port()
        environment |= {"SOCKETS_PER_USER": "100000", "PORT": str(port), "HOST": "127.0.0.1"}
        command = [sys.executable, "manage.py", "serve", "--only", "web"]
        web = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        try:
            with contextlib.suppress(KeyboardInterrupt):
                asyncio.run(run(port, token, web.pid, symbols, stages))
        finally:
            web.terminate()
            web.wait(20)


if __name__ == "__main__":
    main()
