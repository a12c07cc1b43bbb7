"""Rules C1-C4, C6, M5: partial closes, close all, close by, reversals."""

from tests.engine.scenarios.story import Story

BEGIN = """
    account 1 10000.00
    quote BTCUSDT 60000.0 60010.0
    """


def test_partial_close_frees_its_share_rounded_down() -> None:
    Story().tell(BEGIN).tell("""
        open P 1 BTCUSDT buy 0.003 x7 -> PositionOpened margin=25.718572
        close P quantity=0.001 -> PositionClosed quantity=0.001 remaining=0.002 margin=17.145715 pnl=-0.01
        close P quantity=0.001 -> PositionClosed remaining=0.001 margin=8.572858
        close P -> PositionClosed remaining=0 margin=0
        state 1 used_margin=0
        close P -> POSITION_UNKNOWN
        """)


def test_parts_must_leave_the_minimum_and_keep_the_step() -> None:
    Story().tell(BEGIN).tell("""
        open P 1 BTCUSDT buy 0.005 x10
        close P quantity=0.00105 -> QUANTITY_INVALID
        close P quantity=0.006 -> QUANTITY_INVALID open_units=0.005
        instrument BTCUSDT version=2 quantity_min_units=200
        close P quantity=0.004 -> QUANTITY_INVALID quantity_min_units=0.002
        close P quantity=0.003 -> PositionClosed remaining=0.002
        close P quantity=0.002 -> PositionClosed remaining=0
        """)


def test_close_all_passes_filters_and_names_what_cannot_fill() -> None:
    story = (
        Story()
        .tell(BEGIN)
        .tell("""
        quote ETHUSDT 3000.00 3000.10
        open A 1 BTCUSDT buy 0.01 x100
        open B 1 BTCUSDT sell 0.01 x100
        open C 1 ETHUSDT buy 0.10 x100
        quote BTCUSDT 60100.0 60110.0
        closeall 1 symbol=NOPE -> SYMBOL_UNKNOWN
        closeall 1 symbol=BTCUSDT profit=winners -> PositionClosed position_id=A
        closeall 1 direction=long profit=winners -> nothing
        closeall 1 direction=short profit=losers -> PositionClosed position_id=B
        open D 1 BTCUSDT buy 0.01 x100
        mode halted ETHUSDT
        """)
    )
    outcome = story.send("CloseAll", account=1)

    assert outcome is not None
    assert outcome.reply is not None
    assert outcome.reply.passed_over == (story.ids["C"],)
    assert [event.position_id for event in outcome.events] == [story.ids["D"]]
    assert outcome.events[0].close_reason == "operator"


def test_close_by_uses_the_older_entry_price_without_commission() -> None:
    Story().tell(BEGIN).tell("""
        open A 1 BTCUSDT buy 0.03 x10
        quote BTCUSDT 60500.0 60510.0
        open B 1 BTCUSDT sell 0.02 x10
        open C 1 BTCUSDT sell 0.02 x10 mode=isolated
        quote ETHUSDT 3000.00 3000.10
        open D 1 ETHUSDT sell 0.10 x10
        closeby A C -> CLOSE_BY_INVALID
        closeby A D -> CLOSE_BY_INVALID
        closeby A A -> CLOSE_BY_INVALID
        closeby A 1-99 -> POSITION_UNKNOWN
        closeby 1-99 A -> POSITION_UNKNOWN
        mode halted BTCUSDT
        closeby B A -> INSTRUMENT_HALTED symbol=BTCUSDT
        mode close_only BTCUSDT
        wait 6000
        close B -> QUOTE_STALE
        closeby B A -> PositionClosed position_id=A price=60010.0 pnl=0 commission=0 remaining=0.01; PositionClosed position_id=B price=60010.0 pnl=9.80 commission=0 remaining=0
        position A quantity=0.01 entry_price=60010.0 margin=60.01
        """)


def test_close_by_leaves_nothing_or_what_may_be_left() -> None:
    Story().tell(BEGIN).tell("""
        open A 1 BTCUSDT buy 0.005 x10
        open B 1 BTCUSDT sell 0.004 x10
        open C 1 BTCUSDT sell 0.005 x10
        instrument BTCUSDT version=2 quantity_min_units=200
        closeby A B -> QUANTITY_INVALID quantity_units=0.004 open_units=0.005 quantity_min_units=0.002
        closeby B A -> QUANTITY_INVALID open_units=0.005
        open D 1 BTCUSDT buy 0.009 x10
        instrument BTCUSDT version=3 quantity_min_units=300 quantity_step_units=300
        closeby D B -> QUANTITY_INVALID quantity_step_units=0.003
        mode halted BTCUSDT
        closeby A B -> INSTRUMENT_HALTED
        mode open
        closeby A C -> PositionClosed position_id=A remaining=0; PositionClosed position_id=C remaining=0
        """)


