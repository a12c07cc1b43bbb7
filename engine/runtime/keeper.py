"""Takes the snapshots of one engine: when, of what, and what became of them."""

from collections.abc import Callable, Iterator
from typing import Final

from engine.config import EngineConfig
from engine.runtime.ports import Clock, Probe, SnapshotHeader, SnapshotStore
from engine.runtime.shard import Shard
from engine.runtime.snapshots import SnapshotSchedule, header_of
from engine.runtime.status import Status
from engine.values import InvariantError

# Where the copy is made between two entries, the state is checked for so long at a time, and not more often than that.
_SLICE_US: Final = 10_000
_SLICE_EVERY_US: Final = 50_000


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
        # The newest snapshot of the store that was shown already.
        self._noted: SnapshotHeader | None = None
        # Monotonic time at which the save in work began, microseconds; 0: none is.
        self._saving_since_us = 0
        # The check under way for the next snapshot (None: it has not begun), when its last slice ended, what its slices
        # took together, and the longest of them.
        self._verifying: Iterator[None] | None = None
        self._sliced_us = 0
        self._verified_us = 0
        self._longest_us = 0

    def begin_from(self, snapshot: SnapshotHeader | None) -> None:
        """Count from the snapshot that the state was built from; None: it was built from the log alone."""
        self._verifying = None
        self._schedule = SnapshotSchedule(
            every_us=self._config.snapshot_every_us,
            every_entries=self._config.snapshot_every_entries,
            count=snapshot.count if snapshot else 0,
            monotonic_us=self._clock.monotonic_us(),
        )
        self._noted = self._store.status().newest
        self._status.begin_from(snapshot)

    def is_due(self, shard: Shard) -> bool:
        """Return whether it is time for a snapshot, the one before is written, and the state was checked for it.

        A forked copy checks itself. Else the check goes on a little with each call, so that it stops nobody for long.
        Errors: InvariantError when the state contradicts itself.
        """
        is_due = self._schedule.is_due(shard.position.applied, self._clock.monotonic_us())
        if not is_due or self._store.is_busy():
            return False
        return self._config.is_dedicated or self._verify_on(shard)

    def _verify_on(self, shard: Shard) -> bool:
        """Check a slice of the state, and return whether all of it was checked."""
        began_us = self._clock.monotonic_us()
        if self._verifying is None:
            self._verifying = shard.machine.verifying()
            self._verified_us = self._longest_us = 0
        elif began_us - self._sliced_us < _SLICE_EVERY_US:
            return False
        is_whole = True
        for _ in self._verifying:
            if self._clock.monotonic_us() - began_us >= _SLICE_US:
                is_whole = False
                break
        self._sliced_us = self._clock.monotonic_us()
        took_us = self._sliced_us - began_us
        self._verified_us += took_us
        self._longest_us = max(self._longest_us, took_us)
        return is_whole

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
        self._schedule.taken(shard.position.applied, now_us, now_us - began_us + self._verified_us)
        self._status.snapshot_pause_us = max(now_us - began_us, self._longest_us)
        self._saving_since_us = began_us
        self._verifying = None
        self._verified_us = self._longest_us = 0
        self._probe("after_snapshot")
        return True

    def _copy_of(self, shard: Shard) -> Callable[[], tuple[SnapshotHeader, bytes]]:
        # What is left of the check: nothing after is_due(), all of it in a forked copy and at a stop.
        left = self._verifying or shard.machine.verifying()

        def copy() -> tuple[SnapshotHeader, bytes]:
            for _ in left:
                pass
            body, state_hash = shard.machine.copy()
            header = header_of(
                state_hash,
                shard.position,
                prefix=self._config.prefix,
                shard=self._config.shard,
                shards=self._config.shards,
                build=self._config.build,
                now_us=self._clock.now_us(),
            )
            return header, body

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
        if saved.newest is not None and saved.newest is not self._noted:
            self._noted = saved.newest
            self._status.note_verified(saved.newest)
        if saved.contradiction:
            raise InvariantError(saved.contradiction)

    def finish(self, shard: Shard) -> None:
        """Take a last snapshot and wait until it is written, as long as a stop may last; errors as take() and note()."""
        deadline_us = self._clock.monotonic_us() + self._config.drain_us
        self._store.flush(self._config.drain_us)
        self.take(shard)
        self._store.flush(max(0, deadline_us - self._clock.monotonic_us()))
        self.note()
