"""Time as the market sees it: injected, so that tests and tapes decide it."""

import asyncio
from typing import Protocol

from apps.common import clock


class Clock(Protocol):
    """A clock that can be waited on."""

    def now_us(self) -> int:
        """Return the time, microseconds UTC."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


class WallClock:
    """The real clock."""

    def now_us(self) -> int:
        """Return the time, microseconds UTC."""
        return clock.now_us()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)
