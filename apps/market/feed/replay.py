"""Plays a recorded tape of one-minute candles as if it happened now.

A candle says where the price was, not when; inside the minute the price walks open, first extreme, second extreme, close in
straight lines, one quote per second of tape time (or per `step` seconds, the corners always among them). A rising minute visits its
low first, a falling one its high. Missing minutes of the tape are passed over without a pause.

Looping: a tape that has ended is played backwards, and forwards again from its beginning. So a loop has no jump, and however
fast it is played, prices stay those of the tape; scaling each round to go on from the last would drift by the tape's whole return.
"""

import asyncio
import hashlib
from array import array
from bisect import bisect_left
from collections.abc import AsyncGenerator, Collection, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from apps.market.clock import Clock
from apps.market.feed.base import (
    DecimalsError,
    RawQuote,
    SourceUnavailableError,
    quote_around,
    ticks_from_text,
)
from apps.market.feed.positions import PositionFile
from apps.market.feed.tapes import TapeRow, tape_rows
from apps.market.selectors import InstrumentInfo
from engine.values import SourceClass

_MINUTE: Final = 60
# Seconds of the minute at which the price has reached the extremes and the close.
_FIRST_EXTREME: Final = 20
_SECOND_EXTREME: Final = 40
_CLOSE: Final = _MINUTE - 1
# Seconds between two quotes that lead through every corner.
STEPS: Final = (1, 2, 4, 5, 10, 20)
_POSITION_EVERY_US: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Candle:
    """One minute of the tape, in ticks."""

    open_ticks: int
    high_ticks: int
    low_ticks: int
    close_ticks: int

    def price_at(self, second: int) -> int:
        """Return the price in the given second of the minute, ticks.

        Rounding: half a tick up; never outside low to high, since the corners are not.
        """
        is_rising = self.close_ticks >= self.open_ticks
        first, last = (
            (self.low_ticks, self.high_ticks) if is_rising else (self.high_ticks, self.low_ticks)
        )
        corners = (
            (0, self.open_ticks),
            (_FIRST_EXTREME, first),
            (_SECOND_EXTREME, last),
            (_CLOSE, self.close_ticks),
        )
        for (start, start_ticks), (end, end_ticks) in pairwise(corners):
            if second <= end:
                return _rounded(
                    start_ticks * (end - second) + end_ticks * (second - start), end - start
                )
        return self.close_ticks


class Tape:
    """All candles of one file, as four integer columns: a month of minutes is 1.4 MB."""

    def __init__(self, path: Path, decimals: int) -> None:
        self._columns = tuple(array("q") for _ in range(4))
        # Beginnings, ms; empty when the tape has none.
        self._times = array("q")
        # Prices repeat all the time, and reading one exactly takes longer than looking it up.
        known: dict[str, int] = {}
        for row in tape_rows(path):
            candle = _candle_from_row(row, known, decimals)
            for column, value in zip(self._columns, candle, strict=True):
                column.append(value)
            if row.time_ms is not None:
                self._times.append(row.time_ms)
        if not len(self):
            message = "the tape holds no candles"
            raise SourceUnavailableError(message)
        # Stands for the content, so that a position is never applied to another tape.
        content = b"".join(column.tobytes() for column in self._columns)
        self.digest = hashlib.blake2b(content, digest_size=16).hexdigest()

    def index_at(self, at_ms: int) -> int:
        """Return the first candle that begins at this time or later.

        Errors: SourceUnavailableError when the tape has no times, or ends before.
        """
        index = bisect_left(self._times, at_ms)
        if len(self._times) != len(self) or index == len(self):
            message = "the tape has no candle at the time from which it is to play"
            raise SourceUnavailableError(message)
        return index

    def __len__(self) -> int:
        return len(self._columns[0])

    def __getitem__(self, index: int) -> Candle:
        opens, highs, lows, closes = self._columns
        return Candle(opens[index], highs[index], lows[index], closes[index])


@dataclass(slots=True)
class _Position:
    """Where the tape stands: a candle, a second of its minute, and whether it is played backwards."""

    candle: int = 0
    second: int = 0
    is_backwards: bool = False


