"""The limiter behind sign-in: exact under parallel requests, and honest about the wait (S-23)."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis

from apps.common.rate_limits import RateLimit, rate_limit_wait_us, rate_limits_parse

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def servers(embedded_servers, stream_prefix):
    return stream_prefix


def test_limits_are_read_from_text():
    assert rate_limits_parse(["1/m", " 5/h", "15/d"]) == (
        RateLimit(count=1, window_s=60),
        RateLimit(count=5, window_s=3600),
        RateLimit(count=15, window_s=86400),
    )


@pytest.mark.parametrize("text", ["", "5", "5/", "/h", "0/h", "-1/h", "5/w", "\u0665/h", "5/h/h"])
def test_what_is_no_limit_is_refused(text):
    with pytest.raises(ValueError, match="a rate limit looks like 5/h"):
        rate_limits_parse([text])


def test_s23_of_many_parallel_requests_exactly_the_limit_passes():
    limits = (RateLimit(count=10, window_s=60),)

    with ThreadPoolExecutor(max_workers=20) as pool:
        waits = list(pool.map(lambda _: rate_limit_wait_us(key="k", limits=limits), range(200)))

    assert waits.count(0) == 10
    assert all(0 < wait <= 60_000_000 for wait in waits if wait)


def test_s23_a_costly_request_uses_up_as_many_as_it_costs():
    limits = (RateLimit(count=10, window_s=60),)

    with ThreadPoolExecutor(max_workers=20) as pool:
        waits = list(
            pool.map(lambda _: rate_limit_wait_us(key="k", limits=limits, cost=4), range(20))
        )
    # Two of the ten are left, for what costs so little.
    small = [rate_limit_wait_us(key="k", limits=limits) for _ in range(3)]

    assert waits.count(0) == 2
    assert [wait == 0 for wait in small] == [True, True, False]


def test_a_request_that_costs_more_than_a_window_may_have_one_alone():
    limits = (RateLimit(count=10, window_s=60), RateLimit(count=100, window_s=3600))

    first = rate_limit_wait_us(key="k", limits=limits, cost=60)
    second = rate_limit_wait_us(key="k", limits=limits)
    rate_limit_wait_us(key="l", limits=limits)
    beside = rate_limit_wait_us(key="l", limits=limits, cost=60)

    assert first == 0
    assert 0 < second <= 60_000_000
    assert 0 < beside <= 60_000_000


def test_the_longest_wait_of_several_limits_counts():
    limits = (RateLimit(count=1, window_s=60), RateLimit(count=1, window_s=3600))
    rate_limit_wait_us(key="k", limits=limits)

    assert 3_590_000_000 < rate_limit_wait_us(key="k", limits=limits) <= 3_600_000_000


def test_a_refused_request_does_not_lengthen_the_wait():
    limits = (RateLimit(count=1, window_s=60),)
    rate_limit_wait_us(key="k", limits=limits)

    first = rate_limit_wait_us(key="k", limits=limits)
    second = rate_limit_wait_us(key="k", limits=limits)

    assert 0 < second <= first


def test_a_request_passes_again_when_the_window_has_moved_on(redis_url, servers):
    limits = (RateLimit(count=2, window_s=60),)
    rate_limit_wait_us(key="k", limits=limits)
    rate_limit_wait_us(key="k", limits=limits)
    # Both requests are moved back by more than the window, as if a minute had passed.
    with Redis.from_url(redis_url) as valkey:
        for member in valkey.zrange(f"{servers}rate:k", 0, -1):
            valkey.zincrby(f"{servers}rate:k", -60_000_001, member)

    assert rate_limit_wait_us(key="k", limits=limits) == 0
    assert rate_limit_wait_us(key="k", limits=limits) == 0
    assert rate_limit_wait_us(key="k", limits=limits) > 0


def test_keys_do_not_share_their_counts_and_no_limit_counts_nothing():
    limits = (RateLimit(count=1, window_s=60),)

    assert rate_limit_wait_us(key="a", limits=limits) == 0
    assert rate_limit_wait_us(key="b", limits=limits) == 0
    assert rate_limit_wait_us(key="a", limits=()) == 0
