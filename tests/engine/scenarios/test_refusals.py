"""Rules R1-R12: each refusal, in order of precedence. Where two reasons apply, the earlier code is the answer."""

from pathlib import Path

import pytest

from engine.messages.rejects import RejectCode, is_retryable
from tests.engine.scenarios.story import Story

HERE = Path(__file__).parent


def test_precedence_of_everything_that_an_order_can_meet() -> None:
    # One fault after another is repaired, the latest in the order of precedence first broken.
    Story().tell("""
        account 1 100.00
        quote BTCUSDT 60000.0 60010.0
        instrument BTCUSDT version=2 exposure_account_micros_max=40000000000 exposure_house_micros_max=30000000000
        status 1 suspended
        mode halted BTCUSDT
        open P 1 NOPE buy 0.00001 x101 -> SYMBOL_UNKNOWN symbol=NOPE
        open P 1 BTCUSDT buy 0.00001 x101 tif=day price=1.0 decided_at_us=1 -> ACCOUNT_SUSPENDED
        status 1 close_only
        open P 1 BTCUSDT buy 0.00001 x101 tif=day price=1.0 decided_at_us=1 -> ACCOUNT_CLOSE_ONLY
        status 1 active
        open P 1 BTCUSDT buy 0.00001 x101 tif=day price=1.0 decided_at_us=1 -> CLOCK_AHEAD ahead_us_max=5000000
        open P 1 BTCUSDT buy 0.00001 x101 tif=day price=1.0 -> INSTRUMENT_HALTED
        mode close_only BTCUSDT
        open P 1 BTCUSDT buy 0.00001 x101 tif=day price=1.0 -> INSTRUMENT_CLOSE_ONLY
        mode open BTCUSDT
        open P 1 BTCUSDT buy 0.00001 x101 tif=day price=1.0 -> QUANTITY_INVALID quantity_min_units=0.001
        open P 1 BTCUSDT buy 10000.00 x101 tif=day price=1.0 -> QUANTITY_INVALID
        open P 1 BTCUSDT buy 0.00105 x101 tif=day price=1.0 -> QUANTITY_INVALID
        open P 1 BTCUSDT buy 9.00 x101 tif=day price=1.0 -> LEVERAGE_INVALID leverage=101 leverage_max=100
        open P 1 BTCUSDT buy 9.00 x100 tif=day price=1.0 -> EXPIRY_INVALID
        wait 10000
        open P 1 BTCUSDT buy 9.00 x100 price=1.0 -> QUOTE_STALE quote_age_us_max=5000000
        quote BTCUSDT 60000.0 60010.0
        open P 1 BTCUSDT buy 90.00 x100 price=1.0 expected=1.0 slippage=0 sl=90000.0 -> PRICE_INVALID
        open P 1 BTCUSDT buy 90.00 x100 expected=1.0 slippage=0 sl=90000.0 -> PRICE_MOVED
        open P 1 BTCUSDT buy 90.00 x100 sl=90000.0 mode=isolated -> STOPS_INVALID
        open P 1 BTCUSDT buy 90.00 x100 mode=isolated -> NOTIONAL_ABOVE_TIERS
        open P 1 BTCUSDT buy 9.00 x100 mode=isolated -> LEVERAGE_ABOVE_TIER leverage_max=50
        open P 1 BTCUSDT buy 0.80 x100 mode=isolated -> EXPOSURE_ACCOUNT notional_micros=48008.00
        open P 1 BTCUSDT buy 0.60 x100 mode=isolated -> EXPOSURE_HOUSE notional_micros_max=30000.00
        open P 1 BTCUSDT buy 0.40 x100 mode=isolated -> FREE_MARGIN_INSUFFICIENT margin_micros=240.04
        quote BTCUSDT 59000.0 60010.0
        open P 1 BTCUSDT buy 0.01 x100 mode=isolated -> WOULD_LIQUIDATE
        quote BTCUSDT 60000.0 60010.0
        open P 1 BTCUSDT buy 0.01 x100 mode=isolated -> PositionOpened
        """)


def test_precedence_of_a_close() -> None:
    Story().tell("""
        account 1 1000.00
        quote BTCUSDT 60000.0 60010.0
        open P 1 BTCUSDT buy 0.10 x100
        mode halted BTCUSDT
        status 1 suspended
        close 1-99 quantity=5.00 -> ACCOUNT_SUSPENDED
        status 1 active
        close 1-99 quantity=5.00 -> POSITION_UNKNOWN position_id=1-99
        close P quantity=5.00 expected=99999.0 slippage=0 -> INSTRUMENT_HALTED
        mode close_only BTCUSDT
        wait 6000
        close P quantity=5.00 expected=99999.0 slippage=0 -> QUANTITY_INVALID
        close P expected=99999.0 slippage=0 -> QUOTE_STALE
        quote BTCUSDT 60000.0 60010.0
        close P expected=99999.0 slippage=0 -> PRICE_MOVED
        close P -> PositionClosed
        """)


