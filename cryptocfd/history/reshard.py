"""Divides the log into another number of shards, while everything but the servers rests.

Nothing is decided here but what still waits in the log. Until the one transaction that puts the new log in the place of the
old one, a run that is broken off has changed nothing and can be started again; after it, the new layout stands.

 1. Hold every lease, so that no engine and no feed can begin, and read the layout.
 2. Let each shard decide what waits in its log, and let the journal take all outputs: afterwards nothing depends on the old streams.
 3. Merge the states and split them by account; hold the digest of everything before against the one after.
 4. Write the new shards' snapshots and read them back.
 5. In one transaction, which fails if anybody has written meanwhile: remove the old streams, begin the new ones with a
    Resharded output each, that names where every old chain has ended.
 6. Put the old layout's snapshots into the archive.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from redis import Redis
from redis.exceptions import WatchError

from apps.common.engine_layout import EngineLayout, layout_read
from apps.trade import selectors
from apps.trade.projector import Projector
from cryptocfd.history.errors import HistoryError
from cryptocfd.history.everything_held import StillHeld, everything_held
from cryptocfd.history.journal import ARCHIVE, JournalShard, entry_text
from cryptocfd.history.log_begin import ShardBegin, epoch_above, log_begin, log_remove
from cryptocfd.history.snapshot_write import snapshot_write
from engine.adapters.compose import CoreMachines
from engine.adapters.redis_streams import RedisLog
from engine.adapters.snapshot_files import SnapshotFiles
from engine.adapters.system_clock import SystemClock
from engine.config import EngineConfig
from engine.core.layout import layout_digest, resharded
from engine.core.machine import Machine
from engine.messages import codec
from engine.messages.chain import CHAIN_GENESIS, chain_hash
from engine.messages.events import ChainEnd, Resharded
from engine.messages.streams import feed_epoch_key, input_stream
from engine.runtime.errors import HaltError, LogUnavailableError
from engine.runtime.ports import Batch, Output, Position, Published, Snapshot
from engine.runtime.recovery import recover
from engine.runtime.shard import Shard

Say = Callable[[str], None]

SHARDS_MAX: Final = 64
_BATCH: Final = 256
_MS_BITS: Final = 21


@dataclass(frozen=True, slots=True)
class Reshard:
    """What a reshard has done, and the proof."""

    before: EngineLayout
    after: EngineLayout
    accounts: int
    # Of everything that the shards know together; the same before and after.
    digest: str


def reshard(
    client: Redis, config: EngineConfig, shards: int, *, say: Say = lambda _line: None
) -> Reshard:
    """Divide the log into ``shards``; ``config`` is that of any engine of this installation.

    Errors: HistoryError with what stands in the way; the old layout is in force then.
    """
    if not 1 <= shards <= SHARDS_MAX:
        raise HistoryError(f"The number of shards must be from 1 to {SHARDS_MAX}, was {shards}.")
    before = layout_read(client, config.prefix)
    if before is None:
        raise HistoryError(
            "The log is empty: set ENGINE_SHARDS and start, there is nothing to divide."
        )
    if before.shards == shards:
        raise HistoryError(f"The log has {shards} shards already (layout {before.number}).")
    after = EngineLayout(before.number + 1, shards)
    with everything_held(client, config.prefix, max(before.shards, shards)) as still_held:
        return _reshard(client, config, before, after, still_held, say)


def _reshard(
    client: Redis,
    config: EngineConfig,
    before: EngineLayout,
    after: EngineLayout,
    still_held: StillHeld,
    say: Say,
) -> Reshard:
    old = [
        _drained(replace(config, shard=shard, shards=before.shards))
        for shard in range(before.shards)
    ]
    still_held()
    # The engines that have just drained the log are fenced by it too.
    epoch = epoch_above(client, config.prefix, max(before.shards, after.shards))
    say(f"{before.shards} shards stand at {', '.join(entry_text(i.shard.position) for i in old)}")
    for shard, item in enumerate(old):
        snapshot_write(replace(config, shard=shard, shards=before.shards), item)
    _journal_complete(config.prefix, before, old)
    still_held()
    say("the journal has every output")

    digest = layout_digest([item.state for item in old])
    start = _start_id(client, old)
    new = _divided(old, after, start, config.build)
    if layout_digest([item.state for item in new]) != digest:
        raise HistoryError("The new shards do not know what the old ones knew: this is a bug.")
    begins = [
        _begin(item, shard, after, before, old, config.build, epoch)
        for shard, item in enumerate(new)
    ]
    for shard, (item, begin) in enumerate(zip(new, begins, strict=True)):
        item.shard.position = begin.position
        snapshot_write(replace(config, shard=shard, shards=after.shards), item)
    _read_back(config, after, begins, digest)
    say(f"{after.shards} snapshots written and read back; digest {digest.hex()[:16]} as before")

    still_held()
    _switch(client, config.prefix, before, after, old, begins, epoch)
    _archive(config, before)
    say(f"layout {after.number} is in force")
    return Reshard(before, after, sum(len(i.state.accounts) for i in new), digest.hex())


def _drained(config: EngineConfig) -> JournalShard:
    """Return a shard that has decided and published everything that stood in its log."""
    log = RedisLog(config, SystemClock())
    machines = CoreMachines(shard=config.shard, shards=config.shards)
    try:
        log.reconnect()
        epoch = log.raise_epoch()
        shard = recover(
            config=config,
            epoch=epoch,
            log=log,
            snapshots=SnapshotFiles(config),
            machines=machines,
            committed=Position(),
            probe=lambda _point: None,
        ).shard
        while entries := log.read_input(shard.position.entry_id, None, _BATCH):
            before, now_us = shard.position, SystemClock().now_us()
            decided = [shard.decide(entry, now_us) for entry in entries]
            outputs = [output for output in decided if output is not None]
            log.publish(Batch(epoch, config.build, before, shard.position, outputs))
            if (published := log.published()) is not Published.DONE:
                raise HistoryError(f"Shard {config.shard} cannot publish: {published.name}.")
    except HaltError as error:
        raise HistoryError(f"Shard {config.shard} cannot be read: {error}") from error
    except LogUnavailableError as error:
        raise HistoryError(f"The log's server cannot be reached: {error}.") from error
    finally:
        log.close()
    shard.settle()
    if not isinstance(shard.machine, Machine):
        raise TypeError(f"expected the machine of the core, found {shard.machine!r}")
    shard.machine.verify()
    return JournalShard(shard, shard.machine)


def _journal_complete(prefix: str, layout: EngineLayout, shards: Sequence[JournalShard]) -> None:
    """Let the journal take what it lacks, and make sure that it ends where the shards do."""
    if not Projector(prefix=prefix, shards=layout.shards).project_exclusively():
        raise HistoryError("A projector is at work: stop it.")
    rows = {
        row.shard: row
        for rows in selectors.layouts()
        for row in rows
        if row.layout == layout.number
    }
    for number, item in enumerate(shards):
        position, row = item.shard.position, rows.get(number)
        if row is None or (row.n, bytes(row.chain)) != (position.number, position.chain):
            raise HistoryError(
                f"The journal of shard {number} does not end where its engine does, at output "
                f"{position.number}: check DATABASE_URL."
            )


def _start_id(client: Redis, old: Sequence[JournalShard]) -> int:
    """Return the entry id at which every new shard begins: above all that were ever given, and not before now."""
    seconds, micros = client.time()
    now = (seconds * 1_000 + micros // 1_000) << _MS_BITS
    last = [item.shard.position.entry_id for item in old]
    return max(now, max(last) + 1)


def _divided(
    old: Sequence[JournalShard], after: EngineLayout, start: int, build: str
) -> list[JournalShard]:
    new = []
    for shard, state in enumerate(resharded([i.state for i in old], after.shards, start)):
        machine = Machine(shard=shard, shards=after.shards, state=state)
        machine.verify()
        new.append(JournalShard(Shard(machine, Position(), epoch=0, build=build), machine))
    return new


def _begin(
    item: JournalShard,
    shard: int,
    after: EngineLayout,
    before: EngineLayout,
    old: Sequence[JournalShard],
    build: str,
    epoch: int,
) -> ShardBegin:
    """Return the first output of a new chain and the position behind it."""
    ended = tuple(
        ChainEnd(
            shard=number,
            entry_id=entry_text(end.shard.position),
            number=end.shard.position.number,
            chain=end.shard.position.chain.hex(),
            state_hash=end.machine.state_hash().hex(),
        )
        for number, end in enumerate(old)
    )
    assert len(ended) == before.shards  # noqa: S101 - the caller has drained each of them.
    event = Resharded(
        layout=after.number,
        shard=shard,
        shards=after.shards,
        ended=ended,
        state_hash=item.machine.state_hash().hex(),
    )
    events = codec.encode((event,))
    entry_id, decided_at_us = item.machine.entry_id, SystemClock().now_us()
    chain = chain_hash(
        CHAIN_GENESIS,
        entry_id,
        number=1,
        account=0,
        request_id="",
        reply=b"",
        events=events,
        command=b"",
        decided_at_us=decided_at_us,
    )
    output = Output(entry_id, 1, b"", 0, "", b"", events, b"", decided_at_us, epoch, build, chain)
    return ShardBegin(Position(entry_id, 1, chain, 1), 0, output, build)


def _read_back(
    config: EngineConfig, after: EngineLayout, begins: Sequence[ShardBegin], digest: bytes
) -> None:
    """Make sure that what an engine will load is what was written."""
    states = []
    for shard, begin in enumerate(begins):
        own = replace(config, shard=shard, shards=after.shards)
        newest = next(SnapshotFiles(own).newest_first(), None)
        if not isinstance(newest, Snapshot) or newest.header.chain != begin.position.chain.hex():
            raise HistoryError(f"The snapshot of new shard {shard} does not read back.")
        machine = Machine.load(newest.body, shard=shard, shards=after.shards)
        machine.verify()
        states.append(machine.state)
    if layout_digest(states) != digest:
        raise HistoryError("The snapshots of the new shards do not hold what the old ones knew.")


def _switch(
    client: Redis,
    prefix: str,
    before: EngineLayout,
    after: EngineLayout,
    old: Sequence[JournalShard],
    begins: Sequence[ShardBegin],
    epoch: int,
) -> None:
    """Put the new log in the place of the old one, if nobody has written to the old one since it was drained."""
    inputs = [input_stream(prefix, shard, before.shards) for shard in range(before.shards)]
    with client.pipeline(transaction=True) as pipeline:
        pipeline.watch(*inputs)
        for key, item in zip(inputs, old, strict=True):
            # Watched from here on; whatever came before must have been drained.
            if pipeline.xrange(key, min=f"({entry_text(item.shard.position)}", count=1):
                raise HistoryError(_WRITTEN)
        feed_epoch = int(pipeline.get(feed_epoch_key(prefix)) or 0)
        pipeline.multi()
        log_remove(pipeline, prefix=prefix, shards=before.shards)
        log_begin(
            pipeline,
            prefix=prefix,
            layout=after.number,
            begins=begins,
            epoch=epoch,
            feed_epoch=feed_epoch,
        )
        try:
            pipeline.execute()
        except WatchError as error:
            raise HistoryError(_WRITTEN) from error


_WRITTEN: Final = (
    "Somebody wrote to the log meanwhile: stop web, engines, feed and worker, and start again. "
    "Nothing has changed."
)


def _archive(config: EngineConfig, before: EngineLayout) -> None:
    """Put the snapshots of the old layout where only a replay looks for them."""
    folder = config.snapshot_dir / ARCHIVE.format(layout=before.number)
    folder.mkdir(mode=0o700, exist_ok=True)
    for path in config.snapshot_dir.glob(f"shard-*-of-{before.shards}-*.snapshot"):
        shutil.move(path, folder / path.name)
