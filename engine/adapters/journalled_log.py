"""A log whose outputs may also stand elsewhere: what the output stream has lost is read from the journal.

Only recovery and standbys read outputs, and only a stream that lacks some of those asked for is completed.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol

from typing_extensions import override

from engine.adapters.redis_streams import RedisLog
from engine.config import EngineConfig
from engine.runtime.ports import Clock, Output


class RecordedOutputs(Protocol):
    """The outputs of one shard in another store."""

    def read(self, after: int, upto: int, limit: int) -> Sequence[Output]:
        """Return at most ``limit`` outputs with after < id <= upto, in order; none when the store cannot be reached."""
        ...


class JournalledLog(RedisLog):
    """The log on a Valkey server, completed from a journal."""

    def __init__(self, config: EngineConfig, clock: Clock, recorded: RecordedOutputs) -> None:
        super().__init__(config, clock)
        self._recorded = recorded

    @override
    def read_outputs(self, after: int, upto: int | None, limit: int) -> Sequence[Output]:
        """Return at most ``limit`` outputs with after < id <= upto, in order, from stream and journal."""
        page = list(super().read_outputs(after, upto, limit))
        gaps = self._gaps(page, after, upto)
        if not gaps:
            return page
        found = [output for gap in gaps for output in self._recorded.read(*gap, limit)]
        return sorted([*page, *found], key=lambda output: output.entry_id)[:limit]

    def _gaps(self, page: Sequence[Output], after: int, upto: int | None) -> list[tuple[int, int]]:
        """Return where outputs are missing, as (after, upto): before the page, and wherever numbers jump within it."""
        gaps = [
            (one.entry_id, other.entry_id - 1)
            for one, other in pairwise(page)
            if other.number != one.number + 1
        ]
        end = page[0].entry_id - 1 if page else upto
        if end is not None and end > after and not self._reaches_back(page, after):
            gaps.insert(0, (after, end))
        return gaps

    def _reaches_back(self, page: Sequence[Output], after: int) -> bool:
        """Return whether the stream is whole from the position on: trimmed before it, and nothing taken out."""
        if page and page[0].number == 1:
            return True
        state = self.output_state()
        if not 0 < state.first_id <= after:
            return False
        (first,) = super().read_outputs(state.first_id - 1, state.first_id, 1)
        return state.added == state.length + first.number - 1
