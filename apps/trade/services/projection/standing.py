"""Whether a log and this database's journal belong together; asked before anything is written into either.

A projector reports to the log up to where it has projected, after each commit. A journal that stands before that is empty, another
one, or an older copy; an older copy catches up as long as the log still holds what comes next.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from redis import Redis

from apps.common.engine_layout import EngineLayout
from apps.trade.models import ProjectorOffset
from engine.messages.output_entry import read_named
from engine.messages.streams import FIRST_LAYOUT, consumers_key, output_stream
from engine.values import entry_id_from_text, text_from_entry_id

# Name under which a projector reports; the engine trims no output before it.
CONSUMER: Final = "projector"


def log_lacks(
    client: Redis, prefix: str, layout: EngineLayout, offsets: Sequence[ProjectorOffset]
) -> str:
    """Return in a sentence what the journal holds and the log does not know of; empty when there is nothing.

    Errors: RedisError.
    """
    known = max((row.layout for row in offsets), default=FIRST_LAYOUT)
    if layout.number < known:
        # A lost log begins at the first layout again; a chain begun there would be no part of the journal.
        return f"The journal is of layout {known}, the log of layout {layout.number}: the log is empty, old, or another one."
    for row in offsets:
        if row.layout != layout.number or not row.n:
            continue
        last = _last_id(client, output_stream(prefix, row.shard, layout.shards))
        if last < row.output_id:
            return (
                f"The journal holds outputs of shard {row.shard} up to {text_from_entry_id(row.output_id)}, the log up to "
                f"{text_from_entry_id(last)}: the log is empty, old, or another one."
            )
    return ""


def journal_lacks(
    client: Redis, prefix: str, layout: EngineLayout, offsets: Sequence[ProjectorOffset]
) -> str:
    """Return in a sentence what was projected once and is neither in the journal nor in the log; empty when there is nothing.

    Errors: RedisError.
    """
    known = max((row.layout for row in offsets), default=0)
    if known and layout.number > known + 1:
        # A reshard first brings the journal up to date.
        return f"The log is of layout {layout.number}, the journal of layout {known}: the database is old, or another one."
    rows = {row.shard: row for row in offsets if row.layout == layout.number}
    for shard in range(layout.shards):
        told = _told(client, prefix, shard)
        row = rows.get(shard)
        n, output_id = (row.n, row.output_id) if row else (0, 0)
        if not offsets and (told or layout.number > FIRST_LAYOUT):
            return (
                f"The outputs of shard {shard} were projected up to {text_from_entry_id(told)} in layout {layout.number} of the "
                "log, but this database has no journal: it is empty, or another one."
            )
        if told <= output_id:
            continue
        found = _number_after(client, output_stream(prefix, shard, layout.shards), output_id)
        if found != n + 1:
            return (
                f"The outputs of shard {shard} were projected up to {text_from_entry_id(told)}, but this database's journal ends "
                f"before, and the log does not hold what follows: expected output {n + 1} of shard {shard}, found "
                f"{found or 'none'}. The database is old, or another one."
            )
    return ""


def _last_id(client: Redis, stream: str) -> int:
    if not client.exists(stream):
        return 0
    facts: Mapping[str, Any] = client.xinfo_stream(stream)
    return entry_id_from_text(facts["last-generated-id"].decode())


def _told(client: Redis, prefix: str, shard: int) -> int:
    # The whole hash, since a web process may read no single field.
    reports: Mapping[bytes, bytes] = client.hgetall(consumers_key(prefix, shard))  # type: ignore[assignment]  # the stubs know no bytes.
    return entry_id_from_text(reports.get(CONSUMER.encode(), b"0-0").decode())


def _number_after(client: Redis, stream: str, output_id: int) -> int:
    """Return the number of the first output behind an id; 0 when there is none."""
    found: Any = client.xrange(stream, min=f"({text_from_entry_id(output_id)}", count=1)
    return read_named(found[0][1]).number if found else 0
