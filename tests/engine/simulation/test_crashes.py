"""Seeded simulations: whatever breaks and however often, the history is the one of a run in which nothing broke."""

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from engine.adapters.compose import CoreMachines
from engine.adapters.memory import (
    Fault,
    FaultPlan,
    MemoryClock,
    Process,
    SimulatedCrashError,
    World,
    no_faults,
)
from engine.config import EngineConfig, SnapshotKey
from engine.runtime.errors import HaltCode, HaltError
from engine.runtime.ports import MachineFactory, Output, StateMachine
from engine.values import text_from_entry_id
from tests.engine.simulation.histories import Entry, real_history, seeded, tiny_history
from tests.engine.simulation.tiny_machine import TinyMachines

CONFIG = EngineConfig(
    prefix="",
    log_redis_url="unix:///nowhere",
    redis_url="unix:///nowhere",
    snapshot_dir=Path("nowhere"),
    snapshot_keys=(SnapshotKey(key_id="k", secret=bytes(32)),),
    build="test",
    snapshot_every_entries=7,
    batch_entries_max=5,
    batch_bytes_max=1_200,
    publish_outputs_min=2,
    lease_wait_us=100_000,
)

# What can go wrong at each point where more than a kill is possible; elsewhere a kill is.
FAULTS = {
    "publish": (Fault.CRASH, Fault.LOST_CALL, Fault.VANISHED, Fault.LOST_REPLY),
    "published": (Fault.CRASH, Fault.LOST_CALL),
    "has_answer": (Fault.CRASH, Fault.DELAYED, Fault.DELAYED),
    "wait": (Fault.CRASH, Fault.LOST_CALL),
    "raise_epoch": (Fault.CRASH, Fault.LOST_CALL, Fault.LOST_REPLY),
    "checkpoint": (Fault.CRASH, Fault.LOST_CALL),
    "reconnect": (Fault.CRASH, Fault.LOST_CALL),
    "read_input": (Fault.CRASH, Fault.LOST_CALL),
    "read_outputs": (Fault.CRASH, Fault.LOST_CALL),
    "save": (Fault.CRASH, Fault.TORN, Fault.VANISHED),
    "register": (Fault.CRASH, Fault.LOST_CALL),
    "trim": (Fault.CRASH, Fault.LOST_CALL),
}
POINTS = (
    *FAULTS,
    "after_fence",
    "after_load",
    "after_evolve",
    "before_read",
    "after_read",
    "mid_apply",
    "after_apply",
    "after_publish",
    "before_snapshot",
    "after_snapshot",
)


class SeededFaults:
    """Lets things go wrong by a seed, as often as its budget allows, and counts where."""

    def __init__(self, chooser: random.Random, *, budget: int) -> None:
        self._chooser = chooser
        self._budget = budget
        # A seed favours some points, so that each is also met several times in a row.
        self._percent = {
            point: chooser.choice((0, 1, 3, 15)) for point in (*POINTS, "before_takeover")
        }
        self.met: Counter[tuple[str, Fault]] = Counter()

    def __call__(self, point: str) -> Fault:
        if not self._budget or self._chooser.randrange(100) >= self._percent[point]:
            return Fault.NONE
        self._budget -= 1
        fault = self._chooser.choice(FAULTS.get(point, (Fault.CRASH,)))
        self.met[point, fault] += 1
        return fault


def process_in(
    world: World,
    machines: MachineFactory,
    plan: FaultPlan,
    history: Sequence[Entry],
    owner: str,
    *,
    config: EngineConfig = CONFIG,
    host: str = "here",
) -> Process:
    # The wall clock stands at the end of the history: nothing that is decided depends on when it is decided.
    clock = MemoryClock(now_us=(history[-1].at_ms + 1) * 1000)
    return Process(
        world, config=config, machines=machines, plan=plan, clock=clock, owner=owner, host=host
    )


def undisturbed(history: Sequence[Entry], machines: MachineFactory) -> tuple[World, StateMachine]:
    """Run a history in which nothing breaks."""
    world = World()
    for entry in history:
        world.append(entry.message, at_ms=entry.at_ms)
    process = process_in(world, machines, no_faults, history, "first")
    process.runner.start()
    while process.status.position.applied < len(history):
        process.runner.step()
    return world, process.runner.machine


def disturbed(
    history: Sequence[Entry], machines: MachineFactory, chooser: random.Random
) -> tuple[World, StateMachine, SeededFaults]:
    """Run the same history under faults, each kill followed by a new process, sometimes beside a living old one."""
    world = World()
    plan = SeededFaults(chooser, budget=chooser.randrange(1, 25))
    waiting = list(history)
    zombies: list[Process] = []
    started = 0
    process: Process | None = None
    while True:
        for _ in range(chooser.randrange(6)):
            if waiting:
                entry = waiting.pop(0)
                world.append(entry.message, at_ms=entry.at_ms)
        consume(world, chooser)
        try:
            if process is None:
                started += 1
                world.lease_owner = ""
                process = process_in(world, machines, plan, history, f"engine {started}")
                process.runner.start()
            process.runner.step()
            process.trimmer.beat()
        except SimulatedCrashError:
            process = None
            continue
        if zombies and chooser.randrange(3) == 0:
            step_zombie(zombies.pop(), world)
        if not waiting and process.status.position.applied == len(history):
            return world, process.runner.machine, plan
        if chooser.randrange(60) == 0:
            # The host stalls: its lease lapses, another engine starts, and later the first wakes up.
            zombies.append(process)
            process = None


