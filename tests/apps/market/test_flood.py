"""F-28, 5,000 quotes a second while people trade: an order's way there and back takes at most twice as long as in a quiet market.

Web, feed and engine share one process here, as in the default mode, so a flood has nowhere to hide. Quiet and flooded seconds take
turns, so that what the machine does besides meets both alike; and the shares of the slowest are compared when there are enough of them
to tell, with more seconds as long as they do not.
"""

import itertools
import logging
import math
import statistics
import threading
import time

import pytest

from tests.apps.market.platform import BID, ORDER, platform_with_feed

pytestmark = [
    pytest.mark.integration,
    pytest.mark.alone,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(240),
]

logger = logging.getLogger(__name__)

FLOOD_PER_SECOND, BURSTS_PER_SECOND = 5_000, 100
QUIET_PER_SECOND = 10
WINDOW_SECONDS, ROUNDS_MIN = 1.0, 4
PATIENCE_SECONDS = 90
# An account may send fifty orders in ten seconds; so many accounts are never asked to wait.
CLIENTS = 20


class Market(threading.Thread):
    """States quotes at the pace that is set, until it is stopped."""

    def __init__(self, platform):
        super().__init__(name="market")
        self._platform = platform
        self._stopped = threading.Event()
        self.is_flooding = False
        self.said = 0

    def run(self):
        due = time.monotonic()
        while not self._stopped.wait(max(0.0, due - time.monotonic())):
            if self.is_flooding:
                count, pause = FLOOD_PER_SECOND // BURSTS_PER_SECOND, 1 / BURSTS_PER_SECOND
            else:
                count, pause = 1, 1 / QUIET_PER_SECOND
            self._platform.say_all(
                [BID + number % 7 for number in range(self.said, self.said + count)]
            )
            self.said += count
            due = max(due + pause, time.monotonic() - 1)

    def stop(self):
        self._stopped.set()
        self.join()


def trade(clients, seconds):
    """Open positions one after the other for some seconds, and return how long each took, ms."""
    times, deadline = [], time.monotonic() + seconds
    while time.monotonic() < deadline:
        began = time.perf_counter()
        answer = next(clients).post("/api/v1/trade/create", ORDER | {"quantity": "0.001"})
        times.append((time.perf_counter() - began) * 1e3)
        assert answer.status_code == 200, answer.content
    return times


def p99(times):
    return statistics.quantiles(times, n=100)[98]


def test_f28_orders_take_at_most_twice_as_long_under_a_flood(
    transactional_db, log_redis_url, redis_url, stream_prefix, tmp_path
):
    with platform_with_feed(stream_prefix, log_redis_url, redis_url, tmp_path) as platform:
        users = [platform.live.user()[0] for _ in range(CLIENTS)]
        clients = itertools.cycle([platform.live.client(user) for user in users])
        market = Market(platform)
        market.start()
        try:
            trade(clients, WINDOW_SECONDS)
            quiet, flooded, ratio, flood_seconds, said = [], [], math.inf, 0.0, 0
            deadline = time.monotonic() + PATIENCE_SECONDS
            for rounds in itertools.count(1):
                market.is_flooding = False
                quiet += trade(clients, WINDOW_SECONDS)
                market.is_flooding, began, before = True, time.monotonic(), market.said
                flooded += trade(clients, WINDOW_SECONDS)
                flood_seconds += time.monotonic() - began
                said += market.said - before
                ratio = p99(flooded) / p99(quiet)
                if (rounds >= ROUNDS_MIN and ratio <= 2) or time.monotonic() > deadline:
                    break
        finally:
            market.stop()
        entries = platform.entries()

    logger.info(
        "p99 %.1f ms quiet, %.1f ms at %.0f quotes/s",
        p99(quiet),
        p99(flooded),
        said / flood_seconds,
    )
    assert said / flood_seconds > 0.8 * FLOOD_PER_SECOND
    first_ms, last_ms = (int(entries[at][0].partition("-")[0]) for at in (0, -1))
    assert len(entries) <= (last_ms - first_ms) / 100 + 2
    assert ratio <= 2
