"""Snapshots on a real disk: sealed, whole or refused, and never believed against the log."""

import logging
import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.adapters import snapshot_files
from engine.adapters.compose import build_runner
from engine.adapters.snapshot_files import SnapshotFiles
from engine.config import EngineConfig, SnapshotKey
from engine.messages.output_entry import OUTPUT_FIELD, pack
from engine.messages.replies import Accepted
from engine.runtime.errors import HaltCode, HaltError
from engine.runtime.ports import RefusedSnapshot, Snapshot, SnapshotHeader
from engine.runtime.snapshots import SNAPSHOT_FORMAT, kept
from engine.values import text_from_entry_id
from tests.integration.engine_log import (
    LogHand,
    deposit,
    engine_config,
    open_demo,
    running,
    wait_for,
)

pytestmark = pytest.mark.integration

BODY = os.urandom(20_000)


@pytest.fixture
def config(stream_prefix, log_redis_url, redis_url, tmp_path) -> EngineConfig:
    return engine_config(stream_prefix, log_redis_url, redis_url, tmp_path / "snapshots")


@pytest.fixture
def hand(config) -> LogHand:
    return LogHand(config)


def changed(config: EngineConfig, **changes: object) -> EngineConfig:
    fields = {name: getattr(config, name) for name in EngineConfig.__slots__}
    return EngineConfig(**(fields | changes))


def header(config: EngineConfig, entry_id: int, **changes: object) -> SnapshotHeader:
    fields = {
        "format": SNAPSHOT_FORMAT,
        "build": "test",
        "stream": f"{config.prefix}stream:exness",
        "shard": 0,
        "shards": 1,
        "entry_id": text_from_entry_id(entry_id),
        "number": 1,
        "count": 1,
        "chain": "00" * 32,
        "state_hash": "00" * 32,
        "taken_at_us": 1,
    }
    return SnapshotHeader(**(fields | changes))


def saved(config: EngineConfig, entry_id: int, **changes: object) -> SnapshotFiles:
    """Save one snapshot and return its store."""
    store = SnapshotFiles(config)
    store.save(lambda: (header(config, entry_id, **changes), BODY))
    store.flush(10_000_000)
    assert store.status().failure == ""
    return store


def only(store: SnapshotFiles) -> Snapshot | RefusedSnapshot:
    (found,) = store.newest_first()
    return found


def path_of(config: EngineConfig) -> Path:
    (path,) = config.snapshot_dir.glob("*.snapshot")
    return path


# --- files ------------------------------------------------------------------------------------------------------------


def test_s44_a_snapshot_reads_back_and_shows_nothing_of_its_body(config) -> None:
    store = saved(config, 5)

    found = only(store)

    assert found == Snapshot(path_of(config).name, header(config, 5), BODY)
    assert BODY[:32] not in path_of(config).read_bytes()


def test_s44_of_ten_thousand_snapshots_no_two_have_a_nonce_in_common(config) -> None:
    store = SnapshotFiles(config)
    one = header(config, 5)

    sealed = (store._sealed(one, b"") for _ in range(10_000))
    # The part in the clear is JSON: `"nonce":"<base64>"`.
    nonces = {content.partition(b'"nonce":"')[2].partition(b'"')[0] for content in sealed}

    assert len(nonces) == 10_000
    assert {len(nonce) for nonce in nonces} == {16}


def test_s44_files_and_folder_are_private(config) -> None:
    saved(config, 5)

    assert path_of(config).stat().st_mode & 0o777 == 0o600
    assert config.snapshot_dir.stat().st_mode & 0o777 == 0o700
    assert len(list(config.snapshot_dir.iterdir())) == 1


def test_s44_every_damaged_byte_is_noticed(config) -> None:
    store = saved(config, 5)
    path = path_of(config)
    content = path.read_bytes()
    for part in range(64):
        at = part * len(content) // 64
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        assert isinstance(only(store), RefusedSnapshot), f"a flipped byte at {at}"


def test_every_torn_length_is_noticed(config) -> None:
    store = saved(config, 5)
    path = path_of(config)
    content = path.read_bytes()
    for length in [*range(0, len(content), 1024), 1, 11, len(content) - 1]:
        path.write_bytes(content[:length])
        assert isinstance(only(store), RefusedSnapshot), f"torn at {length}"


def test_s44_an_edited_header_is_noticed(config) -> None:
    store = saved(config, 5)
    path = path_of(config)
    path.write_bytes(path.read_bytes().replace(b'"number":1', b'"number":9'))

    assert "edited" in only(store).reason


