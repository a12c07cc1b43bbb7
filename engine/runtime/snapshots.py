"""When a snapshot is due, what stands in its header, and which old ones are kept. How they are stored: adapters."""

from collections.abc import Sequence
from typing import Final

from engine.messages.streams import input_stream
from engine.runtime.ports import Position, SnapshotHeader
from engine.values import entry_id_from_text, entry_time_us, text_from_entry_id

# Version of the header and the file around it; the state inside has a version of its own.
SNAPSHOT_FORMAT: Final = 1

NEWEST_KEPT: Final = 3
HOURS_KEPT: Final = 24
DAYS_KEPT: Final = 7

_HOUR_US: Final = 3_600_000_000
_DAY_US: Final = 24 * _HOUR_US
# A snapshot stops the world for as long as copying the state takes. At most one fiftieth of the time goes into that,
# whatever the size of the state and the rate of entries.
_PAUSE_SHARE: Final = 50
# Writing it takes a processor from everybody else; at most one tenth of the time goes into that.
_WRITING_SHARE: Final = 10


def header_of(
    state_hash: bytes,
    position: Position,
    *,
    prefix: str,
    shard: int,
    shards: int,
    build: str,
    now_us: int,
) -> SnapshotHeader:
    """Describe the state of a hash."""
    return SnapshotHeader(
        format=SNAPSHOT_FORMAT,
        build=build,
        stream=input_stream(prefix, shard, shards),
        shard=shard,
        shards=shards,
        entry_id=text_from_entry_id(position.entry_id),
        number=position.number,
        count=position.applied,
        chain=position.chain.hex(),
        state_hash=state_hash.hex(),
        taken_at_us=now_us,
    )


def position_of(header: SnapshotHeader) -> Position:
    """Return the position that a header states."""
    return Position(
        entry_id=entry_id_from_text(header.entry_id),
        number=header.number,
        chain=bytes.fromhex(header.chain),
        applied=header.count,
    )


class SnapshotSchedule:
    """Decides when the next snapshot is due."""

    def __init__(self, *, every_us: int, every_entries: int, count: int, monotonic_us: int) -> None:
        self._every_us = every_us
        self._every_entries = every_entries
        self._count = count
        self._at_us = monotonic_us
        self._pause_us = 0
        self._writing_us = 0

    def is_due(self, count: int, monotonic_us: int) -> bool:
        """Return whether a snapshot is due at this count of applied entries."""
        entries, waited_us = count - self._count, monotonic_us - self._at_us
        rest_us = max(self._pause_us * _PAUSE_SHARE, self._writing_us * _WRITING_SHARE)
        if entries == 0 or waited_us < rest_us:
            return False
        return entries >= self._every_entries or waited_us >= self._every_us

    def taken(self, count: int, monotonic_us: int, pause_us: int) -> None:
        """Note that a snapshot was taken, and the pause that it cost."""
        self._count, self._at_us, self._pause_us = count, monotonic_us, pause_us

    def written(self, writing_us: int) -> None:
        """Note how long the last one took from its beginning until it was safe."""
        self._writing_us = writing_us

    def is_newer(self, count: int) -> bool:
        """Return whether anything was applied since the last snapshot."""
        return count > self._count


def kept(entry_ids: Sequence[int]) -> set[int]:
    """Return which snapshots stay: the newest three, and the newest of each of the last 24 hours and 7 days.

    Hours and days are counted where snapshots exist, by the time in their entry ids: a week without a single entry
    removes nothing.
    """
    ordered = sorted(entry_ids, reverse=True)
    keep = set(ordered[:NEWEST_KEPT])
    for period_us, periods in ((_HOUR_US, HOURS_KEPT), (_DAY_US, DAYS_KEPT)):
        newest_by_period: dict[int, int] = {}
        for entry_id in ordered:
            newest_by_period.setdefault(entry_time_us(entry_id) // period_us, entry_id)
        keep.update(list(newest_by_period.values())[:periods])
    return keep