def test_reverse_closes_and_opens_the_opposite() -> None:
    Story().tell(BEGIN).tell("""
        open A 1 BTCUSDT buy 0.10 x100 sl=59000.0
        reverse A B -> PositionClosed position_id=A close_reason=reverse price=60000.0; PositionOpened direction=short price=60000.0 leverage=100 stop_loss=none
        reverse B C -> PositionClosed position_id=B price=60010.0; PositionOpened direction=long
        """)


def test_reverse_is_both_or_neither() -> None:
    Story().tell("""
        account 1 70.00
        quote BTCUSDT 60000.0 60010.0
        open A 1 BTCUSDT buy 0.10 x100
        state 1 free_margin=6.5896
        quote BTCUSDT 60000.0 60100.0
        reverse A B -> FREE_MARGIN_INSUFFICIENT free_margin_micros=64.1996
        position A quantity=0.10
        mode close_only BTCUSDT
        reverse A B -> INSTRUMENT_CLOSE_ONLY
        mode open
        cap 1 50
        reverse A B -> LEVERAGE_INVALID leverage_max=50
        instrument BTCUSDT version=2 quantity_max_units=9900
        reverse A B -> QUANTITY_INVALID quantity_max_units=0.099
        reverse 1-99 B -> POSITION_UNKNOWN
        """)


def test_reverse_of_an_isolated_position_counts_its_margin_back() -> None:
    Story().tell("""
        account 1 700.00
        quote BTCUSDT 60000.0 60010.0
        open A 1 BTCUSDT buy 0.10 x10 mode=isolated -> PositionOpened margin=600.10
        reverse A B -> PositionClosed pnl=-1.00; PositionOpened margin_mode=isolated margin=600.00
        """)


def test_hedged_legs_both_pay_full_margin() -> None:
    Story().tell(BEGIN).tell("""
        open A 1 BTCUSDT buy 0.10 x100
        open B 1 BTCUSDT sell 0.10 x100
        state 1 used_margin=120.01
        """)


def test_close_all_takes_as_many_positions_as_an_account_may_hold() -> None:
    story = Story().tell("account 1 100000.00\nquote BTCUSDT 60000.0 60010.0")
    with story.unchecked():
        for number in range(200):
            story.tell(f"quote BTCUSDT 60000.0 60010.0\nopen P{number} 1 BTCUSDT buy 0.001 x100")
    story.tell("quote BTCUSDT 60000.0 60010.0")
    outcome = story.send("CloseAll", account=1)

    assert outcome is not None
    assert [event.position_id for event in outcome.events] == [f"1-{k}" for k in range(1, 201)]
    assert outcome.reply.passed_over == ()


def test_close_all_names_what_is_stale_or_of_another_class() -> None:
    story = (
        Story()
        .tell(BEGIN)
        .tell("""
        quote ETHUSDT 3000.00 3000.10
        open A 1 BTCUSDT buy 0.01 x100
        open B 1 ETHUSDT buy 0.10 x100
        wait 6000
        quote BTCUSDT 60000.0 60010.0
        source live BTCUSDT
        """)
    )
    outcome = story.send("CloseAll", account=1)

    assert outcome is not None
    assert outcome.reply.passed_over == (story.ids["A"], story.ids["B"])
    assert outcome.events == ()


def test_close_by_takes_the_price_of_the_one_opened_first() -> None:
    # The order with the lower id was filled later.
    Story().tell(BEGIN).tell("""
        open A 1 BTCUSDT sell 0.01 x10 limit price=60500.0
        open B 1 BTCUSDT buy 0.01 x10
        quote BTCUSDT 60500.0 60510.0 -> PositionOpened position_id=A
        closeby A B -> PositionClosed position_id=B price=60010.0 pnl=0; PositionClosed position_id=A price=60010.0 pnl=4.90
        """)


def test_reverse_meets_the_clock_and_the_quote() -> None:
    story = Story().tell(BEGIN).tell("open A 1 BTCUSDT buy 0.10 x100")
    ahead_us = (story.ms + 100) * 1000 - 5_000_001
    late = story.send("ReversePosition", account=1, position_id="1-1", decided_at_us=ahead_us)

    assert late is not None
    assert late.reply.code == "CLOCK_AHEAD"
    story.tell("wait 6000\nreverse A B -> QUOTE_STALE")
