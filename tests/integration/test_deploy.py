"""F-41: SIGTERM to an engine under load, as at a deploy: what was taken is decided and published, nothing is left for a replay."""

import itertools
import signal
import threading

import pytest
from django.test import Client

from engine.adapters.snapshot_files import SnapshotFiles
from engine.messages.health import EngineState
from tests.integration import engine_process
from tests.integration.engine_log import LogHand, deposit, engine_config, open_demo, wait_for
from tests.integration.test_log_kills import ACCOUNT, finish

pytestmark = [pytest.mark.integration, pytest.mark.django_db]


def engine_check() -> tuple[int, str]:
    answer = Client().get("/readyz")
    return answer.status_code, answer.json()["checks"]["engine0"].get("state", "")


def test_f41_an_engine_that_is_told_to_end_drains_keeps_a_snapshot_and_says_so(
    settings, stream_prefix, log_redis_url, redis_url, tmp_path
) -> None:
    settings.LOG_REDIS_URL, settings.REDIS_URL = log_redis_url, redis_url
    config = engine_config(stream_prefix, log_redis_url, redis_url, tmp_path / "snapshots")
    hand = LogHand(config)
    hand.keep_everything()
    engine = engine_process.start(config, tmp_path)
    sent = [hand.append(message) for message in open_demo(ACCOUNT)]
    wait_for(lambda: engine_check() == (200, EngineState.LIVE.value), "a ready platform")
    stopping = threading.Event()

    def load() -> None:
        for cash_seq in itertools.count(2):
            if stopping.is_set():
                return
            sent.append(hand.append(deposit(ACCOUNT, cash_seq, 1)))

    sender = threading.Thread(target=load)
    sender.start()
    wait_for(lambda: len(hand.outputs()) > 100, "orders under way")
    engine.send_signal(signal.SIGTERM)
    code = engine.wait(20)
    after = engine_check()
    position = hand.position()
    stopping.set()
    sender.join(20)

    assert code == 0
    # A last report stands for five seconds.
    assert after in {(503, EngineState.STOPPED.value), (503, "")}
    newest = next(SnapshotFiles(config).newest_first())
    assert newest.header.entry_id.encode() == position[b"in"]
    # What came too late waits in the log, and the next engine decides it: each exactly once.
    finish(config, hand, tmp_path, sent)
