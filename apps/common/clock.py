"""Instants at the edges: the engine's integer microseconds <-> datetimes, without a float between them."""

import time
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def now_us() -> int:
    """Return the wall clock in microseconds."""
    return time.time_ns() // 1000


def datetime_from_us(us: int) -> datetime:
    """Return the instant that is so many microseconds after 1970, in UTC."""
    # By position: a quarter quicker than by name.
    return _EPOCH + timedelta(0, 0, us)


def us_from_datetime(instant: datetime) -> int:
    """Return an aware instant in microseconds since 1970."""
    return (instant - _EPOCH) // timedelta(microseconds=1)