def test_house_cap_lets_through_what_reduces_its_exposure() -> None:
    Story().tell("""
        account 1 10000.00
        account 2 10000.00
        quote BTCUSDT 60000.0 60010.0
        instrument BTCUSDT version=2 exposure_house_micros_max=30000000000
        open P 1 BTCUSDT buy 0.40 x20
        open Q 2 BTCUSDT buy 0.20 x20 -> EXPOSURE_HOUSE notional_micros=36006.00
        quote BTCUSDT 90000.0 90010.0
        open Q 2 BTCUSDT sell 0.01 x20 -> PositionOpened
        open R 2 BTCUSDT buy 0.01 x20 -> EXPOSURE_HOUSE
        """)


@pytest.mark.parametrize(
    ("kind", "code"), [("market", "POSITIONS_LIMIT"), ("limit", "ORDERS_LIMIT")]
)
def test_numbers_of_positions_and_orders_are_limited(kind: str, code: str) -> None:
    story = Story().tell("account 1 1000000.00\nquote BTCUSDT 60000.0 60010.0")
    price = " price=50000.0" if kind == "limit" else ""
    machine = story.machine
    for index in range(200):
        if index % 40 == 0:
            story.tell("quote BTCUSDT 60000.0 60010.0")
        story.tell(f"open P{index} 1 BTCUSDT buy 0.001 x100 {kind}{price}")
    story.tell(
        f"quote BTCUSDT 60000.0 60010.0\nopen Q 1 BTCUSDT buy 0.001 x100 {kind}{price} -> {code}"
    )
    if kind == "market":
        story.tell("""
            open Q 1 BTCUSDT buy 0.001 x100 limit price=59000.0
            quote BTCUSDT 58990.0 59000.0 -> OrderRejected code=POSITIONS_LIMIT
            """)

    assert machine.state.accounts[1].account == 1


def test_every_code_has_a_row() -> None:
    rows = "".join(path.read_text() for path in HERE.glob("test_*.py"))

    assert [code for code in RejectCode if code not in rows] == []


def test_every_code_says_whether_it_is_worth_retrying() -> None:
    assert {is_retryable(code) for code in RejectCode} == {True, False}


def test_quantities_at_the_borders_pass() -> None:
    Story().tell("""
        account 1 100000.00
        quote BTCUSDT 60000.0 60010.0
        instrument BTCUSDT version=2 quantity_max_units=20000
        open P 1 BTCUSDT buy 0.001 x100 -> PositionOpened
        open Q 1 BTCUSDT buy 0.20 x100 -> PositionOpened
        open R 1 BTCUSDT buy 0.201 x100 -> QUANTITY_INVALID quantity_max_units=0.20
        open R 1 BTCUSDT buy 0.10 x1 -> PositionOpened
        """)


def test_tiers_count_the_accounts_gross_notional_in_the_symbol() -> None:
    # 50 000.00 is the border of the first tier: 0.50 long and 0.50 short at 50 000.0 reach it together.
    Story().tell("""
        account 1 100000.00
        quote BTCUSDT 50000.0 50000.0
        open P 1 BTCUSDT buy 0.50 x100 -> PositionOpened
        open Q 1 BTCUSDT sell 0.50 x100 -> PositionOpened
        open R 1 BTCUSDT buy 0.001 x51 -> LEVERAGE_ABOVE_TIER leverage_max=50 notional_micros=50050.00
        open R 1 BTCUSDT buy 0.001 x50 -> PositionOpened
        """)


def test_exposure_caps_let_their_own_amount_pass() -> None:
    Story().tell("""
        account 1 100000.00
        account 2 100000.00
        quote BTCUSDT 50000.0 50000.0
        instrument BTCUSDT version=2 exposure_account_micros_max=10000000000 exposure_house_micros_max=15000000000
        open A 1 BTCUSDT sell 0.20 x10 -> PositionOpened
        open B 1 BTCUSDT buy 0.001 x10 -> EXPOSURE_ACCOUNT notional_micros_max=10000.00
        open C 2 BTCUSDT sell 0.10 x10 -> PositionOpened
        open D 2 BTCUSDT sell 0.001 x10 -> EXPOSURE_HOUSE notional_micros=15050.00
        open E 2 BTCUSDT buy 0.05 x10 -> PositionOpened
        """)


def test_a_log_clock_exactly_five_seconds_ahead_may_open() -> None:
    story = Story().tell("account 1 1000.00\nquote BTCUSDT 60000.0 60010.0")
    decided_at_us = (story.ms + 100) * 1000 - 5_000_000

    story.tell(f"open P 1 BTCUSDT buy 0.10 x100 decided_at_us={decided_at_us} -> PositionOpened")
