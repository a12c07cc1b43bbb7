"""Answers questions for candles: the newest from memory, older ones from the database, on one event loop, without the ORM."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, TypeVar

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from apps.common.errors import ServiceError
from apps.market.candles.candle import Candle, PriceSide, joined
from apps.market.candles.intervals import DAYS, MINUTES, Interval
from apps.market.candles.memory import CandleMemory, candle_memory
from apps.market.candles.store import (
    candle_of,
    connection_parameters,
    earliest_sql,
    latest_sql,
    moment,
    times_as_integers,
)
from apps.market.candles.windows import ROWS_MAX, Row, Window
from apps.market.selectors import InstrumentInfo

# A window of a thousand rows is about 100 kB.
_WINDOWS_MAX: Final = 300
_POOL_MAX: Final = 4
_POOL_SECONDS: Final = 3.0
# Later than any candle; PostgreSQL takes years of four digits only.
_FAR_MS: Final = 253_370_764_800_000
_ATTEMPTS: Final = 3

_T = TypeVar("_T")
_Key = tuple[str, str, PriceSide]


class CandlesUnavailableError(ServiceError):
    """The database does not answer, and memory does not have what was asked for."""

    def __init__(self) -> None:
        super().__init__(
            "CANDLES_UNAVAILABLE",
            "the store of candles does not answer: try again soon",
            http_status=503,
            retry_after_s=2,
        )


@dataclass(frozen=True, slots=True)
class CandleQuestion:
    """Which candles somebody wants."""

    instrument: InstrumentInfo
    interval: Interval
    side: PriceSide
    limit: int
    # First and last beginning that is wanted, ms; None is open.
    start_ms: int | None = None
    end_ms: int | None = None


class CandleReader:
    """The reader of this process; used on one event loop only."""

    def __init__(self, memory: CandleMemory) -> None:
        """Take the memory whose minutes are newer than the database; nothing is connected before start()."""
        self._memory = memory
        self._windows: OrderedDict[_Key, Window] = OrderedDict()
        self._loading: dict[_Key, asyncio.Task[Window]] = {}
        # Counts what made windows stale, so that one which was being read meanwhile is read again.
        self._reopened: dict[str, int] = {}
        self._reopened_all = 0
        self._pool: AsyncConnectionPool[psycopg.AsyncConnection[Any]] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        memory.listen(self._take, self._reopen)

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """Return the loop that this reader lives on; None before start()."""
        return self._loop

    async def start(self) -> None:
        """Open the connections; returns at once, also while the database is away."""
        self._pool = AsyncConnectionPool(
            kwargs={**connection_parameters(), "autocommit": True},
            min_size=1,
            max_size=_POOL_MAX,
            timeout=_POOL_SECONDS,
            configure=_configure,
            open=False,
        )
        await self._pool.open(wait=False)
        self._loop = asyncio.get_running_loop()

    async def stop(self) -> None:
        """Close the connections and forget every window."""
        if self._pool is not None:
            await self._pool.close()
            self._pool = None
        self._loop = None
        self._windows.clear()

    async def rows(self, question: CandleQuestion) -> Sequence[Row]:
        """Return the rows that are asked for, in order.

        Without a start they are the newest up to the end, with one the first from there.
        Errors: CandlesUnavailableError.
        """
        window = await self._window(question)
        start_ms, end_ms = question.start_ms, question.end_ms
        if start_ms is None and end_ms is None:
            return window.rows(question.limit)
        first_ms = window.first_ms
        tail = [row for row in window.tail if _is_within(row, start_ms, end_ms)]
        if first_ms is not None and start_ms is not None and start_ms >= first_ms:
            known = [row for row in window.rows(ROWS_MAX) if _is_within(row, start_ms, end_ms)]
            return known[: question.limit]
        # The tail is in the window only; the database gives what lies before it.
        until_ms = _FAR_MS if end_ms is None else end_ms + 1
        if window.tail:
            until_ms = min(until_ms, window.tail[0][0])
        stored = await self._stored(question, until_ms)
        rows = [*stored, *tail]
        return rows[: question.limit] if start_ms is not None else rows[-question.limit :]

    def window_now(self, question: CandleQuestion) -> Window | None:
        """Return the window that alone answers a question for the newest candles; None when it is not in memory."""
        if question.start_ms is not None or question.end_ms is not None:
            return None
        key = (question.instrument.symbol, question.interval.name, question.side)
        return self._windows.get(key)

    async def newest(
        self, instrument: InstrumentInfo, interval: Interval, side: PriceSide = "bid"
    ) -> Row | None:
        """Return the newest candle's row, or None when there is none. Errors: CandlesUnavailableError."""
        window = await self._window(CandleQuestion(instrument, interval, side, 1))
        rows = window.rows(1)
        return rows[0] if rows else None

    def tail_now(self, key: _Key) -> list[Row] | None:
        """Return the changing rows of a window that is in memory; None when it is not."""
        window = self._windows.get(key)
        return None if window is None else window.tail

    # --- windows ---------------------------------------------------------------------------------------------------

    async def _window(self, question: CandleQuestion) -> Window:
        key: _Key = (question.instrument.symbol, question.interval.name, question.side)
        window = self._windows.get(key)
        if window is not None:
            self._windows.move_to_end(key)
            return window
        task = self._loading.get(key)
        if task is None:
            # Whoever asks for the same meanwhile waits for the same reading.
            task = asyncio.create_task(self._load(key, question))
            self._loading[key] = task
            task.add_done_callback(lambda _done: self._loading.pop(key, None))
        return await asyncio.shield(task)

    async def _load(self, key: _Key, question: CandleQuestion) -> Window:
        window, is_current = await self._read(question)
        for _attempt in range(_ATTEMPTS):
            if is_current:
                break
            window, is_current = await self._read(question)
        # Kept also when the symbol never rests, since whoever asks must get an answer.
        self._windows[key] = window
        while len(self._windows) > _WINDOWS_MAX:
            self._windows.popitem(last=False)
        return window

    async def _read(self, question: CandleQuestion) -> tuple[Window, bool]:
        """Read a window, and tell whether nothing has made it stale meanwhile."""
        symbol, interval = question.instrument.symbol, question.interval
        version = self._version(symbol)
        hot = self._memory.minutes(symbol)
        since_ms = min(hot, default=_FAR_MS)
        async with self._connection() as connection:
            closed = await _latest(
                connection, symbol, interval, interval.bucket(since_ms), ROWS_MAX
            )
            base = await _base(connection, symbol, interval, since_ms) if hot else None
        newer = {at: one for at, one in self._memory.minutes(symbol).items() if at >= since_ms}
        window = Window(
            interval=interval,
            side=question.side,
            decimals=question.instrument.price_decimals,
            closed=closed,
            base=base,
            minutes=newer,
            since_ms=since_ms,
        )
        return window, version == self._version(symbol)

    def _version(self, symbol: str) -> tuple[int, int, bool]:
        return (
            self._reopened_all,
            self._reopened.get(symbol, 0),
            bool(self._memory.minutes(symbol)),
        )

    def _take(self, symbol: str, candles: list[Candle]) -> None:
        for key in [one for one in self._windows if one[0] == symbol]:
            window = self._windows[key]
            if not all(window.take(candle) for candle in candles):
                del self._windows[key]

    def _reopen(self, symbols: Collection[str] | None) -> None:
        if symbols is None:
            self._reopened_all += 1
            self._windows.clear()
            return
        for symbol in symbols:
            self._reopened[symbol] = self._reopened.get(symbol, 0) + 1
        for key in [one for one in self._windows if one[0] in symbols]:
            del self._windows[key]

    # --- the database ----------------------------------------------------------------------------------------------

    async def _stored(self, question: CandleQuestion, until_ms: int) -> list[Row]:
        symbol, interval = question.instrument.symbol, question.interval
        async with self._connection() as connection:
            if question.start_ms is None:
                candles = await _latest(connection, symbol, interval, until_ms, question.limit)
            else:
                candles = await _earliest(
                    connection, symbol, interval, question.start_ms, until_ms, question.limit
                )
        decimals = question.instrument.price_decimals
        return [(one.open_ms, one.row(question.side, decimals)) for one in candles]

    def _connection(self) -> "_Connected":
        return _Connected(self._pool)


