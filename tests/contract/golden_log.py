"""Golden logs: whole histories as one release wrote them, kept for ever and replayed by every later one.

A file has a head, one line for each entry with its output, and a foot with the hashes that the history ended in. It is never
edited; a release whose message version or decisions differ adds a file: ``python -m tests.contract.golden_log <name>``.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.core import image
from engine.core.machine import Machine
from engine.messages import codec
from engine.runtime.ports import InputEntry, Output, Position
from engine.runtime.shard import Shard
from engine.values import entry_id_from_text, text_from_entry_id
from tests.engine.properties.comparing import tell
from tests.engine.properties.histories import Seeded

FOLDER = Path(__file__).parent / "golden"
# Histories that together hold every event that a shard can publish by itself.
SEEDS = (20, 62)
LENGTH = 150


@dataclass(frozen=True)
class GoldenLog:
    """One history as it was written."""

    head: dict[str, Any]
    entries: list[tuple[InputEntry, Output | None, int]]
    foot: dict[str, Any]


def read(path: Path) -> list[GoldenLog]:
    """Return the histories of a file."""
    logs: list[GoldenLog] = []
    head: dict[str, Any] = {}
    entries: list[tuple[InputEntry, Output | None, int]] = []
    for line in path.read_text().splitlines():
        fields = json.loads(line)
        if "wire_version" in fields:
            head, entries = fields, []
        elif "state_hash" in fields:
            logs.append(GoldenLog(head, entries, fields))
        else:
            entries.append(_entry(fields))
    return logs


def _entry(fields: dict[str, Any]) -> tuple[InputEntry, Output | None, int]:
    entry_id = entry_id_from_text(fields["id"])
    message = fields["m"].encode()
    entry = InputEntry(entry_id, fields["v"].encode(), message, b"")
    if "n" not in fields:
        return entry, None, fields["at"]
    output = Output(
        entry_id,
        fields["n"],
        b"",
        fields["acc"],
        fields["rid"],
        fields["reply"].encode(),
        fields["events"].encode(),
        message if fields["cmd"] else b"",
        fields["at"],
        1,
        "golden",
        bytes.fromhex(fields["h"]),
    )
    return entry, output, fields["at"]


def record(seed: int) -> Iterator[dict[str, Any]]:
    """Yield the lines of one history as this release decides it."""
    *_, (comparison, _) = tell(Seeded(seed), LENGTH)
    version = str(codec.WIRE_VERSION)
    machine = Machine()
    shard = Shard(machine, Position(), epoch=1, build="golden")
    yield {"wire_version": codec.WIRE_VERSION, "image_format": image.HASHED_FORM, "seed": seed}
    for entry_id, message, _, decided_at_us in comparison.entries:
        raw = b"{" if message is None else codec.encode(message)
        output = shard.decide(InputEntry(entry_id, version.encode(), raw, b""), decided_at_us)
        line: dict[str, Any] = {
            "id": text_from_entry_id(entry_id),
            "v": version,
            "m": raw.decode(),
            "at": decided_at_us,
        }
        if output is not None:
            line |= {
                "n": output.number,
                "acc": output.account,
                "rid": output.request_id,
                "reply": output.reply.decode(),
                "events": output.events.decode(),
                "cmd": bool(output.command),
                "h": output.chain.hex(),
            }
        yield line
    yield {
        "chain": shard.position.chain.hex(),
        "state_hash": machine.state_hash().hex(),
        "market_hash": machine.market_hash().hex(),
    }


def main() -> None:
    path = FOLDER / f"{sys.argv[1]}.jsonl"
    with path.open("x") as file:
        for seed in SEEDS:
            for line in record(seed):
                file.write(json.dumps(line, separators=(",", ":")) + "\n")
    print(path)  # noqa: T201 - a tool.


if __name__ == "__main__":
    main()
