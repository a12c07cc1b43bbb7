"""Decides the retained input of one shard again, from a snapshot on, and compares with what was recorded."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from cryptocfd.history.errors import HistoryError
from cryptocfd.history.journal import Advance, advance_nothing
from cryptocfd.history.recorded import JournalOutputs
from engine.adapters.journalled_log import JournalledLog
from engine.adapters.redis_streams import RedisLog
from engine.adapters.snapshot_files import SnapshotFiles
from engine.adapters.system_clock import SystemClock
from engine.config import EngineConfig
from engine.core.machine import Machine
from engine.runtime.errors import HaltError, LogUnavailableError
from engine.runtime.history import inputs, outputs, skips_ahead
from engine.runtime.ports import InputEntry, Output, Position, Snapshot
from engine.runtime.shard import Shard, is_skipped
from engine.runtime.snapshots import position_of
from engine.values import text_from_entry_id

# What of an output is compared; tag, epoch and build lie outside of what was decided.
_COMPARED: Final = ("number", "account", "request_id", "reply", "events", "command", "chain")


class Decided(NamedTuple):
    """What was decided again."""

    # Where it began: the entry id of a snapshot, or "genesis".
    start: str
    entries: int
    outputs: int
    # Snapshots whose state and market hashes were compared.
    snapshots: int


def retained_length(config: EngineConfig) -> int:
    """Return how many entries the input stream of a shard holds."""
    log = _log(config)
    try:
        return log.input_state().length
    finally:
        log.close()


def decide_again(config: EngineConfig, advance: Advance = advance_nothing) -> Decided:
    """Decide everything after the oldest usable snapshot again, up to the checkpoint.

    Errors: HistoryError with the first difference.
    """
    log = _log(config)
    try:
        return _decide_again(config, log, advance)
    except LogUnavailableError as error:
        raise HistoryError(f"The log's server cannot be reached: {error}.") from error
    except HaltError as error:
        raise HistoryError(str(error)) from error
    finally:
        log.close()


def _log(config: EngineConfig) -> RedisLog:
    # As in a recovery: streams are trimmed by whole nodes, so outputs may be gone whose inputs are still there.
    log = JournalledLog(config, SystemClock(), JournalOutputs(config.shard))
    log.reconnect()
    return log


def _decide_again(config: EngineConfig, log: RedisLog, advance: Advance) -> Decided:
    checkpoint = log.checkpoint()
    if checkpoint is None:
        raise HistoryError("The log has no checkpoint: no engine has ever published to it.")
    goal = checkpoint.position
    snapshots = [s for s in SnapshotFiles(config).newest_first() if isinstance(s, Snapshot)]
    # The snapshots that lie ahead, in order, by the number of entries that they hold.
    ahead = {s.header.count: s for s in reversed(snapshots) if s.header.count <= goal.applied}
    shard, start = _start(config, log, list(ahead.values()))
    entries = answered = compared = 0
    shard.skips.update(skips_ahead(log, shard.position.entry_id))
    recorded = outputs(log, shard.position.entry_id, goal.entry_id)
    output = next(recorded, None)
    for entry in inputs(log, shard.position.entry_id, goal.entry_id):
        mine = output if output is not None and output.entry_id == entry.entry_id else None
        if mine is not None:
            answered += 1
            output = next(recorded, None)
            if is_skipped(mine):
                shard.skips.add(entry.entry_id)
        _compare(entry, shard.decide(entry, mine.decided_at_us if mine else 0), mine)
        entries += 1
        snapshot = ahead.get(shard.position.applied)
        if snapshot is not None:
            _compare_state(shard, snapshot)
            compared += 1
        advance(1)
    if shard.position != goal:
        raise HistoryError(
            f"Deciding again ends at {text_from_entry_id(shard.position.entry_id)} with output "
            f"{shard.position.number}; the checkpoint says {text_from_entry_id(goal.entry_id)} with "
            f"output {goal.number}."
        )
    return Decided(start, entries, answered, compared)


def _start(
    config: EngineConfig, log: RedisLog, oldest_first: Sequence[Snapshot]
) -> tuple[Shard, str]:
    """Return the state of the oldest snapshot whose successors are all there, or the empty one."""
    held = log.input_state()
    removed = held.added - held.length
    if removed == 0 and not _is_later_layout(log):
        machine = Machine(shard=config.shard, shards=config.shards)
        return Shard(machine, Position(), epoch=0, build=config.build), "genesis"
    for snapshot in oldest_first:
        if snapshot.header.count < removed:
            continue
        machine = Machine.load(snapshot.body, shard=config.shard, shards=config.shards)
        if machine.state_hash().hex() != snapshot.header.state_hash:
            raise HistoryError(f"Snapshot {snapshot.name} does not hold the state that it names.")
        position = position_of(snapshot.header)
        return (
            Shard(machine, position, epoch=0, build=config.build),
            snapshot.header.entry_id,
        )
    raise HistoryError(
        f"{removed} entries of the input were trimmed, and no snapshot that opens is newer than they."
    )


def _is_later_layout(log: RedisLog) -> bool:
    """Return whether the log began with a reshard, whose state stands in a snapshot only."""
    first = log.read_outputs(0, None, 1)
    return bool(first) and first[0].number == 1 and b'"Resharded"' in first[0].events


def _compare(entry: InputEntry, decided: Output | None, recorded: Output | None) -> None:
    place = f"entry {text_from_entry_id(entry.entry_id)}"
    if decided is None or recorded is None:
        if decided is not recorded:
            has = "one" if recorded else "none"
            raise HistoryError(
                f"First difference at {place}: the record has {has} output, deciding again gives "
                f"{'none' if decided is None else f'output {decided.number} with events {decided.events[:300]!r}'}."
            )
        return
    for field in _COMPARED:
        was, now = getattr(recorded, field), getattr(decided, field)
        if was != now:
            raise HistoryError(
                f"First difference at {place}, output {recorded.number} of build {recorded.build!r}, in "
                f"{field}: recorded {_short(was)}, decided now {_short(now)}."
            )


def _short(value: object) -> str:
    return value.hex() if isinstance(value, bytes) and len(value) == 32 else repr(value)[:600]


def _compare_state(shard: Shard, snapshot: Snapshot) -> None:
    header = snapshot.header
    machine = shard.machine
    recorded = Machine.load(snapshot.body, shard=header.shard, shards=header.shards)
    if not isinstance(machine, Machine):
        raise TypeError(f"expected the machine of the core, found {machine!r}")
    pairs = {
        "state": (header.state_hash, machine.state_hash().hex()),
        "chain": (header.chain, shard.position.chain.hex()),
        # Quotes and time: known from the whole input only.
        "market": (recorded.market_hash().hex(), machine.market_hash().hex()),
    }
    for name, (was, now) in pairs.items():
        if was != now:
            raise HistoryError(
                f"First difference at snapshot {snapshot.name}, in the {name} hash: recorded {was}, "
                f"decided now {now}."
            )
