"""The log forgets on a real Valkey what nobody needs any more, and nothing else."""

import base64
import os
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import replace

import msgspec
import pytest

from engine.adapters.forked_snapshots import ForkedSnapshots
from engine.adapters.redis_retention import RedisRetention
from engine.adapters.snapshot_files import SnapshotFiles
from engine.config import EngineConfig
from engine.messages import codec, streams
from engine.messages.replies import Accepted
from engine.runtime.ports import Snapshot, SnapshotStatus
from engine.runtime.retention import bounds
from engine.values import InvariantError
from tests.integration import engine_process
from tests.integration.engine_log import (
    LogHand,
    deposit,
    engine_config,
    open_demo,
    running,
    wait_for,
)
from tests.integration.test_log_snapshots import BODY, header

pytestmark = pytest.mark.integration

ACCOUNT = 7


@pytest.fixture
def config(stream_prefix, log_redis_url, redis_url, tmp_path) -> EngineConfig:
    return engine_config(
        stream_prefix, log_redis_url, redis_url, tmp_path / "snapshots", snapshot_every_entries=100
    )


@pytest.fixture
def hand(config) -> LogHand:
    return LogHand(config)


def trade(hand: LogHand, cash_seqs: range) -> list[str]:
    with hand.redis.pipeline(transaction=False) as pipeline:
        for cash_seq in cash_seqs:
            raw = codec.encode(deposit(ACCOUNT, cash_seq, 1))
            pipeline.xadd(hand.input, {b"v": 1, b"m": raw, b"g": b"g1"})
        return [entry_id.decode() for entry_id in pipeline.execute()]


def test_the_disk_is_measured_before_and_after_its_folder_is_made(config) -> None:
    retention = RedisRetention(config)
    before = retention.disk_percent()
    config.snapshot_dir.mkdir(parents=True)
    _, used, free = shutil.disk_usage(config.snapshot_dir)

    # Others write to the same disk meanwhile.
    assert abs(before - 100 * used / (used + free)) < 2
    assert abs(retention.disk_percent() - before) < 2


def test_a_disk_that_fails_is_one_that_nobody_knows(config, monkeypatch) -> None:
    def fails(_path: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "statvfs", fails)

    assert RedisRetention(config).disk_percent() == 0


def test_whom_nobody_can_read_holds_the_log_by_name(config, hand) -> None:
    hand.redis.hset(streams.consumers_key(config.prefix), "audit", "$")
    hand.redis.hset(streams.snapshots_key(config.prefix), "elsewhere", "{")

    with closing(RedisRetention(config)) as retention:
        found = bounds(retention.registrations(), retention.consumers())

    assert found == (0, 0, "consumer audit")


def test_input_goes_when_two_snapshots_hold_it_and_outputs_when_a_consumer_has_them(
    config, hand
) -> None:
    with running(config):
        for message in open_demo(ACCOUNT):
            hand.reply_to(message)
        for part in range(6):
            sent = trade(hand, range(2 + part * 500, 502 + part * 500))
            hand.output_at(sent[-1])
        wait_for(lambda: hand.redis.xlen(hand.input) < 2_000, "a trimmed input")
        kept_for_consumers = hand.redis.xlen(hand.output)
        hand.redis.hset(streams.consumers_key(config.prefix), "projector", sent[-1])
        wait_for(lambda: hand.redis.xlen(hand.output) < 2_000, "trimmed outputs")
    with running(config):
        assert hand.reply_to(deposit(ACCOUNT, 3_002, 1)) == Accepted()

    assert kept_for_consumers == 3_003
    assert [fields.number for _, fields in hand.outputs()][-1] == 3_004


def test_a_torn_newest_snapshot_of_a_trimmed_log_falls_back_to_the_second(config, hand) -> None:
    with running(config):
        for message in open_demo(ACCOUNT):
            hand.reply_to(message)
        for part in range(6):
            hand.output_at(trade(hand, range(2 + part * 500, 502 + part * 500))[-1])
        wait_for(lambda: hand.redis.xlen(hand.input) < 2_000, "a trimmed input")
    newest = max(config.snapshot_dir.glob("*.snapshot"))
    newest.write_bytes(newest.read_bytes()[:-1])

    with running(config):
        assert hand.reply_to(deposit(ACCOUNT, 3_002, 1)) == Accepted()


def test_trimming_removes_more_than_one_call_can(config, hand) -> None:
    retention = RedisRetention(config)
    with hand.redis.pipeline(transaction=False) as pipeline:
        for number in range(1, 45_001):
            pipeline.xadd(hand.input, {b"m": b"x"}, id=f"{number}-0")
        pipeline.execute()

    removed = retention.trim_input(45_000 << 21)
    retention.close()

    assert removed == 45_000 - hand.redis.xlen(hand.input)
    assert hand.redis.xlen(hand.input) <= 200


# --- snapshots of a dedicated process ---------------------------------------------------------------------------------


def test_a_forked_copy_writes_what_was_and_not_what_is(config) -> None:
    store = ForkedSnapshots(SnapshotFiles(config))
    body = [BODY]
    store.save(lambda: (header(config, 5), body[0]))
    body[0] = b"changed meanwhile"
    store.flush(10_000_000)

    (found,) = store.newest_first()
    assert isinstance(found, Snapshot)
    assert found.body == BODY
    assert store.status().newest == header(config, 5)
    assert not store.is_busy()


def test_a_contradiction_found_by_the_copy_is_told_and_nothing_is_written(config) -> None:
    store = ForkedSnapshots(SnapshotFiles(config))

    def contradict():
        raise InvariantError("the ledger does not sum to zero")

    store.save(contradict)
    store.flush(10_000_000)

    assert store.status().contradiction == "the ledger does not sum to zero"
    assert list(store.newest_first()) == []


