"""The histogram behind the order latency of the landing page."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptocfd.order_latency import bucket_end_us, bucket_of, latency_figures, minute_keys


@given(st.integers(min_value=0, max_value=10**9))
def test_a_bucket_overstates_a_duration_by_a_sixteenth_at_most(duration_us: int):
    end_us = bucket_end_us(bucket_of(duration_us))

    assert duration_us <= end_us <= duration_us + duration_us // 16


@given(st.integers(min_value=0, max_value=10**7))
def test_a_longer_duration_has_no_lower_bucket(duration_us: int):
    assert bucket_of(duration_us) <= bucket_of(duration_us + 1)


@given(st.lists(st.integers(min_value=0, max_value=10**7), min_size=1))
def test_quantiles_are_those_of_the_sorted_durations(durations_us: list[int]):
    ordered = sorted(durations_us)
    rank_50, rank_99 = (-(-len(ordered) * q // 100) - 1 for q in (50, 99))

    figures = latency_figures([{bucket_of(us): 1} for us in durations_us])

    assert figures.count == len(durations_us)
    assert figures.median_us == bucket_end_us(bucket_of(ordered[rank_50]))
    assert figures.p99_us == bucket_end_us(bucket_of(ordered[rank_99]))


def test_nothing_measured_is_no_figure():
    figures = latency_figures([{}, {}])

    assert (figures.count, figures.median_us, figures.p99_us) == (0, None, None)


@pytest.mark.parametrize(("at_us", "newest"), [(0, 0), (59_999_999, 0), (60_000_000, 1)])
def test_the_last_hour_is_sixty_minutes_with_the_running_one(at_us: int, newest: int):
    keys = minute_keys("x:", at_us)

    assert len(keys) == 60
    assert keys[0] == f"x:orders:latency:{newest}"
