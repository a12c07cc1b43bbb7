"""Rules Q1-Q4: which quotes are taken."""

import msgspec

from engine.core.machine import Machine
from engine.messages.commands import UpdateQuotes
from engine.messages.views import AccountQuery, AccountView
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


def test_the_first_fault_of_a_quote_is_the_one_recorded() -> None:
    Story().tell("""
        quote BTCUSDT 60000.0 60010.0 -> nothing
        quote NOPEUSDT 0 1.0 class=live -> QuoteRefused code=SYMBOL_UNKNOWN
        quote BTCUSDT 0 1.0 class=live -> QuoteRefused code=PRICE_SOURCE_MISMATCH
        quote BTCUSDT 60000.0 0 seq=1 -> QuoteRefused code=QUOTE_INVALID
        quote BTCUSDT 60010.0 60000.0 seq=1 -> QuoteRefused code=QUOTE_CROSSED
        wait 10000
        quote BTCUSDT 60000.0 60010.0 seq=1 age=20000 -> QuoteRefused code=QUOTE_OUT_OF_ORDER
        quote BTCUSDT 60000.0 60010.0 age=6000 -> QuoteRefused code=QUOTE_STALE
        """)


def test_quotes_at_the_borders_are_taken() -> None:
    # Bid and ask alike; of the very instant of the last one; five seconds ahead of the log.
    Story().tell("""
        account 1 1000.00
        quote BTCUSDT 60000.0 60000.0 -> nothing
        quote BTCUSDT 60001.0 60001.0 age=100 -> nothing
        quote BTCUSDT 60002.0 60002.0 age=-5000 -> nothing
        open P 1 BTCUSDT buy 0.10 x100 -> PositionOpened price=60002.0
        """)


def test_sources_are_numbered_apart_and_a_new_epoch_starts_anew() -> None:
    story = Story().tell("""
        quote BTCUSDT 60000.0 60010.0 seq=7 -> nothing
        quote BTCUSDT 60000.0 60010.0 seq=1 source=other -> nothing
        quote BTCUSDT 60000.0 60010.0 seq=7 -> QuoteRefused code=QUOTE_OUT_OF_ORDER
        quote BTCUSDT 60000.0 60010.0 seq=9 -> nothing
        quote BTCUSDT 60000.0 60010.0 seq=8 -> QuoteRefused code=QUOTE_OUT_OF_ORDER
        """)
    quotes = [["BTCUSDT", 600_000, 600_100, (story.ms + 100) * 1000]]
    fields = {"type": "UpdateQuotes", "source": "tape", "source_class": "replay", "feed_epoch": 2}
    entry = msgspec.convert(fields | {"sequence": 1, "quotes": quotes}, UpdateQuotes)

    assert story.apply(entry) is None


def test_outputs_alone_value_by_the_last_receipt_but_do_not_fill() -> None:
    story = Story().tell("""
        account 1 1000.00
        quote BTCUSDT 60000.0 60010.0
        open P 1 BTCUSDT buy 0.10 x20
        quote BTCUSDT 59000.0 59010.0
        close P quantity=0.05
        quote BTCUSDT 58000.0 58010.0
        wait 6000
        """)
    restored = Machine()
    for entry_id, outcome in story.outcomes.items():
        if outcome is not None:
            restored.evolve_recorded(entry_id, None, outcome)
    restored.finish_recovery()
    restored.verify()
    view = restored.answer(AccountQuery(account=1))

    assert isinstance(view, AccountView)
    assert [position.price_ticks for position in view.positions] == [590_000]
    assert restored.state.accounts == story.machine.state.accounts
    story.machine = restored
    story.tell("""
        close P -> QUOTE_STALE
        quote BTCUSDT 53000.0 53010.0 -> nothing
        close P -> PositionClosed price=53000.0
        """)
