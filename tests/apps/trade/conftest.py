"""Fixtures of this app's tests."""

from collections.abc import Iterator

import pytest

from tests.apps.live import Live, live_platform


@pytest.fixture
def live(transactional_db, log_redis_url, redis_url, stream_prefix, tmp_path) -> Iterator[Live]:
    """A real engine with one instrument, and a gateway to it."""
    with live_platform(stream_prefix, log_redis_url, redis_url, tmp_path) as live:
        yield live
