"""Two engines and every fault: whoever leads, the output is that of one undisturbed engine."""

import random
from collections import Counter
from collections.abc import Sequence

import msgspec
import pytest

from engine.adapters.compose import CoreMachines
from engine.adapters.memory import Fault, Process, SimulatedCrashError, World, no_faults
from engine.core.machine import Outcome
from engine.messages.commands import Tick
from engine.messages.health import EngineState
from engine.runtime.errors import HaltCode, HaltError
from engine.runtime.ports import MachineFactory, StateMachine, StreamState
from engine.runtime.standby import _PAGE
from tests.engine.simulation.histories import START_MS, Entry, real_history, seeded, tiny_history
from tests.engine.simulation.test_crashes import (
    CONFIG,
    SeededFaults,
    assert_exactly_once,
    assert_same,
    consume,
    process_in,
    undisturbed,
)
from tests.engine.simulation.tiny_machine import TinyMachine, TinyMachines

FIELDS = {name: getattr(CONFIG, name) for name in CONFIG.__slots__}
PAIR = type(CONFIG)(**(FIELDS | {"is_standby": True}))
OTHER_BUILD = type(CONFIG)(**(FIELDS | {"is_standby": True, "build": "other"}))
HOSTS = ("left", "right")
# A standby that was away while the log was trimmed asks for a copy of a snapshot.
NEEDS_A_COPY = {HaltCode.SNAPSHOTS_UNUSABLE, HaltCode.INPUT_GAP}


@pytest.mark.parametrize("is_fenced", [True, False])
def test_who_slept_in_its_recovery_while_another_led_is_fenced_and_blames_no_log(
    monkeypatch: pytest.MonkeyPatch, is_fenced: bool
) -> None:
    history = tiny_history(seeded(5), 40)
    world, _ = undisturbed(history, TinyMachines())
    world.lease_owner = ""
    sleeper = process_in(world, TinyMachines(), no_faults, history, "sleeper")
    output_state = sleeper.log.output_state

    def wakes() -> StreamState:
        # Its checkpoint is read. Another engine, or a foreign hand, writes on before it reads on.
        world.epoch += is_fenced
        last = world.outputs[-1]
        world.outputs.append(last._replace(entry_id=last.entry_id + 1))
        return output_state()

    monkeypatch.setattr(sleeper.log, "output_state", wakes)

    with pytest.raises(HaltError) as halted:
        sleeper.runner.start()

    assert halted.value.code is (HaltCode.FENCED if is_fenced else HaltCode.OUTPUT_AHEAD)


class _TalkativeMachine(TinyMachine):
    """The next release: it has an output for a tick, which the one before passed in silence."""

    def decide(self, entry_id, message, digest=b"", decided_at_us=0):
        outcome = super().decide(entry_id, message, digest, decided_at_us)
        return Outcome(0, "", None, ()) if outcome is None and type(message) is Tick else outcome


class _TalkativeMachines(TinyMachines):
    def new(self):
        return _TalkativeMachine()

    def load(self, raw):
        machine = super().load(raw)
        machine.__class__ = _TalkativeMachine
        return machine


def test_a_standby_of_the_next_build_does_not_judge_what_the_build_before_passed_in_silence() -> (
    None
):
    # More than the standby applies between two looks, and no snapshot after them.
    silent = 2 * _PAGE
    history = [Entry(START_MS + number * 250, Tick()) for number in range(silent)]
    limits = {"snapshot_every_entries": 10 * silent, "snapshot_every_us": 10**12}
    before, after = (type(CONFIG)(**(FIELDS | limits | {"build": b})) for b in ("old", "new"))
    follows = type(CONFIG)(**(FIELDS | limits | {"build": "new", "is_standby": True}))
    world = World()
    for entry in history:
        world.append(entry.message, at_ms=entry.at_ms)
    old = process_in(world, TinyMachines(), no_faults, history, "old", config=before)
    old.runner.start()
    while old.status.position.applied < silent:
        old.runner.step()
    world.lease_owner = ""
    leader = process_in(world, _TalkativeMachines(), no_faults, history, "new", config=after)
    leader.runner.start()

    standby = process_in(
        world, _TalkativeMachines(), no_faults, history, "standby", config=follows, host="right"
    )
    standby.runner.start()
    for number in range(silent, silent + 4):
        world.append(Tick(), at_ms=START_MS + number * 250)
        while leader.status.position.applied <= number:
            leader.runner.step()
        for _ in range(3):
            standby.runner.step()

    assert len(world.outputs) == 4
    assert standby.status.position.applied == silent + 4
    assert standby.status.state is EngineState.STANDBY


