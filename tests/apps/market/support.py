"""What the market's tests share: a clock that is told the time, instruments without a database, a way to wait."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from typing_extensions import override

from apps.market import selectors, services
from apps.market.feed.base import RawQuote
from apps.market.feed.clocks import ClockWatch
from apps.market.selectors import InstrumentInfo

SHARED = Path(__file__).resolve().parents[4] / "shared"
START_US = 1_780_000_000_000_000


class FakeClock:
    """Time passes only by sleeping, and sleeping takes no time."""

    def __init__(self) -> None:
        self.us = START_US

    def now_us(self) -> int:
        return self.us

    async def sleep(self, seconds: float) -> None:
        self.us += round(seconds * 1_000_000)
        await asyncio.sleep(0)


class TapeClocks(ClockWatch):
    """A tape is told on its own clock, which has nothing to do with that of the log."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock, lambda: 0.0)

    @override
    def skew_us(self) -> int:
        return 0


def shipped_instruments() -> dict[str, InstrumentInfo]:
    """Return the shipped catalogue as every reader sees it, without a database."""
    return {row.symbol: selectors._info(row) for row in services.catalogue_rows()}


async def batches_take(batches: AsyncIterator[list[RawQuote]], count: int) -> list[list[RawQuote]]:
    """Return the first batches of a source and end it."""
    taken = []
    async for batch in batches:
        taken.append(batch)
        if len(taken) == count:
            break
    await batches.aclose()
    return taken


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until the condition holds; fail after a deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.01)
