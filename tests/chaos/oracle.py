"""An independent judge of a finished run: it shares no code with the runtime, the publisher or the projector.

It reads the archived input and output, computes numbers, chain and balances by itself, and lets a fresh state machine
decide the whole input again.
"""

import hashlib
import json
import struct
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from engine.core.machine import Machine
from engine.messages import codec


class Entry(NamedTuple):
    """One entry of a stream as it was archived."""

    entry_id: str
    fields: Mapping[bytes, bytes]


# The parts of an output in the order of their packing, named here a second time: the judge trusts no code of ours.
_PARTS = (
    b"v",
    b"n",
    b"g",
    b"acc",
    b"rid",
    b"reply",
    b"events",
    b"cmd",
    b"at",
    b"ep",
    b"build",
    b"h",
)


def entry_of(entry_id: bytes, fields: Mapping[bytes, bytes]) -> Entry:
    """Return a stream's entry; an output's one field is unpacked, each part as its bytes or decimal text."""
    if b"o" in fields:
        parts = zip(_PARTS, msgspec.msgpack.decode(fields[b"o"]), strict=True)
        fields = {
            name: part if isinstance(part, bytes) else str(part).encode() for name, part in parts
        }
    return Entry(entry_id.decode(), fields)


class Acknowledged(NamedTuple):
    """What a sender was told: the output that decided its command."""

    account: int
    request_id: str
    output_id: str


class Verdict(NamedTuple):
    """What a run came to, when nothing was found."""

    outputs: int
    accepted: int
    acknowledged: int
    repeats: int
    state_hash: bytes


class Wrong(Exception):  # noqa: N818 - a finding, not an error.
    """What the judge has found."""


def expect(condition: object, finding: str) -> None:
    if not condition:
        raise Wrong(finding)


def judge(
    inputs: list[Entry], outputs: list[Entry], acknowledged: Iterable[Acknowledged]
) -> Verdict:
    """Return what the run came to; Wrong names the first thing that must not be."""
    _expect_order(inputs, outputs)
    _expect_chain(outputs)
    _expect_money(outputs)
    decided = _expect_decided_once(outputs)
    count = _expect_acknowledged(outputs, decided, acknowledged)
    state_hash = _expect_same_decisions(inputs, outputs)
    replies = Counter(_reply(output).get("type") for output in outputs)
    return Verdict(
        outputs=len(outputs),
        accepted=replies["Accepted"],
        acknowledged=count,
        repeats=replies["Duplicate"],
        state_hash=state_hash,
    )


def _key(entry_id: str) -> tuple[int, int]:
    ms, _, sequence = entry_id.partition("-")
    return int(ms), int(sequence)


def _reply(output: Entry) -> dict[str, object]:
    return json.loads(output.fields[b"reply"] or b"{}")


def _events(output: Entry) -> list[dict[str, object]]:
    return json.loads(output.fields[b"events"])


def _expect_order(inputs: list[Entry], outputs: list[Entry]) -> None:
    for stream in (inputs, outputs):
        keys = [_key(entry.entry_id) for entry in stream]
        expect(keys == sorted(set(keys)), "ids rise, and each stands once")
    commands = {
        entry.entry_id
        for entry in inputs
        if json.loads(entry.fields[b"m"]).get("type") not in {"UpdateQuotes", "Tick"}
    }
    answered = {output.entry_id for output in outputs}
    expect(commands <= answered, f"commands without an answer: {sorted(commands - answered)[:3]}")
    expect(answered <= {entry.entry_id for entry in inputs}, "an output without its input")
    numbers = [int(output.fields[b"n"]) for output in outputs]
    expect(numbers == list(range(1, len(numbers) + 1)), "outputs are numbered without a gap")
    epochs = [int(output.fields[b"ep"]) for output in outputs]
    expect(epochs == sorted(epochs), "an older engine wrote after a newer one")


def _expect_chain(outputs: list[Entry]) -> None:
    chain = bytes(32)
    for output in outputs:
        fields = output.fields
        ms, sequence = _key(output.entry_id)
        parts = [fields[name] for name in (b"rid", b"reply", b"events", b"cmd")]
        numbers = ((ms << 21) | sequence, *(int(fields[name]) for name in (b"n", b"acc", b"at")))
        header = struct.pack(">QQQQIIII", *numbers, *map(len, parts))
        chain = hashlib.blake2b(chain + header + b"".join(parts), digest_size=32).digest()
        expect(chain == fields[b"h"], f"the chain breaks at {output.entry_id}")


def _expect_money(outputs: list[Entry]) -> None:
    """Every group of postings is zero, and every balance that an event tells is the sum of the client's postings."""
    ledger: Counter[str] = Counter()
    for output in outputs:
        for event in _events(output):
            postings = event.get("postings", [])
            for name, amount in postings:
                ledger[name] += int(amount)
            expect(sum(int(amount) for _, amount in postings) == 0, f"money made: {event}")
            if "balance_micros" in event and postings:
                balances = {
                    ledger[f"{book}:client:{event['account']}"] for book in ("demo", "live")
                }
                expect(int(event["balance_micros"]) in balances, f"a wrong balance: {event}")
    expect(sum(ledger.values()) == 0, "the ledger does not sum to zero")


def _expect_decided_once(outputs: list[Entry]) -> dict[tuple[int, str], str]:
    """Return by account and request id the output that decided it; repeats must name that one."""
    decided: dict[tuple[int, str], str] = {}
    for output in outputs:
        key = (int(output.fields[b"acc"]), output.fields[b"rid"].decode())
        if not key[1]:
            continue
        reply = _reply(output)
        if reply.get("type") == "Duplicate":
            expect(decided.get(key) == reply["output_id"], f"a repeat names another answer: {key}")
        elif reply.get("code") != "CASH_ALREADY_DECIDED":
            expect(key not in decided, f"decided twice: {key}")
            decided[key] = output.entry_id
    return decided


def _expect_acknowledged(
    outputs: list[Entry],
    decided: Mapping[tuple[int, str], str],
    acknowledged: Iterable[Acknowledged],
) -> int:
    known = {output.entry_id for output in outputs}
    count = 0
    for item in acknowledged:
        count += 1
        expect(item.output_id in known, f"an acknowledged output is gone: {item}")
        first = decided.get((item.account, item.request_id))
        expect(first == item.output_id, f"acknowledged by {item}, but decided at {first}")
    return count


def _expect_same_decisions(inputs: list[Entry], outputs: list[Entry]) -> bytes:
    """Decide the whole input again, and return the hash of the state that it ends with."""
    machine = Machine()
    recorded = {output.entry_id: output for output in outputs}
    for entry in inputs:
        try:
            message = codec.decode_message(entry.fields[b"m"])
        except codec.MalformedError:
            message = None
        output = recorded.get(entry.entry_id)
        has_answer = output is not None and output.fields[b"rid"] != b""
        digest = codec.content_digest(message) if has_answer and message is not None else b""
        at_us = int(output.fields[b"at"]) if output is not None else 0
        ms, sequence = _key(entry.entry_id)
        outcome = machine.decide((ms << 21) | sequence, message, digest, at_us)
        expect((outcome is None) == (output is None), f"an output too many or too few: {entry}")
        if outcome is not None and output is not None:
            reply = b"" if outcome.reply is None else codec.encode(outcome.reply)
            expect(reply == output.fields[b"reply"], f"decided otherwise: {entry}")
            events = codec.encode(outcome.events)
            expect(events == output.fields[b"events"], f"other events: {entry}")
    machine.verify()
    return machine.state_hash()
