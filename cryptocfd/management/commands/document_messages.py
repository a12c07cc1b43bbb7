"""Write docs/MESSAGES.md from the message structs, or hold the file against them (``--check``)."""

import inspect
import re
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, get_args

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from typing_extensions import override

from engine.messages import (
    chain,
    codec,
    commands,
    definitions,
    events,
    output_entry,
    replies,
    streams,
    views,
)
from engine.messages.rejects import RejectCode, is_retryable

DOCUMENT = "docs/MESSAGES.md"
_FIELD = re.compile(r"    (\w+): (.+?)(?: = (.+))?$")


def _own_fields(struct: type) -> list[tuple[str, str, str, str]]:
    """Return (name, type, default, comment) of the fields that a struct's own source states."""
    rows = []
    comment = ""
    for line in inspect.getsource(struct).splitlines():
        text = line.strip()
        if text.startswith("# "):
            comment = f"{comment} {text[2:]}".strip()
        elif match := _FIELD.match(line):
            rows.append((match[1], match[2], match[3] or "", comment))
            comment = ""
        else:
            comment = ""
    return rows


def _fields(struct: type) -> list[tuple[str, str, str, str]]:
    """Return the fields of a struct with those that it inherits, bases first."""
    bases = [base for base in reversed(struct.__mro__) if base.__module__.startswith("engine.")]
    return [row for base in bases for row in _own_fields(base)]


def _section(struct: type) -> list[str]:
    lines = [f"### {struct.__name__}", "", inspect.getdoc(struct) or "", ""]
    rows = _fields(struct)
    if not rows:
        return lines
    lines += ["| field | type | default | meaning |", "| --- | --- | --- | --- |"]
    for name, kind, default, comment in rows:
        kind = kind.replace("|", "or")
        lines.append(
            f"| `{name}` | `{kind}` | {f'`{default}`' if default else 'required'} | {comment} |"
        )
    return [*lines, ""]


def _union(union: Any) -> list[type]:
    return list(get_args(union))


def _constants(module: Any, prefix: str) -> list[str]:
    found = [(name, value) for name, value in vars(module).items() if name.startswith(prefix)]
    return [
        f"| `{value.decode()}` | {name.removeprefix(prefix).lower()} |" for name, value in found
    ]


def render() -> str:
    """Return the document: commands, events, replies, refusals, views, and the entries of the streams."""
    lines = [
        "# Messages",
        "",
        "Generated from `engine/messages/` by `make schema`; the tests hold this file against the structs.",
        f"Wire form: JSON with a `type` tag, version {codec.WIRE_VERSION}. Units are in the names: `_ticks`, `_units`, `_micros`",
        "(micro-USD), `_bps`, `_ppm`, `_us` (microseconds). Every number stays within 2^53.",
        "",
    ]
    parts = (
        ("Commands of an account", _union(commands.AnyAccountCommand)),
        ("Commands without an account", _union(commands.AnyDefinitionCommand)),
        ("Quotes and time", [commands.UpdateQuotes, commands.Quote, commands.Tick]),
        ("Replies", _union(replies.AnyReply)),
        ("Events", _union(events.AnyEvent)),
        (
            "Parts",
            [
                events.Posting,
                events.Receipt,
                events.ReceiptQuote,
                definitions.InstrumentSpec,
                definitions.Tier,
                definitions.GroupSpec,
                definitions.Terms,
            ],
        ),
        (
            "Queries and views",
            [
                *_union(views.AnyQuery),
                *_union(views.AnyView),
                views.PositionView,
                views.OrderView,
                views.StopOutPrice,
            ],
        ),
        (
            "Prices and queries on their way",
            [streams.PriceBatch, streams.QueryEnvelope, streams.AnswerEnvelope],
        ),
    )
    for title, structs in parts:
        lines += [f"## {title}", ""]
        for struct in structs:
            lines += _section(struct)
    lines += [
        "## Refusals",
        "",
        "In order of precedence: the first that applies is the answer.",
        "",
    ]
    lines += ["| code | worth trying again |", "| --- | --- |"]
    lines += [f"| `{code}` | {'yes' if is_retryable(code) else 'no'} |" for code in RejectCode]
    lines += ["", "## Fields of an input entry", "", "| field | is |", "| --- | --- |"]
    lines += _constants(streams, "IN_")
    lines += ["", "## An output entry", "", inspect.getdoc(output_entry) or "", ""]
    lines += [f"Its field is `{output_entry.OUTPUT_FIELD.decode()}`, a MessagePack array of:", ""]
    lines += _section(output_entry.OutputEntry)[2:]
    lines += ["## Chain hash", "", inspect.getdoc(chain) or "", ""]
    return "\n".join(lines)


class Command(BaseCommand):
    """``manage.py document_messages [--check]``."""

    help = "Write docs/MESSAGES.md from the message structs."

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true", help="fail where the file differs")

    @override
    def handle(self, *_args: Any, **options: Any) -> None:
        path = Path(settings.BASE_DIR) / DOCUMENT
        text = render()
        if not options["check"]:
            path.write_text(text)
            self.stdout.write(f"{DOCUMENT}: {len(text.splitlines())} lines")
        elif not path.exists() or path.read_text() != text:
            message = f"{DOCUMENT} differs from the structs: run `make schema`"
            raise CommandError(message)
