"""The heartbeat's decisions: when the lease is kept, when time passes, and when health is told."""

import pytest

from engine.adapters.memory import (
    MemoryClock,
    MemoryLease,
    MemoryMonitor,
    MemoryRetention,
    World,
    no_faults,
)
from engine.messages.health import EngineState
from engine.runtime.heartbeat import Heartbeat
from engine.runtime.retention import Trimmer
from engine.runtime.snapshots import SnapshotSchedule
from engine.runtime.status import Status
from tests.engine.simulation.test_crashes import CONFIG

SECOND = 1_000_000


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def status() -> Status:
    live = Status(shard=0, shards=1, build="test")
    live.state = EngineState.LIVE
    live.epoch = 1
    return live


@pytest.fixture
def heartbeat(world, status) -> Heartbeat:
    clock = MemoryClock()
    return Heartbeat(
        config=CONFIG,
        lease=MemoryLease(world, "ours"),
        monitor=MemoryMonitor(),
        trimmer=Trimmer(
            retention=MemoryRetention(world, no_faults, "here"), clock=clock, status=status
        ),
        clock=clock,
        status=status,
    )


def test_the_lease_is_kept_through_a_long_batch_and_given_up_in_a_stuck_one(
    heartbeat, world, status
) -> None:
    status.batch_began_us = 1
    heartbeat._renew(29 * SECOND)
    kept = world.lease_owner
    world.lease_owner = ""
    heartbeat._renew(31 * SECOND)

    assert kept == "ours"
    assert world.lease_owner == ""


def test_a_tick_is_due_a_quarter_second_after_the_last_arrival(heartbeat, status) -> None:
    status.arrived_us = 10 * SECOND
    early = heartbeat._tick(10 * SECOND + 249_999)
    ticks_early = heartbeat._lease.ticks
    next_due = heartbeat._tick(10 * SECOND + 250_000)

    assert (early, ticks_early) == (10 * SECOND + 250_000, 0)
    assert (next_due, heartbeat._lease.ticks) == (10 * SECOND + 500_000, 1)


@pytest.mark.parametrize("state", [EngineState.RECOVERING, EngineState.RECONNECTING])
def test_no_time_passes_while_the_engine_is_not_live(heartbeat, status, state) -> None:
    status.state = state

    heartbeat._tick(10 * SECOND)

    assert heartbeat._lease.ticks == 0


def test_an_engine_without_its_lease_appends_trims_and_reports_nothing(heartbeat, world) -> None:
    world.lease_owner = "another"
    heartbeat._renew(SECOND)

    heartbeat._tick(10 * SECOND)
    heartbeat._maintain()

    assert heartbeat._lease.ticks == 0
    assert world.registrations == {}
    assert heartbeat._monitor.reports == []


def broken(*_arguments: object) -> None:
    raise RuntimeError("nobody foresaw it")


@pytest.mark.parametrize(
    ("part", "name"),
    [
        ("_lease", "renew"),
        ("_lease", "append_tick"),
        ("_lease", "input_added"),
        ("_trimmer", "beat"),
    ],
)
def test_what_nobody_foresaw_in_one_part_stops_no_other_and_is_told(
    heartbeat, world, status, monkeypatch, part, name
) -> None:
    heartbeat._clock.running_us = 10 * SECOND
    with monkeypatch.context() as faulty:
        faulty.setattr(getattr(heartbeat, part), name, broken)
        for _ in range(6):
            heartbeat._beat()
            heartbeat._clock.running_us += SECOND // 4
        failed = heartbeat._monitor.reports[-1].alarms
    for _ in range(8):
        heartbeat._beat()
        heartbeat._clock.running_us += SECOND // 4

    assert failed == ("HEARTBEAT: a part of the heartbeat failed: RuntimeError: nobody foresaw it",)
    assert heartbeat._monitor.reports[-1].alarms == ()
    assert heartbeat._lease.ticks == (8 if name == "append_tick" else 14)
    assert world.lease_owner == "ours"


def test_health_counts_what_waits(heartbeat, world, status) -> None:
    for at_ms in (1_000, 2_000, 3_000):
        world.append(b"", at_ms=at_ms)
    status.position = status.position._replace(entry_id=world.inputs[0].entry_id, applied=1)
    heartbeat._clock.wall_us = 3 * SECOND

    heartbeat._count_input()
    heartbeat._report()

    (report,) = heartbeat._monitor.reports
    assert (report.lag_entries, report.lag_ms, report.entry_id) == (2, 2_000, "1000-0")


def test_a_snapshot_is_due_by_time_or_entries_but_never_without_entries() -> None:
    schedule = SnapshotSchedule(every_us=60 * SECOND, every_entries=100, count=5, monotonic_us=0)

    assert not schedule.is_due(5, 90 * SECOND)
    assert schedule.is_due(6, 60 * SECOND)
    assert not schedule.is_due(104, 59 * SECOND)
    assert schedule.is_due(105, 1)


def test_snapshots_never_take_more_than_a_fiftieth_of_the_time() -> None:
    schedule = SnapshotSchedule(every_us=60 * SECOND, every_entries=100, count=0, monotonic_us=0)
    schedule.taken(100, SECOND, pause_us=200_000)

    assert not schedule.is_due(500, SECOND + 9_999_999)
    assert schedule.is_due(500, SECOND + 10_000_000)
