"""What the runner shows to its heartbeat thread and to its own process. Each field has one writer.

Every field is one assignment of an immutable value, so a reader sees an old or a new one, never half of one.
"""

from typing import Final

from engine.messages.health import EngineHealth, EngineState
from engine.runtime.ports import Position, SnapshotHeader
from engine.values import entry_time_us, text_from_entry_id

# Snapshots of this host that are told to others: what the log is kept for.
_VERIFIED_KEPT: Final = 2
# From where on people are told; what is refused, and when, decides apps.common.admission.
MEMORY_ALARM_PERCENT: Final = 60
DISK_ALARM_PERCENT: Final = 80
LAG_ALARM_MS: Final = 1_000
LAG_ALARM_ENTRIES: Final = 5_000


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
        # The two newest snapshots of this host that were read back or recovered from, newest first.
        self.verified: tuple[SnapshotHeader, ...] = ()
        self.snapshot_pause_us = 0
        self.snapshot_failure = ""
        # Whether this engine follows another one.
        self.is_standby = False
        # Written by the heartbeat: the share of its memory that the log's server uses, and who keeps the log from
        # being trimmed ("" is nobody).
        self.log_memory_percent = 0
        # Written by the heartbeat too: how full the disk of the snapshots is.
        self.disk_percent = 0
        self.held_back_by = ""
        # And what has failed in it that nobody foresaw; empty when nothing has.
        self.heartbeat_failure = ""

    def begin_from(self, header: SnapshotHeader | None) -> None:
        """Count on the one snapshot that a recovery could use; what it refused or left aside is worth nothing."""
        self.snapshot = header
        self.verified = (header,) if header else ()

    def note_verified(self, header: SnapshotHeader) -> None:
        """Note a further snapshot, newer than the others, that is safely on the disk."""
        self.snapshot = header
        self.verified = (header, *self.verified)[:_VERIFIED_KEPT]

    def _alarms(self, lag_entries: int, lag_ms: int) -> tuple[str, ...]:
        alarms: list[str] = []
        if self.snapshot_failure:
            alarms.append(f"SNAPSHOT_FAILED: {self.snapshot_failure}")
        if self.log_memory_percent >= MEMORY_ALARM_PERCENT:
            alarms.append(f"LOG_MEMORY: the log's server uses {self.log_memory_percent} %")
        if self.disk_percent >= DISK_ALARM_PERCENT:
            alarms.append(f"DISK: the disk of the snapshots is {self.disk_percent} % full")
        if self.held_back_by:
            alarms.append(f"TRIM_BLOCKED: the log cannot be trimmed because of {self.held_back_by}")
        if self.heartbeat_failure:
            alarms.append(f"HEARTBEAT: a part of the heartbeat failed: {self.heartbeat_failure}")
        if lag_ms > LAG_ALARM_MS or lag_entries > LAG_ALARM_ENTRIES:
            alarms.append(f"LAG: {lag_entries} entries and {lag_ms} ms behind")
        return tuple(alarms)

    def health(self, now_us: int, monotonic_us: int) -> EngineHealth:
        """Compose a report."""
        position, snapshot = self.position, self.snapshot
        lag_entries = max(0, self.input_added - position.applied)
        # Without a first entry there is no time to be behind.
        behind_us = now_us - entry_time_us(position.entry_id) if position.entry_id else 0
        lag_us = behind_us if lag_entries else 0
        if self.batch_began_us:
            # A log that does not answer tells no lengths either: what is certain is the age of the batch in work.
            lag_us = max(lag_us, monotonic_us - self.batch_began_us)
        lag_ms = max(0, lag_us // 1000)
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
            lag_ms=lag_ms,
            snapshot_id=snapshot.entry_id if snapshot else "",
            snapshot_at_us=snapshot.taken_at_us if snapshot else 0,
            snapshot_pause_us=self.snapshot_pause_us,
            snapshot_failure=self.snapshot_failure,
            reported_at_us=now_us,
            is_standby=self.is_standby,
            log_memory_percent=self.log_memory_percent,
            alarms=self._alarms(lag_entries, lag_ms),
        )
