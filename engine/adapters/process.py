"""An engine that has the process to itself: signals, and what it ends with."""

import logging

from engine.adapters.signals import on_signals
from engine.runtime.errors import HaltError
from engine.runtime.runner import Runner

_logger = logging.getLogger(__name__)


def run_to_exit(runner: Runner) -> int:
    """Run an engine in the main thread until SIGTERM or SIGINT, and return the exit code of the process.

    A signal lets the batch in work finish, takes a snapshot and gives the lease back.
    """
    try:
        with on_signals(runner.request_stop):
            runner.run()
    except HaltError as error:
        # The runner has logged it.
        return error.exit_code
    _logger.info("The engine stopped.", extra={"number": runner.health().number})
    return 0