def test_s44_a_rotated_key_still_opens_and_an_unknown_one_is_named(config) -> None:
    saved(config, 5)
    fresh = SnapshotKey(key_id="k2", secret=os.urandom(32))
    rotated = changed(config, snapshot_keys=(fresh, *config.snapshot_keys))
    forgotten = changed(config, snapshot_keys=(fresh,))
    swapped = changed(config, snapshot_keys=(SnapshotKey(key_id="k1", secret=os.urandom(32)),))

    assert isinstance(only(SnapshotFiles(rotated)), Snapshot)
    assert "no key of the ring has its id 'k1'" in only(SnapshotFiles(forgotten)).reason
    assert "'k1' is not the one that sealed it" in only(SnapshotFiles(swapped)).reason


def test_a_newer_format_is_refused_by_its_number(config, monkeypatch) -> None:
    store = saved(config, 5)
    monkeypatch.setattr(snapshot_files, "SNAPSHOT_FORMAT", SNAPSHOT_FORMAT - 1)

    assert f"format {SNAPSHOT_FORMAT}" in only(store).reason


def test_files_of_another_log_or_layout_are_refused(config) -> None:
    other = changed(config, prefix="other:")
    saved(other, 5)
    wider = SnapshotFiles(changed(config, shards=2))

    assert "other:stream:exness" in only(SnapshotFiles(config)).reason
    assert "shard 0 of 1" in only(wider).reason


def test_files_of_other_shards_of_the_layout_are_left_alone(config) -> None:
    first, second = changed(config, shards=2), changed(config, shards=2, shard=1)
    store = SnapshotFiles(first)
    stream = f"{config.prefix}stream:exness:{{0}}"
    store.save(lambda: (header(first, 5, shards=2, stream=stream), BODY))
    store.flush(10_000_000)

    assert list(SnapshotFiles(second).newest_first()) == []


def test_a_failed_write_is_told_and_leaves_nothing(config, tmp_path) -> None:
    blocked = tmp_path / "a file, not a folder"
    blocked.write_text("")
    store = SnapshotFiles(changed(config, snapshot_dir=blocked / "snapshots"))

    store.save(lambda: (header(config, 5), BODY))
    store.flush(10_000_000)

    assert "Not a directory" in store.status().failure
    assert list(store.newest_first()) == []


def test_old_files_and_leftovers_go_and_the_newest_stay(config) -> None:
    for entry_id in range(1, 8):
        if entry_id == 6:
            name = f".shard-0-of-1-{4:019d}.snapshot.99999.tmp"
            (config.snapshot_dir / name).write_bytes(b"torn")
            os.utime(config.snapshot_dir / name, (1, 1))
        store = saved(config, entry_id)

    names = [found.header.entry_id for found in store.newest_first()]
    assert names == [text_from_entry_id(entry_id) for entry_id in (7, 6, 5)]
    assert len(list(config.snapshot_dir.iterdir())) == 3


def test_what_another_engine_of_the_folder_is_writing_stays(config) -> None:
    saved(config, 4)
    name = f".shard-0-of-1-{4:019d}.snapshot.99999.tmp"
    left_behind, in_work = config.snapshot_dir / name, config.snapshot_dir / f"{name[:-9]}8.tmp"
    for path in (left_behind, in_work):
        path.write_bytes(b"half")
    an_hour_ago = left_behind.stat().st_mtime - 3_600
    os.utime(left_behind, (an_hour_ago, an_hour_ago))

    saved(config, 6)

    assert not left_behind.exists()
    assert in_work.exists()


