"""Rules T1-T5, R5, R11, C5, C6, E2: stops, trailing stops, and the order in which prices fire them."""

import msgspec

from engine.core.arming import compact
from engine.core.triggers import BID_FALLS, trigger_parts
from engine.messages.commands import UpdateQuotes
from tests.engine.scenarios.story import Story

BEGIN = """
    account 1 10000.00
    quote BTCUSDT 60000.0 60010.0
    """


def test_stops_fire_at_equality_on_their_own_side() -> None:
    Story().tell(BEGIN).tell("""
        open L 1 BTCUSDT buy 0.10 x100 sl=59900.0 tp=60100.0
        open S 1 BTCUSDT sell 0.10 x100 sl=60200.0 tp=59800.0
        quote BTCUSDT 59900.1 59910.1 -> nothing
        quote BTCUSDT 59900.0 59910.0 -> PositionClosed position_id=L close_reason=stop_loss price=59900.0
        quote BTCUSDT 59790.0 59800.0 -> PositionClosed position_id=S close_reason=take_profit price=59800.0
        """)


def test_stop_loss_of_a_short_watches_the_ask() -> None:
    Story().tell(BEGIN).tell("""
        open S 1 BTCUSDT sell 0.10 x100 sl=60100.0
        quote BTCUSDT 60089.0 60099.9 -> nothing
        quote BTCUSDT 60080.0 60100.0 -> PositionClosed close_reason=stop_loss price=60100.0
        """)


def test_gap_hurts_stops_and_helps_targets() -> None:
    Story().tell(BEGIN).tell("""
        open A 1 BTCUSDT buy 0.10 x100 sl=59900.0
        open B 1 BTCUSDT sell 0.10 x100 tp=59800.0
        quote BTCUSDT 59000.0 59010.0 -> PositionClosed position_id=A price=59000.0; PositionClosed position_id=B price=59010.0
        """)


def test_stops_must_stand_on_the_right_side_at_the_minimum_distance() -> None:
    Story().tell(BEGIN).tell("""
        open P 1 BTCUSDT buy 0.10 x100 sl=60000.0 -> STOPS_INVALID reference_ticks=60000.0
        open P 1 BTCUSDT buy 0.10 x100 tp=60000.0 -> STOPS_INVALID
        open P 1 BTCUSDT sell 0.10 x100 sl=60010.0 -> STOPS_INVALID
        open P 1 BTCUSDT buy 0.10 x100 trail=60000.0 -> STOPS_INVALID
        open P 1 BTCUSDT buy 0.10 x100 limit price=59000.0 sl=59000.0 -> STOPS_INVALID reference_ticks=59000.0
        open P 1 BTCUSDT sell 0.10 x100 stop stop=59000.0 tp=59000.1 -> STOPS_INVALID
        instrument BTCUSDT version=2 stop_distance_ticks=100
        open P 1 BTCUSDT buy 0.10 x100 sl=59990.1 -> STOPS_INVALID stop_distance_ticks_min=10.0
        open P 1 BTCUSDT buy 0.10 x100 trail=9.9 -> STOPS_INVALID
        open P 1 BTCUSDT buy 0.10 x100 sl=59990.0 tp=60010.0 -> PositionOpened
        """)


def test_only_changed_stops_are_judged_again() -> None:
    Story().tell(BEGIN).tell("""
        open P 1 BTCUSDT buy 0.10 x100 sl=59990.0
        instrument BTCUSDT version=2 stop_distance_ticks=500
        stops P tp=60040.0 -> STOPS_INVALID
        stops P tp=60100.0 -> PositionModified stop_loss=59990.0 take_profit=60100.0
        stops P sl=none -> PositionModified stop_loss=none take_profit=60100.0
        stops P tp=60100.0 -> nothing
        stops 1-99 sl=1.0 -> POSITION_UNKNOWN
        """)


def test_trailing_stop_follows_in_the_clients_favour_only() -> None:
    Story().tell(BEGIN).tell("""
        open P 1 BTCUSDT buy 0.10 x100 trail=500.0 -> PositionOpened stop_loss=59500.0 trailing=500.0
        quote BTCUSDT 60009.9 60019.9 -> nothing
        quote BTCUSDT 60010.0 60020.0 -> TrailingStopMoved stop_loss=59510.0
        quote BTCUSDT 59600.0 59610.0 -> nothing
        quote BTCUSDT 60500.0 60510.0 -> TrailingStopMoved stop_loss=60000.0
        quote BTCUSDT 60000.0 60010.0 -> PositionClosed close_reason=stop_loss
        """)


