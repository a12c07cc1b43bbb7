"""Rules P1, P2, P4, N3, M1, M6: what a market order fills at and what it costs."""

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
