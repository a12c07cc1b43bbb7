"""Rules M8, M9, L5: isolated positions, their liquidation price, and who pays when margin is exhausted."""

from tests.engine.scenarios.story import BTC, Story

BEGIN = """
    account 1 1000.00
    quote BTCUSDT 60000.0 60010.0
    """


def test_liquidation_price_of_a_long_and_its_trigger() -> None:
    Story().tell(BEGIN).tell("""
        open P 1 BTCUSDT buy 0.10 x10 mode=isolated -> PositionOpened margin=600.10 liquidation=54247.6
        state 1 balance=997.5996 isolated_margin=600.10 used_margin=0 free_margin=397.4996 cross_equity=397.4996
        quote BTCUSDT 54247.7 54257.7 -> nothing
        quote BTCUSDT 54247.6 54257.6 -> PositionClosed close_reason=liquidation price=54247.6 insured=0
        """)


def test_receipts_name_the_tiers_of_leverage_and_maintenance() -> None:
    # 51 000 of notional at entry lies in the second tier, at the liquidation price in the first; hedges add up.
    story = Story().tell("account 1 1000000.00\nquote BTCUSDT 60000.0 60000.0")
    opened = story._open(["P", "1", "BTCUSDT", "buy", "0.85", "x10"], {"mode": "isolated"})
    hedged = story._open(["Q", "1", "BTCUSDT", "sell", "10.00", "x1"], {})
    closed = story._quote(["BTCUSDT", "54238.6", "54238.6"], {})

    assert opened is not None
    assert hedged is not None
    assert closed is not None
    assert opened.events[0].receipt.inputs["tier"] == 2
    assert hedged.events[0].receipt.inputs["tier"] == 3
    assert closed.events[0].receipt.rule == "L5"
    assert closed.events[0].receipt.inputs == {
        "threshold_ticks": 542_386,
        "margin_micros": 5_100_000_000,
        "tier": 1,
    }


def test_liquidation_price_of_a_short() -> None:
    # (6 000.00 + 600.00) / (0.10 * 1.0044) = 65 710.87, up to the next tick.
    Story().tell(BEGIN).tell("""
        open P 1 BTCUSDT sell 0.10 x10 mode=isolated -> PositionOpened margin=600.00 liquidation=65710.9
        quote BTCUSDT 65700.0 65710.8 -> nothing
        quote BTCUSDT 65700.0 65710.9 -> PositionClosed close_reason=liquidation
        """)


def test_gap_beyond_the_margin_is_paid_by_insurance() -> None:
    Story().tell(BEGIN).tell("""
        open P 1 BTCUSDT buy 0.10 x10 mode=isolated
        quote BTCUSDT 50000.0 50010.0 -> PositionClosed pnl=-1001.00 commission=2.00 insured=402.90 balance=397.4996
        state 1 balance=397.4996 isolated_margin=0
        """)


def test_full_leverage_without_maintenance_never_liquidates_below_zero() -> None:
    Story().tell("""
        account 1 100000.00
        quote BTCUSDT 60000.0 60010.0
        open P 1 BTCUSDT buy 0.10 x1 mode=isolated -> PositionOpened liquidation=0
        position P liquidation=none
        """)


def test_order_that_would_be_liquidated_at_once_is_refused() -> None:
    Story().tell("""
        account 1 1000.00
        quote BTCUSDT 59000.0 60000.0
        open P 1 BTCUSDT buy 0.10 x100 mode=isolated -> WOULD_LIQUIDATE price_ticks=59000.0
        open P 1 BTCUSDT sell 0.10 x100 mode=isolated -> WOULD_LIQUIDATE
        """)


def test_margin_moves_in_and_out() -> None:
    Story().tell(BEGIN).tell("""
        open P 1 BTCUSDT buy 0.10 x10 mode=isolated
        open C 1 BTCUSDT buy 0.01 x100
        add C amount=1.00 -> POSITION_NOT_ISOLATED
        add 1-99 amount=1.00 -> POSITION_UNKNOWN
        add P amount=1000.00 -> FREE_MARGIN_INSUFFICIENT
        add P amount=100.00 -> PositionMarginChanged amount=100.00 margin=700.10 liquidation=53243.2
        remove C amount=1.00 -> POSITION_NOT_ISOLATED
        remove P amount=100.00 -> MARGIN_NOT_RELEASABLE margin_kept_micros=600.10 available_micros=599.10
        remove P amount=99.00 -> PositionMarginChanged amount=-99.00 margin=601.10
        wait 6000
        remove P amount=0.50 -> QUOTE_STALE
        """)


def test_partial_close_frees_a_share_and_moves_the_liquidation_price() -> None:
    Story().tell(BEGIN).tell("""
        open P 1 BTCUSDT buy 0.10 x10 mode=isolated
        add P amount=100.00
        quote BTCUSDT 61000.0 61010.0
        close P quantity=0.05 -> PositionClosed margin=350.05 liquidation=53243.2 insured=0
        state 1 isolated_margin=350.05
        """)


def test_partial_close_beyond_its_share_takes_from_the_rest_then_from_insurance() -> None:
    Story().tell(BEGIN).tell("""
        open P 1 BTCUSDT buy 0.10 x10 mode=isolated
        mode halted BTCUSDT
        quote BTCUSDT 50000.0 50010.0 -> nothing
        mode open
        close P quantity=0.05 -> PositionClosed pnl=-500.50 commission=1.00 insured=0 margin=98.60 remaining=0.05; PositionClosed close_reason=liquidation insured=402.90 remaining=0
        """)


def test_group_mode_and_account_default_choose_the_mode() -> None:
    Story().tell("""
        account 1 1000.00 margin_mode=isolated
        quote BTCUSDT 60000.0 60010.0
        open P 1 BTCUSDT buy 0.10 x100 -> PositionOpened margin_mode=isolated
        open Q 1 BTCUSDT buy 0.10 x100 mode=cross -> PositionOpened margin_mode=cross
        """)


def test_liquidation_seeks_the_tier_at_its_own_price() -> None:
    # 51 000 of notional at entry lies in the second tier; at the liquidation price it is the first one's.
    Story().tell("""
        account 1 100000.00
        quote BTCUSDT 60000.0 60000.0
        open P 1 BTCUSDT buy 0.85 x10 mode=isolated -> PositionOpened liquidation=54238.6
        """)


def test_margin_stays_while_new_tiers_have_reached_the_liquidation_price() -> None:
    # A maintenance rate of 12 % puts the liquidation price above the market; the next quote will liquidate.
    story = (
        Story()
        .tell(BEGIN)
        .tell("""
        open P 1 BTCUSDT buy 0.10 x10 mode=isolated
        add P amount=100.00 -> PositionMarginChanged margin=700.10
        """)
    )
    story.define(BTC | {"version": 2, "tiers": [[50_000_000_000, 100, 120_000, 0]]})
    story.tell("""
        remove P amount=1.00 -> MARGIN_NOT_RELEASABLE available_micros=698.10 margin_kept_micros=600.10
        quote BTCUSDT 60000.0 60010.0 -> PositionClosed close_reason=liquidation
        """)
