"""Rules L1-L4, L6, M3, B1-B4: margin calls, stop-outs by each strategy, and negative balances."""

import pytest

from tests.engine.scenarios.story import Story

LEVERED = """
    account 1 1000.00
    quote BTCUSDT 60000.0 60010.0
    open P 1 BTCUSDT buy 0.10 x20
    state 1 balance=997.5996 used_margin=300.05 equity=996.5996
    """


def test_call_is_raised_at_the_level_once_and_cleared_five_points_above() -> None:
    # Level 100 % at cross equity 300.05: bid 60 010.0 - (997.5996 - 300.05) / 0.1 = 53 034.504.
    Story().tell(LEVERED).tell("""
        quote BTCUSDT 53034.6 53044.6 -> nothing
        quote BTCUSDT 53034.5 53044.5 -> MarginCallRaised equity=300.0496 used_margin=300.05 margin_level=9999
        quote BTCUSDT 53000.0 53010.0 -> nothing
        quote BTCUSDT 53184.5 53194.5 -> nothing
        quote BTCUSDT 53184.6 53194.6 -> MarginCallCleared
        quote BTCUSDT 53034.6 53044.6 -> nothing
        quote BTCUSDT 53034.5 53044.5 -> MarginCallRaised
        """)


def test_stop_out_closes_at_the_level() -> None:
    # Level 50 % at cross equity 150.025: bid 60 010.0 - (997.5996 - 150.025) / 0.1 = 51 534.254.
    Story().tell(LEVERED).tell("""
        open Q 1 BTCUSDT buy 0.10 x20 limit price=40000.0
        quote BTCUSDT 53000.0 53010.0 -> MarginCallRaised
        quote BTCUSDT 51534.3 51544.3 -> nothing
        quote BTCUSDT 51534.2 51544.2 -> StopOutStarted margin_level=4999; OrderCancelled order_id=Q cancel_reason=stop_out; PositionClosed close_reason=stop_out price=51534.2; MarginCallCleared used_margin=0
        state 1 used_margin=0 is_margin_call=false
        """)


def test_gap_through_both_levels_gives_both_and_the_house_covers_the_rest() -> None:
    Story().tell(LEVERED).tell("""
        quote BTCUSDT 40000.0 40010.0 -> MarginCallRaised; StopOutStarted; PositionClosed price=40000.0 pnl=-2001.00 commission=1.60; MarginCallCleared; NegativeBalanceCovered amount=1005.0004 balance=0
        state 1 balance=0 equity=0 withdrawable=0
        """)


def test_no_cover_where_the_group_gives_none() -> None:
    Story(negative_balance_protection=False).tell(LEVERED).tell("""
        quote BTCUSDT 40000.0 40010.0 -> MarginCallRaised; StopOutStarted; PositionClosed; MarginCallCleared
        state 1 balance=-1005.0004
        """)


TWO = """
    account 1 1000.00
    quote BTCUSDT 60000.0 60000.0 ETHUSDT 3000.00 3000.00
    open A 1 BTCUSDT buy 0.10 x20
    open B 1 ETHUSDT buy 2.00 x20
    """


def test_largest_loss_goes_first_and_stops_when_restored() -> None:
    # A loses 640, B 60: closing A leaves 295 of equity over 300 of margin.
    Story().tell(TWO).tell("""
        quote BTCUSDT 53600.0 53600.0 ETHUSDT 2970.00 2970.00 -> MarginCallRaised; StopOutStarted; PositionClosed position_id=A
        state 1 used_margin=300.00 is_margin_call=true
        """)


def test_equal_losses_go_by_lowest_id() -> None:
    Story().tell("""
        account 1 1000.00
        quote BTCUSDT 60000.0 60000.0
        open A 1 BTCUSDT buy 0.05 x20
        open B 1 BTCUSDT buy 0.05 x20
        quote BTCUSDT 51500.0 51500.0 -> MarginCallRaised; StopOutStarted; PositionClosed position_id=A
        """)


def test_close_all_closes_everything_in_order() -> None:
    Story(stop_out_strategy="close_all").tell(TWO).tell("""
        quote BTCUSDT 53600.0 53600.0 ETHUSDT 2970.00 2970.00 -> MarginCallRaised; StopOutStarted; PositionClosed position_id=A; PositionClosed position_id=B; MarginCallCleared
        """)


def test_smallest_slice_restores_the_level_with_the_least() -> None:
    # Equity 147.60 over 300.00: the smallest step q with 147.60 - c(q) > 50 % of 300.00 * (1 - q / 0.10).
    Story(stop_out_strategy="smallest_slice").tell("""
        account 1 1000.00
        quote BTCUSDT 60000.0 60000.0
        open A 1 BTCUSDT buy 0.10 x20
        quote BTCUSDT 51500.0 51500.0 -> MarginCallRaised; StopOutStarted equity=147.60; PositionClosed quantity=0.002 remaining=0.098
        state 1 used_margin=294.00 is_margin_call=true
        quote BTCUSDT 51500.0 51500.0 -> nothing
        """)


