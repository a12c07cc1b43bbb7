"""The log's server fails: lost requests, lost replies, a killed Valkey. What was acknowledged stays, once."""

import select
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from redis import Redis
from redis.exceptions import RedisError

from engine.adapters import redis_streams
from engine.adapters.redis_inbox import RedisInbox
from engine.adapters.redis_lease import RedisMonitor
from engine.adapters.redis_streams import RedisLog
from engine.adapters.system_clock import SystemClock
from engine.config import EngineConfig
from engine.messages import codec
from engine.messages.replies import Accepted
from engine.messages.streams import health_key, query_channel
from engine.runtime.errors import LogUnavailableError
from engine.runtime.status import Status
from engine.values import text_from_entry_id
from tests.chaos.log_server import LogServer
from tests.integration.engine_log import (
    LogHand,
    deposit,
    engine_config,
    open_demo,
    running,
    wait_for,
)
from tests.integration.lossy_proxy import LossyProxy

pytestmark = pytest.mark.integration


@pytest.fixture
def config(stream_prefix, log_redis_url, redis_url, tmp_path) -> EngineConfig:
    return engine_config(stream_prefix, log_redis_url, redis_url, tmp_path / "snapshots")


@pytest.fixture
def hand(config) -> LogHand:
    return LogHand(config)


@pytest.fixture
def proxy(log_redis_url) -> Iterator[LossyProxy]:
    # Not the test's own folder: the path of a socket may have 108 bytes.
    with tempfile.TemporaryDirectory() as folder:
        lossy = LossyProxy(Path(folder) / "log.sock", log_redis_url)
        yield lossy
        lossy.close()


def through(proxy: LossyProxy, config: EngineConfig) -> EngineConfig:
    return engine_config(config.prefix, proxy.url, config.redis_url, config.snapshot_dir)


def assert_exactly_once(hand: LogHand, sent: list[str]) -> None:
    outputs = hand.outputs()
    assert [entry_id for entry_id, _ in outputs] == sent
    assert [fields.number for _, fields in outputs] == list(range(1, len(sent) + 1))


@pytest.mark.parametrize("kind", ["lose_reply_to", "lose_request"])
def test_a_publish_of_unknown_outcome_happens_once(config, hand, proxy, kind) -> None:
    sent = []
    with running(through(proxy, config)):
        for message in open_demo(7):
            sent.append(hand.append(message))
            hand.output_at(sent[-1])
        for cash_seq in range(2, 12):
            getattr(proxy, kind)(b"EVALSHA")
            sent.append(hand.append(deposit(7, cash_seq, 1)))
            hand.output_at(sent[-1])

    assert proxy.lost == 10
    assert_exactly_once(hand, sent)
    last = codec.decode_events(hand.outputs()[-1][1].events)[0]
    assert last.balance_micros == 1_000_000_010


def test_lost_questions_for_the_truth_are_asked_again(config, hand, proxy) -> None:
    with running(through(proxy, config)):
        sent = [hand.append(message) for message in open_demo(7)]
        hand.output_at(sent[-1])
        proxy.lose_reply_to(b"HGETALL", times=3)
        hand.redis.client_kill_filter(_type="normal", skipme=True)
        sent.append(hand.append(deposit(7, 2, 1)))
        hand.output_at(sent[-1])

    assert proxy.lost == 3
    assert_exactly_once(hand, sent)


def test_a_killed_server_loses_and_doubles_nothing(stream_prefix, redis_url, tmp_path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        server = LogServer(Path(folder))
        server.start()
        config = engine_config(stream_prefix, server.url, redis_url, tmp_path / "snapshots")
        hand = LogHand(config)
        acknowledged: list[str] = []
        is_over = threading.Event()

        def trade() -> None:
            cash_seq = 2
            while not is_over.is_set():
                try:
                    acknowledged.append(hand.append(deposit(7, cash_seq, 1)))
                except RedisError:
                    # Unknown: the same command again, which its cash_seq makes harmless.
                    is_over.wait(0.01)
                else:
                    cash_seq += 1

        with running(config):
            for message in open_demo(7):
                acknowledged.append(hand.append(message))
                hand.output_at(acknowledged[-1])
            trader = threading.Thread(target=trade)
            trader.start()
            for _ in range(3):
                count = len(acknowledged)
                wait_for(lambda count=count: len(acknowledged) > count + 50, "more trades")
                server.kill()
                server.start()
            is_over.set()
            trader.join()
            hand.output_at(acknowledged[-1])
        outputs = hand.outputs()
        server.kill()

    ids = [entry_id for entry_id, _ in outputs]
    assert ids == sorted(set(ids), key=ids.index)
    assert set(acknowledged) <= set(ids)
    assert [fields.number for _, fields in outputs] == list(range(1, len(ids) + 1))
    accepted = [
        fields for _, fields in outputs[3:] if codec.decode_reply(fields.reply) == Accepted()
    ]
    last = codec.decode_events(accepted[-1].events)[0]
    assert last.balance_micros == 1_000_000_000 + len(accepted)


def test_a_log_that_goes_away_between_an_answer_and_the_next_question_is_a_lost_log(config, hand):
    clock = SystemClock()
    log = RedisLog(config, clock)
    log.reconnect()
    inbox = RedisInbox(config, log, clock)
    log.read_on(0)
    entry_id = hand.append(open_demo(1)[0])
    wait_for(lambda: select.select(log.filenos(), [], [], 0)[0], "the entry to arrive")
    hand.redis.client_kill_filter(_type="normal", skipme=True)

    inbox.look_ahead()
    with pytest.raises(LogUnavailableError):
        inbox.wait(0, 10, 0)
    log.reconnect()
    arrivals = wait_for(lambda: inbox.wait(0, 10, 10_000).entries, "the entry once more")
    log.close()
    inbox.close()

    assert [text_from_entry_id(entry.entry_id) for entry in arrivals] == [entry_id]


class RushingClock(SystemClock):
    """A clock that a test sets forward."""

    ahead_us = 0

    def monotonic_us(self) -> int:
        return super().monotonic_us() + self.ahead_us


def test_a_log_that_says_nothing_any_more_is_noticed_while_questions_go_on(
    config, hand, redis_url, monkeypatch
):
    # So the server says nothing of its own accord in the time of this test, like one at the other end of a cut line.
    monkeypatch.setattr(redis_streams, "_BLOCK_MS", 60_000)
    clock = RushingClock()
    log = RedisLog(config, clock)
    log.reconnect()
    inbox = RedisInbox(config, log, clock)
    assert inbox.wait(0, 10, 0) == ([], ())

    clock.ahead_us = 70_000_000
    with Redis.from_url(redis_url) as redis:
        assert redis.publish(query_channel(config.prefix), b"{") == 1
    with pytest.raises(LogUnavailableError):
        inbox.wait(0, 10, 10_000_000)
    log.close()
    inbox.close()


def test_an_engine_is_heard_of_again_with_its_first_report_after_its_server_is_back(config) -> None:
    with tempfile.TemporaryDirectory() as folder:
        address = Path(folder) / "away.sock"
        monitor = RedisMonitor(
            engine_config(
                config.prefix, config.log_redis_url, f"unix://{address}", config.snapshot_dir
            )
        )
        report = Status(shard=0, shards=1, build="test").health(1, 1)
        monitor.report(report)
        address.symlink_to(urlsplit(config.redis_url).path)

        monitor.report(report)

        assert Redis.from_url(config.redis_url).exists(health_key(config.prefix, 0))
        monitor.close()
