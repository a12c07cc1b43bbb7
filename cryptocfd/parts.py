"""A background part of the platform: something that runs until it is asked to stop, in a thread of its own.

What the parts are and how they are put together is in engine_host.py.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

from django.db import connections

logger = logging.getLogger(__name__)


class Part:
    """One part in one thread.

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
    ) -> None:
        self.name = name
        self._run = run
        self._stop = stop
        self._on_failure = on_failure
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

    def stop(self, *, seconds: float) -> bool:
        """Ask the part to end and wait; return whether it did within the time."""
        self._is_stopping = True
        if not self._thread.is_alive():
            return True
        self._stop()
        self._thread.join(seconds)
        if self._thread.is_alive():
            logger.error("a part did not stop in time", extra={"part": self.name})
        return not self._thread.is_alive()

    def wait(self, seconds: float) -> bool:
        """Wait until the part has ended by itself, at most that long; return whether it has."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _guarded(self) -> None:
        try:
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


class LoopThread:
    """An event loop in a thread of its own, for asynchronous parts of a process that serves no HTTP."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)

    def start(self) -> None:
        """Start the loop."""
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Any], *, seconds: float) -> Any:
        """Run one coroutine on the loop and return its result.

        Errors: TimeoutError; whatever the coroutine raises.
        """
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(seconds)

    def stop(self) -> None:
        """End the loop and its thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(2)
        self._loop.close()


def stop_all(parts: list[Part], *, seconds: float) -> None:
    """Stop parts one after the other; all of them share the time."""
    deadline = time.monotonic() + seconds
    for part in parts:
        part.stop(seconds=max(0.1, deadline - time.monotonic()))