def test_smallest_slice_takes_the_largest_margin_and_whole_below_the_minimum() -> None:
    Story(stop_out_strategy="smallest_slice").tell("""
        account 1 1000.00
        instrument BTCUSDT version=2 quantity_min_units=9000
        quote BTCUSDT 60000.0 60000.0 ETHUSDT 3000.00 3000.00
        open A 1 ETHUSDT buy 0.20 x20
        open B 1 BTCUSDT buy 0.09 x20
        quote BTCUSDT 50500.0 50500.0 -> MarginCallRaised; StopOutStarted; PositionClosed position_id=B remaining=0; MarginCallCleared
        position A quantity=0.20
        """)


def test_stop_out_passes_over_what_cannot_fill_and_resumes() -> None:
    Story().tell(TWO).tell("""
        mode halted BTCUSDT
        quote BTCUSDT 50000.0 50000.0 ETHUSDT 2970.00 2970.00 -> MarginCallRaised; StopOutStarted; PositionClosed position_id=B; StopOutPending
        state 1 is_stop_out_pending=true
        open C 1 ETHUSDT buy 0.10 x20 -> STOP_OUT_PENDING
        reverse A B -> STOP_OUT_PENDING
        quote ETHUSDT 3000.00 3000.00 -> nothing
        quote BTCUSDT 50100.0 50100.0 -> nothing
        mode open
        quote BTCUSDT 50000.0 50000.0 -> PositionClosed position_id=A; MarginCallCleared; StopOutResumed; NegativeBalanceCovered
        """)


def test_pending_stop_out_ends_with_the_price_or_with_money() -> None:
    Story().tell(LEVERED).tell("""
        mode halted BTCUSDT
        quote BTCUSDT 51000.0 51010.0 -> MarginCallRaised; StopOutStarted; StopOutPending
        quote BTCUSDT 52000.0 52010.0 -> StopOutResumed
        quote BTCUSDT 51000.0 51010.0 -> StopOutStarted; StopOutPending
        cash 1 deposit 60.00 -> CashPosted; StopOutResumed
        cash 1 deposit 500.00 -> CashPosted; MarginCallCleared
        """)


def test_deposit_too_small_continues_the_stop_out() -> None:
    Story().tell(LEVERED).tell("""
        mode halted BTCUSDT
        quote BTCUSDT 50000.0 50010.0 -> MarginCallRaised; StopOutStarted; StopOutPending
        mode open
        cash 1 deposit 1.00 -> CashPosted; PositionClosed close_reason=stop_out; MarginCallCleared; StopOutResumed; NegativeBalanceCovered
        """)


def test_new_terms_warn_at_once_but_stop_out_waits_for_a_quote() -> None:
    Story().tell(LEVERED).tell("""
        group standard version=2 stop_out_level_bps=40000 margin_call_level_bps=50000 -> GroupDefined; AccountTermsChanged; MarginCallRaised
        tick -> nothing
        quote BTCUSDT 60000.0 60010.0 -> StopOutStarted; PositionClosed; MarginCallCleared
        """)


def test_hedged_legs_of_one_symbol_move_against_each_other() -> None:
    # Net zero: no move of the symbol changes equity, only its spread does.
    Story().tell("""
        account 1 130.00
        quote BTCUSDT 60000.0 60000.0
        open A 1 BTCUSDT buy 0.10 x100
        open B 1 BTCUSDT sell 0.10 x100
        quote BTCUSDT 30000.0 30000.0 -> nothing
        quote BTCUSDT 90000.0 90000.0 -> nothing
        quote BTCUSDT 89900.0 90000.0 -> MarginCallRaised
        """)


def test_isolated_margin_is_out_of_reach_of_a_cross_stop_out() -> None:
    Story().tell("""
        account 1 1000.00
        quote BTCUSDT 60000.0 60000.0 ETHUSDT 3000.00 3000.00
        open A 1 BTCUSDT buy 0.10 x20
        open I 1 ETHUSDT buy 1.00 x10 mode=isolated
        quote BTCUSDT 20000.0 20000.0 -> MarginCallRaised; StopOutStarted; PositionClosed position_id=A; MarginCallCleared; NegativeBalanceCovered balance=300.00
        position I margin=300.00
        """)


