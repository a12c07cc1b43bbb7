"""One source at work: what it is to serve, what it has said, and how it stands."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from apps.market.feed.base import RawQuote, Source
from apps.market.feed.guards import Guards
from apps.market.prices import SourceStatus
from engine.messages.commands import Quote

# While the log is slow, entries wait one by one; beyond this many they become one, in which the newest prices win.
_WAITING_MAX: Final = 50


@dataclass(slots=True)
class Feeder:
    """One source with its guards."""

    source: Source
    guards: Guards
    state: str = "idle"
    reason: str = ""
    covered: frozenset[str] = frozenset()
    # Newest admitted quotes that the log has not got yet, by the stretch of time that they belong to; oldest first.
    for_log: deque[tuple[int, dict[str, Quote]]] = field(default_factory=deque)
    # Newest admitted quotes that the web has not got yet.
    for_web: dict[str, Quote] = field(default_factory=dict)
    # Instruments of its class; set anew when an operator's command has moved one.
    wanted: frozenset[str] = frozenset()
    moved: asyncio.Event = field(default_factory=asyncio.Event)
    # Newest words about instruments that another source serves.
    heard: dict[str, RawQuote] = field(default_factory=dict)

    def put(self, quote: Quote, stretch: int) -> None:
        """Keep an admitted quote for the log and the web; of one symbol and stretch, the newest stays."""
        self.for_web[quote.symbol] = quote
        if not self.for_log or self.for_log[-1][0] < stretch:
            self.for_log.append((stretch, {}))
        self.for_log[-1][1][quote.symbol] = quote
        if len(self.for_log) > _WAITING_MAX:
            self.merge()

    def merge(self) -> None:
        """Make everything that waits for the log one entry, of the newest prices."""
        merged: dict[str, Quote] = {}
        for _, quotes in self.for_log:
            merged |= quotes
        self.for_log = deque([(self.for_log[-1][0], merged)] if merged else [])

    def finished(self, stretch: int) -> list[dict[str, Quote]]:
        """Take what belongs to other stretches than this one: one entry of the log each, oldest first.

        Earlier ones, that is; a later one was begun by a clock that has been set back since.
        """
        taken = []
        while self.for_log and self.for_log[0][0] != stretch:
            taken.append(self.for_log.popleft()[1])
        return [quotes for quotes in taken if quotes]

    def give_back(self, entries: Sequence[dict[str, Quote]]) -> None:
        """Keep what was perhaps not written: it goes again with the newest, whose prices win."""
        self.for_log.extendleft((-1, quotes) for quotes in reversed(entries))
        self.merge()

    def forget(self, symbol: str) -> None:
        """Drop what has not left yet of an instrument that is not this source's any more."""
        for _, quotes in self.for_log:
            quotes.pop(symbol, None)
        self.for_web.pop(symbol, None)

    def status(self, symbols: int) -> SourceStatus:
        """Return how the source stands, which serves so many instruments now."""
        refusals = {reason.value: count for reason, count in self.guards.refusals.items()}
        if self.source.malformed:
            refusals["malformed"] = self.source.malformed
        return SourceStatus(
            name=self.source.name,
            source_class=self.source.source_class,
            state=self.state,
            reason=self.reason,
            symbols=symbols,
            accepted=self.guards.accepted,
            refusals=refusals,
        )
