"""Makes a new log from the journal, for the day when the log's server has lost its data.

What the journal holds is restored to the last output, with the newest snapshot's quotes where there is one. What had been
decided but not projected is lost with the server; a snapshot that knows more than the journal shows it.
"""

from collections.abc import Callable
from dataclasses import replace

from django.db.models import Max
from redis import Redis

from apps.common.engine_layout import layout_read
from apps.trade import selectors
from apps.trade.models import JournalEntry
from cryptocfd.history.errors import HistoryError
from cryptocfd.history.journal import (
    Advance,
    JournalHistory,
    advance_nothing,
    replay_from_genesis,
    require_no_stray,
    restored_from_snapshots,
)
from cryptocfd.history.log_begin import ShardBegin, epoch_above, log_begin
from cryptocfd.history.snapshot_write import snapshot_write
from engine.config import EngineConfig
from engine.messages.streams import checkpoint_key, input_stream, output_stream

Say = Callable[[str], None]


def log_restore(
    client: Redis,
    config: EngineConfig,
    *,
    say: Say = lambda _line: None,
    advance: Advance = advance_nothing,
) -> JournalHistory:
    """Restore every shard of the newest layout; the log must be empty.

    Errors: HistoryError; nothing was written then.
    """
    layouts = selectors.layouts()
    if not layouts:
        raise HistoryError("There is nothing to restore: the journal is empty.")
    require_no_stray(config.shards)
    shards = len(layouts[-1])
    if shards != config.shards:
        raise HistoryError(
            f"The journal's newest layout has {shards} shards: set ENGINE_SHARDS={shards}."
        )
    require_empty(client, config.prefix, shards)
    history = restored_from_snapshots(config, advance)
    if history is None:
        say("no snapshot helps: the whole journal is read")
        history = replay_from_genesis(config, advance)
    else:
        say("started from the newest snapshots that the journal confirms")
    for number, item in enumerate(history.shards):
        snapshot_write(replace(config, shard=number), item)
    say("snapshots written")
    _write(client, config, history)
    return history


def require_empty(client: Redis, prefix: str, shards: int) -> None:
    """Refuse a log that somebody has used.

    Errors: HistoryError.
    """
    for shard in range(shards):
        for key in (
            input_stream(prefix, shard, shards),
            output_stream(prefix, shard, shards),
            checkpoint_key(prefix, shard),
        ):
            if client.exists(key):
                raise HistoryError(
                    f"The log is not empty: {key} exists. Restoring is for a server that has lost everything; stop "
                    "all parts, and remove what is left of the log only if you are sure."
                )
    layout = layout_read(client, prefix)
    if layout is not None and layout.shards != shards:
        raise HistoryError(f"The log has another layout of {layout.shards} shards.")


def _write(client: Redis, config: EngineConfig, history: JournalHistory) -> None:
    known = JournalEntry.objects.aggregate(newest=Max("epoch"))["newest"] or 0
    rows = selectors.layouts()[-1]
    begins = [
        ShardBegin(item.shard.position, row.output_id, None, config.build)
        for item, row in zip(history.shards, rows, strict=True)
    ]
    feed_epochs = [
        epoch for item in history.shards for epoch, _ in item.state.feed_sequences.values()
    ] + [i.quote.feed_epoch for item in history.shards for i in item.state.instruments if i.quote]
    with client.pipeline(transaction=True) as pipeline:
        log_begin(
            pipeline,
            prefix=config.prefix,
            layout=history.layout,
            begins=begins,
            epoch=epoch_above(client, config.prefix, len(begins), known),
            feed_epoch=max(feed_epochs, default=0),
        )
        pipeline.execute()
