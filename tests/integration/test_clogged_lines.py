"""F-42: the lines between parts and servers are stopped one by one and let go in another order; nothing is lost, and all goes on."""

import os
import random
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection, connections

from apps.common.errors import EngineBusyError, EngineTimeoutError
from apps.trade.models import Account, ProjectorOffset
from apps.trade.projector import Projector
from engine.messages import streams
from engine.messages.rejects import RejectCode
from engine.values import CashKind
from tests.integration.engine_log import DEADLINE_SECONDS, newest_output, wait_for
from tests.integration.lossy_proxy import CloggedProxy
from tests.integration.sharded import ACCOUNTS, Sharded, cash, sharded_platform
from tests.integration.test_projector_faults import assert_journal_is_the_stream

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

IS_NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
SEEDS = range(30 if IS_NIGHTLY else 2)
# The promise is five seconds on a machine that is not busy with other tests.
LIVE_SECONDS = 5 if IS_NIGHTLY else DEADLINE_SECONDS
PARTS = ("engine", "web", "projector")


@pytest.fixture(autouse=True)
def installation(settings, stream_prefix, log_redis_url, redis_url, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path
    settings.LOG_REDIS_URL, settings.REDIS_URL = log_redis_url, redis_url
    settings.ENGINE_SHARDS = 1


@pytest.fixture
def lines(log_redis_url) -> Iterator[dict[str, CloggedProxy]]:
    facts = connection.get_connection_params()
    name = f".s.PGSQL.{facts.get('port') or 5432}"
    # Not the test's own folder: the path of a socket may have 108 bytes.
    with tempfile.TemporaryDirectory() as folder:
        found = {
            "engine": CloggedProxy(Path(folder) / "engine.sock", log_redis_url),
            "web": CloggedProxy(Path(folder) / "web.sock", log_redis_url),
            "projector": CloggedProxy(Path(folder) / name, f"{facts['host']}/{name}"),
        }
        yield found
        for line in found.values():
            line.release()
            line.close()


class Trader:
    """Sends one command after another, each under its id until its outcome is known, as a client does.

    Deposits of one micro: unlike orders they never expire on the way, and balances count how often they were carried out.
    """

    def __init__(self, platform: Sharded) -> None:
        self.answered = 0
        self.refused: list[object] = []
        self._platform = platform
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="trader")
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(DEADLINE_SECONDS)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        count = 0
        while not self._stopping.is_set():
            account = ACCOUNTS[count % len(ACCOUNTS)]
            # Two were sent before.
            command = cash(account, 3 + count // len(ACCOUNTS), CashKind.DEPOSIT, 1)
            count += 1
            while True:
                try:
                    output = self._platform.gateway.send_sync(command)
                except (EngineTimeoutError, EngineBusyError):
                    continue
                self.answered += 1
                # The second is what a repeat hears when the first was carried out: cash is known by its number.
                code = getattr(output.reply, "code", None)
                if code not in (None, RejectCode.CASH_ALREADY_DECIDED):
                    self.refused.append(output.reply)
                break


def project_through(line: CloggedProxy, projector: Projector) -> None:
    """Run a projector in this thread, whose connection to PostgreSQL goes by the line."""
    own = connections["default"]
    folder = str(Path(line.url.removeprefix("unix://")).parent)
    own.settings_dict = own.settings_dict | {"HOST": folder, "OPTIONS": {}}
    projector.run()


def balances() -> int:
    """Return what all accounts have together."""
    return sum(Account.objects.values_list("balance_micros", flat=True))


@pytest.mark.parametrize("seed", SEEDS)
def test_f42_lines_that_stop_and_go_on_in_any_order_lose_nothing(settings, lines, seed):
    order = random.Random(seed)  # noqa: S311 - no secret.
    projector = Projector()
    thread = threading.Thread(target=project_through, args=(lines["projector"], projector))
    with sharded_platform() as platform:
        platform.define()
        platform.open_accounts()
    before_n, before_micros = ProjectorOffset.objects.get().n, balances()
    with sharded_platform(
        engine_log_url=lines["engine"].url, gateway_log_url=lines["web"].url, timeout_ms=500
    ) as platform:
        thread.start()
        trader = Trader(platform)
        wait_for(lambda: ProjectorOffset.objects.get().n > before_n, "the projector")

        for part in order.sample(PARTS, k=3):
            lines[part].clog()
            # Ticks and repeats go on meanwhile; a projector to whom no outputs come asks for nothing.
            assert part == "projector" or lines[part].is_felt.wait(DEADLINE_SECONDS), part
        for part in order.sample(PARTS, k=3):
            lines[part].release()
        before = trader.answered
        wait_for(lambda: trader.answered > before + 20, "live commands", seconds=LIVE_SECONDS)
        trader.stop()
        platform.settled()
        stream = streams.output_stream(settings.STREAM_PREFIX)
        last = newest_output(platform.redis, stream).number
        wait_for(lambda: ProjectorOffset.objects.get().n >= last, "the projector to catch up")
        projector.stop()
        thread.join(DEADLINE_SECONDS)

    assert not thread.is_alive()
    assert trader.refused == []
    # Each was carried out, and once.
    assert balances() == before_micros + trader.answered
    assert_journal_is_the_stream(platform, settings)
