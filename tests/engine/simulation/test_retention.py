"""What the log may forget, and what it tells people when it may not."""

from collections.abc import Mapping

import pytest

from engine.adapters.memory import Fault, MemoryClock, MemoryRetention, World, no_faults
from engine.messages.health import EngineState
from engine.runtime.ports import Output, SnapshotHeader
from engine.runtime.retention import SILENT_US_MAX, Registration, Trimmer, bounds
from engine.runtime.status import Status
from engine.values import entry_id_from_text

MINUTE = 60_000_000


def at(ms: int) -> int:
    return entry_id_from_text(f"{ms}-0")


def registered(*entry_ids: str, at_us: int = 0) -> Registration:
    return Registration(entry_ids=entry_ids, state_hash="00", registered_at_us=at_us)


def output(ms: int) -> Output:
    return Output(at(ms), 1, b"", 0, "", b"", b"[]", b"", 0, 1, "test", b"")


@pytest.mark.parametrize(
    ("registrations", "consumers", "expected"),
    [
        ({}, {"projector": at(90)}, (0, 0)),
        ({"a": registered("50-0")}, {"projector": at(90)}, (0, 0)),
        ({"a": registered("50-0", "40-0")}, {"projector": at(90)}, (at(40), at(40))),
        ({"a": registered("50-0", "40-0")}, {"projector": at(30)}, (at(40), at(30))),
        ({"a": registered("50-0", "40-0")}, {}, (at(40), 0)),
        (
            {"a": registered("50-0", "40-0"), "b": registered("45-0", "20-0")},
            {"projector": at(90), "archive": at(80)},
            (at(20), at(20)),
        ),
        ({"a": registered("50-0", "40-0"), "b": registered("45-0")}, {"projector": at(9)}, (0, 0)),
    ],
)
def test_the_oldest_need_decides(
    registrations: Mapping[str, Registration],
    consumers: Mapping[str, int],
    expected: tuple[int, int],
) -> None:
    found = bounds(registrations, consumers)

    assert (found.input_below, found.outputs_below) == expected


def header(entry_id: str) -> SnapshotHeader:
    return SnapshotHeader(
        format=1,
        build="test",
        stream="stream:exness",
        shard=0,
        shards=1,
        entry_id=entry_id,
        number=1,
        count=1,
        chain="00",
        state_hash="11",
        taken_at_us=1,
    )


class FillingDisk(MemoryRetention):
    """A log out of reach beside a disk that is as full as a test says."""

    def __init__(self, world: World, percent: int) -> None:
        super().__init__(world, lambda _: Fault.LOST_CALL, "here")
        self._percent = percent

    def disk_percent(self) -> int:
        return self._percent


class Engine:
    """A trimmer with its world, ten minutes after two snapshots."""

    def __init__(self, *, disk_percent: int | None = None) -> None:
        self.world = World()
        for ms in range(0, 1_200_000, 60_000):
            self.world.append(b"", at_ms=ms + 1)
        self.clock = MemoryClock(now_us=1_200 * 1_000_000)
        self.clock.running_us = MINUTE
        self.status = Status(shard=0, shards=1, build="test")
        self.status.state = EngineState.LIVE
        last = self.world.inputs[-1].entry_id
        self.status.position = self.status.position._replace(entry_id=last, applied=20)
        self.status.note_verified(header("1020001-0"))
        self.status.note_verified(header("1080001-0"))
        retention = (
            MemoryRetention(self.world, no_faults, "here")
            if disk_percent is None
            else FillingDisk(self.world, disk_percent)
        )
        self.trimmer = Trimmer(
            retention=retention,
            clock=self.clock,
            status=self.status,
        )

    def alarms(self) -> tuple[str, ...]:
        self.trimmer.beat()
        return self.status.health(self.clock.now_us(), 1).alarms


def test_a_lively_pair_trims_and_raises_no_alarm() -> None:
    engine = Engine()
    engine.world.consumers["projector"] = at(1_080_001)

    assert engine.alarms() == ()
    assert engine.world.input_below == at(1_020_001)
    assert engine.world.outputs_below == at(1_020_001)


def test_a_standby_registers_and_trims_nothing() -> None:
    engine = Engine()
    engine.status.state = EngineState.STANDBY
    engine.world.consumers["projector"] = at(1_080_001)

    engine.trimmer.beat()

    assert engine.world.registrations["here"].entry_ids == ("1080001-0", "1020001-0")
    assert engine.world.input_below == 0


