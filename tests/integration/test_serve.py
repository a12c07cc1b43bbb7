"""`serve` as a person runs it: starts, stops, crashes, and the sentences when it cannot start."""

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from cryptocfd.embedded.processes import is_alive
from cryptocfd.embedded.servers import EmbeddedServers
from tests.integration.ordinary_user import ACCOUNT, becoming_ordinary
from tests.integration.serving import REPOSITORY, Serving

pytestmark = [pytest.mark.integration, pytest.mark.alone, pytest.mark.timeout(180)]


@pytest.fixture
def data_dir() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="serve test "))
    yield directory
    servers = EmbeddedServers(directory)
    # Takes over what a failed test has left running, and ends it.
    servers.start()
    servers.stop()
    servers.data_remove()


@pytest.fixture
def serving() -> Iterator[type[Serving]]:
    runs: list[Serving] = []

    def start(*arguments: object, **options: object) -> Serving:
        runs.append(Serving(*arguments, **options))
        return runs[-1]

    yield start
    for run in runs:
        run.close()


def test_first_start_stop_by_ctrl_c_and_a_second_start_within_five_seconds(
    data_dir: Path, serving, tmp_path: Path
) -> None:
    first = serving(data_dir).until("Stop ")
    ready = first.get("/readyz")
    first_stop = first.end()

    began = time.monotonic()
    second = serving(data_dir, cwd=tmp_path).until("web listens on")
    second_start = time.monotonic() - began
    second.until("Stop ")
    second_stop = second.end(signal.SIGTERM)

    assert ready["status"] == "ready", ready
    # The projector reads along: a first start has some hundred outputs, and none of them waits for long.
    assert ready["checks"]["projector0"]["ok"] is True
    assert 0 <= ready["checks"]["projector0"]["lagOutputs"] < 5_000
    assert re.search(r"Sign in as alice +http://localhost:\d+/\S+token=\S+", first.text)
    assert f"Data              {data_dir}" in first.text
    assert "simulator (simulated, 123 instruments)" in first.text
    assert (first.process.returncode, second.process.returncode) == (0, 0)
    assert first.text.rstrip().endswith("Stopped.")
    assert (first_stop < 5, second_stop < 5) == (True, True), (first_stop, second_stop)
    assert second_start < 5
    assert "migrated" not in second.text
    assert not EmbeddedServers(data_dir).layout.run_dir.exists()


def test_killed_it_leaves_servers_that_the_next_start_takes_over(data_dir: Path, serving) -> None:
    killed = serving(data_dir).until("instruments and accounts are known")
    killed.process.kill()
    killed.process.wait(10)
    left_behind = int((data_dir / "valkey-log" / "valkey.pid").read_text())
    was_alive = is_alive(left_behind)

    again = serving(data_dir).until("Stop ")
    ready = again.get("/readyz")
    again.end()

    assert was_alive
    assert again.text.count("found running and taken over") == 3
    assert ready["status"] == "ready", ready
    assert not is_alive(left_behind)


def test_an_empty_database_beside_a_log_with_a_history_is_one_sentence_and_stays_empty(
    data_dir: Path, serving
) -> None:
    serving(data_dir).until("Stop ").end()
    # A new cluster in the place of the old one.
    servers = EmbeddedServers(data_dir)
    postgres = data_dir / "postgres"
    shutil.rmtree(postgres.resolve())
    postgres.unlink(missing_ok=True)

    run = serving(data_dir)
    run.process.wait(60)
    servers.start()
    with psycopg.connect(servers.layout.database_url) as database:
        tables = database.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        ).fetchone()
    servers.stop()

    assert run.process.returncode == 1
    assert "CryptoCFD: The outputs of shard 0 were projected up to " in run.text
    assert "but this database has no journal" in run.text
    assert "When the database is lost" in run.text
    assert "Traceback" not in run.text
    assert tables == (0,)


def test_login_prints_a_link_that_works_once_while_it_runs(data_dir: Path, serving) -> None:
    run = serving(data_dir).until("Stop ")

    link = serving(data_dir, "login", "charlie@example.com", port=run.port)
    link.process.wait(30)
    run.end()
    after = serving(data_dir, "login", port=run.port)
    after.process.wait(30)

    assert re.fullmatch(rf"http://localhost:{run.port}/\S+token=\S+\s*", link.text)
    assert (
        f"(another link: make login DATA_DIR={shlex.quote(str(data_dir))} PORT={run.port})"
        in run.text
    )
    assert "The platform is not running: start it by `make run`" in after.text
    assert str(data_dir) in after.text
    assert "Traceback" not in after.text


