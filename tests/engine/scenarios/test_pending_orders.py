"""Rules O1-O6, P3: pending orders wait, fire, change and end."""

from tests.engine.scenarios.story import Story

BEGIN = """
    account 1 10000.00
    quote BTCUSDT 60000.0 60010.0
    """


def test_limit_fires_at_its_price_and_keeps_an_improvement() -> None:
    Story().tell(BEGIN).tell("""
        open P1 1 BTCUSDT buy 0.10 x100 limit price=59900.0 -> OrderPlaced price=59900.0 side=buy
        open P2 1 BTCUSDT sell 0.10 x100 limit price=60100.0 -> OrderPlaced
        state 1 used_margin=0 free_margin=10000.00
        quote BTCUSDT 59900.0 59900.1 -> nothing
        quote BTCUSDT 59700.0 59710.0 -> PositionOpened position_id=P1 price=59710.0 order_type=limit
        quote BTCUSDT 60150.0 60160.0 -> PositionOpened position_id=P2 price=60150.0
        """)


def test_marketable_limit_fills_at_once_or_is_refused() -> None:
    Story().tell(BEGIN).tell("""
        open P1 1 BTCUSDT buy 0.10 x100 limit price=60010.0 -> PositionOpened price=60010.0
        open P2 1 BTCUSDT sell 0.10 x100 limit price=59000.0 -> PositionOpened price=60000.0
        open P3 1 BTCUSDT buy 4.00 x20 limit price=60010.0 -> FREE_MARGIN_INSUFFICIENT
        state 1 used_margin=120.01
        """)


def test_stop_fills_at_first_available_price() -> None:
    Story().tell(BEGIN).tell("""
        open P1 1 BTCUSDT buy 0.10 x100 stop stop=60100.0 -> OrderPlaced stop_price=60100.0
        open P2 1 BTCUSDT sell 0.10 x100 stop stop=59900.0
        quote BTCUSDT 60300.0 60310.0 -> PositionOpened position_id=P1 price=60310.0
        quote BTCUSDT 59000.0 59010.0 -> PositionOpened position_id=P2 price=59000.0
        """)


def test_passed_stop_is_refused() -> None:
    Story().tell(BEGIN).tell("""
        open P1 1 BTCUSDT buy 0.10 x100 stop stop=60010.0 -> PRICE_INVALID stop_price_ticks=60010.0
        open P1 1 BTCUSDT sell 0.10 x100 stop stop=60000.0 -> PRICE_INVALID bid_ticks=60000.0
        """)


def test_stop_limit_becomes_a_limit_order() -> None:
    Story().tell(BEGIN).tell("""
        open P1 1 BTCUSDT buy 0.10 x100 stopLimit stop=60100.0 price=60050.0 -> OrderPlaced
        open P2 1 BTCUSDT sell 0.10 x100 stopLimit stop=59900.0 price=59850.0 -> OrderPlaced
        quote BTCUSDT 60100.0 60110.0 -> StopLimitActivated order_id=P1
        quote BTCUSDT 60040.0 60050.0 -> PositionOpened position_id=P1 price=60050.0
        quote BTCUSDT 59890.0 59900.0 -> StopLimitActivated order_id=P2; PositionOpened position_id=P2 price=59890.0
        """)


def test_prices_must_fit_the_type() -> None:
    Story().tell(BEGIN).tell("""
        open P1 1 BTCUSDT buy 0.10 x100 market price=60000.0 -> PRICE_INVALID order_type=market
        open P1 1 BTCUSDT buy 0.10 x100 limit -> PRICE_INVALID order_type=limit
        open P1 1 BTCUSDT buy 0.10 x100 stop price=61000.0 -> PRICE_INVALID order_type=stop
        open P1 1 BTCUSDT buy 0.10 x100 stopLimit stop=61000.0 -> PRICE_INVALID order_type=stopLimit
        """)


