"""What candles cost: five million of them in the embedded PostgreSQL, asked for in the server, by the driver, from memory, over HTTP.

The limits in brackets are those of the project. The processes are real: the server of `serve`, the web application under uvicorn.
"""

import argparse
import asyncio
import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.values import check

LIMITS = {
    "execution_p50_ms": 1.0,
    "driver_p50_ms": 2.0,
    "memory_p50_ms": 0.2,
    "http_16_p50_ms": 5.0,
    "ingest_core_percent": 10.0,
    "upsert_rows_per_s": 50_000,
}
ROWS = 5_000_000
LATEST, CLIENTS = 500, 16
QUESTIONS, HTTP_QUESTIONS = 300, 4_000
UPSERT_ROWS = 100_000
# A tape's pages, and a venue's.
PAGES = {"upsert_rows_per_s": 5_000, "upsert_by_1000_rows_per_s": 1_000}
INGEST_SECONDS = 60
MINUTE_MS = 60_000
# 2026-03-01 00:00 UTC.
START_MS = 1_772_323_200_000


def show(name: str, value: float, unit: str) -> None:
    limit = LIMITS.get(name)
    against = f" ({value / limit:.2f} of {limit:g})" if limit else ""
    print(
        f"{name}: {value:.{3 if value < 1 else 2 if value < 100 else 0}f} {unit}{against}",
        flush=True,
    )


def note(text: str) -> None:
    print(f"# {text}", flush=True)


@contextmanager
def platform() -> Iterator[dict[str, str]]:
    """Start servers of our own, migrate, and yield the environment of a process that uses them."""
    folder = Path(tempfile.mkdtemp(prefix="cryptocfd-bench-"))
    os.environ |= {"DJANGO_SETTINGS_MODULE": "cryptocfd.settings", "DATA_DIR": str(folder)}
    os.environ |= {"ENGINE_MODE": "remote", "LOG_LEVEL": "ERROR", "STREAM_PREFIX": "bench:"}
    for name in ("DATABASE_URL", "LOG_REDIS_URL", "REDIS_URL"):
        os.environ[name] = ""
    import django

    django.setup()
    from django.core.management import call_command

    from apps.market.facade import catalogue_install
    from cryptocfd.embedded.servers import EmbeddedServers

    servers = EmbeddedServers(folder)
    servers.start()
    try:
        call_command("migrate", verbosity=0)
        catalogue_install()
        layout = servers.layout
        yield dict(os.environ) | {
            "DATABASE_URL": layout.database_url,
            "LOG_REDIS_URL": layout.log_redis_url,
            "REDIS_URL": layout.redis_url,
        }
    finally:
        servers.stop()
        servers.data_remove()