def test_a_consumer_that_stays_behind_is_named_and_one_without_anything_new_is_not() -> None:
    engine = Engine()
    engine.world.consumers["projector"] = at(60_001)
    engine.world.outputs.append(output(60_001))
    assert engine.alarms() == ()
    engine.world.outputs.append(output(120_001))

    (alarm,) = engine.alarms()

    assert alarm.startswith("TRIM_BLOCKED")
    assert "consumer projector" in alarm


def test_a_host_that_stays_behind_is_named_and_after_an_hour_of_silence_struck_off() -> None:
    engine = Engine()
    engine.world.consumers["projector"] = at(1_080_001)
    now_us = engine.clock.now_us()
    engine.world.registrations["there"] = registered("70001-0", "60001-0", at_us=now_us)

    behind = engine.alarms()
    held_below = engine.world.input_below
    engine.clock.wall_us += SILENT_US_MAX + 1
    engine.clock.running_us += 3 * MINUTE + 1
    later = engine.alarms()

    assert "host there" in behind[0]
    assert held_below == at(60_001)
    assert "there" not in engine.world.registrations
    assert later == ()
    assert engine.world.input_below == at(1_020_001)


@pytest.mark.parametrize("jump_us", [SILENT_US_MAX * 24, -SILENT_US_MAX * 24])
def test_a_clock_that_jumps_strikes_no_living_host_off(jump_us: int) -> None:
    engine = Engine()
    engine.world.consumers["projector"] = at(1_080_001)
    there_us = engine.clock.now_us()
    engine.world.registrations["there"] = registered("70001-0", "60001-0", at_us=there_us)
    engine.trimmer.beat()
    engine.clock.wall_us += jump_us

    for _ in range(100):
        # The other host's clock is right, and it says so each minute.
        there_us += MINUTE
        engine.clock.wall_us += MINUTE
        engine.clock.running_us += MINUTE
        engine.world.registrations["there"] = registered("70001-0", "60001-0", at_us=there_us)
        engine.trimmer.beat()

        assert "there" in engine.world.registrations
    assert engine.world.input_below == at(60_001)


def test_a_host_whose_clock_was_ahead_is_struck_off_after_an_hour_of_watching() -> None:
    engine = Engine()
    ahead_us = engine.clock.now_us() + SILENT_US_MAX * 24
    engine.world.registrations["there"] = registered("70001-0", "60001-0", at_us=ahead_us)
    engine.trimmer.beat()
    engine.clock.running_us += SILENT_US_MAX

    engine.trimmer.beat()
    early = set(engine.world.registrations)
    engine.clock.running_us += 1
    engine.trimmer.beat()

    assert early == {"here", "there"}
    assert set(engine.world.registrations) == {"here"}


def test_a_host_that_was_silent_before_this_engine_began_is_watched_first() -> None:
    engine = Engine()
    old_us = engine.clock.now_us() - SILENT_US_MAX - 1
    engine.world.registrations["there"] = registered("70001-0", "60001-0", at_us=old_us)
    engine.trimmer.beat()
    first = set(engine.world.registrations)
    engine.clock.running_us += 3 * MINUTE + 1
    engine.trimmer.beat()

    assert first == {"here", "there"}
    assert set(engine.world.registrations) == {"here"}


def test_outputs_without_any_consumer_are_kept_and_told_of() -> None:
    engine = Engine()
    engine.world.outputs.append(output(60_001))
    engine.status.position = engine.status.position._replace(number=100_000)

    (alarm,) = engine.alarms()

    assert "no durable consumer" in alarm
    assert engine.world.outputs_below == 0


def test_a_disk_is_an_alarm_from_eighty_percent_on_also_while_the_log_is_away() -> None:
    calm, full = Engine(disk_percent=79), Engine(disk_percent=80)

    assert calm.alarms() == ()
    assert full.alarms() == ("DISK: the disk of the snapshots is 80 % full",)


def test_memory_of_the_log_is_an_alarm_from_sixty_percent_on() -> None:
    engine = Engine()
    engine.status.log_memory_percent = 59
    calm = engine.status.health(1, 1).alarms
    engine.status.log_memory_percent = 60

    assert calm == ()
    assert engine.status.health(1, 1).alarms == ("LOG_MEMORY: the log's server uses 60 %",)
