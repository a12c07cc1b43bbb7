"""Writes the snapshot of a state that no engine runs, and makes sure that it is on the disk."""

from cryptocfd.history.errors import HistoryError
from cryptocfd.history.journal import JournalShard
from engine.adapters.snapshot_files import SnapshotFiles
from engine.adapters.system_clock import SystemClock
from engine.config import EngineConfig
from engine.runtime.snapshots import header_of


def snapshot_write(config: EngineConfig, item: JournalShard) -> None:
    """Write one shard's state as its newest snapshot.

    Errors: HistoryError when it cannot be written.
    """
    body, state_hash = item.machine.copy()
    header = header_of(
        state_hash,
        item.shard.position,
        prefix=config.prefix,
        shard=config.shard,
        shards=config.shards,
        build=config.build,
        now_us=SystemClock().now_us(),
    )
    files = SnapshotFiles(config)
    files.write(header, body)
    if failure := files.status().failure:
        raise HistoryError(f"The snapshot of shard {config.shard} cannot be written: {failure}.")