class ReplaySource:
    """A tape of one symbol."""

    name = "replay"
    source_class = SourceClass.REPLAY
    malformed = 0

    def __init__(
        self,
        *,
        path: Path,
        instrument: InstrumentInfo,
        speed: float,
        position_file: PositionFile,
        clock: Clock,
        is_looping: bool = True,
        from_ms: int | None = None,
        step: int = 1,
    ) -> None:
        """Take a tape for an instrument; speed 60 plays an hour of tape in a minute.

        `step` is the tape time between two quotes in seconds, one of STEPS. With `from_ms` every start plays from the candle of that
        time, without it from where the last run stopped.
        """
        self._path = path
        self._instrument = instrument
        self._speed = speed
        # For each second of a minute the next one that is told, and the one before; None at the minute's end.
        told = (*range(0, _CLOSE, step), _CLOSE)
        self._following = [min((t for t in told if t > s), default=None) for s in range(_MINUTE)]
        self._preceding = [max((t for t in told if t < s), default=None) for s in range(_MINUTE)]
        self._position_file = position_file
        self._clock = clock
        self._is_looping = is_looping
        self._from_ms = from_ms
        self._tape: Tape | None = None
        self._position = _Position()
        self._is_playing = False

    async def open(self) -> Collection[str]:
        """Read the tape and the position where an earlier run stopped."""
        if self._tape is None:
            # Some tenths of a second for a month of minutes: too long for an event loop.
            tape = await asyncio.to_thread(Tape, self._path, self._instrument.price_decimals)
            if self._from_ms is None:
                self._position = _position_from(self._position_file.read(), tape)
            else:
                self._position = _Position(candle=tape.index_at(self._from_ms))
            self._tape = tape
        return (self._instrument.symbol,)

    async def quotes(self, symbols: Collection[str]) -> AsyncGenerator[list[RawQuote], None]:
        """Yield the tape's quotes at its speed; for ever, if it loops."""
        if self._instrument.symbol not in symbols:
            return
        self._is_playing = True
        try:
            due_us = written_us = self._clock.now_us()
            for price_ticks, pause_seconds in self._prices():
                now_us = self._clock.now_us()
                if now_us < due_us:
                    await self._clock.sleep((due_us - now_us) / 1e6)
                elif now_us - due_us > _POSITION_EVERY_US:
                    # The process was held up: go on from now instead of rushing through what was missed.
                    due_us = now_us
                bid_ticks, ask_ticks = quote_around(price_ticks, self._instrument.spread_ticks)
                # The time at which it was due, not at which the process got to it: so a tape means the same quotes every time.
                yield [RawQuote(self._instrument.symbol, bid_ticks, ask_ticks, due_us)]
                due_us += round(pause_seconds / self._speed * 1e6)
                now_us = self._clock.now_us()
                if now_us - written_us >= _POSITION_EVERY_US:
                    self.close()
                    written_us = now_us
        finally:
            self._is_playing = False
            self.close()

    def is_live(self, symbol: str) -> bool:
        """Return whether the tape is playing."""
        return self._is_playing and symbol == self._instrument.symbol

    def close(self) -> None:
        """Write down where the tape stands."""
        if self._tape is not None:
            position = self._position
            self._position_file.write(
                {
                    "tape": self._tape.digest,
                    "candle": position.candle,
                    "second": position.second,
                    "is_backwards": position.is_backwards,
                }
            )

    def _prices(self) -> Iterator[tuple[int, int]]:
        """Yield each price with the seconds of tape time until the next one."""
        tape, position = self._tape, self._position
        if tape is None:
            return
        while 0 <= position.candle < len(tape):
            price_ticks = tape[position.candle].price_at(position.second)
            # Moved on before the yield: a position written meanwhile names the quote that comes next.
            yield price_ticks, self._advance(len(tape))
        # Whoever starts it again hears it from its beginning.
        self._position = _Position()

    def _advance(self, length: int) -> int:
        """Move to the next quote and return how many seconds of tape time away it is."""
        position = self._position
        onwards, back = self._following, self._preceding
        if position.is_backwards:
            onwards, back = back, onwards
        step = -1 if position.is_backwards else 1
        second = onwards[position.second]
        if second is None and self._is_looping and not 0 <= position.candle + step < length:
            # The price of the last second is not told twice.
            position.is_backwards = not position.is_backwards
            second = back[position.second]
        if second is not None:
            before, position.second = position.second, second
            return abs(second - before)
        if 0 <= position.candle + step < length:
            position.candle += step
            position.second = _CLOSE if position.is_backwards else 0
        else:
            position.candle = length
        return 1


def _rounded(numerator: int, denominator: int) -> int:
    """Return the quotient of a positive denominator, half a unit rounded up."""
    return (2 * numerator + denominator) // (2 * denominator)


def _candle_from_row(
    row: TapeRow, known: dict[str, int], decimals: int
) -> tuple[int, int, int, int]:
    try:
        opened, high, low, close = (
            known[text] if text in known else _read(text, known, decimals) for text in row.prices
        )
    except DecimalsError as error:
        message = f"line {row.line} of the tape: {error}"
        raise SourceUnavailableError(message) from error
    if not 0 < low <= min(opened, close) <= max(opened, close) <= high:
        message = f"line {row.line} of the tape: expected 0 < low <= open, close <= high"
        raise SourceUnavailableError(message)
    return opened, high, low, close


def _read(text: str, known: dict[str, int], decimals: int) -> int:
    ticks = known[text] = ticks_from_text(text, decimals, round_up=False)
    return ticks


def _position_from(stored: dict[str, object], tape: Tape) -> _Position:
    """Return the stored position, or the start when it is of another tape or out of range."""
    if stored.get("tape") != tape.digest:
        return _Position()
    candle, second = stored.get("candle"), stored.get("second")
    is_backwards = stored.get("is_backwards")
    if not (isinstance(candle, int) and isinstance(second, int) and isinstance(is_backwards, bool)):
        return _Position()
    is_in_range = 0 <= candle < len(tape) and 0 <= second < _MINUTE
    return _Position(candle, second, is_backwards) if is_in_range else _Position()
