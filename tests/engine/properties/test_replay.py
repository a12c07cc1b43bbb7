"""Recorded outputs, from zero and from any snapshot, give the state that was decided."""

from engine.core.machine import Machine, Outcome
from engine.messages import commands as c
from engine.messages.events import QuoteRefused, ReceiptQuote
from engine.messages.views import AccountQuery, AccountView
from tests.engine.properties.comparing import digest_of, tell
from tests.engine.properties.histories import Seeded, seeds_from

SEEDS = seeds_from(2_000, 25)


def test_replay_of_outputs_from_zero_and_from_a_snapshot_gives_the_same_hashes() -> None:
    for seed in SEEDS:
        snapshot, skip = b"", 0
        for number, (comparison, _) in enumerate(tell(Seeded(seed), 120)):
            if number == 20 + seed % 90:
                snapshot, skip = comparison.machine.dump(), len(comparison.entries)
        live = comparison.machine

        for replayed in (comparison.replay(), comparison.replay(snapshot, skip)):
            assert replayed.state_hash() == live.state_hash()
            assert replayed.market_hash() == live.market_hash()
            assert replayed.entry_id == live.entry_id
            assert replayed.now_us == live.now_us


def test_deciding_the_same_input_again_gives_the_same_outputs() -> None:
    for seed in SEEDS:
        *_, (comparison, _) = tell(Seeded(seed), 120)
        again = Machine()

        outcomes = [
            again.decide(entry_id, message, digest_of(message), decided_at_us)
            for entry_id, message, _, decided_at_us in comparison.entries
        ]

        assert outcomes == [outcome for _, _, outcome, _ in comparison.entries]
        assert again.dump() == comparison.machine.dump()


def test_a_refused_command_changes_nothing_that_time_does_not() -> None:
    """Beside a refusal, a machine that heard only a tick differs in the table of answered ids alone."""
    for seed in SEEDS:
        for comparison, _ in tell(Seeded(seed), 60):
            entry_id, _, outcome, _ = comparison.entries[-1]
            if outcome is not None and type(outcome.reply).__name__ == "Rejected":
                for account in comparison.oracle.accounts:
                    comparison.compare_account(account)
            assert comparison.machine.entry_id == entry_id


def test_outputs_alone_give_the_state_and_every_position_the_quote_of_its_last_receipt() -> None:
    """A journal has no idle quotes: the entries without an output are gone."""
    for seed in SEEDS:
        *_, (comparison, _) = tell(Seeded(seed), 120)
        restored = Machine()
        receipts: dict[str, ReceiptQuote] = {}

        for entry_id, message, outcome, _ in comparison.entries:
            if outcome is not None:
                restored.evolve_recorded(entry_id, message, outcome, digest_of(message))
                receipts |= quotes_named_in(message, outcome)
        restored.finish_recovery()

        restored.verify()
        assert restored.state_hash() == comparison.machine.state_hash()
        for account, a in comparison.oracle.accounts.items():
            view = restored.answer(AccountQuery(account=account))
            assert isinstance(view, AccountView)
            for shown in view.positions:
                quote = receipts[shown.symbol]
                closing = quote.bid_ticks if shown.direction == "long" else quote.ask_ticks
                assert shown.price_ticks == closing
            assert view.balance_micros == a.balance


def quotes_named_in(message: c.AnyMessage | None, outcome: Outcome) -> dict[str, ReceiptQuote]:
    """Return the last quote of each symbol that an output tells: those of a published entry, and its receipts'."""
    told = {}
    if isinstance(message, c.UpdateQuotes):
        refused = [
            (e.symbol, e.bid_ticks, e.ask_ticks, e.ts_us)
            for e in outcome.events
            if isinstance(e, QuoteRefused)
        ]
        for q in message.quotes:
            if (q.symbol, q.bid_ticks, q.ask_ticks, q.ts_us) not in refused:
                source = (
                    message.source,
                    message.source_class,
                    message.feed_epoch,
                    message.sequence,
                )
                told[q.symbol] = ReceiptQuote(q.symbol, q.bid_ticks, q.ask_ticks, q.ts_us, *source)
    for event in outcome.events:
        receipt = getattr(event, "receipt", None)
        if receipt is not None and receipt.quote is not None:
            told[receipt.quote.symbol] = receipt.quote
    return told
