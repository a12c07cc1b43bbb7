"""Processes of a test, forked from one that has done the imports: tests of kills start hundreds, as a supervisor would.

A program that lets itself be forked calls ``forked()`` where it would read its arguments.
"""

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
# In place of arguments: fork a process for each line of them that comes in.
_FORKS = "--forks"


class Forks:
    """A program that has done its imports, forks when asked, and tells how the forks ended."""

    def __init__(self, module: str, environment: Mapping[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, _FORKS],
            cwd=REPOSITORY,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._lock = threading.Lock()
        atexit.register(self.close)

    def start(self, *arguments: str) -> "Forked":
        """Fork a process that runs the program with these arguments."""
        return Forked(self, self.ask(arguments))

    def ask(self, request: Sequence[str] | int) -> Any:
        """Fork (arguments) and return the process's number, or return how that number ended: None while it lives."""
        with self._lock:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        """End the program; forks that live go on."""
        atexit.unregister(self.close)
        if self._process.poll() is None:
            self._process.communicate()


class Forked:
    """A forked process, as its Popen would be."""

    def __init__(self, forks: Forks, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._forks = forks

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._forks.ask(self.pid)
        return self.returncode

    def wait(self, timeout: float = 60) -> int:
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("a fork", timeout)
            time.sleep(0.005)
        return code

    def send_signal(self, number: int) -> None:
        # Whoever was waited for is gone, and its number may be somebody else's.
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


def forked() -> list[str]:
    """Return the program's arguments; with --forks in each fork those that Forks was asked to start."""
    if sys.argv[1:] != [_FORKS]:
        return sys.argv[1:]
    for line in sys.stdin:
        request = json.loads(line)
        if isinstance(request, int):
            pid, status = os.waitpid(request, os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        elif (answer := os.fork()) == 0:
            os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
            return list(request)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    sys.exit()
