"""Rules P1, P2, P4, N3, M1, M6, R12, G2: what a market order fills at and what it costs."""

import msgspec

from tests.engine.scenarios.story import Story


def test_buy_fills_at_ask_and_pays_margin_and_commission() -> None:
    Story().tell("""
        account 1 1000.00
        quote BTCUSDT 60000.0 60010.0 -> nothing
        open P1 1 BTCUSDT buy 0.10 x100 -> PositionOpened price=60010.0 margin=60.01 commission=2.4004
        state 1 balance=997.5996 equity=996.5996 used_margin=60.01 free_margin=936.5896 margin_level=166072
        """)


def test_sell_fills_at_bid() -> None:
    Story().tell("""
        account 1 1000.00
        quote BTCUSDT 60000.0 60010.0
        open P1 1 BTCUSDT sell 0.10 x100 -> PositionOpened price=60000.0 direction=short margin=60.00
        """)


def test_long_is_valued_and_closed_at_bid() -> None:
    Story().tell("""
        account 1 1000.00
        quote BTCUSDT 60000.0 60010.0
        open P1 1 BTCUSDT buy 0.10 x100
        quote BTCUSDT 61000.0 61010.0
        position P1 pnl_unrealised=99.00
        close P1 -> PositionClosed price=61000.0 pnl=99.00 commission=2.44 close_reason=client remaining=0
        state 1 balance=1094.1596 used_margin=0 margin_level=none
        """)


def test_short_is_valued_and_closed_at_ask() -> None:
    Story().tell("""
        account 1 1000.00
        quote BTCUSDT 60000.0 60010.0
        open P1 1 BTCUSDT sell 0.10 x100
        quote BTCUSDT 59000.0 59010.0
        position P1 pnl_unrealised=99.00
        close P1 -> PositionClosed price=59010.0 pnl=99.00
        """)


def test_margin_and_commission_round_up() -> None:
    Story().tell("""
        account 1 1000.00
        quote BTCUSDT 33333.3 33333.3
        open P1 1 BTCUSDT buy 0.001 x7 -> PositionOpened margin=4.761900 commission=0.013334
        """)


def test_adverse_slippage_is_refused_and_favourable_is_the_clients() -> None:
    Story().tell("""
        account 1 1000.00
        quote BTCUSDT 60000.0 60010.0
        open P1 1 BTCUSDT buy 0.10 x100 expected=59950.0 slippage=1000 -> PRICE_MOVED price=60010.0 slippage_ppm=1000
        open P1 1 BTCUSDT buy 0.10 x100 expected=59951.0 slippage=1000 -> PositionOpened price=60010.0
        open P2 1 BTCUSDT buy 0.10 x100 expected=61000.0 slippage=0 -> PositionOpened price=60010.0
        open P3 1 BTCUSDT sell 0.10 x100 quoted=60100.0 slippage=0 -> PRICE_MOVED
        open P3 1 BTCUSDT sell 0.10 x100 quoted=59990.0 slippage=0 -> PositionOpened price=60000.0
        close P1 expected=60100.0 slippage=100 -> PRICE_MOVED
        close P1 expected=60001.0 slippage=100 -> PositionClosed
        """)


def test_stale_quotes_do_not_fill() -> None:
    Story().tell("""
        account 1 1000.00
        open P1 1 BTCUSDT buy 0.10 x100 -> QUOTE_STALE quote_age_us=-1
        quote BTCUSDT 60000.0 60010.0
        open P1 1 BTCUSDT buy 0.10 x100 -> PositionOpened
        wait 5000
        open P2 1 BTCUSDT buy 0.10 x100 -> QUOTE_STALE
        close P1 -> QUOTE_STALE
        quote BTCUSDT 60000.0 60010.0
        close P1 -> PositionClosed
        """)


def test_quotes_of_another_class_value_but_never_fill() -> None:
    Story().tell("""
        account 1 1000.00
        quote BTCUSDT 60000.0 60010.0
        open P1 1 BTCUSDT buy 0.10 x100
        source live BTCUSDT -> PriceSourceSet source_class=live
        close P1 -> PRICE_SOURCE_MISMATCH expected=live found=replay
        quote BTCUSDT 50000.0 50010.0 -> QuoteRefused code=PRICE_SOURCE_MISMATCH
        position P1 price=60000.0
        quote BTCUSDT 60500.0 60510.0 class=live source=venue -> nothing
        close P1 -> PositionClosed price=60500.0
        """)


def test_the_free_margin_needed_is_margin_commission_and_spread() -> None:
    # 60.01 + 2.4004 + 1.00 = 63.4104.
    Story().tell("""
        account 1 63.410399
        account 2 63.4104
        quote BTCUSDT 60000.0 60010.0
        open P 1 BTCUSDT buy 0.10 x100 -> FREE_MARGIN_INSUFFICIENT
        open P 2 BTCUSDT buy 0.10 x100 -> PositionOpened; MarginCallRaised equity=60.01 used_margin=60.01
        quote BTCUSDT 60010.0 60010.0
        position P notional=6001.00 pnl_unrealised=0
        state 2 equity=61.01 used_margin=60.01 free_margin=1.00
        """)


def test_a_quote_fills_up_to_its_age_and_not_beyond() -> None:
    Story().tell("""
        account 1 1000.00
        quote BTCUSDT 60000.0 60010.0
        wait 4900
        open P 1 BTCUSDT buy 0.10 x100 -> PositionOpened
        open Q 1 BTCUSDT buy 0.10 x100 -> QUOTE_STALE quote_age_us=5100000
        """)


def test_every_fill_is_one_group_that_sums_to_zero() -> None:
    story = Story().tell("account 1 1000.00\nquote BTCUSDT 60000.0 60010.0")
    opened = story._open(["P", "1", "BTCUSDT", "buy", "0.10", "x100"], {})
    closed = story._close(["P"], {})

    assert opened is not None
    assert [tuple(msgspec.to_builtins(p)) for p in opened.events[0].postings] == [
        ("demo:client:1", -2_400_400),
        ("demo:house:commission", 2_400_400),
    ]
    assert closed is not None
    assert [tuple(msgspec.to_builtins(p)) for p in closed.events[0].postings] == [
        ("demo:client:1", -3_400_000),
        ("demo:house:pnl", 1_000_000),
        ("demo:house:commission", 2_400_000),
    ]
