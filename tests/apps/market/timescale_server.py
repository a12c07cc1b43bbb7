"""A real TimescaleDB for tests: WebAssembly from npm, pinned by a lock file, served by Node on a Unix socket.

The packages are installed once per lock file, into a folder under .venv. One connection at a time is what it is made for;
no background worker runs policies there.
"""

import fcntl
import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

_HERE = Path(__file__).parent / "timescale"
_CACHE = Path(__file__).resolve().parents[3] / ".venv" / "timescale"


def _packages() -> Path:
    """Return the folder that has the packages of the lock file, installed by the first who asks."""
    lock = (_HERE / "package-lock.json").read_bytes()
    folder = _CACHE / hashlib.sha256(lock).hexdigest()[:16]
    _CACHE.mkdir(parents=True, exist_ok=True)
    with (_CACHE / "lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not folder.exists():
            draft = Path(tempfile.mkdtemp(dir=_CACHE))
            for name in ("package.json", "package-lock.json"):
                shutil.copy(_HERE / name, draft)
            npm = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
            subprocess.run(npm, cwd=draft, check=True, capture_output=True, timeout=200)
            draft.rename(folder)
    return folder


@contextmanager
def timescale_server() -> Iterator[str]:
    """Run the server and yield how to connect to it."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("TimescaleDB in WebAssembly needs Node and npm")
    with tempfile.TemporaryDirectory(prefix="ts-") as folder:
        server = subprocess.Popen(
            ["node", str(_HERE / "server.mjs"), f"{folder}/.s.PGSQL.5432", str(_packages())],  # noqa: S607
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == "ready\n"
            yield f"host={folder} user=postgres password=any dbname=postgres sslmode=disable"
        finally:
            # It ends when its standard input does, also when this process is killed.
            server.communicate(timeout=20)


def connect(conninfo: str) -> psycopg.Connection:
    """Return a connection in autocommit mode."""
    return psycopg.connect(conninfo, autocommit=True)
