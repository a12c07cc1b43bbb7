"""Fixtures of this app's tests."""

import time
from collections.abc import Iterator

import pytest

from apps.common.clock import now_us
from engine.core.state import next_midnight_us
from tests.apps.live import Live, live_platform

# What a test here may take: figures are told by day, and one that began on a day is over before the next.
_TEST_US = 30_000_000


@pytest.fixture
def live(transactional_db, log_redis_url, redis_url, stream_prefix, tmp_path) -> Iterator[Live]:
    """A real engine with one instrument, and a gateway to it, within one day of UTC."""
    left_us = next_midnight_us(now_us()) - now_us()
    if left_us < _TEST_US:
        time.sleep(left_us / 1_000_000)
    with live_platform(stream_prefix, log_redis_url, redis_url, tmp_path) as live:
        yield live
