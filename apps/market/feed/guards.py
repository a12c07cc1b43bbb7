"""What stands between a source and everybody who believes a price: refuse, or keep waiting, and count it.

The engine has its own rules for quotes (docs/ENGINE.md); these here are about venues that go mad, so they also look at the
past of each symbol. Every refusal is counted under its reason.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from apps.market.feed.base import RawQuote
from apps.market.selectors import InstrumentInfo

_PPM: Final = 1_000_000
# A jump is believed after this many quotes that agree with each other, over at least this time.
CONFIRMATIONS: Final = 3
CONFIRMATION_US: Final = 1_000_000
# After this silence a venue may have begun to number its updates anew.
SEQUENCE_FORGOTTEN_US: Final = 10_000_000
# After an outage, prices are believed when as many quotes have agreed over this time.
SETTLING_US: Final = 2_000_000
# A quote from farther ahead than this is not of our time.
AHEAD_US_MAX: Final = 2_000_000


class Refusal(StrEnum):
    """Why a quote was not passed on."""

    SYMBOL_UNKNOWN = "symbol_unknown"
    NOT_POSITIVE = "not_positive"
    CROSSED = "crossed"
    TIME_AHEAD = "time_ahead"
    OUT_OF_ORDER = "out_of_order"
    SPREAD_TOO_WIDE = "spread_too_wide"
    JUMP_QUARANTINED = "jump_quarantined"
    SETTLING = "settling"
    CONTRADICTED = "contradicted"
    CLOCKS_DIFFER = "clocks_differ"


@dataclass(slots=True)
class _Candidate:
    """A price far from the last accepted one, waiting for others that agree."""

    double_mid: int
    count: int
    first_us: int


@dataclass(slots=True)
class _SymbolState:
    """The past of one symbol. Mids are doubled (bid + ask), so that they stay whole."""

    double_mid: int = 0
    ts_us: int = 0
    venue_sequence: int = 0
    # When the symbol was last quoted or confirmed, by the feed's clock; 0 before the first.
    heard_us: int = 0
    candidate: _Candidate | None = None
    # Whether the venue's newest word was refused: then the old price must not be confirmed.
    is_doubted: bool = False


class Guards:
    """The guards of one source; one state per symbol."""

    def __init__(self, instruments: Mapping[str, InstrumentInfo]) -> None:
        self._instruments = instruments
        self._states: dict[str, _SymbolState] = {}
        self.refusals: Counter[Refusal] = Counter()
        self.accepted = 0

    def admit(self, quote: RawQuote, now_us: int) -> bool:
        """Return whether the quote may be passed on; a refusal is counted."""
        info = self._instruments.get(quote.symbol)
        if info is None:
            self.refusals[Refusal.SYMBOL_UNKNOWN] += 1
            return False
        state = self._states.setdefault(quote.symbol, _SymbolState())
        if state.ts_us > now_us + AHEAD_US_MAX:
            # Our own clock has been set back: what was heard under the wrong one must not refuse everything until then.
            state = self._states[quote.symbol] = _SymbolState(double_mid=state.double_mid)
        refusal = _refusal(info, state, quote, now_us)
        if refusal is not None:
            self.refusals[refusal] += 1
            # An old quote says nothing about the newest one; every other refusal puts the last price in doubt.
            state.is_doubted = state.is_doubted or refusal is not Refusal.OUT_OF_ORDER
            return False
        state.double_mid = quote.bid_ticks + quote.ask_ticks
        state.ts_us = quote.ts_us
        state.venue_sequence = quote.venue_sequence
        state.heard_us = max(state.heard_us, now_us)
        state.candidate = None
        state.is_doubted = False
        self.accepted += 1
        return True

    def contradict(self, symbol: str) -> None:
        """Count a quote that another source of the same class denies; until they agree, nothing of the symbol is believed."""
        self.refusals[Refusal.CONTRADICTED] += 1
        self._states.setdefault(symbol, _SymbolState()).is_doubted = True

    def distrust(self, batch: Iterable[RawQuote]) -> None:
        """Count quotes whose times nobody can believe; until the next one that can be, nothing of their symbols is confirmed."""
        for quote in batch:
            self.refusals[Refusal.CLOCKS_DIFFER] += 1
            self._states.setdefault(quote.symbol, _SymbolState()).is_doubted = True

    def confirmed(self, symbol: str, now_us: int) -> None:
        """Note that the last quote was read as unchanged, so that the silence before the next one is no outage."""
        self._states[symbol].heard_us = now_us

    def is_confirmable(self, symbol: str) -> bool:
        """Return whether silence after the last accepted quote may be read as "unchanged"."""
        state = self._states.get(symbol)
        return state is not None and state.ts_us > 0 and not state.is_doubted


def _refusal(
    info: InstrumentInfo, state: _SymbolState, quote: RawQuote, now_us: int
) -> Refusal | None:
    if quote.bid_ticks <= 0 or quote.ask_ticks <= 0:
        return Refusal.NOT_POSITIVE
    if quote.bid_ticks > quote.ask_ticks:
        return Refusal.CROSSED
    if quote.ts_us > now_us + AHEAD_US_MAX:
        return Refusal.TIME_AHEAD
    if quote.ts_us < state.ts_us or _is_repeated(state, quote, now_us):
        return Refusal.OUT_OF_ORDER
    double_mid = quote.bid_ticks + quote.ask_ticks
    # One tick is always allowed: for the cheapest coins it is wider than any share of the price.
    spread_ticks = quote.ask_ticks - quote.bid_ticks
    if spread_ticks > 1 and 2 * spread_ticks * _PPM > info.spread_ppm_max * double_mid:
        return Refusal.SPREAD_TOO_WIDE
    if state.double_mid and not _is_near(info, state.double_mid, double_mid):
        return _quarantine(info, state, double_mid, quote.ts_us)
    if state.heard_us and now_us - state.heard_us > info.quote_age_us_max:
        # Back from an outage: the first prices of a venue in trouble are not the best ones.
        return _quarantine(info, state, double_mid, quote.ts_us, after_outage=True)
    return None


def _is_repeated(state: _SymbolState, quote: RawQuote, now_us: int) -> bool:
    if quote.venue_sequence == 0:
        # Where the venue has no numbers, only its time can tell.
        return quote.ts_us == state.ts_us
    if quote.venue_sequence > state.venue_sequence:
        return False
    return now_us - state.ts_us < SEQUENCE_FORGOTTEN_US


def _is_near(info: InstrumentInfo, double_mid_before: int, double_mid: int) -> bool:
    distance = abs(double_mid - double_mid_before)
    # Two ticks of doubled mid are one tick of price, which is never a jump.
    return distance <= 2 or distance * _PPM <= info.jump_ppm_max * double_mid_before


def are_near(info: InstrumentInfo, one: RawQuote, other: RawQuote) -> bool:
    """Return whether two sources mean the same price, within what is no jump."""
    return _is_near(info, one.bid_ticks + one.ask_ticks, other.bid_ticks + other.ask_ticks)


def _quarantine(
    info: InstrumentInfo,
    state: _SymbolState,
    double_mid: int,
    ts_us: int,
    *,
    after_outage: bool = False,
) -> Refusal | None:
    """Keep a price waiting; None as soon as enough quotes agree with the one that began it."""
    refusal = Refusal.SETTLING if after_outage else Refusal.JUMP_QUARANTINED
    needed_us = SETTLING_US if after_outage else CONFIRMATION_US
    candidate = state.candidate
    if candidate is None or not _is_near(info, candidate.double_mid, double_mid):
        state.candidate = _Candidate(double_mid=double_mid, count=1, first_us=ts_us)
        return refusal
    candidate.count += 1
    # The agreement may move on as the market does.
    candidate.double_mid = double_mid
    if candidate.count >= CONFIRMATIONS and ts_us - candidate.first_us >= needed_us:
        return None
    return refusal
