"""What every release has written is read by this one, to the same hashes; what it decided is decided so again."""

from pathlib import Path
from typing import get_args

import pytest

from engine.core import image
from engine.core.machine import Machine
from engine.messages import codec
from engine.messages.events import AnyEvent
from engine.runtime.ports import Position
from engine.runtime.shard import Shard
from engine.values import text_from_entry_id
from tests.contract.golden_log import FOLDER, GoldenLog, read

FILES = sorted(FOLDER.glob("*.jsonl"))
# Files whose commands this release decides otherwise on purpose, and the ADR that says why. History is never decided again,
# so they still replay; only deciding them anew is left out.
DECIDED_OTHERWISE = {"release-0.1-v1": "ADR 38: receipts of fills and liquidations name their tier"}
# Not published by a shard by itself.
BY_OPERATORS = {"EntrySkipped", "Resharded"}


def logs() -> list[tuple[Path, GoldenLog]]:
    return [(path, log) for path in FILES for log in read(path)]


def name_of(item: tuple[Path, GoldenLog]) -> str:
    return f"{item[0].stem}-{item[1].head['seed']}"


def new_shard() -> Shard:
    return Shard(Machine(), Position(), epoch=1, build="golden")


def test_the_previous_message_version_is_kept_and_every_event_occurs() -> None:
    versions = {log.head["wire_version"] for _, log in logs()}
    kinds = {
        type(event).__name__
        for _, log in logs()
        for _, output, _ in log.entries
        if output is not None
        for event in codec.decode_events(output.events)
    }

    assert codec.WIRE_VERSION - 1 in versions
    assert kinds == {event.__name__ for event in get_args(AnyEvent)} - BY_OPERATORS


@pytest.mark.parametrize("item", logs(), ids=name_of)
def test_a_recorded_history_evolves_to_the_recorded_hashes(item: tuple[Path, GoldenLog]) -> None:
    _, log = item
    shard = new_shard()

    for entry, output, _ in log.entries:
        shard.evolve(entry, output)
    shard.machine.finish_recovery()

    shard.machine.verify()
    assert shard.position.chain.hex() == log.foot["chain"]
    # Another form of the state has other hashes; the chain covers what happened in any form.
    assert log.head["image_format"] <= image.HASHED_FORM
    if log.head["image_format"] == image.HASHED_FORM:
        assert isinstance(shard.machine, Machine)
        assert shard.machine.state_hash().hex() == log.foot["state_hash"]
        assert shard.machine.market_hash().hex() == log.foot["market_hash"]


@pytest.mark.parametrize("item", logs(), ids=name_of)
def test_a_recorded_history_is_decided_as_it_was(item: tuple[Path, GoldenLog]) -> None:
    path, log = item
    if path.stem in DECIDED_OTHERWISE:
        return
    shard = new_shard()

    for entry, recorded, decided_at_us in log.entries:
        output = shard.decide(entry, decided_at_us)
        assert output == recorded, f"entry {text_from_entry_id(entry.entry_id)}"
