"""Rule M7: overnight financing."""

from collections import Counter

from tests.engine.scenarios.story import Story

# The story starts on day 19 675 (2023-11-14); its next rollover is day 19 676.
BEGIN = """
    account 1 1000.00
    quote BTCUSDT 60000.0 60010.0
    """


def test_long_pays_and_short_receives_once_per_rollover() -> None:
    # 6 000.00 * 10 % / 360 = 1.666667 up; 6 001.00 * 3.6 % / 360 = 0.6001.
    Story().tell(BEGIN).tell("""
        open L 1 BTCUSDT buy 0.10 x100
        open S 1 BTCUSDT sell 0.10 x100
        wait 6400000
        swap BTCUSDT day=19676 -> SwapCharged position_id=L amount=-1.666667; SwapCharged position_id=S amount=0.6001
        swap BTCUSDT day=19676 -> nothing
        position L swap=-1.666667
        open N 1 BTCUSDT buy 0.10 x100 -> QUOTE_STALE
        swap BTCUSDT day=19677 nights=3 -> SwapCharged position_id=L amount=-5.00 nights=3; SwapCharged amount=1.8003
        swap NOPE day=19677 -> SYMBOL_UNKNOWN
        """)


def test_position_opened_after_the_rollover_is_not_charged() -> None:
    Story().tell(BEGIN).tell("""
        open L 1 BTCUSDT buy 0.10 x100
        swap BTCUSDT day=19675 -> nothing
        """)


def test_symbol_without_a_rate_gives_no_event() -> None:
    Story().tell(BEGIN).tell("""
        open L 1 BTCUSDT buy 0.10 x100
        instrument BTCUSDT version=2 swap_long_ppm=0
        wait 6400000
        swap BTCUSDT day=19676 -> nothing
        """)


def test_swap_of_an_isolated_position_moves_its_margin_and_liquidation_price() -> None:
    Story().tell(BEGIN).tell("""
        open I 1 BTCUSDT buy 0.10 x10 mode=isolated -> PositionOpened liquidation=54247.6
        wait 6400000
        swap BTCUSDT day=19676 nights=30 -> SwapCharged amount=-50.00 margin=550.10 liquidation=54749.8
        state 1 isolated_margin=550.10 balance=947.5996
        """)


def test_exhausted_margin_is_liquidation_in_the_same_entry() -> None:
    # 100 % a year for 30 nights is 500.00 on 6 000.00; the margin is 60.01 at 1:100.
    Story().tell(BEGIN).tell("""
        open I 1 BTCUSDT buy 0.10 x100 mode=isolated
        instrument BTCUSDT version=2 swap_long_ppm=-1000000
        wait 6400000
        quote BTCUSDT 60000.0 60010.0
        swap BTCUSDT day=19676 nights=30 -> SwapCharged amount=-500.00 insured=439.99 margin=0; PositionClosed close_reason=liquidation insured=3.40
        state 1 isolated_margin=0 balance=937.5896
        """)


# A long of 0.10 at 60 010.0 whose 60.01 of margin one month at 100 % a year takes away, and a price that is no loss by itself.
EXHAUSTING = """
    account 1 1000.00
    quote BTCUSDT 60000.0 60010.0
    open L 1 BTCUSDT buy 0.10 x100 mode=isolated
    open S 1 BTCUSDT sell 0.10 x100 mode=isolated
    instrument BTCUSDT version=2 swap_long_ppm=-1000000 swap_short_ppm=-1000000
    wait 6400000
    """


def test_margin_that_is_exhausted_while_nothing_fills_is_liquidated_by_the_next_quote_at_any_price() -> (
    None
):
    Story().tell(EXHAUSTING).tell("""
        swap BTCUSDT day=19676 nights=30 -> SwapCharged position_id=L insured=439.99 margin=0 liquidation=9007199.2; SwapCharged position_id=S margin=0 liquidation=0.1
        tick -> nothing
        position L liquidation=9007199.2
        quote BTCUSDT 70000.0 70010.0 -> PositionClosed position_id=L close_reason=liquidation pnl=999.00 insured=0; PositionClosed position_id=S close_reason=liquidation pnl=-1001.00 insured=1003.8004
        """)


def test_exhausted_margin_waits_on_a_halted_instrument_for_the_first_quote_after_it() -> None:
    Story().tell(EXHAUSTING).tell("""
        close S -> QUOTE_STALE
        mode halted BTCUSDT
        swap BTCUSDT day=19676 nights=30 -> SwapCharged; SwapCharged
        quote BTCUSDT 70000.0 70010.0 -> nothing
        mode open
        tick -> nothing
        quote BTCUSDT 70000.0 70010.0 -> PositionClosed position_id=L close_reason=liquidation; PositionClosed position_id=S close_reason=liquidation
        """)


def test_exhausted_margin_stays_exhausted_under_new_terms_and_is_saved_by_more_margin() -> None:
    Story().tell(EXHAUSTING).tell("""
        swap BTCUSDT day=19676 nights=30 -> SwapCharged; SwapCharged
        group standard version=2 commission_ppm=500 -> GroupDefined; AccountTermsChanged
        position L liquidation=9007199.2
        position S liquidation=0.1
        instrument BTCUSDT version=3 quantity_max_units=200000000 -> InstrumentDefined; AccountTermsChanged
        position L liquidation=4503599.6
        add L amount=60.01 -> PositionMarginChanged margin=60.01 liquidation=59678.4
        quote BTCUSDT 60000.0 60010.0 -> PositionClosed position_id=S close_reason=liquidation
        position L margin=60.01
        """)


