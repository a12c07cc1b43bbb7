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
from pathlib import Path
from typing import Final

from django.db import connections

logger = logging.getLogger(__name__)

# How far parts give way that nobody waits for while orders are answered. A thread that gives way less far holds the interpreter's lock
# shorter; a process of its own holds nothing that others wait for.
NICENESS: Final = 5
PROCESS_NICENESS: Final = 10
_AUTOGROUP = Path("/proc/self/autogroup")


class Part:
    """One part in one thread.

    One that gives way gets a processor after everything else where that can be said of a thread.

    A part that raises has met a fault of ours: it is reported and stays down, and the platform goes on without it
    and says so in /readyz. Lost connections are the parts' own business and never get here.
    """

    def __init__(
        self,
        name: str,
        *,
        run: Callable[[], object],
        stop: Callable[[], object],
        on_failure: Callable[[str], None] = lambda _name: None,
        gives_way: bool = False,
    ) -> None:
        self.name = name
        self._run = run
        self._stop = stop
        self._on_failure = on_failure
        self._gives_way = gives_way
        self._thread = threading.Thread(target=self._guarded, name=name, daemon=True)
        # Why the part ended although nobody asked it to; None while all is well.
        self.failure: BaseException | None = None
        self._is_stopping = False

    @property
    def is_running(self) -> bool:
        """Return whether the part is at work."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Ask the part to end; returns at once."""
        self._is_stopping = True
        if self._thread.is_alive():
            self._stop()

    def wait(self, seconds: float) -> bool:
        """Wait until the part has ended, at most that long; return whether it has."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _guarded(self) -> None:
        try:
            if self._gives_way:
                _give_way()
            self._run()
            if not self._is_stopping:
                logger.critical("a part has ended by itself", extra={"part": self.name})
                self.failure = RuntimeError("ended by itself")
        except BaseException as error:
            self.failure = error
            logger.critical("a part has failed", exc_info=error, extra={"part": self.name})
        finally:
            # Connections belong to threads, and this one is over.
            connections.close_all()
        if self.failure is not None:
            self._on_failure(self.name)


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
