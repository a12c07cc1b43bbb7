"""How the log is laid out: the number of its shard layout, and into how many shards accounts are divided.

The log itself says so, since every process must mean the same: with another number of shards in its settings a process would
send an account's commands where nobody knows the account.
"""

from dataclasses import dataclass

from redis import Redis

from engine.messages.streams import (
    FIRST_LAYOUT,
    LAYOUT_NUMBER,
    LAYOUT_SHARDS,
    input_stream,
    layout_key,
)

_SHARDS_MAX = 64


class LayoutError(Exception):
    """Settings, log and journal do not belong together."""


@dataclass(frozen=True, slots=True)
class EngineLayout:
    """One division of accounts into shards."""

    # From 1; each reshard starts the next one.
    number: int
    shards: int


def layout_read(client: Redis, prefix: str) -> EngineLayout | None:
    """Return the log's layout, None for a log that nobody has used yet.

    Errors: RedisError.
    """
    fields: dict[bytes, bytes] = client.hgetall(layout_key(prefix))  # type: ignore[assignment]  # the stubs know no bytes.
    if fields:
        return EngineLayout(int(fields[LAYOUT_NUMBER]), int(fields[LAYOUT_SHARDS]))
    # Logs from before the layout was written down.
    if client.exists(input_stream(prefix)):
        return EngineLayout(FIRST_LAYOUT, 1)
    shards = 0
    while shards < _SHARDS_MAX and client.exists(input_stream(prefix, shards, _SHARDS_MAX)):
        shards += 1
    return EngineLayout(FIRST_LAYOUT, shards) if shards else None


def layout_require(
    client: Redis, prefix: str, shards: int, *, may_mark: bool = False
) -> EngineLayout:
    """Return the log's layout if it has that many shards; an engine marks a new log with it.

    Errors: LayoutError, RedisError.
    """
    layout = layout_read(client, prefix)
    if layout is None:
        layout = EngineLayout(FIRST_LAYOUT, shards)
    if layout.shards != shards:
        raise LayoutError(
            f"ENGINE_SHARDS is {shards}, but the log is divided into {layout.shards}. Set "
            f"ENGINE_SHARDS={layout.shards} in every process, or stop them all and run "
            f"`python manage.py reshard --to {shards}`."
        )
    if may_mark:
        fields = {LAYOUT_NUMBER: layout.number, LAYOUT_SHARDS: layout.shards}
        client.hset(layout_key(prefix), mapping=fields)  # type: ignore[arg-type]  # as above.
    return layout
