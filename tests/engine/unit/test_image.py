"""The hash of a state can be read off its dump."""

import hashlib

import msgspec
import pytest

from engine.core import image
from engine.core.machine import Machine
from engine.core.request_table import RequestRecord
from engine.core.state import Account, PendingOrder, Position
from engine.messages import codec
from engine.messages.commands import Command
from engine.messages.definitions import Terms
from engine.values import InvariantError
from tests.engine.properties.comparing import tell
from tests.engine.properties.histories import Seeded


def test_the_hash_in_a_dump_is_the_hash_of_the_state_that_it_holds() -> None:
    *_, (comparison, _) = tell(Seeded(11), 60)
    machine = Machine()
    for entry_id, message, _, decided_at_us in comparison.entries:
        digest = codec.content_digest(message) if isinstance(message, Command) else b""
        machine.decide(entry_id, message, digest, decided_at_us)

    dumped, state_hash = machine.copy()

    assert (dumped, state_hash) == (machine.dump(), machine.state_hash())
    assert Machine.load(dumped, shard=0, shards=1).state_hash() == machine.state_hash()


def unpacked(derived: bytes) -> list[object]:
    """Return what a dump derived before it said where accounts and requests lie."""
    return msgspec.msgpack.decode(derived, strict=False)[:4]


def test_a_dump_in_the_second_format_is_the_same_machine() -> None:
    *_, (comparison, _) = tell(Seeded(13), 60)
    machine = comparison.machine
    parts = msgspec.msgpack.decode(machine.dump())
    derived = msgspec.msgpack.encode(unpacked(parts[5]))

    dumped = msgspec.msgpack.encode([2, *parts[1:5], derived])

    assert image.state_hash_in(dumped) == machine.state_hash()
    assert Machine.load(dumped, shard=0, shards=1).dump() == machine.dump()


def test_a_dump_in_the_first_format_is_the_same_machine() -> None:
    *_, (comparison, _) = tell(Seeded(12), 60)
    machine = comparison.machine
    parts = msgspec.msgpack.decode(machine.dump())
    first = [1, *parts[1:3], *(msgspec.Raw(part) for part in parts[3:5]), unpacked(parts[5])]

    dumped = msgspec.msgpack.encode(first)

    assert image.state_hash_in(dumped) == machine.state_hash()
    assert Machine.load(dumped, shard=0, shards=1).dump() == machine.dump()


@pytest.mark.parametrize("found", [0, 4])
def test_a_dump_of_another_format_is_refused(found: int) -> None:
    parts = msgspec.msgpack.decode(Machine().dump())

    with pytest.raises(InvariantError, match=f"image format {found}, expected 3"):
        Machine.load(msgspec.msgpack.encode([found, *parts[1:]]), shard=0, shards=1)


def test_a_machine_that_was_loaded_goes_on_as_if_it_had_not_been() -> None:
    *_, (comparison, _) = tell(Seeded(14), 120)
    entries = comparison.entries
    machine = Machine()
    restored = Machine()
    for number, (entry_id, message, _, decided_at_us) in enumerate(entries):
        digest = codec.content_digest(message) if isinstance(message, Command) else b""
        if number == len(entries) // 2:
            restored = Machine.load(machine.dump(), shard=0, shards=1)
        outcome = machine.decide(entry_id, message, digest, decided_at_us)
        if number >= len(entries) // 2:
            assert restored.decide(entry_id, message, digest, decided_at_us) == outcome

    # Before anything else asks for the accounts that nobody has touched.
    assert image.state_hash_in(restored.dump()) == machine.state_hash()
    restored.verify()
    assert restored.dump() == machine.dump()


def test_structs_that_stay_encoded_are_those_of_the_format() -> None:
    structs = (Account, Position, PendingOrder, Terms, RequestRecord)
    fields = [
        f"{struct.__name__}.{field.name}: {field.type}"
        for struct in structs
        for field in msgspec.structs.fields(struct)
    ]

    digest = hashlib.blake2b("\n".join(fields).encode(), digest_size=8).hexdigest()

    # A change of these fields needs a new image.FORMAT; then what older builds have encoded is decoded at once.
    assert (image.FORMAT, digest) == (3, "c5e14354efc884b7")
