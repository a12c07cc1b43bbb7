"""The heartbeat: a thread that keeps the lease alive, lets time pass in a quiet log, and reports health.

It has connections of its own, so a long batch delays none of the three. The lease is liveness, not safety: safety is
the epoch. It is renewed as long as the batch in work is younger than 30 s; renewed only with each publish, primary
and standby would fence each other for ever in a cascade of some seconds.
"""

import logging
import threading
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from engine.config import EngineConfig
from engine.messages.health import EngineState
from engine.runtime.errors import LogUnavailableError
from engine.runtime.ports import Clock, Lease, Monitor
from engine.runtime.retention import Trimmer
from engine.runtime.status import Status

_logger = logging.getLogger(__name__)

_REPORT_EVERY_US: Final = 1_000_000

T = TypeVar("T")


class Beating(Protocol):
    """What a runner needs of its heartbeat."""

    def start(self) -> None:
        """Begin; called once, when the epoch has been raised or another engine is followed."""
        ...

    def stop(self) -> None:
        """End, with a last report of the state as it is then."""
        ...


class Heartbeat:
    """The heartbeat thread of one engine."""

    def __init__(
        self,
        *,
        config: EngineConfig,
        lease: Lease,
        monitor: Monitor,
        trimmer: Trimmer,
        clock: Clock,
        status: Status,
    ) -> None:
        self._config = config
        self._lease = lease
        self._monitor = monitor
        self._trimmer = trimmer
        self._clock = clock
        self._status = status
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        # When lease and report are due, and when the last tick was appended; monotonic microseconds.
        self._renew_us = self._report_us = self._ticked_us = 0
        self._is_lease_lost = False
        # Codes of the alarms that last.
        self._told: set[str] = set()
        # What failed since the last report, and what has been logged of it.
        self._failure = self._told_failure = ""

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(
            target=self._run, name=f"engine-{self._status.shard}-heartbeat", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End the thread, and report the last state."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
        self._report()
        self._monitor.close()
        self._trimmer.close()

    def _run(self) -> None:
        while True:
            next_us = self._beat()
            if self._clock.wait(self._stopping, max(0, next_us - self._clock.monotonic_us())):
                return

    def _beat(self) -> int:
        """Do what is due, and return when something is again, monotonic microseconds."""
        now_us = self._clock.monotonic_us()
        if now_us >= self._renew_us:
            self._renew_us = now_us + self._config.heartbeat_us
            if not self._status.is_standby:
                self._surely(lambda: self._renew(now_us))
        if now_us >= self._report_us:
            self._report_us = now_us + _REPORT_EVERY_US
            self._surely(self._maintain)
        tick_us = self._surely(lambda: self._tick(now_us)) or now_us + self._config.heartbeat_us
        return min(self._renew_us, self._report_us, tick_us)

    def _surely(self, work: Callable[[], T]) -> T | None:
        """Do one part of a beat; whatever nobody foresaw in it is told, and the other parts go on.

        An engine whose heart has stopped in silence looks alive.
        """
        try:
            return work()
        except Exception as error:
            self._failure = f"{type(error).__name__}: {error}"
            if self._failure != self._told_failure:
                _logger.exception(
                    "A part of the heartbeat failed.", extra={"shard": self._status.shard}
                )
                self._told_failure = self._failure
            return None

    def _renew(self, now_us: int) -> None:
        began_us = self._status.batch_began_us
        if began_us and now_us - began_us > self._config.batch_stuck_us:
            return
        try:
            is_ours = self._lease.renew()
        except LogUnavailableError:
            return
        if not is_ours and not self._is_lease_lost:
            _logger.warning(
                "Another engine holds the lease; its epoch will stop this one.",
                extra={"shard": self._status.shard, "epoch": self._status.epoch},
            )
        self._is_lease_lost = not is_ours

    def _tick(self, now_us: int) -> int:
        """Append a tick if one is due, and return when the next can be, monotonic microseconds."""
        status, every_us = self._status, self._config.heartbeat_us
        if status.state is not EngineState.LIVE or status.batch_began_us or self._is_lease_lost:
            return now_us + every_us
        due_us = max(status.arrived_us, self._ticked_us) + every_us
        if now_us < due_us:
            return due_us
        self._ticked_us = now_us
        try:
            self._lease.append_tick()
        except LogUnavailableError as error:
            _logger.debug("A tick of time was lost.", extra={"reason": str(error)})
        return now_us + every_us

    def _maintain(self) -> None:
        self._surely(self._upkeep)
        # Of all parts, since the last report.
        self._status.heartbeat_failure, self._failure = self._failure, ""
        if not self._status.heartbeat_failure:
            self._told_failure = ""
        self._report()

    def _upkeep(self) -> None:
        self._count_input()
        if not self._is_lease_lost:
            self._trimmer.beat()

    def _count_input(self) -> None:
        try:
            self._status.input_added = self._lease.input_added()
        except LogUnavailableError:
            return

    def _report(self) -> None:
        # The key belongs to the active engine: a fenced one must not cover its successor's report.
        if self._is_lease_lost or self._status.state is EngineState.FENCED:
            return
        health = self._status.health(self._clock.now_us(), self._clock.monotonic_us())
        self._tell(health.alarms)
        self._monitor.report(health)

    def _tell(self, alarms: tuple[str, ...]) -> None:
        """Log each alarm once, when it begins."""
        codes = {alarm.partition(":")[0] for alarm in alarms}
        for alarm in alarms:
            if alarm.partition(":")[0] not in self._told:
                _logger.warning("An alarm.", extra={"shard": self._status.shard, "alarm": alarm})
        self._told = codes
