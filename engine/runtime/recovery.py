"""From the newest verified snapshot and the recorded history to the state at the checkpoint.

History is never decided again: entries up to the checkpoint are evolved from their recorded outputs, so a new release
cannot rewrite it. Start-up and crash take this one path. Whatever cannot be proved refuses to go live.
"""

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple

import msgspec

from engine.config import EngineConfig
from engine.runtime.errors import HaltCode, HaltError
from engine.runtime.history import inputs, outputs, skips_ahead
from engine.runtime.ports import (
    Log,
    MachineFactory,
    Position,
    Probe,
    RefusedSnapshot,
    Snapshot,
    SnapshotHeader,
    SnapshotStore,
    StateMachine,
)
from engine.runtime.shard import Shard
from engine.runtime.snapshots import position_of
from engine.values import InvariantError, text_from_entry_id

_logger = logging.getLogger(__name__)


class Recovered(NamedTuple):
    """A shard at the checkpoint, and the snapshot that it was built from."""

    shard: Shard
    snapshot: SnapshotHeader | None
    # Entries that were evolved after the snapshot.
    evolved: int


def recover(
    *,
    config: EngineConfig,
    epoch: int,
    log: Log,
    snapshots: SnapshotStore,
    machines: MachineFactory,
    committed: Position,
    probe: Probe,
    followed: Shard | None = None,
) -> Recovered:
    """Build the state at the checkpoint; the epoch must have been raised before, so that nobody moves it meanwhile.

    ``followed`` is the shard of a standby that becomes the active engine; without it the newest snapshot is the start.
    ``committed`` is what this process has seen committed; a log that stands before it was wiped or rewound.

    Errors: HaltError for everything that cannot be proved, FENCED when another engine has taken over meanwhile;
    LogUnavailableError.
    """
    with _fence_watched(log, epoch):
        checkpoint = log.checkpoint()
        goal = Position() if checkpoint is None else checkpoint.position
        if goal.entry_id < committed.entry_id:
            raise HaltError(
                HaltCode.LOG_REWOUND,
                f"the checkpoint stands at {text_from_entry_id(goal.entry_id)}, but this engine had "
                f"committed {text_from_entry_id(committed.entry_id)}: the log was wiped, or restored "
                "from an older copy. Restore it from a newer one.",
            )
        _require_streams(log, goal)

        header = None
        held = log.input_state()
        if followed is None or followed.position.applied < held.added - held.length:
            # A standby that was overtaken by trimming is no better than its newest snapshot.
            machine, position, header = restored(log, snapshots, machines, goal)
            shard = Shard(machine, position, epoch=epoch, build=config.build)
        else:
            shard, position = followed, followed.position
            shard.lead(epoch)
        probe("after_load")

        _evolve_history(log, shard, goal)
        shard.settle()
        probe("after_evolve")

        shard.skips.update(skips_ahead(log, goal.entry_id))
        return Recovered(shard, header, goal.applied - position.applied)


@contextmanager
def _fence_watched(log: Log, epoch: int) -> Iterator[None]:
    """Say FENCED where it is the reason: who slept between two readings while another led has seen two states of a sound log."""
    try:
        yield
    except HaltError as error:
        if log.epoch() == epoch:
            raise
        message = f"another engine raised the epoch above {epoch} while this one recovered"
        raise HaltError(HaltCode.FENCED, message) from error


def _require_streams(log: Log, goal: Position) -> None:
    """Refuse streams that contradict the checkpoint."""
    written = log.output_state()
    if written.last_id > goal.entry_id:
        raise HaltError(
            HaltCode.OUTPUT_AHEAD,
            f"the output stream ends at {text_from_entry_id(written.last_id)}, but the checkpoint "
            f"stands at {text_from_entry_id(goal.entry_id)}. Restore the log from a backup.",
        )
    held = log.input_state()
    removed = held.added - held.length
    if held.last_id < goal.entry_id or held.added < goal.applied or removed > goal.applied:
        raise HaltError(
            HaltCode.INPUT_GAP,
            f"the input stream holds {held.length} of {held.added} entries up to "
            f"{text_from_entry_id(held.last_id)}, but the checkpoint counts {goal.applied} up to "
            f"{text_from_entry_id(goal.entry_id)}: entries were removed before they were applied. "
            "Restore the log from a backup.",
        )


