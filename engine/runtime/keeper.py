"""Takes the snapshots of one engine: when, of what, and what became of them."""

from collections.abc import Callable

from engine.config import EngineConfig
from engine.runtime.ports import Clock, Probe, SnapshotHeader, SnapshotStore
from engine.runtime.shard import Shard
from engine.runtime.snapshots import SnapshotSchedule, header_of
from engine.runtime.status import Status
from engine.values import InvariantError


class SnapshotKeeper:
    """The snapshots of one shard on this host; called between two batches only."""

    def __init__(
        self,
        *,
        config: EngineConfig,
        store: SnapshotStore,
        clock: Clock,
        status: Status,
        probe: Probe,
    ) -> None:
        self._config = config
        self._store = store
        self._clock = clock
        self._status = status
        self._probe = probe
        self._schedule = SnapshotSchedule(every_us=0, every_entries=0, count=0, monotonic_us=0)
        # Monotonic time at which the save in work began, microseconds; 0: none is.
        self._saving_since_us = 0

    def begin_from(self, snapshot: SnapshotHeader | None) -> None:
        """Count from the snapshot that the state was built from; None: it was built from the log alone."""
        self._schedule = SnapshotSchedule(
            every_us=self._config.snapshot_every_us,
            every_entries=self._config.snapshot_every_entries,
            count=snapshot.count if snapshot else 0,
            monotonic_us=self._clock.monotonic_us(),
        )
        if snapshot is not None:
            self._status.note_verified(snapshot)

    def is_due(self, shard: Shard) -> bool:
        """Return whether it is time for a snapshot, and the one before is written."""
        is_due = self._schedule.is_due(shard.position.applied, self._clock.monotonic_us())
        return is_due and not self._store.is_busy()

    def take(self, shard: Shard) -> bool:
        """Hand the present state to the store if it is newer than the last.

        The caller waits for the copy, not for the disk. Errors: InvariantError when the state contradicts itself.
        """
        if self._store.is_busy() or not self._schedule.is_newer(shard.position.applied):
            return False
        began_us = self._clock.monotonic_us()
        self._probe("before_snapshot")
        shard.settle()
        self._store.save(self._copy_of(shard))
        now_us = self._clock.monotonic_us()
        self._schedule.taken(shard.position.applied, now_us, now_us - began_us)
        self._status.snapshot_pause_us = now_us - began_us
        self._saving_since_us = began_us
        self._probe("after_snapshot")
        return True

    def _copy_of(self, shard: Shard) -> Callable[[], tuple[SnapshotHeader, bytes]]:
        def copy() -> tuple[SnapshotHeader, bytes]:
            shard.machine.verify()
            header = header_of(
                shard.machine,
                shard.position,
                prefix=self._config.prefix,
                shard=self._config.shard,
                shards=self._config.shards,
                build=self._config.build,
                now_us=self._clock.now_us(),
            )
            return header, shard.machine.dump()

        return copy

    def note(self) -> None:
        """Show what became of the last snapshot.

        Errors: InvariantError when the state was found to contradict itself while it was copied.
        """
        if self._saving_since_us and not self._store.is_busy():
            self._schedule.written(self._clock.monotonic_us() - self._saving_since_us)
            self._saving_since_us = 0
        saved = self._store.status()
        self._status.snapshot_failure = saved.failure
        if saved.newest is not None:
            self._status.note_verified(saved.newest)
        if saved.contradiction:
            raise InvariantError(saved.contradiction)

    def finish(self, shard: Shard) -> None:
        """Take a last snapshot and wait until it is written, as long as a stop may last; errors as take() and note()."""
        self._store.flush(self._config.drain_us)
        self.take(shard)
        self._store.flush(self._config.drain_us)
        self.note()