def test_trailing_stop_of_a_short() -> None:
    Story().tell(BEGIN).tell("""
        open P 1 BTCUSDT sell 0.10 x100 trail=5.0 sl=60100.0 -> PositionOpened stop_loss=60100.0; TrailingStopMoved stop_loss=60015.0
        quote BTCUSDT 59999.9 60009.9 -> TrailingStopMoved stop_loss=60014.9
        stops P trail=none -> PositionModified stop_loss=60014.9 trailing=none
        stops P sl=none trail=20.0 -> PositionModified stop_loss=60029.9
        quote BTCUSDT 60019.9 60029.9 -> PositionClosed
        """)


def test_a_trailing_stop_so_wide_that_it_leaves_no_price() -> None:
    Story().tell("""
        account 1 10000.00
        quote BTCUSDT 60000.0 60010.0
        open P 1 BTCUSDT buy 0.10 x100 limit price=59000.0 trail=58999.0
        quote BTCUSDT 300.0 310.0 -> PositionOpened stop_loss=0.1
        """)


def test_nearest_trigger_fires_first_then_id() -> None:
    Story().tell(BEGIN).tell("""
        open A 1 BTCUSDT buy 0.01 x100 sl=59800.0
        open B 1 BTCUSDT buy 0.01 x100 sl=59900.0
        open C 1 BTCUSDT buy 0.01 x100 sl=59900.0
        open D 1 BTCUSDT buy 0.01 x100 limit price=59850.0
        quote BTCUSDT 59000.0 59010.0 -> PositionClosed position_id=B; PositionClosed position_id=C; PositionClosed position_id=A; PositionOpened position_id=D
        """)


def test_queues_fire_in_their_order() -> None:
    # Bid falls (a stop), bid rises (nothing), ask falls (a short's target), then instruments in the entry's order.
    Story().tell("""
        account 1 10000.00
        quote BTCUSDT 60000.0 60010.0 ETHUSDT 3000.00 3000.10
        open A 1 BTCUSDT sell 0.01 x100 tp=59900.0
        open B 1 BTCUSDT buy 0.01 x100 sl=59000.0
        open C 1 ETHUSDT buy 0.10 x100 sl=2900.00
        quote ETHUSDT 2800.00 2800.10 BTCUSDT 58000.0 58010.0 -> PositionClosed position_id=C; PositionClosed position_id=B; PositionClosed position_id=A
        """)


def test_a_waiting_stop_is_set_off_by_a_quote_or_its_own_account_and_by_nobody_else() -> None:
    Story().tell(BEGIN).tell("""
        account 2 10000.00
        open P 1 BTCUSDT buy 0.10 x100 sl=59900.0
        mode halted BTCUSDT
        quote BTCUSDT 59900.0 59910.0 -> nothing
        mode open BTCUSDT
        open A 2 BTCUSDT buy 0.10 x100 -> PositionOpened position_id=A
        close A -> PositionClosed position_id=A
        open B 1 BTCUSDT buy 0.10 x100 -> PositionOpened position_id=B; PositionClosed position_id=P close_reason=stop_loss
        """).tell("""
        open L 2 BTCUSDT buy 0.10 x100 sl=50000.0
        stops L trail=500.0 -> PositionModified stop_loss=50000.0 trailing=500.0
        close B -> PositionClosed position_id=B
        quote BTCUSDT 59900.0 59910.0 -> TrailingStopMoved position_id=L stop_loss=59400.0
        """)


def test_halted_instruments_wait_for_the_first_quote_after() -> None:
    Story().tell(BEGIN).tell("""
        open A 1 BTCUSDT buy 0.01 x100 sl=59900.0
        open B 1 BTCUSDT buy 0.01 x100 limit price=59850.0
        mode halted BTCUSDT -> TradingModeSet trading_mode=halted
        mode halted BTCUSDT -> nothing
        quote BTCUSDT 59800.0 59810.0 -> nothing
        mode open -> TradingModeSet trading_mode=open
        quote BTCUSDT 59840.0 59850.0 -> PositionClosed position_id=A price=59840.0; PositionOpened position_id=B
        """)


def test_changed_and_removed_triggers_never_fire() -> None:
    Story().tell(BEGIN).tell("""
        open A 1 BTCUSDT buy 0.01 x100 sl=59900.0
        stops A sl=59800.0
        stops A sl=59900.0
        stops A sl=59700.0
        open B 1 BTCUSDT buy 0.01 x100 limit price=59950.0
        cancel B
        quote BTCUSDT 59750.0 59760.0 -> nothing
        quote BTCUSDT 59700.0 59710.0 -> PositionClosed
        """)


