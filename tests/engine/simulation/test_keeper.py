"""Snapshots that are copied between two entries: the state is checked in slices first, and the longest stop is told."""

from collections.abc import Iterator
from dataclasses import replace

import msgspec
import pytest

from engine.adapters.memory import Fault, MemoryClock, MemorySnapshots, World
from engine.config import EngineConfig
from engine.runtime.keeper import SnapshotKeeper
from engine.runtime.ports import Position, Snapshot, probe_nothing
from engine.runtime.shard import Shard
from engine.runtime.status import Status
from tests.engine.simulation.test_crashes import CONFIG
from tests.engine.simulation.tiny_machine import TinyMachine

MS = 1_000
PARTS = 5


class SlowMachine(TinyMachine):
    """A machine of which each part takes seven milliseconds to check, and the copy thirty."""

    def __init__(self, clock: MemoryClock) -> None:
        super().__init__()
        self._clock = clock
        self.checked = 0

    def verifying(self) -> Iterator[None]:
        for _ in range(PARTS):
            self._clock.running_us += 7 * MS
            self.checked += 1
            yield

    def copy(self) -> tuple[bytes, bytes]:
        self._clock.running_us += 30 * MS
        return super().copy()


@pytest.fixture
def clock() -> MemoryClock:
    return MemoryClock()


@pytest.fixture
def machine(clock: MemoryClock) -> SlowMachine:
    return SlowMachine(clock)


@pytest.fixture
def shard(machine: SlowMachine) -> Shard:
    return Shard(machine, Position(entry_id=1, applied=10), epoch=1, build="test")


@pytest.fixture
def status() -> Status:
    return Status(shard=0, shards=1, build="test")


def keeper_of(
    config: EngineConfig, clock: MemoryClock, status: Status, store: MemorySnapshots | None = None
) -> SnapshotKeeper:
    store = store or MemorySnapshots(World(), lambda _: Fault.NONE, "host")
    keeper = SnapshotKeeper(
        config=replace(config, snapshot_every_entries=10),
        store=store,
        clock=clock,
        status=status,
        probe=probe_nothing,
    )
    keeper.begin_from(None)
    return keeper


def test_the_state_is_checked_in_slices_before_it_is_copied(clock, machine, shard, status) -> None:
    keeper = keeper_of(CONFIG, clock, status)

    first = keeper.is_due(shard), machine.checked
    at_once = keeper.is_due(shard), machine.checked
    clock.running_us += 50 * MS
    second = keeper.is_due(shard), machine.checked
    clock.running_us += 50 * MS
    third = keeper.is_due(shard), machine.checked
    keeper.take(shard)

    assert [first, at_once, second, third] == [(False, 2), (False, 2), (False, 4), (True, 5)]
    # Nothing is checked again in the copy, which is the longest stop.
    assert machine.checked == PARTS
    assert status.snapshot_pause_us == 30 * MS


def test_a_stop_checks_what_is_left(clock, machine, shard, status) -> None:
    keeper = keeper_of(CONFIG, clock, status)
    keeper.is_due(shard)

    keeper.finish(shard)

    assert machine.checked == PARTS
    assert status.snapshot is not None


class SlowSnapshots(MemorySnapshots):
    """A store whose save in work ends only after two seconds."""

    def __init__(self, clock: MemoryClock) -> None:
        super().__init__(World(), lambda _: Fault.NONE, "host")
        self._clock = clock
        self.waits_us: list[int] = []

    def flush(self, timeout_us: int) -> None:
        self.waits_us.append(timeout_us)
        self._clock.running_us += min(timeout_us, 2_000 * MS)


def test_a_stop_waits_for_the_disk_once_however_many_snapshots_are_in_work(
    clock, shard, status
) -> None:
    store = SlowSnapshots(clock)
    keeper = keeper_of(replace(CONFIG, drain_us=3_000 * MS), clock, status, store)

    keeper.finish(shard)

    # The check and the copy of the last one take time too.
    assert store.waits_us == [3_000 * MS, 1_000 * MS - PARTS * 7 * MS - 30 * MS]


def test_a_forked_copy_checks_itself(clock, machine, shard, status) -> None:
    keeper = keeper_of(replace(CONFIG, is_dedicated=True), clock, status)

    is_due = keeper.is_due(shard), machine.checked
    keeper.take(shard)

    assert is_due == (True, 0)
    assert machine.checked == PARTS


def read_anew(store: MemorySnapshots, nth: int) -> Snapshot:
    """Return the nth newest snapshot as a file gives it: equal to what was saved, and another object."""
    found = list(store.newest_first())[nth]
    assert isinstance(found, Snapshot)
    return found._replace(header=msgspec.structs.replace(found.header))


def test_a_recovery_in_the_same_process_counts_no_snapshot_twice(
    clock, machine, shard, status
) -> None:
    store = MemorySnapshots(World(), lambda _: Fault.NONE, "host")
    keeper = keeper_of(CONFIG, clock, status, store)
    keeper.take(shard)
    keeper.note()

    keeper.begin_from(read_anew(store, 0).header)
    keeper.note()

    # The log is kept for the second newest: with one there is none.
    assert [header.count for header in status.verified] == [10]


def test_a_snapshot_that_a_recovery_refused_holds_the_log_no_more(
    clock, machine, shard, status
) -> None:
    store = MemorySnapshots(World(), lambda _: Fault.NONE, "host")
    keeper = keeper_of(CONFIG, clock, status, store)
    for entry_id in (20, 30):
        keeper.take(shard)
        keeper.note()
        shard.position = Position(entry_id=entry_id, applied=entry_id)

    keeper.begin_from(read_anew(store, 1).header)
    keeper.note()

    assert [header.count for header in status.verified] == [10]
