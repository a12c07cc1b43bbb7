"""How the feed knows that its clock and the log's differ."""

import pytest

from apps.market.feed.clocks import SKEW_US_MAX, ClockWatch
from tests.apps.market.support import START_US, FakeClock

HOUR_US = 3_600_000_000


class Watch:
    """Seconds that never go back."""

    def __init__(self):
        self.seconds = 500.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def watch():
    return Watch()


@pytest.fixture
def clocks(clock: FakeClock, watch):
    return ClockWatch(clock, watch)


def passes(seconds, clock, watch):
    clock.us += round(seconds * 1e6)
    watch.seconds += seconds


def test_nothing_is_held_against_a_clock_before_anybody_has_compared(clocks):
    assert clocks.agrees()
    assert clocks.skew_us() == 0


@pytest.mark.parametrize("jump_us", [HOUR_US, -HOUR_US])
def test_jump_of_the_feeds_clock_is_known_without_asking_again(clocks, clock, watch, jump_us):
    clocks.compare(START_US, watch.seconds)
    passes(0.4, clock, watch)
    assert clocks.agrees()

    clock.us += jump_us

    assert not clocks.agrees()
    assert clocks.skew_us() == pytest.approx(-jump_us, abs=2)
    clock.us -= jump_us
    assert clocks.agrees()


def test_jump_of_the_logs_clock_is_known_when_it_is_asked(clocks, clock, watch, caplog):
    clocks.compare(START_US, watch.seconds)
    passes(0.5, clock, watch)

    clocks.compare(clock.us + HOUR_US, watch.seconds)
    clocks.compare(clock.us + HOUR_US, watch.seconds)

    assert not clocks.agrees()
    assert [record.message for record in caplog.records] == ["the clocks of feed and log differ"]


def test_slow_answer_is_no_skew(clocks, clock, watch):
    asked = watch.seconds
    passes(1.9, clock, watch)
    # Told at once, heard almost two seconds later.
    clocks.compare(START_US, asked)

    assert abs(clocks.skew_us()) < SKEW_US_MAX
    assert clocks.agrees()


def test_entries_that_are_ahead_stay_so_until_their_time_has_come(clocks, clock, watch):
    clocks.compare(START_US, watch.seconds)
    clocks.wrote((START_US + HOUR_US) // 1000)
    # The log's clock is right again; its ids are not.
    clocks.compare(START_US, watch.seconds)
    assert not clocks.agrees()

    passes(3_599, clock, watch)

    assert clocks.agrees()


def test_another_log_has_other_entries(clocks, clock, watch):
    clocks.compare(START_US, watch.seconds)
    clocks.wrote((START_US + HOUR_US) // 1000)

    clocks.log_is_new()

    assert clocks.agrees()
