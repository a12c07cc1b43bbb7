"""A background part of the platform: something that runs until it is asked to stop, in a thread of its own.

What the parts are and how they are put together is in engine_host.py.
"""

import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from django.db import connections

logger = logging.getLogger(__name__)

# How far parts give way that nobody waits for while orders are answered. A thread that gives way less far holds the interpreter's lock
# shorter; a process of its own holds nothing that others wait for.
NICENESS: Final = 5
PROCESS_NICENESS: Final = 10
# A part that has failed is started again after so long, twice as long after each further failure, and counts as well again when it
# has worked for a minute: one that fails every ten seconds is not well in between.
_PAUSE_SECONDS: Final = 1.0
_PAUSE_SECONDS_MAX: Final = 60.0
_WELL_SECONDS: Final = 60.0
_AUTOGROUP = Path("/proc/self/autogroup")


class Service(Protocol):
    """What a part runs."""

    def run(self) -> object:
        """Work until asked to stop; blocks."""

    def stop(self) -> object:
        """Ask run() to end; from any thread, also before it has begun."""


@dataclass(frozen=True, slots=True)
class Down:
    """What an operator is told of a part that has failed."""

    # How often in a row; a part that has worked for a while begins anew.
    failures: int
    # Whether it is started again; an engine that has stopped waits for a person.
    is_retried: bool


# Parts of this process that have failed and have not worked long enough since; read by /readyz.
_down: dict[str, Down] = {}


def parts_down() -> dict[str, Down]:
    """Return the parts of this process that have failed lately, by name."""
    return dict(_down)


class Part:
    """One part in one thread.

    One that gives way gets a processor after everything else where that can be said of a thread.

    A part that raises has met a fault of ours. It is reported, and a fresh one is made after a pause that doubles with each failure;
    or, where somebody else knows better (`on_failure`), it stays down and that one is told. Lost connections are the parts' own
    business and never get here.
    """

    def __init__(
        self,
        name: str,
        *,
        make: Callable[[], Service],
        on_failure: Callable[[str], None] | None = None,
        gives_way: bool = False,
        pause_seconds: float = _PAUSE_SECONDS,
        well_seconds: float = _WELL_SECONDS,
    ) -> None:
        self.name = name
        self._make = make
        self._on_failure = on_failure
        self._gives_way = gives_way
        self._pause_seconds = pause_seconds
        self._well_seconds = well_seconds
        self._service: Service | None = None
        self._thread = threading.Thread(target=self._live, name=name, daemon=True)
        # Why the part ended last although nobody asked it to; None while all is well.
        self.failure: BaseException | None = None
        self._failures = 0
        self._stopping = threading.Event()
        self._lock = threading.Lock()

    @property
    def is_running(self) -> bool:
        """Return whether the part is at work, or will be after its pause."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start the thread; errors: what making the service raises for the first time."""
        self._service = self._make()
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Ask the part to end; returns at once."""
        with self._lock:
            self._stopping.set()
            service = self._service
        if not self._thread.is_alive():
            _down.pop(self.name, None)
        elif service is not None:
            service.stop()

    def wait(self, seconds: float) -> bool:
        """Wait until the part has ended, at most that long; return whether it has."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _live(self) -> None:
        well: threading.Timer | None = None
        while True:
            self._run_once()
            if well is not None:
                well.cancel()
            if self.failure is None or not self._pause():
                break
            well = threading.Timer(self._well_seconds, self._recovered, (self._failures,))
            well.daemon = True
            well.start()
        if self._stopping.is_set():
            _down.pop(self.name, None)

    def _run_once(self) -> None:
        self.failure = None
        try:
            if self._gives_way:
                _give_way()
            service = self._service or self._renewed()
            if service is not None:
                service.run()
            if not self._stopping.is_set():
                logger.critical("a part has ended by itself", extra={"part": self.name})
                self.failure = RuntimeError("ended by itself")
        except BaseException as error:
            self.failure = error
            logger.critical("a part has failed", exc_info=error, extra={"part": self.name})
        finally:
            # Connections belong to threads, and what was done by this one is over.
            connections.close_all()

    def _renewed(self) -> Service | None:
        """Return a fresh service; None when the part was asked to stop meanwhile."""
        service = self._make()
        with self._lock:
            if self._stopping.is_set():
                return None
            self._service = service
        return service

    def _pause(self) -> bool:
        """Note the failure and wait; return whether to start again."""
        with self._lock:
            self._service = None
            self._failures += 1
            _down[self.name] = Down(self._failures, is_retried=self._on_failure is None)
        if self._on_failure is not None:
            self._on_failure(self.name)
            return False
        pause_s = min(_PAUSE_SECONDS_MAX, self._pause_seconds * 2 ** min(self._failures - 1, 10))
        logger.warning(
            "a part will be started again after a pause",
            extra={"part": self.name, "failures": self._failures, "pause_seconds": pause_s},
        )
        if self._stopping.wait(pause_s):
            return False
        logger.warning("a part is started again", extra={"part": self.name})
        return True

    def _recovered(self, failures: int) -> None:
        with self._lock:
            if self._failures != failures or self._stopping.is_set():
                return
            self._failures = 0
            _down.pop(self.name, None)
        logger.warning("a part works again", extra={"part": self.name})


def _give_way() -> None:
    # Linux schedules threads one by one, and takes a thread's id for a process here; elsewhere it would be the whole process.
    if sys.platform == "linux":
        thread = threading.get_native_id()
        # A process that has been told to give way more stays so: only root may take that back.
        niceness = max(NICENESS, os.getpriority(os.PRIO_PROCESS, thread))
        os.setpriority(os.PRIO_PROCESS, thread, niceness)


def process_give_way() -> None:
    """Have this whole process get a processor after those that orders wait for."""
    os.nice(PROCESS_NICENESS)
    # Where Linux shares processors by session first, niceness counts within a session only, and each part usually has its own. A session
    # that others are in too is not ours to slow.
    if os.getsid(0) == os.getpid():
        # Not every kernel has such groups, and a container may not let us write: then niceness has to do.
        with contextlib.suppress(OSError):
            _session_give_way()


def _session_give_way() -> None:
    # Whoever is not root is asked to wait when another process wrote within the last tenth of a second, as parts that start together do.
    for _ in range(20):
        try:
            _AUTOGROUP.write_text(str(PROCESS_NICENESS))
        except BlockingIOError:
            time.sleep(0.1)
        else:
            return


def stop_all(stages: list[list[Part]], *, seconds: float) -> None:
    """Stop parts stage by stage, those of one stage together; all of them share the time."""
    deadline = time.monotonic() + seconds
    for stage in stages:
        for part in stage:
            part.ask_to_stop()
        for part in stage:
            if not part.wait(max(0.1, deadline - time.monotonic())):
                logger.error("a part did not stop in time", extra={"part": part.name})