class _Connected:
    """A connection from the pool; where no reader was started (a test, a command), one of its own."""

    def __init__(self, pool: AsyncConnectionPool[psycopg.AsyncConnection[Any]] | None) -> None:
        self._pool = pool
        self._connection: psycopg.AsyncConnection[Any] | None = None

    async def __aenter__(self) -> psycopg.AsyncConnection[Any]:
        try:
            if self._pool is not None:
                self._connection = await self._pool.getconn()
            else:
                self._connection = await psycopg.AsyncConnection.connect(
                    **connection_parameters(), autocommit=True
                )
                times_as_integers(self._connection)
        except (psycopg.OperationalError, PoolTimeout) as error:
            raise CandlesUnavailableError from error
        return self._connection

    async def __aexit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if self._connection is None:
            return
        if self._pool is not None:
            await self._pool.putconn(self._connection)
        else:
            await self._connection.close()
        if isinstance(error, psycopg.OperationalError):
            raise CandlesUnavailableError from error


async def _configure(connection: psycopg.AsyncConnection[Any]) -> None:
    times_as_integers(connection)


async def _latest(
    connection: psycopg.AsyncConnection[Any],
    symbol: str,
    interval: Interval,
    until_ms: int,
    limit: int,
) -> list[Candle]:
    cursor = connection.cursor(binary=True)
    await cursor.execute(
        latest_sql(interval), (symbol, moment(min(until_ms, _FAR_MS)), limit), prepare=True
    )
    return [candle_of(row) for row in reversed(await cursor.fetchall())]


