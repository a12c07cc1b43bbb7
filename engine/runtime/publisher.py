"""Commits batches to the log, and finds out the truth when an answer is lost. Never sends anything again blindly."""

import logging
from collections.abc import Sequence
from threading import Event
from typing import Final

from engine.config import EngineConfig
from engine.messages.health import EngineState
from engine.runtime.errors import HaltCode, HaltError, LogUnavailableError, RecoveryNeededError
from engine.runtime.ports import Batch, Checkpoint, Clock, Log, Output, Position, Published
from engine.runtime.status import Status
from engine.values import text_from_entry_id

_logger = logging.getLogger(__name__)

# Pause before the log is tried again: as long as it has been failing, within these bounds.
_BACKOFF_US: Final = 20_000
_BACKOFF_US_MAX: Final = 1_000_000


class StopRequested(Exception):  # noqa: N818 - a way out of a loop, not an error.
    """Stop was asked for while the log was out of reach."""


class Publisher:
    """The way from decided outputs to committed ones."""

    def __init__(
        self, *, config: EngineConfig, log: Log, clock: Clock, status: Status, stopping: Event
    ) -> None:
        self._config = config
        self._log = log
        self._clock = clock
        self._status = status
        self._stopping = stopping
        # The batch under way, and the error that met it when it was sent.
        self._batch: Batch | None = None
        self._lost: LogUnavailableError | None = None
        # Since when the log fails, monotonic microseconds; 0: it does not.
        self._failing_since_us = 0

    def begin(
        self, before: Position, after: Position, outputs: Sequence[Output], *, is_last: bool
    ) -> None:
        """Send one batch on its way, as soon as the one before is known to be committed; errors as finish()."""
        self.finish()
        self._batch = Batch(self._status.epoch, self._config.build, before, after, outputs, is_last)
        self._send(self._batch)

    def _send(self, batch: Batch) -> None:
        try:
            self._log.publish(batch)
            self._lost = None
        except LogUnavailableError as error:
            self._lost = error

    def finish(self) -> None:
        """Return only when the batch under way, if there is one, is known to be committed.

        Errors: HaltError when this engine may not or must not go on, RecoveryNeededError, StopRequested.
        """
        while (batch := self._batch) is not None:
            try:
                if self._lost is not None:
                    raise self._lost
                published = self._log.published()
            except LogUnavailableError as error:
                if self.is_committed(batch.before, batch.after, error):
                    self._batch = None
                else:
                    self._send(batch)
                continue
            self._judge(published, batch.before)
            self._batch = None

    def forget(self) -> None:
        """Forget the batch under way: the state that it came from is thrown away."""
        self._batch = None

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
