"""Runs `manage.py serve` in a process of its own, as a person at a terminal does."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from cryptocfd.embedded.processes import wait_until

REPOSITORY = Path(__file__).resolve().parents[2]
MANAGE = REPOSITORY / "manage.py"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Serving:
    """One run of `manage.py serve` and what it has printed."""

    def __init__(
        self,
        data_dir: Path,
        *arguments: str,
        port: int | None = None,
        cwd: Path = REPOSITORY,
        prefix: tuple[str, ...] = (),
        script: Path = MANAGE,
        **environment: str,
    ) -> None:
        self.port = port or free_port()
        self.output = Path(tempfile.mkstemp(prefix="serve-")[1])
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        with self.output.open("wb") as stream:
            self.process = subprocess.Popen(
                [*prefix, sys.executable, str(script), *(arguments or ("serve",))],
                cwd=cwd,
                env=kept
                | {
                    "DATA_DIR": str(data_dir),
                    "PORT": str(self.port),
                    "FEEDS": "simulator:seed=7",
                    "SIMULATED_HISTORY": "false",
                    "PYTHONUNBUFFERED": "1",
                }
                | environment,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def text(self) -> str:
        return self.output.read_text(errors="replace")

    def until(self, words: str, *, seconds: float = 90) -> "Serving":
        wait_until(lambda: words in self.text or self.process.poll() is not None, seconds=seconds)
        assert words in self.text, self.text
        return self

    def get(self, path: str) -> dict:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as refusal:
            # A refusal has a body too, and the tests look at it.
            with refusal:
                return json.load(refusal)

    def end(self, number: int = signal.SIGINT) -> float:
        """Send the signal as a terminal does, to the whole group; return the seconds until the end."""
        began = time.monotonic()
        os.killpg(self.process.pid, number)
        self.process.wait(30)
        return time.monotonic() - began

    def close(self) -> None:
        if self.process.poll() is None:
            self.end(signal.SIGKILL)
        self.output.unlink()