async def _earliest(
    connection: psycopg.AsyncConnection[Any],
    symbol: str,
    interval: Interval,
    start_ms: int,
    until_ms: int,
    limit: int | None,
) -> list[Candle]:
    cursor = connection.cursor(binary=True)
    await cursor.execute(
        earliest_sql(interval),
        (symbol, moment(start_ms), moment(min(until_ms, _FAR_MS)), limit),
        prepare=True,
    )
    return [candle_of(row) for row in await cursor.fetchall()]


async def _base(
    connection: psycopg.AsyncConnection[Any], symbol: str, interval: Interval, since_ms: int
) -> Candle | None:
    """Return what the candle of `since_ms` is made of before that time: whole days, then minutes."""
    bucket = interval.bucket(since_ms)
    if bucket == since_ms or interval is MINUTES:
        return None
    day = max(bucket, DAYS.bucket(since_ms))
    days = await _earliest(connection, symbol, DAYS, bucket, day, None) if day > bucket else []
    minutes = await _earliest(connection, symbol, MINUTES, day, since_ms, None)
    return joined(bucket, [*days, *minutes])


def _is_within(row: Row, start_ms: int | None, end_ms: int | None) -> bool:
    return (start_ms is None or row[0] >= start_ms) and (end_ms is None or row[0] <= end_ms)


@cache
def candle_reader() -> CandleReader:
    """Return the reader of this process."""
    return CandleReader(candle_memory())


def on_reader_loop(ask: Callable[[CandleReader], Coroutine[Any, Any, _T]]) -> _T:
    """Ask this process's reader from a thread and wait for the answer.

    Where no reader was started, as in a command, one is made for this question.
    """
    reader = candle_reader()
    if reader.loop is not None:
        return asyncio.run_coroutine_threadsafe(ask(reader), reader.loop).result()
    return asyncio.run(ask(CandleReader(candle_memory())))