def fill(store, symbols: list[str], rows: int) -> int:
    """Store that many minutes of all symbols, made by the server itself, and return when the last one begins."""
    migration = importlib.import_module("apps.market.migrations.0002_candles")
    each = rows // len(symbols)
    last_ms = START_MS + (each - 1) * MINUTE_MS
    run = store.connection.execute
    run(
        "SELECT candles_prepare(to_timestamp(%s), to_timestamp(%s))",
        [START_MS // 1000, last_ms // 1000],
    )
    began = time.monotonic()
    # In bulk: without the triggers, and the longer candles level by level afterwards.
    run("SET session_replication_role = replica")
    for number, symbol in enumerate(symbols, start=1):
        run(
            "INSERT INTO candles_1m SELECT %s, to_timestamp(%s + n * 60), p, p + 9, p - 9, p + 2, 2 * p + 8, 2 * p + 26,"
            " 2 * p - 10, 2 * p + 12, p + 17, p - 1, 60, 1, 0, 59000000 FROM (SELECT n, 100000 + (n * 7919 + %s) %% 5000"
            " AS p FROM generate_series(0, %s) AS n) AS made",
            [symbol, START_MS // 1000, number, each - 1],
        )
    for _name, relation, lower, width in migration.LEVELS:
        columns = ", ".join([*migration.PRICES, "quote_count", "sources"])
        aggregates = migration._aggregates(  # noqa: SLF001 - the migration's own words for the same thing
            "(array_agg({} ORDER BY open_time))[1]", "(array_agg({} ORDER BY open_time DESC))[1]"
        )
        bucket = migration._bucket(width, "open_time")  # noqa: SLF001 - as above
        run(
            f"INSERT INTO {relation} (symbol, open_time, {columns})"  # noqa: S608 - our own names
            f" SELECT symbol, {bucket}, {aggregates} FROM {lower} GROUP BY 1, 2 ORDER BY 1, 2"
        )
    run("SET session_replication_role = DEFAULT")
    run("VACUUM ANALYZE")
    stored = run("SELECT count(*) FROM candles_1m").fetchone()[0]
    show("rows", stored, "rows")
    note(f"filled by the server with all longer candles in {time.monotonic() - began:.0f} s")
    return last_ms


def in_server(store, symbols: list[str]) -> None:
    """Measure the execution by EXPLAIN ANALYZE, and show the plan."""
    from apps.market.candles.intervals import INTERVALS
    from apps.market.candles.store import latest_sql

    names = [name for name in ("1m", "5m") for _ in range(QUESTIONS // 2)]
    times = []
    for number, name in enumerate(names):
        raw = store.connection.execute(
            f"EXPLAIN (ANALYZE, FORMAT JSON, TIMING OFF) {latest_sql(INTERVALS[name])}",
            [symbols[number % len(symbols)], "2099-01-01", LATEST],
        ).fetchone()[0]
        times.append(raw[0]["Execution Time"])
    show("execution_p50_ms", statistics.median(times), "ms")
    plan = store.connection.execute(
        f"EXPLAIN (ANALYZE, BUFFERS) {latest_sql(INTERVALS['1m'])}",
        [symbols[0], "2099-01-01", LATEST],
    )
    for (line,) in plan:
        note(line)


def by_driver(store, symbols: list[str]) -> None:
    """Measure the query, the transfer and the making of candles, on the reader's kind of connection."""
    from datetime import UTC, datetime

    from apps.market.candles.intervals import INTERVALS
    from apps.market.candles.store import candle_of, latest_sql

    far = datetime(2099, 1, 1, tzinfo=UTC)
    times, raw_times = [], []
    for number in range(QUESTIONS):
        interval = INTERVALS[("1m", "5m")[number % 2]]
        began = time.perf_counter()
        rows = store.connection.execute(
            latest_sql(interval),
            [symbols[number % len(symbols)], far, LATEST],
            binary=True,
            prepare=True,
        ).fetchall()
        raw_times.append((time.perf_counter() - began) * 1e3)
        check(len([candle_of(row) for row in rows]) == LATEST, "too few rows")
        times.append((time.perf_counter() - began) * 1e3)
    show("driver_p50_ms", statistics.median(raw_times), "ms")
    show("driver_p99_ms", statistics.quantiles(raw_times, n=100)[98], "ms")
    note(f"with candles made of the rows: p50 {statistics.median(times):.2f} ms")


async def from_memory(symbols: list[str]) -> None:
    """Measure the whole answer from a window in memory: rows and the text around them."""
    from apps.market import selectors
    from apps.market.candles.answers import answer
    from apps.market.candles.intervals import INTERVALS
    from apps.market.candles.reader import CandleQuestion, candle_reader

    reader = candle_reader()
    instruments = selectors.instruments_by_symbol()
    times = []
    for number in range(QUESTIONS + 9):
        # Every round another number of rows, so that no answer is found ready.
        limit = LATEST - number // 9
        question = CandleQuestion(instruments[symbols[number % 9]], INTERVALS["1m"], "bid", limit)
        began = time.perf_counter()
        await answer(reader, question)
        times.append((time.perf_counter() - began) * 1e3)
    show("memory_p50_ms", statistics.median(times[9:]), "ms")


def upserts(store, symbols: list[str], last_ms: int) -> None:
    """Backfill: new minutes page by page, and all longer candles with them."""
    from apps.market.candles.candle import Candle

    for name, size in PAGES.items():
        made = [
            Candle(last_ms + n * MINUTE_MS, 10, 12, 9, 11, 22, 26, 19, 24, 14, 10, 60, 8, 0, 0)
            for n in range(1, UPSERT_ROWS // 10 + 1)
        ]
        last_ms = made[-1].open_ms
        backend = store.connection.info.backend_pid
        began, own, server = time.monotonic(), time.process_time(), cpu_of(backend)
        for symbol in symbols[:10]:
            for start in range(0, len(made), size):
                store.add(
                    [(symbol, one, "bench") for one in made[start : start + size]],
                    is_replacing=True,
                )
        show(name, UPSERT_ROWS / (time.monotonic() - began), "rows/s")
        each_us = 1e6 / UPSERT_ROWS
        note(
            f"processor time of a row, us: ours {(time.process_time() - own) * each_us:.1f}, the server's"
            f" {(cpu_of(backend) - server) * each_us:.1f}"
        )
    note("each page in a transaction of its own, longer candles included")


def ingest(symbols: list[str]) -> None:
    """Measure the writer on a minute of quotes, ten a second of every symbol, storing once a second as in service."""
    from redis import Redis

    from apps.market.candles.store import CandleStore
    from apps.market.candles.writer import CandleWriter
    from engine.messages.codec import WIRE_VERSION, encode
    from engine.messages.commands import Quote, UpdateQuotes
    from engine.messages.streams import IN_GATEWAY, IN_MESSAGE, IN_VERSION, input_stream
    from engine.values import SourceClass

    seconds = iter(range(10**9))
    ticking = {"now": 0.0}
    store = CandleStore.connect()
    writer = CandleWriter(monotonic=lambda: ticking["now"], store_connect=lambda: store)
    check(writer.begin(), "another writer of candles is at work")
    backend = store.connection.info.backend_pid
    from django.conf import settings

    cpu_server = cpu_self = 0.0
    at_ms = int(time.time() * 1000)  # noqa: TID251 - when the bench runs is no decision
    with Redis.from_url(settings.LOG_REDIS_URL) as log:
        stream = input_stream(settings.STREAM_PREFIX)
        for _second in range(INGEST_SECONDS):
            for _entry in range(10):
                at_ms += 100
                quotes = tuple(
                    Quote(s, 100_000 + next(seconds) % 500, 100_600, at_ms * 1000) for s in symbols
                )
                message = UpdateQuotes(
                    source="bench",
                    source_class=SourceClass.LIVE,
                    feed_epoch=1,
                    sequence=at_ms,
                    quotes=quotes,
                )
                log.xadd(
                    stream,
                    {IN_VERSION: str(WIRE_VERSION), IN_MESSAGE: encode(message), IN_GATEWAY: b""},
                    id=f"{at_ms}-0",
                )
            cpu_before, server_before = time.process_time(), cpu_of(backend)
            # Four looks a second, each of which may tell; one of them stores.
            for _look in range(4):
                ticking["now"] += 0.25
                writer.step(None)
            cpu_self += time.process_time() - cpu_before
            cpu_server += cpu_of(backend) - server_before
    writer.end()
    show("ingest_core_percent", 100 * (cpu_self + cpu_server) / INGEST_SECONDS, "% of a core")
    note(
        f"writer {100 * cpu_self / INGEST_SECONDS:.1f} %, its PostgreSQL backend {100 * cpu_server / INGEST_SECONDS:.1f} %"
    )


def cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def over_http(environment: dict[str, str], symbols: list[str], last_ms: int) -> None:
    """Sixteen clients on connections that stay open, against the web application in a process of its own.

    Meanwhile the newest candle of every symbol changes four times a second, as in service.
    """
    port = free_port()
    arguments = [
        "-m",
        "uvicorn",
        "cryptocfd.asgi:application",
        "--port",
        str(port),
        "--no-access-log",
    ]
    # The clients share one address, and the limit of requests is not what is measured.
    unlimited = environment | {"API_LIMITS_PUBLIC": ""}
    web = subprocess.Popen([sys.executable, *arguments, "--log-level", "error"], env=unlimited)
    try:
        asyncio.run(_http(port, symbols, last_ms, environment["REDIS_URL"]))
    finally:
        web.terminate()
        web.wait(20)


async def _tell(symbols: list[str], last_ms: int, redis_url: str) -> None:
    """Tell the newest minute of every symbol four times a second, as the writer of candles does."""
    import msgspec
    from redis.asyncio import Redis

    from apps.market.candles.candle import Candle
    from apps.market.candles.memory import CandleBatch
    from engine.messages.streams import candles_channel

    async with Redis.from_url(redis_url) as client:
        for count in range(1, 10**9):
            close = 100_000 + count % 50
            candle = Candle(
                last_ms + MINUTE_MS, 100_000, 100_050, 99_950, close, 200_010, 200_110, 199_910, 2 * close + 10,
                100_060, 99_960, count, 1, 0, 59_000_000,
            )  # fmt: skip
            batch = CandleBatch(candles={symbol: [candle] for symbol in symbols}, reopened=())
            await client.publish(candles_channel("bench:"), msgspec.json.encode(batch))
            await asyncio.sleep(0.25)


async def _http(port: int, symbols: list[str], last_ms: int, redis_url: str) -> None:
    await answers(port)
    telling = asyncio.create_task(_tell(symbols, last_ms, redis_url))
    try:
        await _measure_http(port, symbols)
    finally:
        telling.cancel()


async def _measure_http(port: int, symbols: list[str]) -> None:
    newest = [f"symbol={s}&interval={i}&limit={LATEST}" for s in symbols for i in ("1m", "5m")]
    stored = [f"{one}&endTime={START_MS + 20_000 * MINUTE_MS}" for one in newest]
    for name, queries in (("http_16_p50_ms", newest), ("http_16_stored_p50_ms", stored)):
        # Once before it counts: whatever is asked for again and again is in memory.
        await _round(port, queries, len(queries))
        times = await _round(port, queries, HTTP_QUESTIONS)
        show(name, statistics.median(times), "ms")
        note(f"p99 {statistics.quantiles(times, n=100)[98]:.1f} ms")


async def _round(port: int, queries: list[str], count: int) -> list[float]:
    times: list[float] = []
    numbers = iter(range(count))

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in numbers:
            path = f"/api/v1/candles?{queries[number % len(queries)]}"
            began = time.perf_counter()
            writer.write(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            check(head.startswith(b"HTTP/1.1 200"), head.decode())
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            body = await reader.readexactly(length)
            times.append((time.perf_counter() - began) * 1e3)
            check(f'"count":{LATEST},'.encode() in body[:300], "too few rows")
        writer.close()

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return times


async def answers(port: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            check(time.monotonic() < deadline, "the web application does not answer")
            await asyncio.sleep(0.2)
        else:
            writer.close()
            return


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _run(work: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        await work()

    asyncio.run(whole())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    rows = parser.parse_args().rows
    with platform() as environment:
        from apps.market import selectors
        from apps.market.candles.store import CandleStore

        selectors.instruments_refresh()
        symbols = [info.symbol for info in selectors.instruments()]
        store = CandleStore.connect()
        last_ms = fill(store, symbols, rows)
        in_server(store, symbols)
        by_driver(store, symbols)
        _run(lambda: from_memory(symbols))
        over_http(environment, symbols[:40], last_ms)
        upserts(store, symbols, last_ms)
        ingest(symbols)
        store.close()
    note(json.dumps({"clients": CLIENTS, "latest": LATEST}))


if __name__ == "__main__":
    main()
