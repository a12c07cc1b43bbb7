"""The door to the embedded servers: starts those that no address replaces, and stops them in order."""

import logging
import os
import shutil
import stat
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
from redis.exceptions import RedisError

from cryptocfd.embedded.errors import SetupError, sentence_for
from cryptocfd.embedded.layout import EmbeddedLayout, layout_for
from cryptocfd.embedded.postgres import EmbeddedPostgres
from cryptocfd.embedded.processes import lock_try
from cryptocfd.embedded.valkey import EmbeddedValkey

logger = logging.getLogger(__name__)

_KEEP_SECONDS = 0.5
# A server that is being started again when everything is to end.
_KEEPER_END_SECONDS = 2.0
# A fresh database with the past that the simulator invents for it takes some 400 MB, most of it kept for its write-ahead log; servers
# that meet a full disk at work end badly, and later starts need little.
_FREE_BYTES_FIRST = 512 * 1024 * 1024
_FREE_BYTES_LATER = 32 * 1024 * 1024


class EmbeddedServers:
    """The servers of one data directory; at most one process runs them."""

    def __init__(
        self,
        data_dir: Path,
        *,
        postgres: bool = True,
        log: bool = True,
        rest: bool = True,
        log_fsync: str = "always",
        postgres_fsync: bool = True,
    ) -> None:
        self.layout = layout_for(data_dir)
        self.postgres = EmbeddedPostgres(self.layout, fsync=postgres_fsync) if postgres else None
        self.valkeys: list[EmbeddedValkey] = []
        if rest:
            self.valkeys.append(
                EmbeddedValkey(
                    title="queues and prices",
                    directory=self.layout.data_dir / "valkey-rest",
                    socket=self.layout.rest_socket,
                    options={"appendfsync": "everysec", "maxmemory-policy": "noeviction"},
                )
            )
        if log:
            self.valkeys.append(
                EmbeddedValkey(
                    title="the log",
                    directory=self.layout.data_dir / "valkey-log",
                    socket=self.layout.log_socket,
                    options={"appendfsync": log_fsync, "maxmemory-policy": "noeviction"},
                )
            )
        self._lock: int | None = None
        self._keeper: threading.Thread | None = None
        self._is_stopping = threading.Event()

    @property
    def is_empty(self) -> bool:
        """Return whether every server is elsewhere."""
        return self.postgres is None and not self.valkeys

    def start(self, progress: Callable[[str], None] = lambda _line: None) -> None:
        """Start or adopt every server, at the same time; return when all answer.

        Errors: SetupError with the reason; what was started is stopped again.
        """
        self._is_stopping.clear()
        self._lock_take()
        try:
            self._space_check()
            _run_dir_ensure(self.layout)
            with ThreadPoolExecutor(max_workers=3) as pool:
                futures = [pool.submit(server.start) for server in self._servers()]
            for future in futures:
                future.result()
        except BaseException:
            self.stop()
            raise
        if self.postgres is not None:
            progress(f"PostgreSQL {_how(adopted=self.postgres.adopted)}")
        for valkey in self.valkeys:
            progress(f"Valkey for {valkey.title} {_how(adopted=valkey.adopted)}")

    def keep(self) -> None:
        """Start a server again whenever it has ended although nobody asked it to, until `stop`.

        Whoever takes a process's memory or kills it by hand must not end trading for good: nobody else starts these servers.
        """
        self._keeper = threading.Thread(target=self._keep, name="server-keeper", daemon=True)
        self._keeper.start()

    def _keep(self) -> None:
        # What could not be started is tried again: the disk may have room by then, the last one's children may be gone.
        fallen: list[EmbeddedPostgres | EmbeddedValkey] = []
        while not self._is_stopping.wait(_KEEP_SECONDS):
            fallen += [
                server
                for server in self._servers()
                if server not in fallen and not server.is_running
            ]
            for server in tuple(fallen):
                extra = {"server": server.title}
                logger.critical("an embedded server has ended and is started again", extra=extra)
                try:
                    server.restart()
                except (SetupError, psycopg.Error, RedisError) as error:
                    logger.critical(
                        "an embedded server cannot be started", extra=extra | {"error": str(error)}
                    )
                else:
                    fallen.remove(server)

    def stop(self) -> None:
        """Stop every server; safe to call again, and after a start that failed half-way."""
        self._is_stopping.set()
        if self._keeper is not None:
            self._keeper.join(_KEEPER_END_SECONDS)
            self._keeper = None
        with ThreadPoolExecutor(max_workers=3) as pool:
            for future in [pool.submit(server.stop) for server in self._servers()]:
                future.result()
        if self._lock is not None:
            shutil.rmtree(self.layout.run_dir, ignore_errors=True)
            os.close(self._lock)
            self._lock = None

    def data_remove(self) -> None:
        """Delete the data of the stopped servers, also what root keeps outside DATA_DIR; for tests."""
        if self.postgres is not None:
            self.postgres.data_remove()
        shutil.rmtree(self.layout.data_dir, ignore_errors=True)

    def _servers(self) -> list[EmbeddedPostgres | EmbeddedValkey]:
        return [*([self.postgres] if self.postgres else []), *self.valkeys]

    def _lock_take(self) -> None:
        path = self.layout.data_dir / "lock"
        try:
            self.layout.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = lock_try(path)
            if self._lock is None:
                raise SetupError(
                    f"Another CryptoCFD (process {path.read_text().strip()}) already uses "
                    f"{self.layout.data_dir}: stop it, or give another DATA_DIR."
                )
            os.truncate(self._lock, 0)
            os.write(self._lock, str(os.getpid()).encode())
        except OSError as error:
            raise sentence_for(error, self.layout.data_dir) from error

    def _space_check(self) -> None:
        is_first = not (self.layout.data_dir / "postgres").exists() and self.postgres is not None
        needed = _FREE_BYTES_FIRST if is_first else _FREE_BYTES_LATER
        free = shutil.disk_usage(self.layout.data_dir).free
        if free < needed:
            raise SetupError(
                f"The disk that holds {self.layout.data_dir} is full: {free >> 20} MB are free and "
                f"{needed >> 20} MB are needed, so free some space there, or give another DATA_DIR."
            )


def _how(*, adopted: bool) -> str:
    return "found running and taken over" if adopted else "started"


def _run_dir_ensure(layout: EmbeddedLayout) -> None:
    """Make the sockets' private directory, and trust an old one only if it is ours.

    Its parent is open to everybody: somebody else could have made it first, to listen where we connect.
    """
    path = layout.run_dir
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise SetupError(
                f"{path} belongs to somebody else: remove it and start again."
            ) from None
    except OSError as error:
        raise sentence_for(error, path) from error
    # As root another user runs PostgreSQL and must pass through to its socket; listing stays forbidden.
    path.chmod(0o711 if os.geteuid() == 0 else 0o700)
