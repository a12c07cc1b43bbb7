"""One source at work: what it is to serve, what it has said, and how it stands."""

import asyncio
from dataclasses import dataclass, field

from apps.market.feed.base import RawQuote, Source
from apps.market.feed.guards import Guards
from apps.market.prices import SourceStatus
from engine.messages.commands import Quote


@dataclass(slots=True)
class Feeder:
    """One source with its guards."""

    source: Source
    guards: Guards
    state: str = "idle"
    reason: str = ""
    covered: frozenset[str] = frozenset()
    # Newest admitted quotes that the log, and that the web, have not got yet.
    for_log: dict[str, Quote] = field(default_factory=dict)
    for_web: dict[str, Quote] = field(default_factory=dict)
    # Instruments of its class; set anew when an operator's command has moved one.
    wanted: frozenset[str] = frozenset()
    moved: asyncio.Event = field(default_factory=asyncio.Event)
    # Newest words about instruments that another source serves.
    heard: dict[str, RawQuote] = field(default_factory=dict)

    def forget(self, symbol: str) -> None:
        """Drop what has not left yet of an instrument that is not this source's any more."""
        self.for_log.pop(symbol, None)
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
