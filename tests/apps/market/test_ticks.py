"""A venue's text becomes ticks exactly, or is refused."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.market.feed.base import DecimalsError, quote_around, ticks_from_text

PRICES = st.decimals(min_value=0, max_value=10**12, places=12, allow_nan=False).map(
    lambda value: format(value, "f")
)


@given(text=PRICES, decimals=st.integers(0, 6), shift=st.integers(0, 3))
def test_bid_rounds_down_and_ask_up_by_less_than_a_tick(text, decimals, shift):
    exact = Fraction(Decimal(text)) * 10 ** (decimals + shift)

    bid = ticks_from_text(text, decimals, round_up=False, shift=shift)
    ask = ticks_from_text(text, decimals, round_up=True, shift=shift)

    assert bid <= exact <= ask
    assert exact - bid < 1
    assert ask - exact < 1


@pytest.mark.parametrize(
    "text",
    [
        *("", " 1", "1 ", "+1", "1e5", "1E309", "NaN", "inf", "-inf", "0x10", "1,5", "1.", ".5"),
        *("١٢", "1_000", "9" * 40, "0." + "1" * 19, "true", "null", "1\n"),
    ],
)
def test_what_is_not_a_plain_decimal_is_refused(text):
    with pytest.raises(DecimalsError):
        ticks_from_text(text, 2, round_up=False)


@given(text=st.text(max_size=30))
def test_no_text_breaks_the_parser(text):
    try:
        ticks = ticks_from_text(text, 4, round_up=True)
    except DecimalsError:
        return
    assert isinstance(ticks, int)


def test_a_thousand_coins_are_priced_exactly():
    assert ticks_from_text("0.00000820", 6, round_up=False, shift=3) == 8200


@given(price=st.integers(1, 10**12), spread=st.integers(1, 10**6))
def test_quote_around_a_price_has_the_spread_and_a_positive_bid(price, spread):
    bid, ask = quote_around(price, spread)

    assert bid >= 1
    assert ask - bid == spread
    assert price <= ask