def test_swap_can_call_and_stop_out() -> None:
    Story().tell("""
        account 1 70.00
        quote BTCUSDT 60000.0 60010.0
        open L 1 BTCUSDT buy 0.10 x100
        instrument BTCUSDT version=2 swap_long_ppm=-1000000
        wait 6400000
        quote BTCUSDT 60000.0 60010.0
        swap BTCUSDT day=19676 nights=1 -> SwapCharged amount=-16.666667; MarginCallRaised
        wait 86400000
        quote BTCUSDT 60000.0 60010.0
        swap BTCUSDT day=19677 nights=2 -> SwapCharged; StopOutStarted; PositionClosed close_reason=stop_out; MarginCallCleared
        """)


def test_pages_by_account_until_there_is_no_next() -> None:
    story = Story().tell("quote BTCUSDT 60000.0 60010.0")
    with story.unchecked():
        for account in range(1, 131):
            story.tell(f"""
                account {account} 1000.00
                quote BTCUSDT 60000.0 60010.0
                open P{account} {account} BTCUSDT buy 0.10 x100
                """)
    story.tell("wait 6400000")

    first = story.send("ChargeSwap", source="test", symbol="BTCUSDT", rollover_day=19676, nights=1)
    assert first is not None
    assert (len(first.events), first.reply.next_account) == (125, 125)
    second = story.send(
        "ChargeSwap",
        source="test",
        symbol="BTCUSDT",
        rollover_day=19676,
        nights=1,
        after_account=first.reply.next_account,
    )
    assert second is not None
    assert (len(second.events), second.reply.next_account) == (5, 0)


def test_a_page_has_room_for_the_stop_outs_that_it_brings() -> None:
    story = Story().tell("quote BTCUSDT 60000.0 60010.0")
    with story.unchecked():
        for account in range(1, 61):
            orders = "\n".join(
                f"open O{account}x{number} {account} BTCUSDT buy 0.10 x100 limit price=100.0"
                for number in range(40)
            )
            # A margin of 60.01 and an equity just above half of it: one night is more than the cushion.
            story.tell(f"""
                account {account} 93.00
                quote BTCUSDT 60000.0 60010.0
                open P{account} {account} BTCUSDT buy 0.10 x100
                {orders}
                """)
        story.tell("quote BTCUSDT 59410.0 59420.0\nwait 6400000\nquote BTCUSDT 59410.0 59420.0")
        after, yielded = 0, []
        while after or not yielded:
            page = story.send(
                "ChargeSwap",
                source="test",
                symbol="BTCUSDT",
                rollover_day=19676,
                nights=1,
                after_account=after,
            )
            assert page is not None
            yielded.append(len(page.events))
            after = page.reply.next_account

    names = ("SwapCharged", "StopOutStarted", "PositionClosed", "MarginCallCleared")
    assert sum(yielded) == 60 * (len(names) + 40)
    assert max(yielded) < 1_000


def test_a_page_brings_no_pending_orders_that_wait_for_the_quote_after_a_halt() -> None:
    # Each order is activated, filled and stopped out by the price that it waits at.
    accounts, orders = 12, 40
    story = Story().tell("quote BTCUSDT 60000.0 60010.0")
    with story.unchecked():
        for account in range(1, accounts + 1):
            placed = "\n".join(
                f"open O{account}x{number} {account} BTCUSDT buy 0.001 x100 stopLimit stop=60100.0 price=60300.0 sl=60200.0"
                for number in range(orders)
            )
            story.tell(f"""
                account {account} 1000.00
                quote BTCUSDT 60000.0 60010.0
                open P{account} {account} BTCUSDT buy 0.001 x100 sl=59000.0
                {placed}
                """)
        story.tell("""
            wait 6400000
            mode halted BTCUSDT
            quote BTCUSDT 60150.0 60160.0 -> nothing
            mode open BTCUSDT
            """)
        page = story._swap(["BTCUSDT"], {"day": "19676"})
        after = story._quote(["BTCUSDT", "60150.0", "60160.0"], {})

    assert page is not None
    assert after is not None
    assert [type(event).__name__ for event in page.events] == ["SwapCharged"] * accounts
    assert page.reply.next_account == 0
    assert Counter(type(event).__name__ for event in after.events) == dict.fromkeys(
        ("StopLimitActivated", "PositionOpened", "PositionClosed"), accounts * orders
    )


def test_the_fullest_account_stays_below_the_limit_of_a_page() -> None:
    # Two hundred positions that are charged, trailed and stopped out, and two hundred orders that a stop-out cancels.
    story = Story(commission_ppm=0).tell("account 1 1000.00")
    with story.unchecked():
        for number in range(200):
            story.tell(f"""
                quote BTCUSDT 60000.0 60010.0
                open P{number} 1 BTCUSDT buy 0.001 x100 trail=500.0
                open O{number} 1 BTCUSDT buy 0.001 x100 stopLimit stop=60100.0 price=60300.0 sl=60200.0
                """)
        story.tell("""
            instrument BTCUSDT version=2 swap_long_ppm=-1000000
            wait 6400000
            mode halted
            quote BTCUSDT 60150.0 60160.0 -> nothing
            mode open
            """)
        page = story._swap(["BTCUSDT"], {"day": "19676", "nights": "31"})

    assert page is not None
    names = Counter(type(event).__name__ for event in page.events)
    assert names == {
        "SwapCharged": 200,
        "TrailingStopMoved": 200,
        "MarginCallRaised": 1,
        "StopOutStarted": 1,
        "OrderCancelled": 200,
        "PositionClosed": 200,
        "MarginCallCleared": 1,
        "NegativeBalanceCovered": 1,
    }