def consume(world: World, chooser: random.Random) -> None:
    """Let a durable consumer come some outputs further, and say so."""
    reached = world.consumers.get("projector", 0)
    behind = [output.entry_id for output in world.outputs if output.entry_id > reached]
    world.consumers["projector"] = [reached, *behind][chooser.randrange(len(behind) + 1)]


def step_zombie(zombie: Process, world: World) -> None:
    """Let an engine act that was replaced: it may read, but never publish."""
    before = (list(world.outputs), world.checkpoint)
    code = None
    try:
        for _ in range(3):
            zombie.runner.step()
            zombie.trimmer.beat()
    except SimulatedCrashError:
        pass
    except HaltError as error:
        code = error.code
    assert code in {None, HaltCode.FENCED, HaltCode.LEASE_HELD}
    assert (world.outputs, world.checkpoint) == before


def bodies(outputs: Sequence[Output]) -> list[Output]:
    """Return outputs without what differs from run to run: the epoch."""
    return [output._replace(epoch=0) for output in outputs]


def assert_same(
    seed: int, expected: tuple[World, StateMachine], found: tuple[World, StateMachine]
) -> None:
    calm, calm_machine = expected
    world, machine = found
    note = f"seed {seed}"
    assert bodies(world.outputs) == bodies(calm.outputs), note
    assert world.checkpoint is not None, note
    assert calm.checkpoint is not None, note
    assert world.checkpoint.position == calm.checkpoint.position, note
    assert machine.state_hash() == calm_machine.state_hash(), note
    machine.verify()


def assert_exactly_once(world: World) -> None:
    """Check what every reader of the output stream relies on."""
    input_ids = {entry.entry_id for entry in world.inputs}
    ids = [output.entry_id for output in world.outputs]
    assert ids == sorted(set(ids))
    assert input_ids.issuperset(ids)
    assert [output.number for output in world.outputs] == list(range(1, len(ids) + 1))


@pytest.mark.parametrize("block", range(10))
def test_faults_leave_no_trace_in_the_tiny_history(block: int) -> None:
    met: Counter[tuple[str, Fault]] = Counter()
    trimmed = 0
    for seed in range(block * 300, block * 300 + 300):
        chooser = seeded(seed)
        history = tiny_history(chooser, 40)
        calm = undisturbed(history, TinyMachines())

        world, machine, plan = disturbed(history, TinyMachines(), chooser)

        assert_exactly_once(world)
        assert_same(seed, calm, (world, machine))
        met += plan.met
        trimmed += world.input_below > 0
    # A simulation that meets no faults, or never trims, would prove nothing.
    assert trimmed > 30
    assert {point for point, _ in met} == set(POINTS)


@pytest.mark.parametrize("story", range(6))
def test_faults_leave_no_trace_in_a_trading_history(story: int) -> None:
    machines = CoreMachines(shard=0, shards=1)
    history = real_history(9_000 + story, 60)
    calm = undisturbed(history, machines)
    for seed in range(story * 25, story * 25 + 25):
        world, machine, _ = disturbed(history, machines, seeded(seed))

        assert_exactly_once(world)
        assert_same(seed, calm, (world, machine))


def test_a_kill_at_every_point_of_the_first_batches_leaves_no_trace() -> None:
    history = tiny_history(seeded(1), 30)
    calm = undisturbed(history, TinyMachines())
    for point in POINTS:
        for hit in (1, 2, 3, 7):
            world, machine = killed_once(history, point, hit)

            assert_exactly_once(world)
            assert_same(hit, calm, (world, machine))


def killed_once(history: Sequence[Entry], point: str, hit: int) -> tuple[World, StateMachine]:
    """Run a history and kill the process when a point is met for the n-th time."""
    left = [hit]

    def plan(met: str) -> Fault:
        left[0] -= met == point
        return Fault.CRASH if met == point and left[0] == 0 else Fault.NONE

    world = World()
    for entry in history:
        world.append(entry.message, at_ms=entry.at_ms)
    process = None
    while process is None or process.status.position.applied < len(history):
        try:
            if process is None:
                world.lease_owner = ""
                process = process_in(world, TinyMachines(), plan, history, "engine")
                process.runner.start()
            process.runner.step()
            world.consumers["projector"] = world.outputs[-1].entry_id if world.outputs else 0
            process.trimmer.beat()
        except SimulatedCrashError:
            process = None
    return world, process.runner.machine


def test_history_is_evolved_and_not_decided_again() -> None:
    """What an older build decided stands, also where this one would decide otherwise."""
    history = tiny_history(seeded(5), 40)
    world, _ = undisturbed(history, TinyMachines())
    recorded = list(world.outputs)

    class Stubborn(TinyMachines):
        def new(self):
            machine = super().new()
            machine.decide = None
            return machine

    world.lease_owner = ""
    world.snapshots.clear()
    process = process_in(world, Stubborn(), no_faults, history, "second")
    process.runner.start()

    assert world.outputs == recorded
    assert text_from_entry_id(process.status.position.entry_id) == text_from_entry_id(
        world.inputs[-1].entry_id
    )