def test_three_newest_hourly_and_daily_snapshots_are_kept() -> None:
    minutes = [(minute * 60_000) << 21 for minute in range(60 * 24 * 20)]

    stay = kept(minutes)

    newest = minutes[-1] >> 21
    ages = sorted((newest - (entry_id >> 21)) // 60_000 for entry_id in stay)
    assert ages == [
        *(0, 1, 2),
        *(60 * hour for hour in range(1, 24)),
        *(60 * 24 * day for day in range(1, 7)),
    ]


# --- engines ----------------------------------------------------------------------------------------------------------


def run_and_stop(config: EngineConfig, hand: LogHand) -> None:
    with running(config):
        for message in open_demo(7):
            hand.reply_to(message)


def test_a_torn_newest_snapshot_falls_back_to_the_next_older(config, hand, caplog) -> None:
    run_and_stop(config, hand)
    with running(config):
        assert hand.reply_to(deposit(7, 2)) == Accepted()
    newest = max(config.snapshot_dir.glob("*.snapshot"))
    newest.write_bytes(newest.read_bytes()[:-1])

    with caplog.at_level(logging.WARNING), running(config):
        assert hand.reply_to(deposit(7, 3)) == Accepted()

    assert "A snapshot was refused" in caplog.text


def test_without_snapshots_the_whole_log_is_enough(config, hand) -> None:
    run_and_stop(config, hand)
    for path in config.snapshot_dir.iterdir():
        path.unlink()

    with running(config):
        assert hand.reply_to(deposit(7, 2)) == Accepted()


def halted(config: EngineConfig) -> HaltError:
    with pytest.raises(HaltError) as found:
        build_runner(config).run()
    return found.value


def test_an_empty_log_beside_a_snapshot_refuses_to_start(config, hand) -> None:
    run_and_stop(config, hand)
    hand.redis.delete(hand.input, hand.output, hand.checkpoint, hand.epoch)

    error = halted(config)

    assert error.code is HaltCode.LOG_EMPTY
    assert error.exit_code == 78
    assert "LOG_REDIS_URL" in str(error)


def test_a_snapshot_ahead_of_the_checkpoint_refuses_to_start(config, hand) -> None:
    run_and_stop(config, hand)
    before = hand.position()
    with running(config):
        hand.reply_to(deposit(7, 2))
    # The log as an older backup would have it.
    last = before[b"in"].decode()
    for stream in (hand.input, hand.output):
        for entry_id, _ in hand.redis.xrange(stream, f"({last}"):
            hand.redis.xdel(stream, entry_id)
    hand.redis.hset(hand.checkpoint, mapping=before)

    assert halted(config).code in {HaltCode.SNAPSHOT_AHEAD, HaltCode.OUTPUT_AHEAD}


def test_unreadable_snapshots_beside_a_trimmed_log_refuse_to_start(config, hand) -> None:
    run_and_stop(config, hand)
    hand.redis.xtrim(hand.input, maxlen=0)
    swapped = changed(config, snapshot_keys=(SnapshotKey(key_id="k1", secret=os.urandom(32)),))

    error = halted(swapped)

    assert error.code is HaltCode.SNAPSHOTS_UNUSABLE
    assert error.exit_code == 78
    assert "SNAPSHOT_KEYS" in str(error)


def test_a_trimmed_log_is_continued_from_its_snapshot(config, hand) -> None:
    run_and_stop(config, hand)
    hand.redis.xtrim(hand.input, maxlen=0)
    hand.redis.xtrim(hand.output, maxlen=0)

    with running(config):
        assert hand.reply_to(deposit(7, 2)) == Accepted()

    assert [fields.number for _, fields in hand.outputs()] == [4]


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        ({"events": b"[]"}, HaltCode.CHAIN_BROKEN),
        ({"number": 9}, HaltCode.OUTPUT_GAP),
        ({"decided_at_us": 1}, HaltCode.CHAIN_BROKEN),
    ],
)
def test_an_edited_record_refuses_to_go_live(config, hand, edit, code) -> None:
    run_and_stop(config, hand)
    for path in config.snapshot_dir.iterdir():
        path.unlink()
    records = hand.outputs()
    hand.redis.delete(hand.output)
    for number, (entry_id, output) in enumerate(records):
        entry = replace(output, **edit) if number == 1 else output
        hand.redis.xadd(hand.output, {OUTPUT_FIELD: pack(entry)}, id=entry_id)

    assert halted(config).code is code


def test_a_missing_record_refuses_to_go_live(config, hand) -> None:
    run_and_stop(config, hand)
    for path in config.snapshot_dir.iterdir():
        path.unlink()
    hand.redis.xdel(hand.output, hand.outputs()[-1][0])

    assert halted(config).code in {HaltCode.OUTPUT_GAP, HaltCode.HISTORY_REFUSED}


def test_trading_goes_on_while_snapshots_cannot_be_written(config, hand, tmp_path) -> None:
    blocked = tmp_path / "a file, not a folder"
    blocked.write_text("")
    poor = changed(config, snapshot_dir=blocked / "snapshots", snapshot_every_entries=1)
    with running(poor) as engine:
        for message in open_demo(7):
            assert hand.reply_to(message) == Accepted()
        wait_for(lambda: engine.runner.health().snapshot_failure, "the alarm")
        assert hand.reply_to(deposit(7, 2)) == Accepted()
