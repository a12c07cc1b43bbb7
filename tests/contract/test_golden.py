"""What is on the wire stays readable: an example of every message, as each version wrote it.

`golden/<version>/<kind>/<Message>.json` holds what a version added or changed; its examples are never edited. A change of a
message is a new version with files of its own (CONTRIBUTING.md), and the old ones must still decode.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from engine.messages import codec, commands, events, replies, views

GOLDEN = Path(__file__).parent / "golden"
KINDS: dict[str, tuple[Any, Callable[[bytes], Any]]] = {
    "messages": (commands.AnyMessage, codec.decode_message),
    "replies": (replies.AnyReply, codec.decode_reply),
    "events": (events.AnyEvent, lambda raw: codec.decode_events(b"[" + raw + b"]")[0]),
    "queries": (views.AnyQuery, codec.decode_query),
    "views": (views.AnyView, codec.decode_view),
}
FILES = sorted(GOLDEN.glob("*/*/*.json"), key=lambda path: (int(path.parts[-3]), path.parts[-2:]))
# By kind and name: later versions stand after earlier ones.
NEWEST = {path.parts[-2:]: path for path in FILES}


def examples(path: Path) -> list[bytes]:
    """Return the examples of a file as they stood on the wire."""
    rows = json.loads(path.read_text())
    return [json.dumps(row, separators=(",", ":"), ensure_ascii=False).encode() for row in rows]


def named(path: Path) -> str:
    return "/".join(path.parts[-3:])


@pytest.mark.parametrize("path", FILES, ids=named)
def test_an_example_of_any_version_decodes(path: Path) -> None:
    _, decode = KINDS[path.parent.name]

    found = [decode(raw) for raw in examples(path)]

    assert {type(message).__name__ for message in found} == {path.stem}


@pytest.mark.parametrize("path", NEWEST.values(), ids=named)
def test_the_newest_example_encodes_as_it_was_written(path: Path) -> None:
    _, decode = KINDS[path.parent.name]
    written = examples(path)

    again = [codec.encode(decode(raw)) for raw in written]

    assert again == written


@pytest.mark.parametrize("kind", KINDS)
def test_every_message_has_an_example(kind: str) -> None:
    union, _ = KINDS[kind]
    expected = {message.__name__ for message in get_args(union)}

    assert {path.stem for path in FILES if path.parent.name == kind} == expected


def test_the_versions_are_those_that_this_release_reads() -> None:
    versions = {path.parts[-3].encode() for path in FILES}

    assert versions == codec.READABLE_VERSIONS
    assert max(map(int, versions)) == codec.WIRE_VERSION
