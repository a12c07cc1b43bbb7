"""The candles in the database: the only module that speaks their SQL. No ORM; one connection of its own per user.

Both kinds of server have the same relations and give the same answers (migrations/0002_candles.py). With TimescaleDB, what is
written behind the horizon of the continuous aggregates is told to them by `refresh`; on a plain server triggers do it.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import psycopg
from django.db import connections
from psycopg import sql
from psycopg.rows import TupleRow
from psycopg.types.numeric import Int8BinaryLoader

from apps.common.arrays import Integers, Texts, arrays_register
from apps.market.candles.candle import Candle
from apps.market.candles.copying import copy_data
from apps.market.candles.intervals import INTERVALS, MINUTE_MS, MINUTES, Interval

# A row of minutes, to be written: symbol, candle, and where a backfilled one was taken from.
Row = tuple[str, Candle, str | None]

_COLUMNS: Final = (
    "bid_open",
    "bid_high",
    "bid_low",
    "bid_close",
    "mid_open",
    "mid_high",
    "mid_low",
    "mid_close",
    "ask_high",
    "ask_low",
    "quote_count",
    "sources",
)
_TIMES: Final = ("first_us", "last_us")
# What every relation has, in the order of Candle.
SELECTED: Final = ", ".join(("open_time", *_COLUMNS))
# PostgreSQL's binary times count from here, in microseconds.
_EPOCH_MS: Final = 946_684_800_000
_UPSERT_MAX: Final = 5_000

_UPDATED: Final = ", ".join(f"{name} = EXCLUDED.{name}" for name in (*_COLUMNS, *_TIMES, "origin"))

_VALUES: Final = (
    f"INSERT INTO candles_1m (symbol, open_time, {', '.join((*_COLUMNS, *_TIMES))}, origin)"
    " SELECT symbol, to_timestamp(open_s), "
    + ", ".join((*_COLUMNS, *_TIMES))
    + ", origin FROM unnest(%s::text[], %s::bigint[], "
    + ", ".join(["%s::bigint[]"] * (len(_COLUMNS) + len(_TIMES)))
    + f", %s::text[]) AS given(symbol, open_s, {', '.join((*_COLUMNS, *_TIMES))}, origin)"
    " ORDER BY symbol, open_s"
)
_REPLACE: Final = f"{_VALUES} ON CONFLICT (symbol, open_time) DO UPDATE SET {_UPDATED}"
_ADD: Final = f"{_VALUES} ON CONFLICT (symbol, open_time) DO NOTHING"
# Candles and position in one statement, so in one round trip and one transaction.
_REPLACE_AND_MOVE: Final = (
    f"WITH written AS ({_REPLACE}) INSERT INTO candles_position (entry_id, lost_spans, ahead_quotes)"
    " VALUES (%s, %s, %s) ON CONFLICT (id) DO UPDATE SET entry_id = EXCLUDED.entry_id,"
    " lost_spans = candles_position.lost_spans + EXCLUDED.lost_spans,"
    " ahead_quotes = candles_position.ahead_quotes + EXCLUDED.ahead_quotes, written_at = now()"
)


def connection_parameters() -> dict[str, Any]:
    """Return how to connect to the platform's database, for connections that Django does not manage."""
    parameters = connections["default"].get_connection_params()
    for name in ("cursor_factory", "context", "prepare_threshold"):
        parameters.pop(name, None)
    return dict(parameters)