def test_fired_order_that_cannot_fill_is_rejected_and_gone() -> None:
    Story().tell(BEGIN).tell("""
        open P1 1 BTCUSDT buy 4.00 x20 limit price=59000.0 -> OrderPlaced
        open P2 1 BTCUSDT buy 0.10 x100 limit price=58900.0 -> OrderPlaced
        open P3 1 BTCUSDT buy 0.10 x100 limit price=58800.0 -> OrderPlaced
        open P4 1 BTCUSDT buy 0.10 x100 limit price=58700.0 -> OrderPlaced
        quote BTCUSDT 58990.0 59000.0 -> OrderRejected order_id=P1 code=FREE_MARGIN_INSUFFICIENT
        status 1 close_only
        quote BTCUSDT 58890.0 58900.0 -> OrderRejected order_id=P2 code=ACCOUNT_CLOSE_ONLY
        status 1 active
        mode close_only BTCUSDT
        quote BTCUSDT 58790.0 58800.0 -> OrderRejected order_id=P3 code=INSTRUMENT_CLOSE_ONLY
        status 1 suspended
        mode open
        quote BTCUSDT 58690.0 58700.0 -> OrderRejected order_id=P4 code=ACCOUNT_SUSPENDED
        """)


def test_fired_order_meets_the_quantities_and_leverage_that_hold_now() -> None:
    Story().tell(BEGIN).tell("""
        open P1 1 BTCUSDT buy 0.10 x100 limit price=59000.0
        open P2 1 BTCUSDT buy 0.10 x50 limit price=58900.0
        open P3 1 BTCUSDT buy 0.10 x50 limit price=58800.0
        open P4 1 BTCUSDT buy 0.10 x50 limit price=58700.0
        cap 1 50
        modify P1 price=60010.0 -> LEVERAGE_INVALID leverage=100 leverage_max=50
        quote BTCUSDT 58990.0 59000.0 -> OrderRejected order_id=P1 code=LEVERAGE_INVALID
        quote BTCUSDT 58890.0 58900.0 -> PositionOpened position_id=P2 leverage=50
        instrument BTCUSDT version=2 quantity_max_units=9900
        quote BTCUSDT 58790.0 58800.0 -> OrderRejected order_id=P3 code=QUANTITY_INVALID
        instrument BTCUSDT version=3 quantity_max_units=10000
        group standard version=2 leverage_cap=49
        quote BTCUSDT 58690.0 58700.0 -> OrderRejected order_id=P4 code=LEVERAGE_INVALID
        """)


def test_stop_passed_at_the_fill_fires_in_the_same_entry() -> None:
    Story().tell(BEGIN).tell("""
        open P1 1 BTCUSDT buy 0.10 x100 limit price=59900.0 sl=59800.0 tp=60200.0 -> OrderPlaced
        quote BTCUSDT 59700.0 59710.0 -> PositionOpened price=59710.0; PositionClosed close_reason=stop_loss price=59700.0
        """)


def test_orders_end_by_time() -> None:
    # 2023-11-14 22:13:20 UTC is the story's start; midnight is 6 400 seconds later.
    Story().tell(BEGIN).tell("""
        open P1 1 BTCUSDT buy 0.10 x100 limit price=50000.0 tif=gtd expires_at_us=1700000002000000 -> OrderPlaced
        open P2 1 BTCUSDT buy 0.10 x100 limit price=50000.0 tif=day -> OrderPlaced expires_at_us=1700006400000000
        open P3 1 BTCUSDT buy 0.10 x100 limit price=50000.0
        open P4 1 BTCUSDT buy 0.10 x100 limit price=50000.0 tif=gtd expires_at_us=1700000000500000 -> EXPIRY_INVALID
        open P4 1 BTCUSDT buy 0.10 x100 limit price=50000.0 tif=gtd -> EXPIRY_INVALID
        open P4 1 BTCUSDT buy 0.10 x100 limit price=50000.0 expires_at_us=1700000002000000 -> EXPIRY_INVALID
        open P4 1 BTCUSDT buy 0.10 x100 market tif=day -> EXPIRY_INVALID
        wait 500
        tick -> nothing
        wait 100
        tick -> OrderExpired order_id=P1
        wait 6400000
        tick -> OrderExpired order_id=P2 expires_at_us=1700006400000000
        cancel P2 -> ORDER_UNKNOWN
        cancel P3 -> OrderCancelled cancel_reason=client
        """)


