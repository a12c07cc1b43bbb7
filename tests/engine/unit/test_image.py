"""The hash of a state can be read off its dump."""

from engine.core import image
from engine.core.machine import Machine
from engine.messages import codec
from engine.messages.commands import Command
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
