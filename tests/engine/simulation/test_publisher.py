"""What is decided while a batch is on its way is gathered, and leaves in one batch when that one is committed."""

from dataclasses import replace
from threading import Event

import pytest

from engine.adapters.memory import Fault, MemoryClock, MemoryLog, World
from engine.messages.chain import CHAIN_GENESIS
from engine.messages.commands import Tick
from engine.runtime.ports import Batch, Output, Position, probe_nothing
from engine.runtime.publisher import Publisher
from engine.runtime.status import Status
from tests.engine.simulation.test_crashes import CONFIG


class WatchedLog(MemoryLog):
    """Notes how many outputs each call carries."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        self.calls: list[int] = []

    def publish(self, batch: Batch) -> None:
        self.calls.append(len(batch.outputs))
        super().publish(batch)


class Engine:
    """A publisher on a log whose answers come when the test says so."""

    def __init__(self, **changes: int) -> None:
        self.is_answering = True
        self.world = World()
        self.world.epoch = 1
        self.status = Status(shard=0, shards=1, build="test")
        self.status.epoch = 1
        log = WatchedLog(self.world, self._plan)
        self.calls = log.calls
        self.publisher = Publisher(
            config=replace(CONFIG, **changes),
            log=log,
            clock=MemoryClock(),
            status=self.status,
            stopping=Event(),
            probe=probe_nothing,
        )
        self.publisher.begin_from(Position())
        self._position = Position()

    def _plan(self, point: str) -> Fault:
        is_late = point == "has_answer" and not self.is_answering
        return Fault.DELAYED if is_late else Fault.NONE

    def decide(self, count: int, *, has_output: bool = True) -> None:
        for _ in range(count):
            entry_id = self.world.append(Tick(), at_ms=1)
            before = self._position
            number = before.number + has_output
            output = Output(
                entry_id, number, b"", 0, "", b"", b"[]", b"", 1, 1, "test", CHAIN_GENESIS
            )
            self._position = Position(entry_id, number, CHAIN_GENESIS, before.applied + 1)
            self.publisher.gather(output if has_output else None, self._position)


def test_one_batch_at_a_time_is_under_way() -> None:
    engine = Engine()
    engine.is_answering = False
    engine.decide(2)
    engine.publisher.offer(0)
    engine.decide(1)
    engine.publisher.offer(0)
    engine.decide(2)
    engine.publisher.offer(0)
    under_way = list(engine.calls)
    seen = engine.status.position.number
    engine.is_answering = True
    engine.publisher.offer(0)
    engine.publisher.finish()

    assert under_way == [2]
    assert seen == 0, "nothing counts as committed before its answer"
    assert engine.calls == [2, 3]
    assert engine.publisher.is_idle
    assert engine.status.position.number == 5
    assert [output.number for output in engine.world.outputs] == [1, 2, 3, 4, 5]


def test_in_the_middle_of_a_batch_a_few_outputs_are_not_worth_a_call() -> None:
    engine = Engine()
    engine.decide(2)
    engine.publisher.offer(3)
    few = list(engine.calls)
    engine.decide(1)
    engine.publisher.offer(3)

    assert few == []
    assert engine.calls == [3]


def test_entries_without_an_output_move_the_checkpoint_alone() -> None:
    engine = Engine()
    engine.decide(3, has_output=False)
    engine.publisher.offer(0)
    engine.publisher.finish()

    assert engine.world.outputs == []
    assert engine.world.checkpoint is not None
    assert engine.world.checkpoint.position.applied == 3


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"batch_entries_max": 2, "batch_bytes_max": 1 << 20}, [2, 2, 1]),
        # Each of these outputs counts as 202 bytes.
        ({"batch_entries_max": 99, "batch_bytes_max": 650}, [3, 2]),
    ],
)
def test_a_call_carries_no_more_than_its_limits(limits, expected) -> None:
    engine = Engine(**limits)
    engine.is_answering = False
    engine.decide(5)
    engine.publisher.finish()

    assert engine.calls == expected
    assert len(engine.world.outputs) == 5
