"""What sockets see of candles: for every watched symbol and interval, the rows that have changed since they were last sent.

The writer tells minutes; a longer interval's row comes from the reader's window, which is read anew when it has become stale.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Collection
from functools import cache
from typing import Final

from apps.common.cancellation import cancel_all
from apps.common.errors import ServiceError
from apps.market.candles.candle import Candle
from apps.market.candles.intervals import INTERVALS
from apps.market.candles.memory import CandleMemory, candle_memory
from apps.market.candles.reader import CandleQuestion, CandleReader, candle_reader
from apps.market.selectors import instruments_by_symbol

logger = logging.getLogger(__name__)

_PAUSE_SECONDS: Final = 0.1
# Whoever has missed some frames gets the newest candle and the one before, which may just have been finished.
_SHOWN: Final = 2
# How many rows back a change is noticed: as far as minutes are hot.
_ROWS: Final = 10

# Symbol and interval.
CandleKey = tuple[str, str]


class CandleLive:
    """The watched candles of this process; used on one event loop only."""

    def __init__(self, memory: CandleMemory, reader: CandleReader) -> None:
        """Take where minutes are told and where rows are made; nothing runs before start()."""
        self._reader = reader
        self._watched: Counter[CandleKey] = Counter()
        self._dirty: set[CandleKey] = set()
        # Rows by their beginning as they were last sent, and fragments of those that have changed since the last look.
        self._sent: dict[CandleKey, dict[int, str]] = {}
        self._changes: dict[CandleKey, list[str]] = {}
        # Those whose stored past has changed: not yet looked at, and not yet told.
        self._reopened: set[CandleKey] = set()
        self._again: set[CandleKey] = set()
        self._task: asyncio.Task[None] | None = None
        memory.listen(self._on_candles, self._on_reopened)

    async def start(self) -> None:
        """Begin to look for changes."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="candle-live")

    async def stop(self) -> None:
        """Stop looking."""
        if self._task is not None:
            await cancel_all((self._task,))
            self._task = None

    async def watch(self, key: CandleKey) -> None:
        """Follow this symbol and interval for one more socket. Errors: CandlesUnavailableError."""
        if not self._watched[key]:
            self._sent[key] = dict(await self._rows(key))
        self._watched[key] += 1

    def unwatch(self, key: CandleKey) -> None:
        """Follow it for one socket less."""
        self._watched[key] -= 1
        if self._watched[key] <= 0:
            del self._watched[key]
            self._sent.pop(key, None)
            self._dirty.discard(key)
            self._changes.pop(key, None)
            self._reopened.discard(key)
            self._again.discard(key)

    def newest(self, key: CandleKey) -> list[str]:
        """Return fragments of the newest rows."""
        rows = self._sent.get(key, {})
        return [_fragment(key, rows[open_ms]) for open_ms in sorted(rows)[-_SHOWN:]]

    def changes_take(self) -> dict[CandleKey, list[str]]:
        """Return the fragments of rows that have changed since the last call."""
        changes, self._changes = self._changes, {}
        return changes

    def again_take(self) -> frozenset[CandleKey]:
        """Return the candles whose past has changed since the last call: whoever shows more than the newest asks for it again."""
        again, self._again = frozenset(self._again), set()
        return again

    async def _run(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(_PAUSE_SECONDS)

    async def look(self) -> None:
        """Find out what has changed among the watched candles."""
        dirty, self._dirty = self._dirty, set()
        for key in dirty:
            try:
                rows = dict(await self._rows(key))
            except ServiceError as error:
                # The next minute that is told asks again.
                logger.warning("candles cannot be read", extra={"reason": error.code})
                continue
            if key not in self._watched:
                continue
            before = self._sent[key]
            self._sent[key] = rows
            if key in self._reopened:
                self._reopened.discard(key)
                self._again.add(key)
            changed = [at for at in sorted(rows) if before.get(at) != rows[at]]
            self._changes.setdefault(key, []).extend(_fragment(key, rows[at]) for at in changed)

    async def _rows(self, key: CandleKey) -> list[tuple[int, str]]:
        symbol, interval = key
        question = CandleQuestion(
            instruments_by_symbol()[symbol], INTERVALS[interval], "bid", _ROWS
        )
        return list(await self._reader.rows(question))

    def _on_candles(self, symbol: str, _candles: list[Candle]) -> None:
        self._dirty.update(key for key in self._watched if key[0] == symbol)

    def _on_reopened(self, symbols: Collection[str] | None) -> None:
        keys = [key for key in self._watched if symbols is None or key[0] in symbols]
        self._dirty.update(keys)
        self._reopened.update(keys)


def _fragment(key: CandleKey, row: str) -> str:
    # The row is a JSON array; its elements follow the names.
    return f'["{key[0]}","{key[1]}",{row[1:]}'


@cache
def candle_live() -> CandleLive:
    """Return the watched candles of this process."""
    return CandleLive(candle_memory(), candle_reader())
