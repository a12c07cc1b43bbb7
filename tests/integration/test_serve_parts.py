"""The grown composition: each part in a process of its own, on servers that somebody else runs."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml
from redis import Redis

from cryptocfd.embedded.processes import wait_until
from cryptocfd.embedded.servers import EmbeddedServers
from cryptocfd.management.commands.serve import Command
from cryptocfd.server_roles import LOG_RULES, log_acl
from tests.integration.crowd import SOCKETS, Crowd
from tests.integration.product import Client, Product
from tests.integration.serving import MANAGE, REPOSITORY, Serving
from tests.integration.web_load import WebLoad

pytestmark = [pytest.mark.integration, pytest.mark.alone, pytest.mark.timeout(180)]

PASSWORD = "only-for-this-test"
TRIAL = {"symbol": "BTC", "type": "buy", "quantity": "0.001", "leverage": 10}
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
    """Return the addresses with the log's user of a part; a worker has the rights of a web process.

    All sockets of the crowd are one user's.
    """
    user = "web" if part == "worker" else part
    url = addresses["LOG_REDIS_URL"].replace("unix://", f"unix://{user}:{PASSWORD}@")
    return addresses | {"LOG_REDIS_URL": url, "SOCKETS_PER_USER": str(SOCKETS + 5)}


def test_every_part_of_the_composition_is_one_that_serve_knows() -> None:
    text = (REPOSITORY / "compose.yaml").read_text()
    commands = [s.get("command", [""]) for s in yaml.safe_load(text)["services"].values()]
    parts = [command for command in commands if command[0] == "serve"]

    assert {command[2] for command in parts} == set(PARTS)
    for command in parts:
        Command().create_parser("manage.py", "serve").parse_args(command[1:])
    assert set(re.findall(r"redis://(\w+):\$", text)) == LOG_RULES.keys() - {"operator"}


def kill_web_under_load(web: Serving, again: Callable[[int], Serving], link: str) -> Serving:
    """Kill the web process twice under trading and return the last; each acknowledged order exists once."""
    client = Client(cast("Product", SimpleNamespace(url=f"http://127.0.0.1:{web.port}")), link)
    client.post("/auth/ensure-user")
    # A refusal is the answer of its key for good (before the first price every order gets one): each trial has its own.
    trials: list[tuple[int, dict[str, Any]]] = []

    def trades() -> bool:
        trials.append(client.call("POST", "/trade/create", TRIAL, key=f"trial-{len(trials)}"))
        return trials[-1][0] == 200

    assert wait_until(trades, seconds=30), (trials[-1], web.text)
    crowd = Crowd(f"ws://127.0.0.1:{web.port}/ws/", client.token)
    assert wait_until(lambda: crowd.is_there, seconds=90)
    load = WebLoad(f"http://127.0.0.1:{web.port}", client.token)
    try:
        for _ in range(2):
            before = len(load.acknowledged)
            assert wait_until(lambda: len(load.acknowledged) > before + 5, seconds=30)  # noqa: B023 - called here.
            web.end(signal.SIGKILL)
            web = again(web.port).until("web listens on")
    finally:
        load.stop()
    # F-31: all who were cut off together come back, each in a time of its own.
    crowd.forget()
    is_there_again = wait_until(lambda: crowd.is_there, seconds=45)
    crowd.stop()
    repeated = {key: load.order(key) for key in load.acknowledged}
    # An account has at most 200 positions, and a page at most 100 orders.
    pages = [client.get(f"/trade/open?limit=100&offset={offset}") for offset in (0, 100)]

    assert is_there_again
    assert load.failures == []
    assert load.lost > 0, (
        "no order was under way when its process was killed, or came before the next"
    )
    assert repeated == load.acknowledged
    assert len(set(load.acknowledged.values())) == len(load.acknowledged)
    # One more is the trial.
    ids = {order["orderId"] for page in pages for order in page["message"]}
    assert set(load.acknowledged.values()) < ids
    assert len(ids) == len(load.acknowledged) + 1
    return web


def test_five_processes_make_one_platform_whose_web_and_engine_are_killed(
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
        login = subprocess.run(
            [sys.executable, str(MANAGE), "login"],
            cwd=REPOSITORY,
            env=os.environ
            | as_user(addresses, "web")
            | {"DATA_DIR": str(data_dir), "PORT": str(web.port)},
            check=True,
            capture_output=True,
            text=True,
        )

        def web_again(port: int) -> Serving:
            runs["web"].close()
            runs["web"] = Serving(
                data_dir, "serve", "--only", "web", port=port, **as_user(addresses, "web")
            )
            return runs["web"]

        web = kill_web_under_load(web, web_again, login.stdout.strip())
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
