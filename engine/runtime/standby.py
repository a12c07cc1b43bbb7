"""A standby: follows the log behind the active engine and proves each of its outputs.

What was decided by the same build is decided here too and compared, byte for byte: a continuous proof that the rules
are deterministic. What another build decided is evolved. When the active engine is gone, the state that was built on
the way is the one that goes on, so that a takeover replays next to nothing.
"""

import logging
from typing import Final

from engine.config import EngineConfig
from engine.runtime.errors import HaltCode, HaltError
from engine.runtime.ports import Checkpoint, Log, MachineFactory, SnapshotHeader, SnapshotStore
from engine.runtime.recovery import require_checkpoint, restored
from engine.runtime.shard import Shard
from engine.values import text_from_entry_id

_logger = logging.getLogger(__name__)

# Entries applied between two looks at the lease.
_PAGE: Final = 1_000


class Follower:
    """A shard that comes after the active engine's."""

    def __init__(
        self,
        *,
        config: EngineConfig,
        log: Log,
        snapshots: SnapshotStore,
        machines: MachineFactory,
    ) -> None:
        """Load the newest verified snapshot of this host.

        Errors: HaltError when there is none and the log does not reach back to the beginning; LogUnavailableError.
        """
        self._log = log
        self._build = config.build
        # Of the checkpoint that was looked at last, and where it stood when its epoch was first seen.
        self._epoch, self._epoch_seen_at = 0, 0
        checkpoint = log.checkpoint()
        goal = checkpoint.position if checkpoint else Checkpoint.nowhere().position
        machine, position, self.snapshot = restored(log, snapshots, machines, goal)
        self.shard = Shard(machine, position, epoch=0, build=config.build)

    snapshot: SnapshotHeader | None

    def advance(self) -> bool:
        """Apply what the active engine has committed since, at most one page; return whether there was any.

        Errors: HaltError DIVERGED when this build decides otherwise, and those of a recovery; LogUnavailableError.
        """
        checkpoint = self._log.checkpoint()
        if checkpoint is None:
            return False
        shard, goal = self.shard, checkpoint.position
        if goal.entry_id < shard.position.entry_id:
            raise HaltError(
                HaltCode.LOG_REWOUND,
                f"the checkpoint stands at {text_from_entry_id(goal.entry_id)}, but this standby had "
                f"followed it to {text_from_entry_id(shard.position.entry_id)}: the log was wiped, or "
                "restored from an older copy. Restore it from a newer one.",
            )
        if goal.entry_id == shard.position.entry_id:
            return False
        if checkpoint.epoch != self._epoch:
            self._epoch, self._epoch_seen_at = checkpoint.epoch, goal.entry_id
        is_of_our_build = checkpoint.build == self._build
        entries = self._log.read_input(shard.position.entry_id, goal.entry_id, _PAGE)
        outputs = {
            output.entry_id: output
            for output in self._log.read_outputs(
                shard.position.entry_id, entries[-1].entry_id if entries else goal.entry_id, _PAGE
            )
        }
        # Asked after the reading: what was not removed by now was whole when it was read.
        inputs = self._log.input_state()
        if not entries or inputs.added - inputs.length > shard.position.applied:
            raise HaltError(
                HaltCode.INPUT_GAP,
                "entries after "
                f"{text_from_entry_id(shard.position.entry_id)} are no longer in the input stream. If the "
                "log was trimmed while this standby was away, copy the active engine's newest snapshot "
                "into its folder; else restore the log.",
            )
        for entry in entries:
            output = outputs.pop(entry.entry_id, None)
            # An entry without an output does not name who decided it. The checkpoint does, from where it was when it changed hands.
            is_ours = (
                is_of_our_build and entry.entry_id > self._epoch_seen_at
                if output is None
                else output.build == self._build
            )
            if is_ours:
                shard.confirm(entry, output)
            else:
                shard.evolve(entry, output)
        if outputs:
            raise HaltError(
                HaltCode.INPUT_GAP,
                "outputs stand before "
                f"{text_from_entry_id(shard.position.entry_id)} whose entries are not in the input "
                "stream. Restore the log from a backup.",
            )
        if shard.position.entry_id == goal.entry_id:
            require_checkpoint(shard.position, goal)
            shard.settle()
        return True
