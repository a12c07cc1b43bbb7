"""A process that has done the imports, and forks the engine: after a crash the next one starts within milliseconds.

It holds no connection and no state, so there is nothing in it that could break. Since it has seen the engine end, it
may give the next one the same lease; waiting for the lease to lapse would cost a second.
"""

import ctypes
import dataclasses
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Final

from engine.adapters.compose import build_runner
from engine.adapters.journalled_log import RecordedOutputs
from engine.adapters.process import run_to_exit
from engine.adapters.redis_lease import lease_owner_new
from engine.config import EngineConfig
from engine.runtime.errors import EXIT_CONFIGURATION, EXIT_TRY_LATER
from engine.runtime.runner import Runner

_logger = logging.getLogger(__name__)

# An engine that ends sooner than this after its start did not get far: the next one waits, longer each time.
_SHORT_LIFE_S: Final = 5.0
_BACKOFF_S_FIRST: Final = 0.1
_BACKOFF_S_MAX: Final = 2.0
# Linux: the signal that a child gets when its parent is killed.
_PR_SET_PDEATHSIG: Final = 1


def run_engine(
    config: EngineConfig,
    *,
    recorded: RecordedOutputs | None = None,
    started: Callable[[Runner], object] = lambda _: None,
) -> int:
    """Run one engine in this process and return its exit code.

    ``recorded`` as for build_runner(); ``started`` is called with the engine before it runs.
    """
    try:
        runner = build_runner(config, recorded=recorded)
    except ValueError as error:
        sys.stderr.write(f"The engine cannot start: {error}.\n")
        return EXIT_CONFIGURATION
    started(runner)
    return run_to_exit(runner)


class Supervisor:
    """Keeps the engine of one shard alive until SIGTERM or SIGINT, or until it halts for an operator."""

    def __init__(
        self, config: EngineConfig, *, engine: Callable[[EngineConfig], int] = run_engine
    ) -> None:
        self._config = dataclasses.replace(config, lease_owner=lease_owner_new())
        self._engine = engine
        self._child = 0
        self._is_stopping = False
        self._pause_s = 0.0

    def run(self) -> int:
        """Return the exit code of the last engine.

        It is started again after a crash and after every end that asks for another try; not after a halt.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._pass_on)
        # What was imported stays in pages that parent and children share.
        gc.freeze()
        while True:
            began_s = time.monotonic()
            code = self._live_once()
            if self._is_stopping or (code >= 0 and code != EXIT_TRY_LATER):
                return code if code >= 0 else 128 - code
            is_short = time.monotonic() - began_s < _SHORT_LIFE_S
            _logger.warning(
                "The engine ended; the next one starts.",
                extra={"shard": self._config.shard, "exit_code": code},
            )
            if is_short and self._pause_s:
                time.sleep(self._pause_s)
            self._pause_s = (
                min(_BACKOFF_S_MAX, max(_BACKOFF_S_FIRST, 2 * self._pause_s)) if is_short else 0.0
            )

    def _live_once(self) -> int:
        parent = os.getpid()
        child = os.fork()
        if child == 0:
            end_with(parent)
            code = 1
            try:
                code = self._engine(self._config)
            except BaseException:
                # The runner has said why where it could; what comes here was not foreseen.
                _logger.critical("The engine crashed.", exc_info=True)
            finally:
                logging.shutdown()
                sys.stdout.flush()
                os._exit(code)
        self._child = child
        if self._is_stopping:
            os.kill(child, signal.SIGTERM)
        _, status = os.waitpid(child, 0)
        self._child = 0
        return os.waitstatus_to_exitcode(status)

    def _pass_on(self, _number: int, _frame: FrameType | None) -> None:
        self._is_stopping = True
        if self._child:
            os.kill(self._child, signal.SIGTERM)


def end_with(parent: int) -> None:
    """Ask the system for SIGTERM when the supervisor is killed, where the system can do that.

    Elsewhere the engine goes on alone, which harms nobody: it holds its lease until somebody ends it.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(EXIT_TRY_LATER)
