"""The grown composition: each part in a process of its own, on servers that somebody else runs."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from redis import Redis

from cryptocfd.embedded.processes import wait_until
from cryptocfd.embedded.servers import EmbeddedServers
from cryptocfd.management.commands.serve import Command
from cryptocfd.server_roles import LOG_RULES, log_acl
from tests.integration.serving import MANAGE, REPOSITORY, Serving

pytestmark = [pytest.mark.integration, pytest.mark.alone, pytest.mark.timeout(180)]

PASSWORD = "only-for-this-test"
PARTS = ("web", "engine", "feed", "projector", "worker")


@pytest.fixture
def addresses(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Servers under their addresses, as an operator gives them."""
    servers = EmbeddedServers(tmp_path / "servers", postgres_fsync=False)
    servers.start()
    with Redis.from_url(servers.layout.log_redis_url) as admin:
        for line in log_acl(dict.fromkeys(LOG_RULES, PASSWORD)).splitlines():
            _, name, *rules = line.split()
            if name != "default":
                admin.execute_command("ACL", "SETUSER", name, *rules)
    yield {
        "DATABASE_URL": servers.layout.database_url,
        "LOG_REDIS_URL": servers.layout.log_redis_url,
        "REDIS_URL": servers.layout.redis_url,
        "SEED_DEMO": "true",
    }
    servers.stop()
    servers.data_remove()


def as_user(addresses: dict[str, str], part: str) -> dict[str, str]:
    """Return the addresses with the log's user of a part; a worker has the rights of a web process."""
    user = "web" if part == "worker" else part
    url = addresses["LOG_REDIS_URL"].replace("unix://", f"unix://{user}:{PASSWORD}@")
    return addresses | {"LOG_REDIS_URL": url}


def test_every_part_of_the_composition_is_one_that_serve_knows() -> None:
    text = (REPOSITORY / "compose.yaml").read_text()
    commands = [s.get("command", [""]) for s in yaml.safe_load(text)["services"].values()]
    parts = [command for command in commands if command[0] == "serve"]

    assert {command[2] for command in parts} == set(PARTS)
    for command in parts:
        Command().create_parser("manage.py", "serve").parse_args(command[1:])
    assert set(re.findall(r"redis://(\w+):\$", text)) == LOG_RULES.keys() - {"operator"}


def test_five_processes_make_one_platform_and_a_standby_replaces_the_engine(
    addresses: dict[str, str], tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    subprocess.run(
        [sys.executable, str(MANAGE), "migrate", "--no-input", "--verbosity=0"],
        cwd=REPOSITORY,
        env=os.environ | addresses | {"DATA_DIR": str(data_dir)},
        check=True,
    )

    runs = {
        part: Serving(data_dir, "serve", "--only", part, **as_user(addresses, part))
        for part in PARTS
    }
    try:
        web = runs["web"].until("web listens on")
        runs["worker"].until("worker is running")
        assert wait_until(lambda: web.get("/readyz")["status"] == "ready", seconds=30), web.get(
            "/readyz"
        )
        first_epoch = web.get("/readyz")["checks"]["engine0"]["epoch"]
        runs["standby"] = Serving(
            data_dir,
            *("serve", "--only", "engine", "--standby"),
            *("--snapshot-dir", str(tmp_path / "standby")),
            **as_user(addresses, "engine"),
        ).until("engine follows")
        runs["engine"].end(9)
        assert wait_until(
            lambda: web.get("/readyz")["checks"]["engine0"]["epoch"] == first_epoch + 1, seconds=10
        )
        seconds = {name: run.end() for name, run in runs.items() if run.process.poll() is None}
    finally:
        for run in runs.values():
            run.close()

    assert max(seconds.values()) < 5, seconds
    assert {runs[part].process.returncode for part in PARTS if part != "engine"} == {0}