def test_a_killed_copy_is_an_alarm_and_no_more(config) -> None:
    store = ForkedSnapshots(SnapshotFiles(config))
    store.save(lambda: os.kill(os.getpid(), signal.SIGKILL))
    store.flush(10_000_000)
    failure = store.status().failure
    store.save(lambda: (header(config, 6), BODY))
    store.flush(10_000_000)

    assert "-9" in failure
    assert store.status().failure == ""
    assert len(list(store.newest_first())) == 1


def test_a_machine_without_room_for_a_process_is_an_alarm_and_no_more(config, monkeypatch) -> None:
    def refuse() -> int:
        # As a kernel does at its limit of processes or memory, which it does not hold root to.
        raise BlockingIOError("Resource temporarily unavailable")

    store = ForkedSnapshots(SnapshotFiles(config))
    opened = len(os.listdir("/proc/self/fd"))
    with monkeypatch.context() as patched:
        patched.setattr(os, "fork", refuse)
        store.save(lambda: (header(config, 5), BODY))
    failure, is_busy = store.status().failure, store.is_busy()
    left_open = len(os.listdir("/proc/self/fd")) - opened
    store.save(lambda: (header(config, 6), BODY))
    store.flush(10_000_000)

    assert "temporarily unavailable" in failure
    assert (is_busy, left_open) == (False, 0)
    assert store.status() == SnapshotStatus(header(config, 6), "")


def test_a_machine_without_room_for_a_thread_is_an_alarm_and_no_more(config, monkeypatch) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    store = SnapshotFiles(config)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        store.save(lambda: (header(config, 5), BODY))
    store.flush(10_000_000)
    failure, is_busy = store.status().failure, store.is_busy()
    store.save(lambda: (header(config, 6), BODY))
    store.flush(10_000_000)

    assert "thread" in failure
    assert not is_busy
    assert store.status() == SnapshotStatus(header(config, 6), "")


def test_a_dedicated_engine_recovers_from_its_forked_snapshots(config, hand, tmp_path) -> None:
    dedicated = replace(config, is_dedicated=True)
    engine = engine_process.start(dedicated, tmp_path)
    for message in open_demo(ACCOUNT):
        hand.reply_to(message)
    hand.output_at(trade(hand, range(2, 502))[-1])
    wait_for(lambda: list(config.snapshot_dir.glob("*.snapshot")), "a snapshot")
    engine.kill()
    engine.wait(20)

    engine = engine_process.start(dedicated, tmp_path)
    assert hand.reply_to(deposit(ACCOUNT, 502, 1)) == Accepted()
    engine.terminate()
    assert engine.wait(20) == 0


# --- the supervisor ---------------------------------------------------------------------------------------------------


def supervised(config: EngineConfig, folder) -> subprocess.Popen:
    keys = folder / "keys"
    keys.write_text(
        ",".join(f"{k.key_id}:{base64.b64encode(k.secret).decode()}" for k in config.snapshot_keys)
    )
    keys.chmod(0o600)
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "engine", "--prefix", config.prefix),
            *("--log-redis-url", config.log_redis_url, "--redis-url", config.redis_url),
            *("--snapshot-dir", str(config.snapshot_dir), "--snapshot-keys-file", str(keys)),
        ],
        cwd=engine_process.REPOSITORY,
    )


def child_of(process: subprocess.Popen) -> int:
    path = f"/proc/{process.pid}/task/{process.pid}/children"

    def child() -> str:
        with open(path) as file:
            return file.read().split()[:1]

    return int(wait_for(child, "a forked engine")[0])


def test_a_supervisor_starts_the_next_engine_under_the_same_lease(config, hand, tmp_path) -> None:
    supervisor = supervised(config, tmp_path)
    for message in open_demo(ACCOUNT):
        hand.reply_to(message)
    lease = streams.lease_key(config.prefix)
    owner = hand.redis.get(lease)

    for kill in range(5):
        os.kill(child_of(supervisor), signal.SIGKILL)
        assert hand.reply_to(deposit(ACCOUNT, 2 + kill, 1)) == Accepted()

    assert hand.redis.get(hand.epoch) == b"6"
    assert hand.redis.get(lease) == owner
    supervisor.terminate()
    assert supervisor.wait(20) == 0
    assert not hand.redis.exists(lease)


def test_a_supervisor_leaves_a_halted_engine_to_the_operator(config, hand, tmp_path) -> None:
    with running(config):
        for message in open_demo(ACCOUNT):
            hand.reply_to(message)
    hand.redis.delete(hand.input, hand.output, hand.checkpoint)

    supervisor = supervised(config, tmp_path)

    assert supervisor.wait(20) == 78


def test_the_engine_ends_with_a_killed_supervisor(config, hand, tmp_path) -> None:
    supervisor = supervised(config, tmp_path)
    hand.reply_to(open_demo(ACCOUNT)[0])

    supervisor.kill()
    supervisor.wait(20)

    wait_for(lambda: not hand.redis.exists(streams.lease_key(config.prefix)), "a free lease")


def test_health_tells_alarms(config, hand, tmp_path) -> None:
    blocked = tmp_path / "a file, not a folder"
    blocked.write_text("")
    poor = replace(config, snapshot_dir=blocked / "snapshots", snapshot_every_entries=1)
    with running(poor) as engine:
        hand.reply_to(open_demo(ACCOUNT)[0])
        alarms = wait_for(lambda: engine.runner.health().alarms, "an alarm")

    assert alarms[0].startswith("SNAPSHOT_FAILED: ")
    assert msgspec.json.decode(msgspec.json.encode(engine.runner.health()))["alarms"]
