"""`kill -9` of a real engine process at every named point: nothing is lost, nothing is done twice."""

import itertools
import signal
import time
from pathlib import Path

import pytest

from engine.adapters.compose import CoreMachines
from engine.adapters.redis_streams import RedisLog
from engine.adapters.snapshot_files import SnapshotFiles
from engine.adapters.system_clock import SystemClock
from engine.config import EngineConfig
from engine.messages import codec
from engine.messages.replies import Accepted
from engine.runtime.errors import EXIT_TRY_LATER
from engine.runtime.ports import Position, probe_nothing
from engine.runtime.recovery import recover
from tests.integration import engine_process
from tests.integration.engine_log import LogHand, deposit, engine_config, open_demo

pytestmark = pytest.mark.integration

ACCOUNT = 7
LOOP_POINTS = (
    "before_read",
    "after_read",
    "mid_apply",
    "after_apply",
    "after_publish",
    "before_snapshot",
    "after_snapshot",
    "snapshot_begin",
    "snapshot_torn",
    "snapshot_written",
    "snapshot_renamed",
)
RECOVERY_POINTS = ("after_fence", "after_load", "after_evolve")


@pytest.fixture
def config(stream_prefix, log_redis_url, redis_url, tmp_path) -> EngineConfig:
    return engine_config(
        stream_prefix,
        log_redis_url,
        redis_url,
        tmp_path / "snapshots",
        snapshot_every_entries=3,
        batch_entries_max=4,
        lease_us=150_000,
        heartbeat_us=30_000,
    )


@pytest.fixture
def hand(config) -> LogHand:
    hand = LogHand(config)
    hand.keep_everything()
    return hand


@pytest.mark.parametrize("hit", [1, 3, 7])
@pytest.mark.parametrize("point", LOOP_POINTS)
def test_a_kill_in_the_loop_loses_and_doubles_nothing(config, hand, tmp_path, point, hit) -> None:
    engine = engine_process.start(config, tmp_path, crash=(point, hit))
    sent = load(hand, until_dead=engine)
    assert engine.wait(20) == -signal.SIGKILL

    finish(config, hand, tmp_path, sent)


def test_twenty_kills_in_recovery_change_nothing_but_the_epoch(config, hand, tmp_path) -> None:
    engine = engine_process.start(config, tmp_path, crash=("after_publish", 7))
    sent = load(hand, until_dead=engine)
    engine.wait(20)
    before = hand.position()

    epochs = []
    for _, point in zip(range(20), itertools.cycle(RECOVERY_POINTS), strict=False):
        assert engine_process.start(config, tmp_path, crash=(point, 1)).wait(20) == -signal.SIGKILL
        epochs.append(int(hand.redis.get(hand.epoch)))

    assert hand.position() == before
    # The first engine had raised it once.
    assert epochs == list(range(2, 22))
    finish(config, hand, tmp_path, sent)


def test_an_engine_that_slept_through_its_succession_is_fenced(config, hand, tmp_path) -> None:
    sleeper = engine_process.start(config, tmp_path)
    for message in open_demo(ACCOUNT):
        hand.reply_to(message)
    sleeper.send_signal(signal.SIGSTOP)
    sent = [hand.append(deposit(ACCOUNT, 2, 1))]
    successor = engine_process.start(config, tmp_path)
    hand.output_at(sent[0])

    sleeper.send_signal(signal.SIGCONT)
    sent.append(hand.append(deposit(ACCOUNT, 3, 1)))
    hand.output_at(sent[1])

    assert sleeper.wait(20) == EXIT_TRY_LATER
    assert {hand.output_at(entry_id).epoch for entry_id in sent} == {2}
    successor.terminate()
    assert successor.wait(20) == 0


def load(hand: LogHand, *, until_dead: object) -> list[str]:
    """Send commands, some of them twice, until the engine has died; every one has a right to an answer."""
    sent = [hand.append(message) for message in open_demo(ACCOUNT)]
    cash_seq = 2
    deadline = time.monotonic() + 20
    while until_dead.poll() is None and time.monotonic() < deadline:
        for _ in range(3):
            sent.append(hand.append(deposit(ACCOUNT, cash_seq, 1)))
            if cash_seq % 3 == 0:
                sent.append(hand.append(deposit(ACCOUNT, cash_seq, 1)))
            cash_seq += 1
        sent.append(hand.append(open_demo(ACCOUNT)[1]))
        time.sleep(0.01)
    return sent


def finish(config: EngineConfig, hand: LogHand, folder: Path, sent: list[str]) -> None:
    """Let an undisturbed engine come to the end, and judge what there is."""
    engine = engine_process.start(config, folder)
    # One more, since the others may all be answered: its answer says that the engine lives and hears signals.
    sent.append(hand.append(open_demo(ACCOUNT)[1]))
    hand.output_at(sent[-1])
    engine.terminate()
    assert engine.wait(20) == 0

    outputs = hand.outputs()
    assert [entry_id for entry_id, _ in outputs] == sent
    assert [fields.number for _, fields in outputs] == list(range(1, len(sent) + 1))
    # Deposits of one micro each: the balance counts how often the accepted ones were carried out.
    replies = [codec.decode_reply(fields.reply) for _, fields in outputs]
    commands = [codec.decode_message(fields.command) for _, fields in outputs]
    accepted = sum(
        isinstance(reply, Accepted) and getattr(command, "amount_micros", 0) == 1
        for reply, command in zip(replies, commands, strict=True)
    )
    numbers = {getattr(command, "cash_seq", 1) for command in commands}
    events = [event for _, f in outputs for event in codec.decode_events(f.events)]
    assert accepted == max(numbers) - 1
    assert events[-1].balance_micros == 1_000_000_000 + accepted
    assert_all_recoveries_agree(config)


def assert_all_recoveries_agree(config: EngineConfig, *, newest: int | None = None) -> None:
    """Recover from every snapshot and from the beginning, or from the newest ones where the log was trimmed.

    Always the same state, proved against the checkpoint.
    """
    log = RedisLog(config, SystemClock())
    log.reconnect()
    store = SnapshotFiles(config)
    hashes = set()
    for skip in range(newest or len(list(store.newest_first())) + 1):
        machine = recover(
            config=config,
            epoch=0,
            log=log,
            snapshots=_WithoutNewest(store, skip),
            machines=CoreMachines(shard=0, shards=1),
            committed=Position(),
            probe=probe_nothing,
        ).shard.machine
        machine.verify()
        hashes.add(machine.state_hash())
    log.close()
    assert len(hashes) == 1


class _WithoutNewest:
    """A store whose newest snapshots are out of sight."""

    def __init__(self, store: SnapshotFiles, skip: int) -> None:
        self._store = store
        self._skip = skip

    def newest_first(self):
        return iter(list(self._store.newest_first())[self._skip :])