def test_a_busy_port_is_one_sentence(data_dir: Path, serving) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = serving(data_dir, port=port)
        run.process.wait(30)

    assert run.process.returncode == 1
    assert run.text.startswith(f"CryptoCFD: Port {port} on 127.0.0.1 is in use")
    assert f"make run PORT={port + 1}" in run.text
    assert run.text.count("\n") == 1


def test_a_second_serve_on_the_same_data_is_one_sentence(data_dir: Path, serving) -> None:
    first = serving(data_dir).until("Stop ")

    second = serving(data_dir)
    second.process.wait(30)
    first.end()

    assert second.process.returncode == 1
    assert f"(process {first.process.pid}) already uses {data_dir}" in second.text
    assert second.text.count("\n") == 1


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"PORT": "eighty"}, "PORT must be a whole number from 1 to 65535, but is 'eighty'."),
        ({"LOG_FSYNC": "never"}, "LOG_FSYNC must be one of always, everysec, but is 'never'."),
        ({"HOST": "203.0.113.1"}, "HOST=203.0.113.1 is not an address of this machine"),
        ({"DATA_DIR": "/proc/nowhere"}, "/proc/nowhere"),
    ],
)
def test_a_setting_that_cannot_be_is_one_sentence(
    serving, tmp_path: Path, environment: dict[str, str], sentence: str
) -> None:
    run = serving(tmp_path, **environment)
    run.process.wait(30)

    assert run.process.returncode == 1
    assert sentence in run.text
    assert run.text.count("\n") == 1


def test_an_ordinary_user_can_serve(serving) -> None:
    directory = Path(tempfile.mkdtemp(prefix="serve-user-"))
    os.chown(directory, ACCOUNT.pw_uid, ACCOUNT.pw_gid)

    try:
        run = serving(directory / "data", prefix=becoming_ordinary()).until("Stop ")
        ready = run.get("/readyz")
        run.end()
    finally:
        shutil.rmtree(directory)

    assert ready["status"] == "ready", ready
    assert run.process.returncode == 0


def test_a_folder_that_is_not_writable_is_one_sentence() -> None:
    # Becomes an ordinary user after its imports, so it needs no right to read them.
    foreign = Path(tempfile.mkdtemp(prefix="serve-root-"))
    foreign.chmod(0o500)
    code = (
        "import os, sys; from pathlib import Path; from cryptocfd.env import data_dir_ensure\n"
        "if os.geteuid() == 0:\n"
        f"  os.setgroups([]); os.setgid({ACCOUNT.pw_gid}); os.setuid({ACCOUNT.pw_uid})\n"
        "try: data_dir_ensure(Path(sys.argv[1]))\n"
        "except Exception as error: print(error)"
    )

    told = subprocess.run(
        [sys.executable, "-c", code, str(foreign / "data")],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    foreign.rmdir()

    assert told.startswith(f"{foreign / 'data'} is not writable for this user: change its owner")


def test_daphne_serves_the_same(data_dir: Path, serving) -> None:
    run = serving(data_dir, ASGI_SERVER="daphne").until("Stop ")
    ready = run.get("/readyz")
    seconds = run.end()

    assert ready["status"] == "ready", ready
    assert run.process.returncode == 0
    assert seconds < 5


HANGING = """
import sys, threading
from cryptocfd.engine_host import EngineHost
async def web_stop(self):
    await __import__("asyncio").Event().wait()
EngineHost.web_stop = web_stop
from django.core.management import execute_from_command_line
execute_from_command_line(["manage.py", "serve"])
"""


def test_a_part_that_hangs_delays_the_end_by_seconds_only(
    data_dir: Path, serving, tmp_path: Path
) -> None:
    script = tmp_path / "hanging.py"
    script.write_text(
        "import os, django\n"
        'os.environ["DJANGO_SETTINGS_MODULE"] = "cryptocfd.settings"\n'
        f"django.setup()\n{HANGING}"
    )
    run = serving(data_dir, script=script, PYTHONPATH=str(REPOSITORY)).until("Stop ")

    seconds = run.end()

    assert run.process.returncode == 1
    assert seconds < 6
    assert "the process ends without it" in run.text
    assert not EmbeddedServers(data_dir).layout.run_dir.exists()
