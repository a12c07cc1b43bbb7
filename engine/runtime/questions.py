"""Questions beside the log: each is answered between two batches, after the entry that it names was committed, or refused."""

import logging
from collections.abc import Sequence
from typing import Final

from engine.messages.streams import QueryRefusal
from engine.runtime.ports import Clock, Inbox, Query
from engine.runtime.shard import Shard

_logger = logging.getLogger(__name__)

# A query that waits longer for its entry has been asked again by then.
_AGE_US_MAX: Final = 3_000_000
_WAITING_MAX: Final = 10_000


class Questions:
    """Those of one engine that wait for an entry which has not been decided yet."""

    def __init__(self, inbox: Inbox, clock: Clock) -> None:
        self._inbox = inbox
        self._clock = clock
        self._waiting: list[Query] = []

    @property
    def are_waiting(self) -> bool:
        """Return whether there is any."""
        return bool(self._waiting)

    def forget(self) -> None:
        """Forget them: the state is built anew, and whoever asked asks again."""
        self._waiting.clear()

    def answer(self, shard: Shard, arrived: Sequence[Query]) -> None:
        """Answer every query whose entry was applied; keep the others for a while."""
        self._waiting.extend(arrived)
        waiting: list[Query] = []
        oldest_us = self._clock.monotonic_us() - _AGE_US_MAX
        for query in self._waiting:
            if query.after > shard.position.entry_id:
                if query.arrived_us > oldest_us:
                    waiting.append(query)
                continue
            try:
                view = shard.machine.answer(query.query)
            except Exception:
                # An answer changes nothing: a question that we cannot answer must not stop the trading of others.
                kind = type(query.query).__name__
                _logger.exception("A query failed.", extra={"query": kind})
                self._inbox.refuse(query, QueryRefusal.FAILED, f"{kind} failed")
                continue
            self._inbox.answer(query, view)
        self._waiting = waiting[-_WAITING_MAX:]
        self._inbox.flush()
