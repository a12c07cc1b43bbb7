"""The grown composition: each part in a process of its own, on servers that somebody else runs."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cryptocfd.embedded.processes import wait_until
from cryptocfd.embedded.servers import EmbeddedServers
from tests.integration.serving import MANAGE, REPOSITORY, Serving

pytestmark = [pytest.mark.integration, pytest.mark.alone, pytest.mark.timeout(180)]

PARTS = ("web", "engine", "feed", "projector", "worker")


@pytest.fixture
def addresses(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Servers under their addresses, as an operator gives them."""
    servers = EmbeddedServers(tmp_path / "servers", postgres_fsync=False)
    servers.start()
    yield {
        "DATABASE_URL": servers.layout.database_url,
        "LOG_REDIS_URL": servers.layout.log_redis_url,
        "REDIS_URL": servers.layout.redis_url,
        "SEED_DEMO": "true",
    }
    servers.stop()
    servers.data_remove()


def test_five_processes_make_one_platform_and_an_engine_can_be_replaced(
    addresses: dict[str, str], tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    subprocess.run(
        [sys.executable, str(MANAGE), "migrate", "--no-input", "--verbosity=0"],
        cwd=REPOSITORY,
        env=os.environ | addresses | {"DATA_DIR": str(data_dir)},
        check=True,
    )

    runs = {part: Serving(data_dir, "serve", "--only", part, **addresses) for part in PARTS}
    try:
        web = runs["web"].until("web listens on")
        runs["worker"].until("worker is running")
        assert wait_until(lambda: web.get("/readyz")["status"] == "ready", seconds=30), web.get(
            "/readyz"
        )
        first_epoch = web.get("/readyz")["checks"]["engine0"]["epoch"]
        runs["engine"].end(9)
        runs["engine 2"] = Serving(data_dir, "serve", "--only", "engine", **addresses)
        runs["engine 2"].until("engine is running")
        assert wait_until(
            lambda: web.get("/readyz")["checks"]["engine0"]["epoch"] == first_epoch + 1, seconds=10
        )
        seconds = {name: run.end() for name, run in runs.items() if run.process.poll() is None}
    finally:
        for run in runs.values():
            run.close()

    assert max(seconds.values()) < 5, seconds
    assert {runs[part].process.returncode for part in PARTS if part != "engine"} == {0}