def times_as_integers(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> None:
    """Let binary results hold times as PostgreSQL's own integers: no date object is made per row."""
    connection.adapters.register_loader("timestamptz", Int8BinaryLoader)


def candle_of(row: TupleRow) -> Candle:
    """Return the candle of a row of SELECTED, read in binary form."""
    return Candle(row[0] // 1000 + _EPOCH_MS, *row[1:])


def moment(at_ms: int) -> datetime:
    """Return a time as the database takes it."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).replace(microsecond=at_ms % 1000 * 1000)


def latest_sql(interval: Interval) -> str:
    """Return the query for the newest candles before a time: symbol, time, count."""
    return (
        f"SELECT {SELECTED} FROM {interval.relation} WHERE symbol = %s AND open_time < %s"
        " ORDER BY open_time DESC LIMIT %s"
    )


def earliest_sql(interval: Interval) -> str:
    """Return the query for the first candles from one time to before another: symbol, times, count."""
    return (
        f"SELECT {SELECTED} FROM {interval.relation} WHERE symbol = %s AND open_time >= %s"
        " AND open_time < %s ORDER BY open_time LIMIT %s"
    )


def closes_sql(interval: Interval) -> str:
    """Return the query for closing prices, bid and mid: symbols, from one time to before another; oldest first."""
    return (
        f"SELECT symbol, open_time, bid_close, mid_close FROM {interval.relation} WHERE symbol = ANY(%s)"
        " AND open_time >= %s AND open_time < %s ORDER BY open_time, symbol"
    )


def milliseconds(since_2000_us: int) -> int:
    """Return a time that was read in binary form, ms."""
    return since_2000_us // 1000 + _EPOCH_MS


class CandleStore:
    """Writes and reads candles on one connection, in one thread."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        """Take an open connection in autocommit mode."""
        times_as_integers(connection)
        arrays_register(connection)
        self.connection = connection
        self.is_timescale = _has_hypertable(connection)
        self._months: set[tuple[int, int]] = set()

    @classmethod
    def connect(cls) -> "CandleStore":
        """Connect to the platform's database. Errors: psycopg.Error."""
        return cls(psycopg.connect(**connection_parameters(), autocommit=True))

    def close(self) -> None:
        """Disconnect."""
        self.connection.close()

    # --- the writer of the log ------------------------------------------------------------------------------------

    def position(self) -> str | None:
        """Return up to which entry of the log the minutes are complete; None before the first."""
        row = self.connection.execute("SELECT entry_id FROM candles_position").fetchone()
        return row[0] if row else None

    def write(
        self, rows: Sequence[Row], *, entry_id: str, lost_spans: int = 0, ahead_quotes: int = 0
    ) -> None:
        """Store minutes as they are now, and up to which entry they are complete, all or nothing.

        One round trip, unless a catch-up has more than 5,000 rows.
        """
        self._prepare(rows)
        head, last = rows[: -_UPSERT_MAX or None], rows[-_UPSERT_MAX:]
        if len(rows) <= _UPSERT_MAX:
            head, last = (), rows
        values = [entry_id, lost_spans, ahead_quotes]
        if not head:
            self.connection.execute(_REPLACE_AND_MOVE, [*_arrays(last), *values], prepare=True)
            return
        with self.connection.transaction():
            for start in range(0, len(head), _UPSERT_MAX):
                chunk = head[start : start + _UPSERT_MAX]
                self.connection.execute(_REPLACE, _arrays(chunk), prepare=True)
            self.connection.execute(_REPLACE_AND_MOVE, [*_arrays(last), *values], prepare=True)

    def newest(self, symbols: Sequence[str]) -> dict[str, int]:
        """Return when the newest minute of each symbol begins, ms."""
        rows = self.connection.execute(
            "SELECT symbol, (SELECT max(open_time) FROM candles_1m WHERE candles_1m.symbol = asked.symbol)"
            " FROM unnest(%s::text[]) AS asked(symbol)",
            [list(symbols)],
            binary=True,
        )
        return {symbol: us // 1000 + _EPOCH_MS for symbol, us in rows if us is not None}

    def symbols(self) -> list[str]:
        """Return the symbols that have candles; found step by step in the index, not by reading it whole."""
        rows = self.connection.execute(
            "WITH RECURSIVE found AS ((SELECT min(symbol) AS symbol FROM candles_1d) UNION ALL"
            " SELECT (SELECT min(symbol) FROM candles_1d WHERE candles_1d.symbol > found.symbol)"
            " FROM found WHERE found.symbol IS NOT NULL) SELECT symbol FROM found WHERE symbol IS NOT NULL"
        )
        return [symbol for (symbol,) in rows]

    def minutes(self, keys: Iterable[tuple[str, int]]) -> dict[tuple[str, int], Candle]:
        """Return those of these minutes (symbol, beginning in ms) that are stored."""
        wanted = sorted(keys)
        if not wanted:
            return {}
        rows = self.connection.execute(
            f"SELECT candles_1m.symbol, {SELECTED}, first_us, last_us FROM candles_1m"
            " JOIN unnest(%s::text[], %s::bigint[]) AS asked(asked_symbol, open_s)"
            " ON symbol = asked_symbol AND open_time = to_timestamp(open_s)",
            [[symbol for symbol, _ in wanted], [open_ms // 1000 for _, open_ms in wanted]],
            binary=True,
        )
        found = ((symbol, candle_of(tuple(row))) for symbol, *row in rows)
        return {(symbol, candle.open_ms): candle for symbol, candle in found}

    # --- history --------------------------------------------------------------------------------------------------

    def add(self, rows: Sequence[Row], *, is_replacing: bool) -> int:
        """Store minutes from elsewhere and return how many were written.

        Minutes that are there already stay as they are, unless `is_replacing`.
        """
        self._prepare(rows)
        statement = _REPLACE if is_replacing else _ADD
        count = 0
        with self.connection.transaction():
            for start in range(0, len(rows), _UPSERT_MAX):
                chunk = rows[start : start + _UPSERT_MAX]
                count += self.connection.execute(statement, _arrays(chunk), prepare=True).rowcount
        return count

    def copy(self, symbol: str, interval: Interval, candles: Sequence[Candle], origin: str) -> None:
        """Store candles of one length where nobody has any: twice as quick as add(), which looks for those that are there.

        With TimescaleDB longer candles are aggregates of minutes: each is added there as the minute that it begins with.
        Errors: psycopg.errors.UniqueViolation.
        """
        if self.is_timescale:
            self.add([(symbol, candle, origin) for candle in candles], is_replacing=False)
            return
        names = ["symbol", "open_time", *_COLUMNS]
        if interval is MINUTES:
            self._prepare([(symbol, candle, origin) for candle in candles])
            names += [*_TIMES, "origin"]
        statement = f"COPY {interval.relation} ({', '.join(names)}) FROM STDIN (FORMAT BINARY)"
        with self.connection.cursor() as cursor, cursor.copy(statement) as copy:
            copy.write(copy_data(symbol, candles, origin if interval is MINUTES else None))

    def refresh(self, since_ms: int, until_ms: int) -> None:
        """Let the continuous aggregates take in what was written to these minutes; nothing to do without them.

        The candle of the newest minute is left to the real-time view: materialised, it would not follow its minutes any more.
        """
        if not self.is_timescale:
            return
        row = self.connection.execute(
            "SELECT max(open_time) FROM candles_1m", binary=True
        ).fetchone()
        if row is None or row[0] is None:
            return
        newest_ms = row[0] // 1000 + _EPOCH_MS
        for interval in INTERVALS.values():
            begin_ms = interval.bucket(since_ms)
            upto_ms = interval.bucket_after(interval.bucket(until_ms))
            upto_ms = min(upto_ms, interval.bucket(newest_ms))
            if interval is not MINUTES and begin_ms < upto_ms:
                call = sql.SQL("CALL refresh_continuous_aggregate({}, {}, {})").format(
                    sql.Literal(interval.relation),
                    sql.Literal(moment(begin_ms)),
                    sql.Literal(moment(upto_ms)),
                )
                self.connection.execute(call)

    def read(
        self,
        symbol: str,
        interval: Interval,
        since_ms: int,
        until_ms: int,
        limit: int | None = None,
    ) -> list[Candle]:
        """Return the stored candles that begin from `since_ms` to before `until_ms`, in order."""
        rows = self.connection.execute(
            earliest_sql(interval),
            [symbol, moment(since_ms), moment(until_ms), limit],
            binary=True,
            prepare=True,
        )
        return [candle_of(row) for row in rows]

    def aggregate_again(self, symbol: str, interval: str, open_ms: int) -> None:
        """Make one longer candle, and what lies above it, anew from its lower ones."""
        one = INTERVALS[interval]
        end_ms = one.bucket_after(open_ms)
        if self.is_timescale:
            call = sql.SQL("CALL refresh_continuous_aggregate({}, {}, {}, force => true)")
            span = (sql.Literal(moment(open_ms)), sql.Literal(moment(end_ms)))
            self.connection.execute(call.format(sql.Literal(one.relation), *span))
            return
        with self.connection.transaction():
            # What has no lower ones must go; the triggers make the rest from any row that is touched.
            self.connection.execute(
                f"DELETE FROM {one.relation} WHERE symbol = %s AND open_time = %s",
                [symbol, moment(open_ms)],
            )
            self.connection.execute(
                f"UPDATE {INTERVALS[one.lower].relation} SET quote_count = quote_count"
                " WHERE symbol = %s AND open_time >= %s AND open_time < %s",
                [symbol, moment(open_ms), moment(end_ms)],
            )

    def retain(self, before_ms: int) -> int:
        """Drop the months of minutes that ended before this time, and return how many; longer candles stay.

        With TimescaleDB its own policy does that, and nothing is left to do.
        """
        if self.is_timescale:
            return 0
        row = self.connection.execute("SELECT candles_retain(%s)", [moment(before_ms)]).fetchone()
        self._months.clear()
        return row[0] if row else 0

    def gaps(self, symbol: str, since_ms: int, until_ms: int) -> list[tuple[int, int]]:
        """Return the spans without minutes from one time to before another: first missing, first present after it, ms."""
        rows = self.connection.execute(
            "SELECT before, open_time FROM (SELECT open_time, lag(open_time, 1, %s::timestamptz - INTERVAL '1 minute')"
            " OVER (ORDER BY open_time) AS before FROM (SELECT open_time FROM candles_1m WHERE symbol = %s"
            " AND open_time >= %s AND open_time < %s UNION ALL SELECT %s::timestamptz) AS present) AS pairs"
            " WHERE open_time - before > INTERVAL '1 minute' ORDER BY open_time",
            [moment(since_ms), symbol, moment(since_ms), moment(until_ms), moment(until_ms)],
            binary=True,
        )
        return [
            (before // 1000 + _EPOCH_MS + MINUTE_MS, after // 1000 + _EPOCH_MS)
            for before, after in rows
        ]

    def _prepare(self, rows: Sequence[Row]) -> None:
        """Make the partitions that these rows need."""
        months = {_month(candle.open_ms) for _, candle, _ in rows} - self._months
        for month in sorted(months):
            start = datetime(*month, 1, tzinfo=UTC)
            self.connection.execute("SELECT candles_prepare(%s, %s)", [start, start])
        self._months |= months


def _month(open_ms: int) -> tuple[int, int]:
    day = datetime.fromtimestamp(open_ms // 1000, UTC)
    return day.year, day.month


def _arrays(rows: Sequence[Row]) -> list[Integers | Texts]:
    """Return the columns of the rows, as _VALUES takes them."""
    fields = [msgspec.structs.astuple(candle) for _, candle, _ in rows]
    times, *values = zip(*fields, strict=True) if fields else [()] * len(Candle.__struct_fields__)
    return [
        Texts.of([symbol for symbol, _, _ in rows]),
        Integers.of([open_ms // 1000 for open_ms in times]),
        *map(Integers.of, values),
        Texts.of([origin for _, _, origin in rows]),
    ]


def _has_hypertable(connection: psycopg.Connection[Any]) -> bool:
    found = connection.execute(
        "SELECT to_regclass('timescaledb_information.hypertables')"
    ).fetchone()
    if found is None or found[0] is None:
        return False
    row: Mapping[str, Any] | TupleRow | None = connection.execute(
        "SELECT FROM timescaledb_information.hypertables WHERE hypertable_name = 'candles_1m'"
    ).fetchone()
    return row is not None