class Pair:
    """Two hosts with an engine each; a host whose engine dies starts another."""

    def __init__(
        self, history: Sequence[Entry], machines: MachineFactory, chooser: random.Random
    ) -> None:
        self.world = World()
        self.takeovers = 0
        self._history = history
        self._machines = machines
        self._chooser = chooser
        self._plan = SeededFaults(chooser, budget=chooser.randrange(1, 25))
        self._engines: dict[str, Process | None] = dict.fromkeys(HOSTS)
        self._started: Counter[str] = Counter()

    @property
    def met(self) -> Counter[tuple[str, Fault]]:
        return self._plan.met

    def leader(self) -> Process | None:
        return next(
            (e for e in self._engines.values() if e and e.status.state is EngineState.LIVE), None
        )

    def step(self) -> None:
        host = self._chooser.choice(HOSTS)
        engine = self._engines[host]
        try:
            if engine is None:
                engine = self._start(host)
            was_standby = engine.status.is_standby
            engine.runner.step()
            engine.trimmer.beat()
            self.takeovers += was_standby and not engine.status.is_standby
        except SimulatedCrashError:
            self._died(host)
        except HaltError as error:
            is_away = error.code in NEEDS_A_COPY
            if error.code is not HaltCode.FENCED and not is_away:
                raise
            if is_away:
                other = HOSTS[host == HOSTS[0]]
                self.world.snapshots[host] = dict(self.world.snapshots.get(other, {}))
            self._died(host)
        if self._chooser.randrange(80) == 0:
            # The leader's host stalls: its lease lapses, though it lives.
            self.world.lease_owner = ""

    def _start(self, host: str) -> Process:
        self._started[host] += 1
        owner = f"{host} {self._started[host]}"
        config = self._chooser.choice((PAIR, PAIR, PAIR, OTHER_BUILD))
        engine = process_in(
            self.world, self._machines, self._plan, self._history, owner, config=config, host=host
        )
        self._engines[host] = engine
        engine.runner.start()
        return engine

    def _died(self, host: str) -> None:
        self._engines[host] = None
        if self.world.lease_owner.startswith(host):
            self.world.lease_owner = ""


def led_by_two(
    history: Sequence[Entry], machines: MachineFactory, chooser: random.Random
) -> tuple[Pair, StateMachine]:
    pair = Pair(history, machines, chooser)
    waiting = list(history)
    while True:
        for _ in range(chooser.randrange(4)):
            if waiting:
                entry = waiting.pop(0)
                pair.world.append(entry.message, at_ms=entry.at_ms)
        consume(pair.world, chooser)
        pair.step()
        leader = pair.leader()
        if not waiting and leader and leader.status.position.applied == len(history):
            return pair, leader.runner.machine


def without_build(world: World) -> World:
    world.outputs = [output._replace(build="test") for output in world.outputs]
    return world


@pytest.mark.parametrize("block", range(4))
def test_two_engines_write_the_history_of_one(block: int) -> None:
    takeovers = 0
    met: Counter[tuple[str, Fault]] = Counter()
    for seed in range(block * 200, block * 200 + 200):
        chooser = seeded(seed)
        history = tiny_history(chooser, 40)
        calm = undisturbed(history, TinyMachines())

        pair, machine = led_by_two(history, TinyMachines(), chooser)

        assert_exactly_once(pair.world)
        assert_same(seed, calm, (without_build(pair.world), machine))
        takeovers += pair.takeovers
        met += pair.met
    assert takeovers > 100
    assert ("before_takeover", Fault.CRASH) in met


def test_two_engines_write_the_trading_history_of_one() -> None:
    machines = CoreMachines(shard=0, shards=1)
    history = real_history(9_100, 60)
    calm = undisturbed(history, machines)
    for seed in range(30):
        pair, machine = led_by_two(history, machines, seeded(seed))

        assert_exactly_once(pair.world)
        assert_same(seed, calm, (without_build(pair.world), machine))


def followed(machines: MachineFactory) -> tuple[Process, Process, World, list[Entry]]:
    """Return a leader at the end of a history, a standby that has just begun to follow, their world and history."""
    history = tiny_history(seeded(3), 40)
    world = World()
    for entry in history:
        world.append(entry.message, at_ms=entry.at_ms)
    leader = process_in(world, TinyMachines(), no_faults, history, "left", config=PAIR)
    leader.runner.start()
    standby = process_in(
        world, machines, no_faults, history, "right", config=PAIR, host="elsewhere"
    )
    standby.runner.start()
    while leader.status.position.applied < len(history):
        leader.runner.step()
    return leader, standby, world, history


def test_a_standby_comes_to_the_same_state_and_keeps_its_own_snapshots() -> None:
    leader, standby, world, _ = followed(TinyMachines())

    standby.runner.step()

    assert standby.status.position == leader.status.position
    assert standby.runner.machine.state_hash() == leader.runner.machine.state_hash()
    assert standby.status.state is EngineState.STANDBY
    assert world.snapshots["elsewhere"]


def test_a_standby_that_decides_otherwise_halts_and_the_leader_goes_on() -> None:
    class Generous(TinyMachine):
        def _command(self, message):
            if hasattr(message, "amount_micros"):
                message = msgspec.structs.replace(message, amount_micros=message.amount_micros + 1)
            return super()._command(message)

    class GenerousMachines(TinyMachines):
        def new(self):
            return Generous()

    leader, standby, world, _ = followed(GenerousMachines())

    with pytest.raises(HaltError) as halted:
        standby.runner.step()
    at_ms = world.inputs[-1].entry_id >> 21
    world.append(b"?", at_ms=at_ms + 1)
    leader.runner.step()

    assert halted.value.code is HaltCode.DIVERGED
    assert world.outputs[-1].entry_id == world.inputs[-1].entry_id
