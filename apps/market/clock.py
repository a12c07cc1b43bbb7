"""Time as the market sees it: injected, so that tests and tapes decide it."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from django.utils import timezone

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


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
        return (timezone.now() - _EPOCH) // _MICROSECOND

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)
