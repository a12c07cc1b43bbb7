"""Quotes: which are accepted, which are refused and why (rules Q1-Q3)."""

from engine.core.state import Instrument, State
from engine.messages.commands import Quote, UpdateQuotes
from engine.messages.events import AnyEvent, QuoteRefused, ReceiptQuote
from engine.messages.rejects import RejectCode

# A quote may be stamped ahead of the log by this much.
QUOTE_AHEAD_US_MAX = 5_000_000
# Before every sequence of a source.
_BEFORE_ALL = (-1, -1)


def take_quotes(
    state: State, entry: UpdateQuotes, events: list[AnyEvent]
) -> dict[int, Instrument] | None:
    """Write every acceptable quote of an entry, add the refusals of the others to the events, and return who was quoted, by index.

    None: there are no events, and no quote reaches a trigger or a watched account, so nothing can come of them.
    """
    # note_sequence() and write_quote(), written out: most entries are quotes that reach nothing, and calls are what they cost.
    source, source_class = entry.source, entry.source_class
    epoch, number = sequence = entry.feed_epoch, entry.sequence
    is_in_sequence = sequence > state.feed_sequences.get(source, _BEFORE_ALL)
    if is_in_sequence:
        state.feed_sequences[source] = sequence
    now_us = state.now_us
    is_all = True
    written: dict[int, Instrument] = {}
    for quote in entry.quotes:
        instrument = state.instrument_by_symbol.get(quote.symbol)
        if instrument is None:
            events.append(_refusal(quote, RejectCode.SYMBOL_UNKNOWN))
            continue
        bid, ask, ts_us = quote.bid_ticks, quote.ask_ticks, quote.ts_us
        # Whether _fault() finds any; which one is asked only then.
        if (
            is_in_sequence
            and 0 < bid <= ask <= instrument.price_ticks_max
            and instrument.ts_us <= ts_us <= now_us + QUOTE_AHEAD_US_MAX
            and now_us - ts_us <= instrument.spec.quote_age_us_max
            and source_class is instrument.source_class
        ):
            instrument.previous = instrument.quote
            instrument.bid, instrument.ask, instrument.ts_us = bid, ask, ts_us
            instrument.quote = ReceiptQuote(
                quote.symbol, bid, ask, ts_us, source, source_class, epoch, number
            )
            written[instrument.index] = instrument
            if is_all and (instrument.watchers or instrument.queues.is_touched(bid, ask)):
                is_all = False
        else:
            code = _fault(now_us, instrument, quote, entry, is_in_sequence=is_in_sequence)
            events.append(_refusal(quote, code))
    return None if is_all and not events else written


def _refusal(quote: Quote, code: RejectCode) -> QuoteRefused:
    return QuoteRefused(
        symbol=quote.symbol,
        code=code,
        bid_ticks=quote.bid_ticks,
        ask_ticks=quote.ask_ticks,
        ts_us=quote.ts_us,
    )


def note_sequence(state: State, entry: UpdateQuotes) -> bool:
    """Remember a source's sequence and return whether this entry follows the last one (rule Q2)."""
    sequence = (entry.feed_epoch, entry.sequence)
    if sequence <= state.feed_sequences.get(entry.source, _BEFORE_ALL):
        return False
    state.feed_sequences[entry.source] = sequence
    return True


def _fault(
    now_us: int,
    instrument: Instrument,
    quote: Quote,
    entry: UpdateQuotes,
    *,
    is_in_sequence: bool,
) -> RejectCode:
    """Return the first fault of a quote that is not acceptable."""
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
    return RejectCode.QUOTE_STALE
