"""What the runner shows to its heartbeat thread and to its own process. Each field has one writer.

Every field is one assignment of an immutable value, so a reader sees an old or a new one, never half of one.
"""

from engine.messages.health import EngineHealth, EngineState
from engine.runtime.ports import Position, SnapshotHeader
from engine.values import entry_time_us, text_from_entry_id


class Status:
    """The present state of one engine."""

    def __init__(self, *, shard: int, shards: int, build: str) -> None:
        self.shard = shard
        self.shards = shards
        self.build = build
        self.state = EngineState.STARTING
        # Why it halted, or what it waits for.
        self.reason = ""
        self.epoch = 0
        self.position = Position()
        # Monotonic time at which the batch in work began, microseconds; 0: none is.
        self.batch_began_us = 0
        # Monotonic time of the last arrival of entries, microseconds.
        self.arrived_us = 0
        # Entries ever added to the input stream, as the heartbeat counted last; everything else is the runner's.
        self.input_added = 0
        self.snapshot: SnapshotHeader | None = None
        self.snapshot_pause_us = 0
        self.snapshot_failure = ""

    def health(self, now_us: int) -> EngineHealth:
        """Compose a report."""
        position, snapshot = self.position, self.snapshot
        lag_entries = max(0, self.input_added - position.applied)
        # Without a first entry there is no time to be behind.
        behind_us = now_us - entry_time_us(position.entry_id) if position.entry_id else 0
        return EngineHealth(
            state=self.state,
            reason=self.reason,
            shard=self.shard,
            shards=self.shards,
            build=self.build,
            epoch=self.epoch,
            entry_id=text_from_entry_id(position.entry_id),
            number=position.number,
            count=position.applied,
            lag_entries=lag_entries,
            lag_ms=max(0, behind_us // 1000) if lag_entries else 0,
            snapshot_id=snapshot.entry_id if snapshot else "",
            snapshot_at_us=snapshot.taken_at_us if snapshot else 0,
            snapshot_pause_us=self.snapshot_pause_us,
            snapshot_failure=self.snapshot_failure,
            reported_at_us=now_us,
        )
