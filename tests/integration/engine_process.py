"""The engine as a process of its own that kills itself at a named point: for tests only.

Run as ``python -m tests.integration.engine_process <configuration.json> [<point> <hit>]``. Tests start hundreds of them, so
one process does the imports and forks the others, as the supervisor does.
"""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path
from typing import Any

from engine.adapters.compose import build_runner
from engine.adapters.process import run_to_exit
from engine.config import EngineConfig, SnapshotKey
from engine.runtime.ports import Probe, probe_nothing
from tests.integration.forking import REPOSITORY, Forks, forked

_MODULE = "tests.integration.engine_process"


def start(
    config: EngineConfig,
    folder: Path,
    *,
    crash: tuple[str, int] | None = None,
    **environment: str,
) -> Any:
    """Start such a process, and return what of a Popen tests need."""
    path = config_write(config, folder)
    arguments = [path, *([] if crash is None else [crash[0], str(crash[1])])]
    if environment:
        # A preloaded library is taken in by a new program only.
        return subprocess.Popen(
            [sys.executable, "-m", _MODULE, *arguments],
            cwd=REPOSITORY,
            env=os.environ | environment,
        )
    return _forks().start(*arguments)


def config_write(config: EngineConfig, folder: Path) -> str:
    """Write a configuration where such a process reads it, and return the path."""
    path = folder / "engine.json"
    fields = {name: getattr(config, name) for name in EngineConfig.__slots__}
    fields["snapshot_dir"] = str(config.snapshot_dir)
    fields["snapshot_keys"] = [[key.key_id, key.secret.hex()] for key in config.snapshot_keys]
    path.write_text(json.dumps(fields))
    return str(path)


@cache
def _forks() -> Forks:
    return Forks(_MODULE)


def killer(point: str, hit: int) -> Probe:
    """Return a probe that kills this process when it meets a point for that time."""
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
    path, *crash = forked()
    sys.exit(run(path, killer(crash[0], int(crash[1])) if crash else probe_nothing))


def run(path: str, probe: Probe) -> int:
    """Run the engine of a configuration that was written, and return its exit code."""
    fields = json.loads(Path(path).read_text())
    fields["snapshot_dir"] = Path(fields["snapshot_dir"])
    fields["snapshot_keys"] = tuple(
        SnapshotKey(key_id=key_id, secret=bytes.fromhex(secret))
        for key_id, secret in fields["snapshot_keys"]
    )
    return run_to_exit(build_runner(EngineConfig(**fields), probe=probe))


if __name__ == "__main__":
    main()
