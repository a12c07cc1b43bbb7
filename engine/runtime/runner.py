"""The engine's loop: read, decide, publish, answer, keep. One thread owns the state; nobody else touches it.

One round of the loop
  1. wait for entries and queries at once;
  2. decide the entries, with the wall clock at the start of the batch for the two rules that need one;
  3. commit outputs and checkpoint under the epoch, in calls that do all or nothing; the next entries may be decided
     while one is on its way;
  4. answer queries: after the publish, never in the middle;
  5. take a snapshot if one is due, after the publish too.
Whoever kills the process between two instructions loses nothing: what was not committed is decided again, by the same
rules, on the next start.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from engine.config import EngineConfig
from engine.messages.health import EngineHealth, EngineState
from engine.runtime.errors import HaltCode, HaltError, LogUnavailableError, RecoveryNeededError
from engine.runtime.heartbeat import Beating
from engine.runtime.keeper import SnapshotKeeper
from engine.runtime.ports import (
    Clock,
    Inbox,
    InputEntry,
    Lease,
    Log,
    MachineFactory,
    Probe,
    SnapshotHeader,
    SnapshotStore,
    StateMachine,
    probe_nothing,
)
from engine.runtime.publisher import Publisher, StopRequested
from engine.runtime.questions import Questions
from engine.runtime.recovery import recover
from engine.runtime.shard import Shard
from engine.runtime.standby import Follower
from engine.runtime.status import Status
from engine.values import text_from_entry_id

_logger = logging.getLogger(__name__)

# How long one wait may last; ticks of time end it sooner.
_WAIT_US: Final = 1_000_000
# How often a lease that another engine holds is looked at, and a standby looks for what is new.
_LEASE_POLL_US: Final = 20_000
# Entries of a batch that are decided together, after which it is seen what has come meanwhile; a look costs two microseconds.
PART: Final = 8


class Runner:
    """The engine of one shard."""

    def __init__(
        self,
        *,
        config: EngineConfig,
        log: Log,
        inbox: Inbox,
        lease: Lease,
        heartbeat: Beating,
        snapshots: SnapshotStore,
        clock: Clock,
        machines: MachineFactory,
        status: Status,
        loading: Callable[[], AbstractContextManager[None]] = nullcontext,
        probe: Probe = probe_nothing,
    ) -> None:
        self._config = config
        self._log = log
        self._inbox = inbox
        self._lease = lease
        self._heartbeat = heartbeat
        self._snapshots = snapshots
        self._clock = clock
        self._machines = machines
        self._status = status
        self._loading = loading
        self._probe = probe
        self._shard: Shard | None = None
        # Set as long as another engine is followed.
        self._follower: Follower | None = None
        self._questions = Questions(inbox, clock)
        self._stopping = threading.Event()
        self._stopped = threading.Event()
        self._is_beating = False
        self._publisher = Publisher(
            config=config, log=log, clock=clock, status=status, stopping=self._stopping, probe=probe
        )
        self._keeper = SnapshotKeeper(
            config=config, store=snapshots, clock=clock, status=status, probe=probe
        )

    # --- life -----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Recover, go live, and run until stop() is called.

        Errors: HaltError when the engine must not go on; everything else is our bug. Both were logged.
        """
        try:
            self.start()
            while not self._stopping.is_set():
                self.step()
            self._publisher.finish()
            self._status.state = EngineState.STOPPING
            self._keeper.finish(self._live())
            self._status.state = EngineState.STOPPED
        except StopRequested:
            # The log is away: nothing can be committed, and what was not committed must not become a snapshot.
            self._status.state = EngineState.STOPPED
        except HaltError as error:
            is_fenced = error.code is HaltCode.FENCED
            self._halt(str(error), EngineState.FENCED if is_fenced else EngineState.HALTED)
            raise
        except Exception as error:
            self._halt(f"{type(error).__name__}: {error}", EngineState.HALTED)
            raise
        finally:
            self._close()
            self._stopped.set()

    def request_stop(self) -> None:
        """Ask run() to finish the batch in work, take a snapshot and return; safe in a signal handler."""
        self._stopping.set()
        self._inbox.wake()

    def stop(self) -> bool:
        """Ask for the stop and wait for it from another thread; return whether it came in time."""
        self.request_stop()
        return self._stopped.wait(self._config.drain_us / 1_000_000)

    def health(self) -> EngineHealth:
        """Return the state of this engine, for readers in its own process."""
        return self._status.health(self._clock.now_us(), self._clock.monotonic_us())

    @property
    def machine(self) -> StateMachine:
        """Return the state machine; for tests and tools, between two rounds."""
        return self._live().machine

    def _halt(self, reason: str, state: EngineState) -> None:
        self._status.reason = reason
        self._status.state = state
        _logger.critical(
            "The engine halted.",
            extra={
                "shard": self._config.shard,
                "reason": reason,
                "entry_id": text_from_entry_id(self._status.position.entry_id),
            },
        )

    def _close(self) -> None:
        if self._is_beating:
            self._heartbeat.stop()
        try:
            self._lease.release()
        except LogUnavailableError:
            _logger.debug("The lease could not be given back; it lapses by itself.")
        self._lease.close()
        self._inbox.close()

    # --- start and recovery -----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Take the lease, raise the epoch and recover; afterwards step() decides new entries.

        A standby that finds the lease taken loads its state instead, and step() follows the active engine.
        Errors: HaltError, also when another engine keeps the lease.
        """
        while True:
            try:
                self._begin()
            except LogUnavailableError as error:
                self._publisher.back_off(error)
            else:
                self._publisher.log_answered()
                return

    def _begin(self) -> None:
        self._status.state = EngineState.STARTING
        self._log.reconnect()
        if self._config.is_standby and not self._lease.acquire():
            self._follow_begin()
            return
        self._acquire_lease()
        self._lead(None)

    def _lead(self, followed: Shard | None) -> None:
        """Become the active engine, from the newest snapshot or from the state of the standby that this one was."""
        self._status.is_standby = False
        began_us = self._clock.monotonic_us()
        epoch = self._log.raise_epoch()
        self._status.epoch = epoch
        self._status.batch_began_us = 0
        self._status.state = EngineState.RECOVERING
        self._probe("after_fence")
        self._beat()
        with self._loading():
            shard, snapshot, evolved = recover(
                config=self._config,
                epoch=epoch,
                log=self._log,
                snapshots=self._snapshots,
                machines=self._machines,
                committed=self._status.position,
                probe=self._probe,
                followed=followed,
            )
        if shard is not followed:
            self._adopt(shard, snapshot)
        now_us = self._clock.monotonic_us()
        self._publisher.begin_from(shard.position)
        self._status.position = shard.position
        self._status.arrived_us = now_us
        self._status.reason = ""
        self._status.state = EngineState.LIVE
        _logger.info(
            "The engine is live.",
            extra={
                "shard": self._config.shard,
                "epoch": epoch,
                "entry_id": text_from_entry_id(shard.position.entry_id),
                "outputs": shard.position.number,
                "evolved": evolved,
                "recovery_us": now_us - began_us,
            },
        )

    def _beat(self) -> None:
        if not self._is_beating:
            self._is_beating = True
            self._heartbeat.start()

    def _adopt(self, shard: Shard, snapshot: SnapshotHeader | None) -> None:
        """Go on with a state that was built from a snapshot."""
        self._shard = shard
        self._keeper.begin_from(snapshot)

    def _follow_begin(self) -> None:
        self._status.is_standby = True
        self._status.epoch = 0
        self._status.state = EngineState.RECOVERING
        self._beat()
        with self._loading():
            follower = Follower(
                config=self._config,
                log=self._log,
                snapshots=self._snapshots,
                machines=self._machines,
            )
        self._adopt(follower.shard, follower.snapshot)
        self._follower = follower
        self._status.position = follower.shard.position
        self._status.reason = ""
        self._status.state = EngineState.STANDBY
        _logger.info("The engine follows another one.", extra={"shard": self._config.shard})

    def _acquire_lease(self) -> None:
        """Wait for the lease of another engine to lapse: after a kill it outlives its owner by a second."""
        deadline_us = self._clock.monotonic_us() + self._config.lease_wait_us
        while not self._lease.acquire():
            if self._clock.monotonic_us() >= deadline_us:
                raise HaltError(
                    HaltCode.LEASE_HELD,
                    f"another engine runs shard {self._config.shard} on this log. Stop that one "
                    "first, or start this one without its engine (ENGINE_MODE=remote).",
                )
            if self._clock.wait(self._stopping, _LEASE_POLL_US):
                raise StopRequested

    # --- one round --------------------------------------------------------------------------------------------------

    def step(self) -> None:
        """Do one round of the loop."""
        try:
            if self._follower is not None:
                self._follow(self._follower)
            else:
                self._round()
        except RecoveryNeededError as error:
            _logger.warning(
                "The state in memory is thrown away and built anew.", extra={"reason": str(error)}
            )
            self._shard = None
            self._questions.forget()
            self.start()

    def _follow(self, follower: Follower) -> None:
        """Do one round of a standby: take over if the lease is free, else come after the active engine."""
        try:
            if self._lease.acquire():
                self._follower = None
                self._probe("before_takeover")
                self._lead(follower.shard)
                return
            has_moved = follower.advance()
        except LogUnavailableError as error:
            self._publisher.back_off(error)
            if self._follower is None:
                self.start()
            else:
                self._follow_again()
            return
        self._publisher.log_answered()
        self._status.reason = ""
        self._status.state = EngineState.STANDBY
        self._status.position = follower.shard.position
        if self._keeper.is_due(follower.shard):
            self._keeper.take(follower.shard)
        self._keeper.note()
        if not has_moved:
            self._clock.wait(self._stopping, _LEASE_POLL_US)

    def _follow_again(self) -> None:
        """Connect anew; what was followed so far stays as it is."""
        try:
            self._log.reconnect()
        except LogUnavailableError as error:
            _logger.debug("The log is still out of reach.", extra={"reason": str(error)})

    def _live(self) -> Shard:
        if self._shard is None:
            raise RecoveryNeededError("there is no state yet")
        return self._shard

    def _round(self) -> None:
        shard = self._live()
        self._probe("before_read")
        try:
            arrivals = self._inbox.wait(
                shard.position.entry_id, self._config.batch_entries_max, _WAIT_US
            )
        except LogUnavailableError as error:
            self._publisher.find_out(error)
            self._status.batch_began_us = 0
            return
        self._publisher.log_answered()
        self._probe("after_read")
        if arrivals.entries:
            self._status.batch_began_us = self._clock.monotonic_us()
            self._decide(shard, arrivals.entries)
            self._status.arrived_us = self._clock.monotonic_us()
        self._publisher.offer(0)
        if arrivals.queries or self._questions.are_waiting:
            self._publisher.finish()
            self._questions.answer(shard, arrivals.queries)
        if self._keeper.is_due(shard):
            self._publisher.finish()
            self._keeper.take(shard)
        self._keeper.note()
        if self._publisher.is_idle:
            self._status.batch_began_us = 0

    def _decide(self, shard: Shard, entries: Sequence[InputEntry]) -> None:
        """Decide a batch, and hand it to the publisher part by part: one is committed while the next is decided.

        Nobody sees the state of an uncommitted part: queries and snapshots wait for it.
        """
        decided_at_us = self._clock.now_us()
        config, probe, publisher = self._config, self._probe, self._publisher
        part = min(PART, config.publish_outputs_min)
        for first in range(0, len(entries), part):
            for output, position in shard.decide_part(entries[first : first + part], decided_at_us):
                probe("mid_apply")
                publisher.gather(output, position)
            if first + part <= len(entries):
                self._inbox.look_ahead()
                publisher.offer(config.publish_outputs_min)
        probe("after_apply")
