"""The newest candles of one symbol and interval as the API's rows, kept current by the minutes that the writer tells.

A window has three parts. `closed`: rows of finished candles, text that never changes. `base`: for candles still in the making, what
is made of the minutes before the hot ones. `minutes`: the hot minutes themselves, which may still change. What cannot be brought into
a window without reading the database makes it stale, and the next question reads it anew.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from apps.market.candles.builder import KEPT_MS
from apps.market.candles.candle import Candle, PriceSide, joined
from apps.market.candles.intervals import Interval

ROWS_MAX: Final = 1_000

# When a candle begins, ms, and its row as JSON text.
Row = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """The body of an answer and its entity tag."""

    body: bytes
    etag: str


class Window:
    """One symbol's newest candles of one interval and side."""

    def __init__(
        self,
        *,
        interval: Interval,
        side: PriceSide,
        decimals: int,
        closed: Iterable[Candle],
        base: Candle | None,
        minutes: Mapping[int, Candle],
        since_ms: int,
    ) -> None:
        """Take finished candles in order, and for the one that `since_ms` lies in: its part before, and the minutes from there."""
        self._interval = interval
        self._side = side
        self._decimals = decimals
        self._closed: deque[Row] = deque(maxlen=ROWS_MAX)
        for candle in closed:
            self._close(candle)
        self._base: dict[int, Candle] = {base.open_ms: base} if base else {}
        self._minutes = dict(minutes)
        # Minutes before this one are in `closed` or in `base`.
        self._since_ms = since_ms
        self._tail: list[Row] | None = None
        # The last answer that was made of these rows, by the number of rows, until they change.
        self.kept: tuple[int, Answer] | None = None

    def take(self, candle: Candle) -> bool:
        """Take one changed minute; False when it lies before the hot ones and the window is stale."""
        if candle.open_ms < self._since_ms:
            return False
        self._minutes[candle.open_ms] = candle
        self._tail = self.kept = None
        self._absorb(max(self._minutes) - KEPT_MS)
        return True

    def rows(self, limit: int) -> list[Row]:
        """Return the newest rows, at most `limit`, in order."""
        tail = self._rows_of_tail()
        if len(tail) >= limit:
            return tail[-limit:]
        closed = self._closed
        first = max(0, len(closed) - (limit - len(tail)))
        return [*_sliced(closed, first), *tail]

    @property
    def tail(self) -> list[Row]:
        """Return the rows that the database may not have in their newest form."""
        return self._rows_of_tail()

    @property
    def first_ms(self) -> int | None:
        """Return when the oldest candle that this window knows begins."""
        tail = self._rows_of_tail()
        rows = self._closed or tail
        return rows[0][0] if rows else None

    def _rows_of_tail(self) -> list[Row]:
        if self._tail is None:
            parts: dict[int, list[Candle]] = {open_ms: [one] for open_ms, one in self._base.items()}
            for open_ms in sorted(self._minutes):
                bucket = self._interval.bucket(open_ms)
                parts.setdefault(bucket, []).append(self._minutes[open_ms])
            self._tail = [
                (bucket, whole.row(self._side, self._decimals))
                for bucket in sorted(parts)
                if (whole := joined(bucket, parts[bucket])) is not None
            ]
        return self._tail

    def _absorb(self, upto_ms: int) -> None:
        """Move minutes up to this one into their candle, and finished candles into `closed`."""
        for open_ms in sorted(one for one in self._minutes if one <= upto_ms):
            minute = self._minutes.pop(open_ms)
            bucket = self._interval.bucket(open_ms)
            parts = [self._base[bucket], minute] if bucket in self._base else [minute]
            whole = joined(bucket, parts)
            if whole is not None:
                self._base[bucket] = whole
        self._since_ms = max(self._since_ms, upto_ms + 1)
        if not self._minutes:
            return
        present = self._interval.bucket(min(self._minutes))
        for bucket in sorted(one for one in self._base if one < present):
            self._close(self._base.pop(bucket))

    def _close(self, candle: Candle) -> None:
        self._closed.append((candle.open_ms, candle.row(self._side, self._decimals)))


def _sliced(rows: deque[Row], first: int) -> list[Row]:
    # A deque cannot be sliced, and copying it whole costs less than stepping to the place.
    return list(rows)[first:] if first else list(rows)