def test_modify_judges_the_whole_order() -> None:
    Story().tell(BEGIN).tell("""
        open P1 1 BTCUSDT buy 0.10 x100 limit price=59000.0 sl=58000.0 -> OrderPlaced
        modify P1 price=57000.0 -> STOPS_INVALID
        modify P1 price=57000.0 sl=none tp=58000.0 quantity=0.20 -> OrderModified price=57000.0 stop_loss=none take_profit=58000.0 quantity=0.20
        modify P1 price=57000.0 -> nothing
        modify P1 stop=61000.0 -> PRICE_INVALID
        modify P1 quantity=0.00001 -> QUANTITY_INVALID
        modify P1 tif=day -> OrderModified time_in_force=day expires_at_us=1700006400000000
        modify P1 expires_at_us=1700000009000000 -> EXPIRY_INVALID
        modify P1 tif=gtd expires_at_us=1700000900000000 -> OrderModified time_in_force=gtd
        modify P1 expires_at_us=1700000950000000 -> OrderModified expires_at_us=1700000950000000
        modify P1 tif=gtd -> nothing
        modify P1 tif=gtc -> OrderModified time_in_force=gtc expires_at_us=none
        modify P1 price=60010.0 tp=61000.0 quantity=5.00 -> LEVERAGE_ABOVE_TIER
        modify P1 price=60010.0 tp=61000.0 -> OrderModified; PositionOpened price=60010.0 take_profit=61000.0
        """)


def test_modify_follows_a_stop_limit_through_its_stop() -> None:
    Story().tell(BEGIN).tell("""
        open P1 1 BTCUSDT buy 0.10 x100 stopLimit stop=60100.0 price=60050.0
        modify P1 stop=60005.0 -> PRICE_INVALID
        modify P1 stop=60200.0 -> OrderModified stop_price=60200.0
        quote BTCUSDT 60200.0 60210.0 -> StopLimitActivated
        modify P1 stop=60300.0 -> PRICE_INVALID
        modify P1 price=60060.0 -> OrderModified price=60060.0
        quote BTCUSDT 60050.0 60060.0 -> PositionOpened price=60060.0
        """)


def test_a_changed_price_leaves_one_end_of_life_in_the_queue() -> None:
    story = Story().tell(BEGIN).tell("open P1 1 BTCUSDT buy 0.10 x100 limit price=50000.0 tif=day")
    for number in range(20):
        story.tell(f"modify P1 price={50001 + number}.0 -> OrderModified")

    assert len(story.machine.state.expiries) == 1
    story.tell("wait 6400000\ntick -> OrderExpired order_id=P1\ntick -> nothing")


def test_ends_of_cancelled_and_changed_orders_do_not_pile_up() -> None:
    ends = (1_700_000_900_000_000, 1_700_000_950_000_000)
    story = (
        Story()
        .tell(BEGIN)
        .tell(f"""
        open P1 1 BTCUSDT buy 0.10 x100 limit price=50000.0 tif=gtd expires_at_us={ends[0]}
        open P2 1 BTCUSDT buy 0.10 x100 limit price=50000.0 tif=gtd expires_at_us={ends[0]}
        """)
    )
    with story.unchecked():
        for number in range(300):
            story.tell(f"""
                quote BTCUSDT 60000.0 60010.0
                open P3 1 BTCUSDT buy 0.10 x100 limit price=50000.0 tif=gtd expires_at_us={ends[1]}
                cancel P3 -> OrderCancelled
                modify P2 expires_at_us={ends[(number + 1) % 2]} -> OrderModified
                """)

    assert len(story.machine.state.expiries) <= 130
    story.tell("""
        wait 800000
        tick -> OrderExpired order_id=P1; OrderExpired order_id=P2
        wait 100000
        tick -> nothing
        """)


