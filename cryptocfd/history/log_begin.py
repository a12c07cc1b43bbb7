"""Writes the beginning of a log: streams that go on from a position, its checkpoint, and the layout; all or nothing."""

from collections.abc import Sequence
from typing import NamedTuple

from redis import Redis
from redis.client import Pipeline

from engine.messages import streams
from engine.messages.output_entry import OUTPUT_FIELD, pack
from engine.runtime.ports import Output, Position
from engine.values import text_from_entry_id


class ShardBegin(NamedTuple):
    """Where one shard's log begins."""

    position: Position
    # Highest id that the output stream has given; 0 when `output` is its first entry.
    last_output_id: int
    # The first output, if the position counts one that consumers have not seen.
    output: Output | None
    build: str


def log_begin(
    pipeline: Pipeline,
    *,
    prefix: str,
    layout: int,
    begins: Sequence[ShardBegin],
    epoch: int,
    feed_epoch: int,
) -> None:
    """Queue the commands that begin a log, in a transaction of the caller's.

    No id below a position is ever given again (XSETID), no engine with an older epoch can publish, and the feed's numbers
    rise: quotes of an epoch that the state has seen would count as old.
    """
    shards = len(begins)
    for shard, begin in enumerate(begins):
        position = begin.position
        pipeline.set(streams.epoch_key(prefix, shard), epoch)
        if position.entry_id:
            input_stream = streams.input_stream(prefix, shard, shards)
            _empty_stream(pipeline, input_stream, position.entry_id, position.applied)
        output_stream = streams.output_stream(prefix, shard, shards)
        if begin.output is not None:
            pipeline.xadd(
                output_stream,
                {OUTPUT_FIELD: pack(begin.output.entry())},
                id=text_from_entry_id(begin.output.entry_id),
            )
        elif begin.last_output_id:
            _empty_stream(pipeline, output_stream, begin.last_output_id, position.number)
        pipeline.hset(
            streams.checkpoint_key(prefix, shard),
            mapping={
                streams.CHECKPOINT_IN: text_from_entry_id(position.entry_id),
                streams.CHECKPOINT_NUMBER: position.number,
                streams.CHECKPOINT_HASH: position.chain,
                streams.CHECKPOINT_COUNT: position.applied,
                streams.CHECKPOINT_EPOCH: epoch,
                streams.CHECKPOINT_BUILD: begin.build,
            },
        )
    pipeline.set(streams.feed_epoch_key(prefix), feed_epoch)
    pipeline.hset(
        streams.layout_key(prefix),
        mapping={streams.LAYOUT_NUMBER: layout, streams.LAYOUT_SHARDS: shards},
    )


def log_remove(pipeline: Pipeline, *, prefix: str, shards: int) -> None:
    """Queue the removal of a layout's streams and of what stands beside them; leases and epochs stay."""
    for shard in range(shards):
        pipeline.delete(
            streams.input_stream(prefix, shard, shards),
            streams.output_stream(prefix, shard, shards),
            streams.checkpoint_key(prefix, shard),
            streams.snapshots_key(prefix, shard),
            streams.consumers_key(prefix, shard),
        )


def epoch_above(client: Redis, prefix: str, shards: int, known: int = 0) -> int:
    """Return an epoch that no engine of these shards has held."""
    keys = [streams.epoch_key(prefix, shard) for shard in range(shards)]
    return max(known, *(int(value or 0) for value in client.mget(keys))) + 1


def _empty_stream(pipeline: Pipeline, key: str, last_id: int, added: int) -> None:
    """Make a stream that holds nothing, has given ids up to one, and counts so many entries."""
    text = text_from_entry_id(last_id)
    pipeline.xadd(key, {"begin": "1"}, id=text)
    pipeline.xdel(key, text)
    pipeline.execute_command("XSETID", key, text, "ENTRIESADDED", added, "MAXDELETEDID", text)
