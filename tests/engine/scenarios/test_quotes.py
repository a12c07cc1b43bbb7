"""Rules Q1-Q3: which quotes are taken."""

from engine.messages.views import AccountQuery
from tests.engine.scenarios.story import Story


def test_bad_quotes_are_recorded_and_the_others_written() -> None:
    Story().tell("""
        quote NOPEUSDT 1.0 2.0 BTCUSDT 60000.0 60010.0 -> QuoteRefused code=SYMBOL_UNKNOWN
        quote BTCUSDT 0 60010.0 -> QuoteRefused code=QUOTE_INVALID
        quote BTCUSDT 60000.0 -1.0 -> QuoteRefused code=QUOTE_INVALID
        quote BTCUSDT 60000.0 9007199.3 -> QuoteRefused code=QUOTE_INVALID
        quote BTCUSDT 60000.0 9007199.2 -> nothing
        quote BTCUSDT 60000.0 60010.0 age=-5001 -> QuoteRefused code=QUOTE_INVALID
        quote BTCUSDT 60010.0 60000.0 ETHUSDT 3000.00 3000.00 -> QuoteRefused symbol=BTCUSDT code=QUOTE_CROSSED
        quote BTCUSDT 60000.0 60010.0 age=1000 -> QuoteRefused code=QUOTE_OUT_OF_ORDER
        quote BTCUSDT 60000.0 60010.0 seq=3 -> QuoteRefused code=QUOTE_OUT_OF_ORDER
        wait 10000
        quote BTCUSDT 60000.0 60010.0 age=5001 -> QuoteRefused code=QUOTE_STALE
        quote BTCUSDT 60000.0 60010.0 age=5000 -> nothing
        """)


def test_refused_quotes_cause_nothing() -> None:
    story = Story().tell("""
        account 1 1000.00
        quote BTCUSDT 60000.0 60010.0
        open P 1 BTCUSDT buy 0.10 x100 sl=59000.0
        quote BTCUSDT 58000.0 57000.0 -> QuoteRefused
        position P price=60000.0
        """)
    view = story.machine.answer(AccountQuery(account=1))

    assert len(view.positions) == 1


def test_receipts_show_the_quote_and_the_one_before() -> None:
    story = Story().tell("""
        account 1 1000.00
        quote BTCUSDT 60000.0 60010.0
        quote BTCUSDT 60001.0 60011.0
        """)
    outcome = story._open(["P", "1", "BTCUSDT", "buy", "0.10", "x100"], {})

    assert outcome is not None
    receipt = outcome.events[0].receipt
    assert (receipt.rule, receipt.quote.bid_ticks, receipt.previous_quote.bid_ticks) == (
        "P1",
        600_010,
        600_000,
    )
    assert (receipt.quote.source, receipt.quote.sequence) == ("tape", 2)
