"""Engines in processes of their own, each under a supervisor: what `serve --only engine` and `manage.py engine` both run.

One shard: this process is its supervisor. Several: one supervisor each, below this process, which ends with the last of them.
"""

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
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
from engine.runtime.errors import EXIT_TRY_LATER
from engine.runtime.runner import Runner

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.01
# Before a supervisor that was killed gets a successor.
_PAUSE_SECONDS = 1.0
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
    """Run the engines of these shards until SIGTERM, SIGINT or the halt of the last one, and return the exit code.

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
    return _Children({config.shard: partial(_supervise, config, say) for config in configs}).run()


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
    """The supervisors of several shards: one that ends leaves the others at work, a stop ends them all."""

    def __init__(self, works: Mapping[int, Callable[[], int]]) -> None:
        """Take what to run for each shard."""
        self._works = works
        # Shards of the processes that live.
        self._shards: dict[int, int] = {}
        self._is_stopping = False

    def run(self) -> int:
        """Start all of them and wait for the last; return 0 after stops in order, else the code of the first halt."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        for shard in self._works:
            self._start(shard)
        first = 0
        while self._shards:
            pid, status = os.wait()
            # In a container this process may inherit others, such as the engine of a supervisor that was killed.
            if pid not in self._shards:
                continue
            shard = self._shards.pop(pid)
            code = os.waitstatus_to_exitcode(status)
            if not self._is_stopping and (code < 0 or code == EXIT_TRY_LATER):
                self._start_again(shard, code)
                continue
            if not self._is_stopping:
                logger.critical(
                    "the engine of a shard has ended and waits for a person; the others go on",
                    extra={"shard": shard, "code": code, "others": sorted(self._shards.values())},
                )
            first = first or code
        return first if first >= 0 else 128 - first

    def _start(self, shard: int) -> None:
        self._shards[_forked(self._works[shard])] = shard
        # A signal may have come before the process was known.
        if self._is_stopping:
            self._stop(signal.SIGTERM, None)

    def _start_again(self, shard: int, code: int) -> None:
        # The supervisor was killed or broke; that says nothing about its engine, which has ended in order.
        logger.critical(
            "the supervisor of a shard has died; the next one starts",
            extra={"shard": shard, "code": code},
        )
        time.sleep(_PAUSE_SECONDS)
        if not self._is_stopping:
            self._start(shard)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._is_stopping = True
        for pid in tuple(self._shards):
            # It may have ended a moment ago.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)


def _forked(work: Callable[[], int]) -> int:
    parent = os.getpid()
    child = os.fork()
    if child:
        return child
    code = EXIT_TRY_LATER
    try:
        end_with(parent)
        code = work()
    except BaseException:
        # The outermost frame of this process: what comes here was not foreseen.
        logger.critical("the supervisor of an engine crashed", exc_info=True)
    finally:
        logging.shutdown()
        os._exit(code)
