"""Engines in processes of their own, each under a supervisor: what `serve --only engine` and `manage.py engine` both run.

One shard: this process is its supervisor. Several: one supervisor each, below this process, which ends when one of them does.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FrameType

from cryptocfd.engine_config import engine_config, layout_check
from cryptocfd.history.bootstrap import bootstrap_check
from cryptocfd.history.recorded import JournalOutputs
from engine.adapters.supervisor import Supervisor, end_with, run_engine
from engine.config import EngineConfig
from engine.messages.health import EngineState
from engine.runtime.runner import Runner

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.01
_STATES = {EngineState.LIVE: "live", EngineState.STANDBY: "follows"}
_ENDED = frozenset({EngineState.HALTED, EngineState.STOPPED, EngineState.FENCED})

Say = Callable[[str], None]


def engines_run(
    shards: Sequence[int],
    *,
    is_standby: bool,
    snapshot_dir: Path | None,
    bootstrap: bool,
    say: Say,
) -> int:
    """Run the engines of these shards until SIGTERM, SIGINT or a halt, and return the exit code.

    Errors: SetupError when they cannot be started.
    """
    layout_check(may_mark=True)
    bootstrap_check(is_asked=bootstrap, say=say)
    configs = [
        replace(
            config,
            is_standby=is_standby,
            snapshot_dir=snapshot_dir or config.snapshot_dir,
        )
        for config in (engine_config(shard, is_dedicated=True) for shard in shards)
    ]
    if len(configs) == 1:
        return _supervise(configs[0], say)
    return _Children([partial(_supervise, config, say) for config in configs]).run()


def _supervise(config: EngineConfig, say: Say) -> int:
    engine = partial(
        run_engine,
        recorded=JournalOutputs(config.shard),
        started=lambda runner: _announce(runner, config.shard, say),
    )
    return Supervisor(config, engine=engine).run()


def _announce(runner: Runner, shard: int, say: Say) -> None:
    """Tell people when the engine is ready, from a thread of its own."""

    def wait() -> None:
        while (state := runner.health().state) not in _STATES:
            if state in _ENDED:
                return
            time.sleep(_POLL_SECONDS)
        say(f"engine {_STATES[state]} at output {runner.health().number} of shard {shard}")

    threading.Thread(target=wait, name="engine-announcement", daemon=True).start()


class _Children:
    """Processes that live and end together."""

    def __init__(self, works: Sequence[Callable[[], int]]) -> None:
        self._works = works
        self._pids: set[int] = set()
        self._is_stopping = False

    def run(self) -> int:
        """Start all of them; return 0 after a stop in order, else the code of the first that ended otherwise."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        for work in self._works:
            self._pids.add(_forked(work))
            if self._is_stopping:
                self._stop(signal.SIGTERM, None)
        first = 0
        while self._pids:
            pid, status = os.wait()
            self._pids.discard(pid)
            code = os.waitstatus_to_exitcode(status)
            if not self._is_stopping:
                logger.critical("the engine of a shard has ended: all end", extra={"code": code})
                first = code or 1
                self._stop(signal.SIGTERM, None)
            first = first or code
        return first if first >= 0 else 128 - first

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._is_stopping = True
        for pid in tuple(self._pids):
            os.kill(pid, signal.SIGTERM)


def _forked(work: Callable[[], int]) -> int:
    parent = os.getpid()
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        end_with(parent)
        code = work()
    except BaseException:
        # The outermost frame of this process: what comes here was not foreseen.
        logger.critical("the supervisor of an engine crashed", exc_info=True)
    finally:
        logging.shutdown()
        os._exit(code)
