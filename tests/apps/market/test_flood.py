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
from collections.abc import Iterator

import pytest
from rest_framework.test import APIClient

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
# A user may send 1,200 orders a minute: so many together may send 1,000 a second, which is more than one process answers.
CLIENTS = 50


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


def orders(clients: list[APIClient]) -> Iterator[float]:
    """Open and close a position for one client after the other, and say of each order how long it took, ms.

    What is opened is closed at once: an account may hold 200 positions, and how many orders there will be is up to the machine.
    """

    def timed(
        client: APIClient, path: str, body: dict[str, object]
    ) -> tuple[float, dict[str, str]]:
        began = time.perf_counter()
        answer = client.post(path, body)
        took = (time.perf_counter() - began) * 1e3
        assert answer.status_code == 200, answer.content
        return took, answer.json()["data"]

    for client in itertools.cycle(clients):
        took, opened = timed(client, "/api/v1/trade/create", ORDER | {"quantity": "0.001"})
        yield took
        yield timed(client, "/api/v1/trade/close", {"orderId": opened["orderId"]})[0]


def trade(stream: Iterator[float], seconds: float) -> list[float]:
    """Return what the orders of some seconds took, ms."""
    times, deadline = [], time.monotonic() + seconds
    while time.monotonic() < deadline:
        times.append(next(stream))
    return times


def p99(times):
    return statistics.quantiles(times, n=100)[98]


def test_f28_orders_take_at_most_twice_as_long_under_a_flood(
    transactional_db, log_redis_url, redis_url, stream_prefix, tmp_path
):
    with platform_with_feed(stream_prefix, log_redis_url, redis_url, tmp_path) as platform:
        users = [platform.live.user()[0] for _ in range(CLIENTS)]
        stream = orders([platform.live.client(user) for user in users])
        market = Market(platform)
        market.start()
        try:
            trade(stream, WINDOW_SECONDS)
            quiet, flooded, ratio, flood_seconds, said = [], [], math.inf, 0.0, 0
            deadline = time.monotonic() + PATIENCE_SECONDS
            for rounds in itertools.count(1):
                market.is_flooding = False
                quiet += trade(stream, WINDOW_SECONDS)
                market.is_flooding, began, before = True, time.monotonic(), market.said
                flooded += trade(stream, WINDOW_SECONDS)
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