def test_a_stop_that_is_changed_back_and_forth_stands_once_in_its_queue() -> None:
    story = Story().tell(BEGIN).tell("open P 1 BTCUSDT buy 0.10 x100 sl=59000.0")
    with story.unchecked():
        for _ in range(20):
            story.tell("stops P sl=58000.0\nstops P sl=59000.0")
    state = story.machine.state
    queues = state.instruments[0].queues

    compact(state, state.instruments[0], BID_FALLS)

    prices = [trigger_parts(BID_FALLS, key)[0] for key in queues.entries(BID_FALLS)]
    assert prices.count(590_000) == 1
    assert prices.count(580_000) == 0
    story.tell("quote BTCUSDT 59000.0 59010.0 -> PositionClosed close_reason=stop_loss")


def test_plain_orders_that_come_and_go_leave_short_queues() -> None:
    story = Story().tell(BEGIN)
    with story.unchecked():
        for _ in range(100):
            story.tell("""
                quote BTCUSDT 60000.0 60010.0
                open L 1 BTCUSDT buy 0.01 x100 sl=59000.0 tp=61000.0
                open S 1 BTCUSDT sell 0.01 x100 sl=61000.0 tp=59000.0
                close L
                close S
                """)
    queues = story.machine.state.instruments[0].queues
    assert max(len(queues.entries(queue)) for queue in range(4)) <= 66


def test_a_stop_loss_in_a_gap_comes_before_the_stop_out() -> None:
    Story().tell("""
        account 1 1000.00
        quote BTCUSDT 60000.0 60010.0
        open P 1 BTCUSDT buy 0.10 x20 sl=59000.0
        quote BTCUSDT 51000.0 51010.0 -> PositionClosed close_reason=stop_loss price=51000.0
        """)


def test_equal_thresholds_fire_by_account_then_id() -> None:
    Story().tell("""
        account 2 10000.00
        account 1 10000.00
        quote BTCUSDT 60000.0 60010.0
        open A 2 BTCUSDT buy 0.01 x100 sl=59900.0
        open B 1 BTCUSDT buy 0.01 x100 sl=59900.0
        open C 1 BTCUSDT sell 0.01 x100 stop stop=59900.0
        open D 1 BTCUSDT buy 0.01 x100 sl=59900.0
        quote BTCUSDT 59900.0 59910.0 -> PositionClosed position_id=B; PositionOpened position_id=C; PositionClosed position_id=D; PositionClosed position_id=A
        """)


def test_a_stop_loss_at_the_liquidation_price_goes_first() -> None:
    Story().tell(BEGIN).tell("""
        open P 1 BTCUSDT buy 0.10 x10 mode=isolated sl=54247.6 -> PositionOpened liquidation=54247.6
        quote BTCUSDT 54247.6 54257.6 -> PositionClosed close_reason=stop_loss
        """)


def test_a_target_goes_before_the_trailing_stop_that_the_same_price_moves() -> None:
    Story().tell(BEGIN).tell("""
        open P 1 BTCUSDT buy 0.10 x100 trail=500.0 tp=60010.0
        quote BTCUSDT 60010.0 60020.0 -> PositionClosed close_reason=take_profit
        """)


def test_what_was_opened_by_one_trigger_is_closed_by_the_next_in_the_same_entry() -> None:
    # First pass: the ask has fallen to the order. Second pass: its target, set below the present bid, stands in a queue before.
    Story().tell(BEGIN).tell("""
        open P 1 BTCUSDT buy 0.10 x100 limit price=59000.0 tp=59100.0
        open Q 1 BTCUSDT buy 0.10 x100 limit price=58900.0
        quote BTCUSDT 58890.0 58900.0 -> PositionOpened position_id=P; PositionOpened position_id=Q
        quote BTCUSDT 59100.0 59110.0 -> PositionClosed position_id=P close_reason=take_profit
        """)


def test_a_close_sets_off_the_stops_that_wait_in_its_symbol() -> None:
    Story().tell(BEGIN).tell("""
        open A 1 BTCUSDT buy 0.10 x100 sl=59900.0
        open B 1 BTCUSDT buy 0.10 x100
        mode halted BTCUSDT
        quote BTCUSDT 59800.0 59810.0 -> nothing
        mode open -> TradingModeSet
        close B -> PositionClosed position_id=B close_reason=client; PositionClosed position_id=A close_reason=stop_loss
        """)


def test_a_fired_order_does_not_meet_the_clock_of_the_engine() -> None:
    story = Story().tell(BEGIN)
    story.tell("open P 1 BTCUSDT buy 0.10 x100 limit price=59000.0")
    quotes = [["BTCUSDT", 589_900, 590_000, (story.ms + 100) * 1000]]
    fields = {"type": "UpdateQuotes", "source": "tape", "source_class": "replay", "feed_epoch": 1}
    entry = msgspec.convert(fields | {"sequence": 9, "quotes": quotes}, UpdateQuotes)

    outcome = story.apply(entry, decided_at_us=story.ms * 1000 - 60_000_000)

    assert outcome is not None
    assert [type(event).__name__ for event in outcome.events] == ["PositionOpened"]