def test_several_symbols_use_up_the_cushion_together() -> None:
    # 995.20 of equity over 600.00 of margin: 197.60 lost in each symbol is the call, a tick less of either is none.
    Story().tell(TWO).tell("""
        quote BTCUSDT 58024.0 58024.0 ETHUSDT 2901.21 2901.21 -> nothing
        quote BTCUSDT 58024.1 58024.1 ETHUSDT 2901.20 2901.20 -> nothing
        quote BTCUSDT 58024.0 58024.0 ETHUSDT 2901.20 2901.20 -> MarginCallRaised equity=600.00
        """)


def test_one_symbol_may_save_what_another_loses_until_it_does_not() -> None:
    # BTC long and ETH short fall together; then the short alone turns back.
    Story().tell("""
        account 1 1000.00
        quote BTCUSDT 60000.0 60000.0 ETHUSDT 3000.00 3000.00
        open A 1 BTCUSDT buy 0.10 x20
        open B 1 ETHUSDT sell 2.00 x20
        quote BTCUSDT 50000.0 50000.0 ETHUSDT 2500.00 2500.00 -> nothing
        quote ETHUSDT 2697.59 2697.59 -> nothing
        quote ETHUSDT 2697.60 2697.60 -> MarginCallRaised equity=600.00
        quote ETHUSDT 2682.61 2682.61 -> nothing
        quote ETHUSDT 2682.60 2682.60 -> MarginCallCleared equity=630.00
        """)


def test_a_call_ends_by_whichever_symbol_recovers() -> None:
    Story().tell(TWO).tell("""
        quote BTCUSDT 56000.0 56000.0 -> MarginCallRaised equity=595.20
        quote ETHUSDT 3017.39 3017.39 -> nothing
        quote ETHUSDT 3017.40 3017.40 -> MarginCallCleared equity=630.00
        """)


def test_accounts_are_checked_by_id_whichever_band_was_hit_first() -> None:
    Story().tell("""
        account 2 700.00
        account 1 1000.00
        quote BTCUSDT 60000.0 60000.0
        open B 2 BTCUSDT buy 0.10 x20
        open A 1 BTCUSDT buy 0.10 x20
        quote BTCUSDT 51000.0 51000.0 -> MarginCallRaised account=1; StopOutStarted account=1; PositionClosed account=1; MarginCallCleared account=1; MarginCallRaised account=2; StopOutStarted account=2; PositionClosed account=2; MarginCallCleared account=2; NegativeBalanceCovered account=2
        """)


def test_a_debt_is_not_covered_while_a_cross_position_is_open() -> None:
    # A costs 2 000.00 and both commissions of it 4.00, B's 2.40: the balance is -1 006.40 until the halt ends.
    Story().tell(TWO).tell("""
        mode halted ETHUSDT
        quote BTCUSDT 40000.0 40000.0 -> MarginCallRaised; StopOutStarted; PositionClosed position_id=A; StopOutPending
        state 1 balance=-1006.40
        mode open
        quote ETHUSDT 3000.00 3000.00 -> PositionClosed position_id=B; MarginCallCleared; StopOutResumed; NegativeBalanceCovered amount=1008.80 balance=0
        """)


def test_a_close_may_stop_out_what_its_commission_leaves() -> None:
    # At 2 % commission a close of 0.05 costs 52.00 and frees 60.00 of margin, which was worth 30.00 at the level.
    Story(commission_ppm=20_000).tell("""
        account 1 1092.00
        quote BTCUSDT 60000.0 60000.0
        open A 1 BTCUSDT buy 0.10 x50
        open B 1 BTCUSDT buy 0.01 x50
        quote BTCUSDT 52000.0 52000.0 -> MarginCallRaised equity=80.00 used_margin=132.00
        close A quantity=0.05 -> PositionClosed close_reason=client; StopOutStarted equity=28.00 used_margin=72.00; PositionClosed position_id=A; PositionClosed position_id=B; MarginCallCleared; NegativeBalanceCovered amount=34.40
        """)


@pytest.mark.parametrize("before", ["", "tick"])
def test_a_restart_arms_anew_where_a_price_had_gone_beyond_its_band(before: str) -> None:
    # Half of the rows are followed by a restart from a dump, the others by a recovery; with one row more they change places.
    # Bitcoin falls beyond its band of about 54 000 without a call; from then on ether must be watched more closely.
    Story().tell(before).tell("""
        account 1 1000.00
        quote BTCUSDT 60000.0 60010.0 ETHUSDT 3000.00 3001.00
        open P 1 BTCUSDT buy 0.10 x100
        open Q 1 ETHUSDT buy 1.00 x100
        quote BTCUSDT 53000.0 53010.0 -> nothing
        quote ETHUSDT 2800.00 2801.00 -> nothing
        quote ETHUSDT 2790.00 2791.00 -> MarginCallRaised
        """)
