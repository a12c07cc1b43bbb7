"""The only divisions: their direction, and who gains by it."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from engine import rounding

NUMERATORS = st.integers(-(10**30), 10**30)
DENOMINATORS = st.integers(-(10**18), 10**18).filter(bool)


@given(NUMERATORS, DENOMINATORS)
def test_ceil_is_the_least_integer_not_below_the_quotient(numerator: int, denominator: int) -> None:
    found = rounding.ceil_div(numerator, denominator)

    assert found - 1 < Fraction(numerator, denominator) <= found


@given(NUMERATORS, DENOMINATORS)
def test_floor_is_the_greatest_integer_not_above_the_quotient(
    numerator: int, denominator: int
) -> None:
    found = rounding.floor_div(numerator, denominator)

    assert found <= Fraction(numerator, denominator) < found + 1


@given(st.integers(0, 10**24), st.integers(1, 10**12), st.integers(1, 10**12))
def test_parts_released_by_floor_never_exceed_the_whole(margin: int, part: int, more: int) -> None:
    whole = part + more

    first = rounding.floor_div(margin * part, whole)

    assert 0 <= first <= margin
    assert margin - first == rounding.ceil_div(margin * more, whole)
