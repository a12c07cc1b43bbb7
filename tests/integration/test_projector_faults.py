"""The projector killed, doubled, and without its database: the journal stays exactly what the engine has published."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from django.db import connection, connections

from apps.trade.models import JournalEntry, ProjectorOffset
from apps.trade.projector import Projector
from apps.trade.selectors import ledger_faults
from apps.trade.services.projection.rebuild import read_models_digest, read_models_rebuild
from engine.messages import streams
from engine.messages.output_entry import read_named
from tests.integration.engine_log import newest_output, wait_for
from tests.integration.serving import REPOSITORY
from tests.integration.sharded import ACCOUNTS, Sharded, sharded_platform, trade

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

PROCESS = "tests.integration.projector_process"
# How long PostgreSQL is away; `make nightly` takes thirty seconds.
OUTAGE_SECONDS = 30 if os.environ.get("HYPOTHESIS_PROFILE") == "nightly" else 3


@pytest.fixture(autouse=True)
def installation(settings, stream_prefix, log_redis_url, redis_url, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path
    settings.LOG_REDIS_URL, settings.REDIS_URL = log_redis_url, redis_url
    settings.ENGINE_SHARDS = 1


def assert_journal_is_the_stream(platform: Sharded, settings) -> None:
    """Hold that rows, numbers and the stream's outputs are the same, each once, and that all rows follow from the journal.

    What the stream has been trimmed of by now, after it was projected, is proved by the chain of hashes.
    """
    published = [
        (output.number, output.chain, output.events)
        for _, fields in platform.redis.xrange(streams.output_stream(settings.STREAM_PREFIX))
        for output in [read_named(fields)]
    ]
    first, last = published[0][0], published[-1][0]
    rows = JournalEntry.objects.order_by("n").values_list("n", "chain", "events")
    assert [(n, bytes(chain), bytes(events)) for n, chain, events in rows.filter(n__gte=first)] == (
        published
    )
    assert list(rows.values_list("n", flat=True)) == list(range(1, last + 1))
    assert ProjectorOffset.objects.get().n == last
    assert ledger_faults() == []
    digest = read_models_digest()
    # Raises where a row is missing or was edited.
    assert read_models_rebuild() == last
    assert read_models_digest() == digest


def test_a_projector_that_is_killed_anywhere_loses_and_doubles_nothing(settings, embedded_servers):
    url = embedded_servers.layout.database_url
    before, after = url.rsplit("/cryptocfd?", 1)
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "cryptocfd.settings",
        "DATABASE_URL": f"{before}/{connection.settings_dict['NAME']}?{after}",
        "LOG_REDIS_URL": settings.LOG_REDIS_URL,
        "REDIS_URL": settings.REDIS_URL,
    }
    projected = []
    with sharded_platform() as platform:
        platform.define()
        platform.open_accounts()
        for point in ("after_read", "mid_transaction", "before_commit", "after_commit"):
            trade(platform, point)
            platform.settled()
            process = subprocess.run(
                [sys.executable, "-m", PROCESS, settings.STREAM_PREFIX, point],
                cwd=REPOSITORY,
                env=environment,
                check=False,
                timeout=60,
            )
            assert process.returncode == -signal.SIGKILL
            projected.append(ProjectorOffset.objects.get().n)
    # Three died before their commit, the last one after it.
    assert projected[:3] == [0, 0, 0]
    assert projected[3] > 0

    assert_journal_is_the_stream(platform, settings)


def test_a_second_projector_waits_for_the_end_of_the_first(settings):
    with sharded_platform() as platform:
        platform.define()
        first, second = Projector(), Projector()
        threads = [threading.Thread(target=part.run) for part in (first, second)]
        threads[0].start()
        wait_for(lambda: ProjectorOffset.objects.filter(n__gt=0).exists(), "the first projector")
        threads[1].start()

        assert not Projector().project_exclusively()
        platform.open_accounts()
        platform.settled()
        first.stop()
        threads[0].join(20)
        trade(platform, "a")
        last = newest_output(platform.redis, streams.output_stream(settings.STREAM_PREFIX)).number
        wait_for(lambda: ProjectorOffset.objects.get().n >= last, "the second projector")
        second.stop()
        threads[1].join(20)

    assert not any(thread.is_alive() for thread in threads)
    assert_journal_is_the_stream(platform, settings)


def test_trading_goes_on_without_postgresql_and_the_projector_catches_up(
    settings, embedded_servers, caplog
):
    with sharded_platform() as platform:
        platform.define()
        platform.open_accounts()
        trade(platform, "before")
        projector = Projector()
        thread = threading.Thread(target=projector.run)
        thread.start()
        wait_for(lambda: ProjectorOffset.objects.filter(n__gt=0).exists(), "the projector")
        connections.close_all()

        embedded_servers.postgres.stop()
        decided = 0
        until = time.monotonic() + OUTAGE_SECONDS
        try:
            while time.monotonic() < until:
                platform.price(100_000 + decided % 50)
                for account in ACCOUNTS:
                    opened = platform.order(account, f"away-{decided}")
                    platform.close(account, opened.reply.created[0], f"close-{decided}")
                decided += 1
        finally:
            embedded_servers.postgres.start()
        assert decided > 0
        platform.settled()
        last = newest_output(platform.redis, streams.output_stream(settings.STREAM_PREFIX)).number
        wait_for(lambda: ProjectorOffset.objects.get().n >= last, "the projector to catch up")
        projector.stop()
        thread.join(20)

    assert not thread.is_alive()
    assert_journal_is_the_stream(platform, settings)
