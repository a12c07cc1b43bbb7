"""The hash of a state can be read off its dump."""

import msgspec
import pytest

from engine.core import image
from engine.core.machine import Machine
from engine.messages import codec
from engine.messages.commands import Command
from engine.values import InvariantError
from tests.engine.properties.comparing import tell
from tests.engine.properties.histories import Seeded


def test_the_hash_in_a_dump_is_the_hash_of_the_state_that_it_holds() -> None:
    *_, (comparison, _) = tell(Seeded(11), 60)
    machine = Machine()
    for entry_id, message, _, decided_at_us in comparison.entries:
        digest = codec.content_digest(message) if isinstance(message, Command) else b""
        machine.decide(entry_id, message, digest, decided_at_us)

    dumped = machine.dump()

    assert image.state_hash_in(dumped) == machine.state_hash()
    assert Machine.load(dumped, shard=0, shards=1).state_hash() == machine.state_hash()


def test_a_dump_in_the_first_format_is_the_same_machine() -> None:
    *_, (comparison, _) = tell(Seeded(12), 60)
    machine = comparison.machine
    parts = msgspec.msgpack.decode(machine.dump())
    first = [1, *parts[1:3], *(msgspec.Raw(part) for part in parts[3:])]

    dumped = msgspec.msgpack.encode(first)

    assert image.state_hash_in(dumped) == machine.state_hash()
    assert Machine.load(dumped, shard=0, shards=1).dump() == machine.dump()


@pytest.mark.parametrize("found", [0, 3])
def test_a_dump_of_another_format_is_refused(found: int) -> None:
    parts = msgspec.msgpack.decode(Machine().dump())

    with pytest.raises(InvariantError, match=f"image format {found}, expected 2"):
        Machine.load(msgspec.msgpack.encode([found, *parts[1:]]), shard=0, shards=1)