def restored(
    log: Log, snapshots: SnapshotStore, machines: MachineFactory, goal: Position
) -> tuple[StateMachine, Position, SnapshotHeader | None]:
    """Return the newest state that can be verified, or the empty one if the log reaches back to the beginning.

    Errors: HaltError when neither is there, LogUnavailableError.
    """
    held = log.input_state()
    refused: list[RefusedSnapshot] = []
    for candidate in snapshots.newest_first():
        if isinstance(candidate, Snapshot):
            _require_not_ahead(candidate, goal)
            loaded = _loaded(log, machines, candidate, held.added - held.length)
            if not isinstance(loaded, RefusedSnapshot):
                return loaded, position_of(candidate.header), candidate.header
            candidate = loaded
        refused.append(candidate)
        _logger.warning(
            "A snapshot was refused; the next older one is tried.",
            extra={"snapshot": candidate.name, "reason": candidate.reason},
        )
    if (refused and goal.applied == 0) or held.added > held.length:
        raise HaltError(
            HaltCode.SNAPSHOTS_UNUSABLE,
            "no snapshot can be used ("
            + ("; ".join(f"{item.name}: {item.reason}" for item in refused) or "there is none")
            + "), and the log does not hold the whole history. Give the right SNAPSHOT_KEYS and "
            "snapshot folder, copy a snapshot from the shard's other host, or restore from a backup.",
        )
    return machines.new(), Position(), None


def _require_not_ahead(snapshot: Snapshot, goal: Position) -> None:
    position = position_of(snapshot.header)
    if position.entry_id <= goal.entry_id:
        return
    if goal.applied == 0:
        raise HaltError(
            HaltCode.LOG_EMPTY,
            f"the log is empty, but snapshot {snapshot.name} holds {position.applied} entries. "
            "Check LOG_REDIS_URL and STREAM_PREFIX; to begin anew on purpose, move the snapshots "
            "to another folder.",
        )
    raise HaltError(
        HaltCode.SNAPSHOT_AHEAD,
        f"snapshot {snapshot.name} is ahead of the log's checkpoint at "
        f"{text_from_entry_id(goal.entry_id)}: the log has lost entries, or the snapshot comes "
        "from elsewhere. Restore the log from a backup, or move that snapshot to another folder to "
        "accept the loss.",
    )


def _loaded(
    log: Log, machines: MachineFactory, snapshot: Snapshot, trimmed: int
) -> StateMachine | RefusedSnapshot:
    """Return the state of a snapshot if it is what its header says and belongs to this log."""
    header = snapshot.header
    position = position_of(header)
    if position.applied < trimmed:
        return RefusedSnapshot(snapshot.name, "the log was trimmed beyond it")
    # The output that the snapshot ends with may have been trimmed; while it is there, it must be the same.
    for output in log.read_outputs(position.entry_id - 1, position.entry_id, 1):
        if output.number != position.number or output.chain != position.chain:
            return RefusedSnapshot(snapshot.name, "it belongs to another log")
    try:
        # Hashing lets go of the interpreter, so the other processor does it meanwhile.
        with ThreadPoolExecutor(1) as aside:
            hashing = aside.submit(machines.state_hash_in, snapshot.body)
            machine = machines.load(snapshot.body)
            state_hash = hashing.result()
    except (InvariantError, ValueError, msgspec.MsgspecError) as error:
        return RefusedSnapshot(snapshot.name, f"its state cannot be read: {error}")
    if state_hash.hex() != header.state_hash or machine.entry_id != position.entry_id:
        return RefusedSnapshot(snapshot.name, "its state is not the one that its header names")
    return machine


def _evolve_history(log: Log, shard: Shard, goal: Position) -> None:
    """Merge input and recorded outputs by id, up to the checkpoint, and prove that they end in its hash."""
    recorded = outputs(log, shard.position.entry_id, goal.entry_id)
    output = next(recorded, None)
    for entry in inputs(log, shard.position.entry_id, goal.entry_id):
        if output is not None and output.entry_id < entry.entry_id:
            break
        if output is not None and output.entry_id == entry.entry_id:
            shard.evolve(entry, output)
            output = next(recorded, None)
        else:
            shard.evolve(entry, None)
    require_checkpoint(shard.position, goal, is_complete=output is None)


def require_checkpoint(position: Position, goal: Position, *, is_complete: bool = True) -> None:
    """Prove that a history that was applied ends where and as the checkpoint says.

    Errors: HaltError INPUT_GAP, OUTPUT_GAP, CHAIN_BROKEN.
    """
    if not is_complete or (position.entry_id, position.applied) != (goal.entry_id, goal.applied):
        raise HaltError(
            HaltCode.INPUT_GAP,
            f"history ends at {text_from_entry_id(position.entry_id)} after {position.applied} "
            f"entries, but the checkpoint counts {goal.applied} up to "
            f"{text_from_entry_id(goal.entry_id)}. Restore the log from a backup.",
        )
    if position.number != goal.number:
        raise HaltError(
            HaltCode.OUTPUT_GAP,
            f"the recorded outputs end at number {position.number}, but the checkpoint says "
            f"{goal.number}. Restore the log from a backup.",
        )
    if position.chain != goal.chain:
        raise HaltError(
            HaltCode.CHAIN_BROKEN,
            f"the recorded outputs up to number {position.number} do not end in the hash of the "
            "checkpoint. Restore the log from a backup.",
        )
