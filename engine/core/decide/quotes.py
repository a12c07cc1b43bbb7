"""Quotes: which are accepted, which are refused and why (rules Q1-Q3)."""

from engine.core.decide.work import Work
from engine.core.evolve import write_quote
from engine.core.state import Instrument, State
from engine.messages.commands import Quote, UpdateQuotes
from engine.messages.events import QuoteRefused
from engine.messages.rejects import RejectCode

# A quote may be stamped ahead of the log by this much.
QUOTE_AHEAD_US_MAX = 5_000_000


def take_quotes(work: Work, entry: UpdateQuotes) -> list[Instrument]:
    """Write every acceptable quote of an entry, record the others, and return the instruments that were written."""
    state = work.state
    is_in_sequence = note_sequence(state, entry)
    written: dict[int, Instrument] = {}
    for quote in entry.quotes:
        instrument = state.instrument_by_symbol.get(quote.symbol)
        if instrument is None:
            _refuse(work, quote, RejectCode.SYMBOL_UNKNOWN)
            continue
        code = _fault(state.now_us, instrument, quote, entry, is_in_sequence)
        if code is None:
            write_quote(instrument, quote, entry)
            written[instrument.index] = instrument
        else:
            _refuse(work, quote, code)
    return list(written.values())


def _refuse(work: Work, quote: Quote, code: RejectCode) -> None:
    work.emit(
        QuoteRefused(
            symbol=quote.symbol,
            code=code,
            bid_ticks=quote.bid_ticks,
            ask_ticks=quote.ask_ticks,
            ts_us=quote.ts_us,
        )
    )


def note_sequence(state: State, entry: UpdateQuotes) -> bool:
    """Remember a source's sequence and return whether this entry follows the last one (rule Q2)."""
    sequence = (entry.feed_epoch, entry.sequence)
    if sequence <= state.feed_sequences.get(entry.source, (-1, -1)):
        return False
    state.feed_sequences[entry.source] = sequence
    return True


def _fault(
    now_us: int,
    instrument: Instrument,
    quote: Quote,
    entry: UpdateQuotes,
    is_in_sequence: bool,  # noqa: FBT001 - keywords cost, and every quote comes by here
) -> RejectCode | None:
    if entry.source_class is not instrument.source_class:
        return RejectCode.PRICE_SOURCE_MISMATCH
    age_us = now_us - quote.ts_us
    if (
        quote.bid_ticks <= 0
        or not 0 < quote.ask_ticks <= instrument.price_ticks_max
        or age_us < -QUOTE_AHEAD_US_MAX
    ):
        return RejectCode.QUOTE_INVALID
    if quote.bid_ticks > quote.ask_ticks:
        return RejectCode.QUOTE_CROSSED
    if not is_in_sequence or quote.ts_us < instrument.ts_us:
        return RejectCode.QUOTE_OUT_OF_ORDER
    if age_us > instrument.spec.quote_age_us_max:
        return RejectCode.QUOTE_STALE
    return None
