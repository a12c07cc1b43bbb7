"""Commits batches to the log, and finds out the truth when an answer is lost. Never sends anything again blindly."""

import logging
from threading import Event
from typing import Final

from engine.config import EngineConfig
from engine.messages.health import EngineState
from engine.runtime.errors import HaltCode, HaltError, LogUnavailableError, RecoveryNeededError
from engine.runtime.ports import (
    Batch,
    Checkpoint,
    Clock,
    Log,
    Output,
    Position,
    Probe,
    Published,
)
from engine.runtime.status import Status
from engine.values import text_from_entry_id

_logger = logging.getLogger(__name__)

# Pause before the log is tried again: as long as it has been failing, within these bounds.
_BACKOFF_US: Final = 20_000
_BACKOFF_US_MAX: Final = 1_000_000
# Bytes of an output beside its variable parts: names of fields, numbers and hash.
_OUTPUT_OVERHEAD: Final = 200


class StopRequested(Exception):  # noqa: N818 - a way out of a loop, not an error.
    """Stop was asked for while the log was out of reach."""


class Publisher:
    """The way from decided outputs to committed ones.

    One batch is under way at a time; what is decided meanwhile is gathered and leaves together, so a busy engine
    commits seldom and a quiet one at once.
    """

    def __init__(
        self,
        *,
        config: EngineConfig,
        log: Log,
        clock: Clock,
        status: Status,
        stopping: Event,
        probe: Probe,
    ) -> None:
        self._config = config
        self._log = log
        self._clock = clock
        self._status = status
        self._stopping = stopping
        self._probe = probe
        # What waits to leave: from which position to which, and the bytes of the outputs, roughly.
        self._before = self._after = Position()
        self._outputs: list[Output] = []
        self._size = 0
        # The batch under way, and the error that met it when it was sent.
        self._batch: Batch | None = None
        self._lost: LogUnavailableError | None = None
        # Since when the log fails, monotonic microseconds; 0: it does not.
        self._failing_since_us = 0

    def begin_from(self, position: Position) -> None:
        """Gather from a committed position on; what was gathered or under way is forgotten."""
        self._before = self._after = position
        self._outputs = []
        self._size = 0
        self._batch = None

    @property
    def is_idle(self) -> bool:
        """Return whether everything that was decided is committed."""
        return self._batch is None and self._after.applied == self._before.applied

    def gather(self, output: Output | None, after: Position) -> None:
        """Take the output of one decided entry (None: it has none) and the position behind it; errors as finish()."""
        if output is not None:
            size = len(output.events) + len(output.reply) + len(output.command) + _OUTPUT_OVERHEAD
            is_full = len(self._outputs) >= self._config.batch_entries_max
            if is_full or (self._outputs and self._size + size > self._config.batch_bytes_max):
                self._confirm()
                self._begin()
            self._outputs.append(output)
            self._size += size
        self._after = after

    def offer(self, outputs_min: int) -> None:
        """Send what was gathered, if it is that much and nothing is under way any more; errors as finish()."""
        if self._batch is not None:
            if not self._log.has_answer():
                return
            self._confirm()
        if len(self._outputs) >= outputs_min and not self.is_idle:
            self._begin()

    def finish(self) -> None:
        """Return only when everything that was gathered is known to be committed.

        Errors: HaltError when this engine may not or must not go on, RecoveryNeededError, StopRequested.
        """
        self._confirm()
        if not self.is_idle:
            self._begin()
            self._confirm()

    def _begin(self) -> None:
        self._batch = Batch(
            self._status.epoch, self._config.build, self._before, self._after, self._outputs
        )
        self._before, self._outputs, self._size = self._after, [], 0
        self._send(self._batch)

    def _send(self, batch: Batch) -> None:
        try:
            self._log.publish(batch)
            self._lost = None
        except LogUnavailableError as error:
            self._lost = error

    def _confirm(self) -> None:
        """Return only when the batch under way, if there is one, is known to be committed."""
        while (batch := self._batch) is not None:
            try:
                if self._lost is not None:
                    raise self._lost
                published = self._log.published()
            except LogUnavailableError as error:
                if not self.is_committed(batch.before, batch.after, error):
                    self._send(batch)
                    continue
            else:
                self._judge(published, batch.before)
            self._batch = None
            self._status.position = batch.after
            self._probe("after_publish")

    def find_out(self, error: LogUnavailableError) -> None:
        """Return, after the log went away while it was read, when everything is committed; errors as finish()."""
        if self._batch is not None:
            self._lost = error
        elif self.is_idle:
            self.is_committed(self._before, self._before, error)
        self.finish()

    def _judge(self, published: Published, before: Position) -> None:
        self.log_answered()
        match published:
            case Published.DONE:
                return
            case Published.MOVED:
                raise RecoveryNeededError("the checkpoint is not where this engine left it")
            case Published.FENCED:
                raise HaltError(
                    HaltCode.FENCED,
                    f"another engine raised the epoch above {self._status.epoch}; this one "
                    "has published nothing since. A shard has one engine at a time.",
                )
            case Published.INPUT_GAP:
                raise HaltError(
                    HaltCode.INPUT_GAP,
                    "entries vanished from the input stream before they were applied, after "
                    f"{text_from_entry_id(before.entry_id)}; nothing was published since. "
                    "Restore the log from a backup.",
                )
            case Published.OUTPUT_AHEAD:
                raise HaltError(
                    HaltCode.OUTPUT_AHEAD,
                    "the output stream already holds entries after the checkpoint at "
                    f"{text_from_entry_id(before.entry_id)}. Restore the log from a backup.",
                )

    def is_committed(self, before: Position, after: Position, error: LogUnavailableError) -> bool:
        """Find out, after a lost connection, whether the step from ``before`` to ``after`` was carried out.

        The checkpoint tells: it stands at the new position under our epoch (done), or still at the old one (not
        done). Anything else means that the state in memory is not the log's: RecoveryNeededError.
        """
        checkpoint = self._checkpoint_after(error)
        self._status.reason = ""
        self._status.state = EngineState.LIVE
        position = Position() if checkpoint is None else checkpoint.position
        is_ours = checkpoint is None or checkpoint.epoch == self._status.epoch
        if position == after and (is_ours or before == after):
            return True
        if position.entry_id == before.entry_id:
            return False
        raise RecoveryNeededError(
            f"the checkpoint stands at {text_from_entry_id(position.entry_id)}, neither where this "
            "engine left it nor where it wanted to move it"
        ) from error

    def _checkpoint_after(self, error: LogUnavailableError) -> Checkpoint | None:
        """Return the checkpoint as soon as the log is back."""
        while True:
            self.back_off(error)
            try:
                self._log.reconnect()
                return self._log.checkpoint()
            except LogUnavailableError as again:
                error = again

    def log_answered(self) -> None:
        """Note that the log works."""
        self._failing_since_us = 0

    def back_off(self, error: LogUnavailableError) -> None:
        """Pause before the log is tried again.

        Errors: HaltError when it has failed for too long, StopRequested.
        """
        now_us = self._clock.monotonic_us()
        if not self._failing_since_us:
            self._failing_since_us = now_us
            _logger.warning("The log is out of reach.", extra={"reason": str(error)})
        failing_us = now_us - self._failing_since_us
        if failing_us >= self._config.reconnect_us:
            raise HaltError(
                HaltCode.LOG_LOST,
                f"the log was out of reach for {self._config.reconnect_us // 1_000_000} s: {error}",
            ) from error
        self._status.reason = str(error)
        self._status.state = EngineState.RECONNECTING
        pause_us = min(_BACKOFF_US_MAX, max(_BACKOFF_US, failing_us))
        if self._clock.wait(self._stopping, pause_us):
            raise StopRequested
