"""Two engines of a shard on a real Valkey: one leads, one follows, and whoever comes back late is fenced."""

import signal
import time
from dataclasses import replace

import msgspec
import pytest
from redis import Redis

from engine.config import EngineConfig
from engine.messages import codec, streams
from engine.messages.health import EngineHealth, EngineState
from engine.messages.replies import Accepted
from engine.runtime.errors import EXIT_TRY_LATER
from tests.integration import engine_process
from tests.integration.engine_log import LogHand, deposit, engine_config, open_demo, wait_for
from tests.integration.test_log_kills import assert_all_recoveries_agree

pytestmark = pytest.mark.integration

ACCOUNT = 7
# From the kill of a leader with the lease of the product to the first answer of its standby.
TAKEOVER_SECONDS = 1.5


@pytest.fixture
def config(stream_prefix, log_redis_url, redis_url, tmp_path) -> EngineConfig:
    return engine_config(
        stream_prefix,
        log_redis_url,
        redis_url,
        tmp_path / "left",
        snapshot_every_entries=20,
        is_standby=True,
    )


@pytest.fixture
def hand(config) -> LogHand:
    hand = LogHand(config)
    hand.keep_everything()
    return hand


class Host:
    """A host with its own folder of snapshots, on which an engine is started."""

    def __init__(self, config: EngineConfig, tmp_path, name: str) -> None:
        self._folder = tmp_path / f"run-{name}"
        self._folder.mkdir()
        self.config = replace(config, snapshot_dir=tmp_path / name)
        self.process = engine_process.start(self.config, self._folder)

    def end(self) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait(20)


@pytest.fixture
def pair(config, hand, tmp_path):
    """A leader that has answered, and a standby that follows it."""
    left = Host(config, tmp_path, "left")
    for message in open_demo(ACCOUNT):
        hand.reply_to(message)
    right = Host(config, tmp_path, "right")
    standby_health(config)
    yield left, right
    left.end()
    right.end()


def standby_health(config: EngineConfig) -> EngineHealth:
    with Redis.from_url(config.redis_url) as other:
        key = streams.standby_health_key(config.prefix)
        raw = wait_for(
            lambda: (raw := other.get(key)) and b'"state":"standby"' in raw and raw, "a standby"
        )
    return msgspec.json.decode(raw, type=EngineHealth)


def trade(hand: LogHand, cash_seqs: range) -> list[str]:
    return [hand.append(deposit(ACCOUNT, cash_seq, 1)) for cash_seq in cash_seqs]


def assert_gapless(hand: LogHand, sent: list[str]) -> None:
    outputs = hand.outputs()[3:]
    assert [entry_id for entry_id, _ in outputs] == sent
    assert [fields.number for _, fields in outputs] == list(range(4, len(sent) + 4))
    replies = {codec.decode_reply(fields.reply) for _, fields in outputs}
    assert replies == {Accepted()}


def test_a_standby_takes_over_from_a_killed_engine_without_gap_or_double(
    pair, hand, config
) -> None:
    left, right = pair
    sent = trade(hand, range(2, 40))
    hand.output_at(sent[-1])

    left.process.kill()
    sent += trade(hand, range(40, 80))
    hand.output_at(sent[-1])

    assert_gapless(hand, sent)
    assert {fields.epoch for _, fields in hand.outputs()} == {1, 2}
    right.process.terminate()
    assert right.process.wait(20) == 0
    assert_all_recoveries_agree(right.config)


@pytest.mark.alone
def test_a_takeover_takes_less_than_one_and_a_half_seconds(pair, hand, config, tmp_path) -> None:
    leader, follower = pair
    took: list[float] = []
    # A machine that stands still for a moment gets two more tries.
    while len(took) < 3 and (not took or took[-1] >= TAKEOVER_SECONDS):
        if took:
            leader, follower = follower, Host(leader.config, tmp_path, f"again-{len(took)}")
            standby_health(config)
        leader.process.kill()
        began = time.monotonic()
        hand.output_at(hand.append(deposit(ACCOUNT, 2 + len(took), 1)))
        took.append(time.monotonic() - began)
    follower.end()

    assert min(took) < TAKEOVER_SECONDS, took


def test_a_stopped_leader_that_wakes_up_is_fenced_and_follows_when_started_again(
    pair, hand, config, tmp_path
) -> None:
    left, _ = pair
    left.process.send_signal(signal.SIGSTOP)
    sent = trade(hand, range(2, 10))
    hand.output_at(sent[-1])

    left.process.send_signal(signal.SIGCONT)
    sent += trade(hand, range(10, 20))
    hand.output_at(sent[-1])

    assert left.process.wait(20) == EXIT_TRY_LATER
    assert_gapless(hand, sent)
    assert {hand.output_at(entry_id).epoch for entry_id in sent} == {2}
    again = Host(left.config, tmp_path, "again")
    follower = standby_health(config)
    again.end()
    assert follower.state is EngineState.STANDBY


def test_both_hosts_register_their_own_snapshots(pair, hand, config) -> None:
    _, right = pair
    trade(hand, range(2, 200))

    def registered() -> int:
        return len(hand.redis.hgetall(streams.snapshots_key(config.prefix)))

    # The third is the test itself, which keeps the log whole.
    wait_for(lambda: registered() == 3, "two registrations")
    assert list(right.config.snapshot_dir.glob("*.snapshot"))


def test_a_standby_of_another_build_follows_too(config, hand, tmp_path) -> None:
    left = Host(config, tmp_path, "left")
    for message in open_demo(ACCOUNT):
        hand.reply_to(message)
    right = Host(replace(config, build="newer"), tmp_path, "right")
    standby_health(config)
    sent = trade(hand, range(2, 20))
    left.process.kill()
    sent += trade(hand, range(20, 40))
    hand.output_at(sent[-1])

    assert_gapless(hand, sent)
    assert {fields.build for _, fields in hand.outputs()} == {"test", "newer"}
    left.end()
    right.end()
