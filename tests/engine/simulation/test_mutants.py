"""The simulation proves itself: each of these bugs, built in on purpose, is noticed within few seeds."""

from collections.abc import Callable

import msgspec
import pytest

from engine.adapters.memory import Fault, MemoryLog, SimulatedCrashError
from engine.runtime import recovery
from engine.runtime.errors import HaltError
from engine.runtime.ports import Batch, Checkpoint, Position, Published
from engine.runtime.publisher import Publisher
from engine.values import InvariantError
from tests.engine.simulation.histories import seeded, tiny_history
from tests.engine.simulation.test_crashes import (
    assert_exactly_once,
    assert_same,
    disturbed,
    undisturbed,
)
from tests.engine.simulation.tiny_machine import TinyMachine, TinyMachines

SEEDS = 150
# However a bug shows: a wrong result, a refusal of the engine itself, or a state that no code can apply.
NOTICED = (AssertionError, HaltError, InvariantError)

Patch = pytest.MonkeyPatch


def non_atomic_checkpoint(patch: Patch) -> None:
    def commit(log: MemoryLog, batch: Batch) -> Published:
        world = log._world
        if world.epoch != batch.epoch:
            return Published.FENCED
        world.outputs.extend(batch.outputs)
        if log._plan("after_publish") is Fault.CRASH:
            raise SimulatedCrashError
        world.checkpoint = Checkpoint(batch.after, batch.epoch, batch.build)
        return Published.DONE

    patch.setattr(MemoryLog, "_commit", commit)


def no_fence(patch: Patch) -> None:
    def commit(log: MemoryLog, batch: Batch) -> Published:
        log._world.outputs.extend(batch.outputs)
        log._world.checkpoint = Checkpoint(batch.after, batch.epoch, batch.build)
        return Published.DONE

    patch.setattr(MemoryLog, "_commit", commit)


def acknowledged_before_it_was_committed(patch: Patch) -> None:
    patch.setattr(Publisher, "is_committed", lambda *_: True)


def request_ids_not_in_the_snapshot(patch: Patch) -> None:
    def dump(machine: TinyMachine) -> bytes:
        return msgspec.msgpack.encode(msgspec.structs.replace(machine.state, answered={}))

    def state_hash(machine: TinyMachine) -> bytes:
        return msgspec.msgpack.encode(machine.state.balances)

    patch.setattr(TinyMachine, "dump", dump)
    patch.setattr(TinyMachine, "state_hash", state_hash)


def skipped_replay(patch: Patch) -> None:
    def jump(_log: object, shard: recovery.Shard, goal: Position) -> None:
        shard.position = goal

    patch.setattr(recovery, "_evolve_history", jump)


def nothing_armed_after_recovery(patch: Patch) -> None:
    patch.setattr(TinyMachine, "finish_recovery", lambda _: None)


def order_by_hash(patch: Patch) -> None:
    quotes = TinyMachine._quotes

    def shuffled(machine: TinyMachine, message: object) -> object:
        # Two processes with other salts see other orders; ids of objects differ as salts do.
        for order_ids in machine.state.book.values():
            order_ids.sort(key=lambda order_id: hash((id(machine), order_id)))
        return quotes(machine, message)

    patch.setattr(TinyMachine, "_quotes", shuffled)


@pytest.mark.parametrize(
    "mutant",
    [
        non_atomic_checkpoint,
        no_fence,
        acknowledged_before_it_was_committed,
        request_ids_not_in_the_snapshot,
        skipped_replay,
        nothing_armed_after_recovery,
        order_by_hash,
    ],
)
def test_the_simulation_notices(mutant: Callable[[Patch], None], monkeypatch: Patch) -> None:
    mutant(monkeypatch)

    with pytest.raises(NOTICED):
        simulate(SEEDS)


def simulate(seeds: int) -> None:
    for seed in range(seeds):
        chooser = seeded(seed)
        history = tiny_history(chooser, 40)
        calm = undisturbed(history, TinyMachines())
        world, machine, _ = disturbed(history, TinyMachines(), chooser)
        assert_exactly_once(world)
        assert_same(seed, calm, (world, machine))
