"""The engine as a process of its own that kills itself at a named point: for tests only.

Run as ``python -m tests.integration.engine_process <configuration.json> [<point> <hit>]``. Tests start hundreds of them, so
one process does the imports and forks the others, as the supervisor does.
"""

import atexit
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from functools import cache
from pathlib import Path
from typing import Any

from engine.adapters.compose import build_runner
from engine.adapters.process import run_to_exit
from engine.config import EngineConfig, SnapshotKey
from engine.runtime.ports import Probe

REPOSITORY = Path(__file__).resolve().parents[2]
_COMMAND = (sys.executable, "-m", "tests.integration.engine_process")
# In place of arguments: fork a process for each line of them that comes in.
_FORKS = "--forks"


def start(
    config: EngineConfig,
    folder: Path,
    *,
    crash: tuple[str, int] | None = None,
    **environment: str,
) -> Any:
    """Start such a process, and return what of a Popen tests need."""
    path = folder / "engine.json"
    fields = {name: getattr(config, name) for name in EngineConfig.__slots__}
    fields["snapshot_dir"] = str(config.snapshot_dir)
    fields["snapshot_keys"] = [[key.key_id, key.secret.hex()] for key in config.snapshot_keys]
    path.write_text(json.dumps(fields))
    arguments = [str(path), *([] if crash is None else [crash[0], str(crash[1])])]
    if environment:
        # A preloaded library is taken in by a new program only.
        return subprocess.Popen(
            [*_COMMAND, *arguments], cwd=REPOSITORY, env=os.environ | environment
        )
    return Forked(_forks(), _forks().ask(arguments))


class Forks:
    """The process that forks engines, and tells how they ended."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [*_COMMAND, _FORKS], cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._lock = threading.Lock()
        atexit.register(self._process.communicate)

    def ask(self, request: Any) -> Any:
        """Fork an engine (arguments) and return its number, or return its exit code (a number): None while it lives."""
        with self._lock:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())


@cache
def _forks() -> Forks:
    return Forks()


class Forked:
    """A forked engine, as its Popen would be."""

    def __init__(self, forks: Forks, pid: int) -> None:
        self.pid = pid
        self._forks = forks
        self._code: int | None = None

    def poll(self) -> int | None:
        if self._code is None:
            self._code = self._forks.ask(self.pid)
        return self._code

    def wait(self, timeout: float = 60) -> int:
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("engine", timeout)
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


def _forked() -> list[str]:
    """Do what Forks asks for, and return the arguments in each fork."""
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


def _killer(point: str, hit: int) -> Probe:
    lock = threading.Lock()
    left = [hit]

    def probe(met: str) -> None:
        if met != point:
            return
        with lock:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return probe


def main() -> None:
    # A halt names its reason, and a failed test shows it.
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s %(reason)s", defaults={"reason": ""}))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    path, *crash = _forked() if sys.argv[1] == _FORKS else sys.argv[1:]
    fields = json.loads(Path(path).read_text())
    fields["snapshot_dir"] = Path(fields["snapshot_dir"])
    fields["snapshot_keys"] = tuple(
        SnapshotKey(key_id=key_id, secret=bytes.fromhex(secret))
        for key_id, secret in fields["snapshot_keys"]
    )
    config = EngineConfig(**fields)
    if crash:
        runner = build_runner(config, probe=_killer(crash[0], int(crash[1])))
    else:
        runner = build_runner(config)
    sys.exit(run_to_exit(runner))


if __name__ == "__main__":
    main()
