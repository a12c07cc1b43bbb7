"""An engine that has the process to itself: signals, and what it ends with."""

import logging
import signal
from types import FrameType

from engine.runtime.errors import HaltError
from engine.runtime.runner import Runner

_logger = logging.getLogger(__name__)


def run_to_exit(runner: Runner) -> int:
    """Run an engine in the main thread until SIGTERM or SIGINT, and return the exit code of the process.

    A signal lets the batch in work finish, takes a snapshot and gives the lease back.
    """

    def request_stop(_signal: int, _frame: FrameType | None) -> None:
        runner.request_stop()

    before = {name: signal.signal(name, request_stop) for name in (signal.SIGTERM, signal.SIGINT)}
    try:
        runner.run()
    except HaltError as error:
        # The runner has logged it.
        return error.exit_code
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
    _logger.info("The engine stopped.", extra={"number": runner.health().number})
    return 0