def test_cancel_all_takes_filters() -> None:
    Story().tell(BEGIN).tell("""
        quote ETHUSDT 3000.00 3000.10
        open P1 1 BTCUSDT buy 0.10 x100 limit price=50000.0
        open P2 1 BTCUSDT sell 0.10 x100 limit price=70000.0
        open P3 1 ETHUSDT buy 1.00 x100 limit price=2000.00
        cancelall 1 symbol=NOPE -> SYMBOL_UNKNOWN
        cancelall 1 symbol=BTCUSDT side=sell -> OrderCancelled order_id=P2
        cancelall 1 symbol=ETHUSDT -> OrderCancelled order_id=P3
        cancelall 1 -> OrderCancelled order_id=P1
        cancelall 1 -> nothing
        """)


def test_an_order_expires_before_the_quote_of_the_same_entry_could_fill_it() -> None:
    Story().tell(BEGIN).tell("""
        open P1 1 BTCUSDT buy 0.10 x100 limit price=59000.0 tif=gtd expires_at_us=1700000001000000
        quote BTCUSDT 60000.0 60010.0 -> nothing
        wait 200
        quote BTCUSDT 58000.0 58010.0 -> OrderExpired order_id=P1
        """)


def test_orders_expire_by_time_then_account_then_id() -> None:
    Story().tell("""
        account 2 1000.00
        account 1 1000.00
        quote BTCUSDT 60000.0 60010.0
        open A 2 BTCUSDT buy 0.10 x100 limit price=50000.0 tif=gtd expires_at_us=1700000003000000
        open B 2 BTCUSDT buy 0.10 x100 limit price=50000.0 tif=gtd expires_at_us=1700000002000000
        open C 1 BTCUSDT buy 0.10 x100 limit price=50000.0 tif=gtd expires_at_us=1700000003000000
        open D 1 BTCUSDT buy 0.10 x100 limit price=50000.0 tif=gtd expires_at_us=1700000003000000
        wait 5000
        tick -> OrderExpired order_id=B; OrderExpired order_id=C; OrderExpired order_id=D; OrderExpired order_id=A
        """)


def test_an_end_of_life_that_was_changed_or_cancelled_does_not_come() -> None:
    Story().tell(BEGIN).tell("""
        open P1 1 BTCUSDT buy 0.10 x100 limit price=50000.0 tif=gtd expires_at_us=1700000002000000
        open P2 1 BTCUSDT buy 0.10 x100 limit price=50000.0 tif=gtd expires_at_us=1700000002000000
        modify P1 expires_at_us=1700000009000000
        cancel P2
        wait 3000
        tick -> nothing
        wait 5000
        tick -> OrderExpired order_id=P1 expires_at_us=1700000009000000
        """)


def test_a_command_comes_too_late_for_an_order_that_expires_in_its_entry() -> None:
    story = Story().tell(BEGIN)
    story.tell(
        "open P1 1 BTCUSDT buy 0.10 x100 limit price=50000.0 tif=gtd expires_at_us=1700000001000000"
    )
    story.tell("wait 1000")
    outcome = story._cancel(["P1"], {})

    assert outcome is not None
    assert [type(event).__name__ for event in outcome.events] == ["OrderExpired"]
    assert outcome.reply.code == "ORDER_UNKNOWN"


def test_orders_are_modified_only_where_they_could_fill_and_cancelled_anywhere() -> None:
    Story().tell(BEGIN).tell("""
        open P1 1 BTCUSDT buy 0.10 x100 limit price=50000.0
        modify 1-99 price=51000.0 -> ORDER_UNKNOWN order_id=1-99
        mode close_only BTCUSDT
        modify P1 price=51000.0 -> OrderModified
        modify P1 price=60010.0 -> INSTRUMENT_CLOSE_ONLY
        mode halted BTCUSDT
        modify P1 price=52000.0 -> INSTRUMENT_HALTED
        status 1 close_only
        mode open
        modify P1 price=60010.0 -> ACCOUNT_CLOSE_ONLY
        mode halted BTCUSDT
        cancel P1 -> OrderCancelled
        """)
