"""The disk fails: power cuts, slow and full disks, torn logs. What is promised holds; what is not promised is shown."""

import resource
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from apps.common.admission import admit
from apps.common.engine_gateway import EngineGateway
from apps.common.errors import EngineBusyError
from engine.adapters.compose import build_runner
from engine.config import EngineConfig
from engine.messages import codec, streams
from engine.messages.commands import PlaceOrder
from engine.messages.output_entry import read_named
from engine.messages.replies import Accepted
from engine.runtime.errors import HaltCode, HaltError
from engine.values import Side, entry_id_from_text
from tests.chaos.log_server import LogServer, eventually, watched_disk
from tests.integration import engine_process
from tests.integration.engine_log import (
    LogHand,
    RunningEngine,
    deposit,
    engine_config,
    open_demo,
    running,
    wait_for,
)

pytestmark = pytest.mark.integration

ACCOUNT = 7


@contextmanager
def served(fsync: str = "always", *, is_watched: bool = True) -> Iterator[LogServer]:
    # Not the test's own folder: the path of a socket may have 108 bytes.
    with tempfile.TemporaryDirectory(prefix="disk-") as folder:
        server = LogServer(Path(folder), fsync=fsync, is_watched=is_watched)
        server.start()
        yield server
        server.kill()


@pytest.fixture
def config_for(stream_prefix, redis_url, tmp_path):
    def make(server: LogServer, **changes: object) -> EngineConfig:
        fields = {"snapshot_every_entries": 50} | changes
        return engine_config(stream_prefix, server.url, redis_url, tmp_path / "snapshots", **fields)

    return make


class Trader(threading.Thread):
    """Deposits one micro after the other, each until it is acknowledged: until its output can be read."""

    def __init__(self, hand: LogHand) -> None:
        super().__init__()
        self._hand = hand
        self._stopping = threading.Event()
        # Output ids and the numbers of what was acknowledged.
        self.acknowledged: dict[str, int] = {}

    def run(self) -> None:
        for message in open_demo(ACCOUNT):
            self._acknowledge(message)
        cash_seq = 2
        while not self._stopping.is_set():
            cash_seq += self._acknowledge(deposit(ACCOUNT, cash_seq, 1))

    def _acknowledge(self, message) -> bool:
        try:
            entry_id = self._hand.append(message)
            while not self._stopping.is_set():
                if found := self._hand.redis.xrange(self._hand.output, entry_id, entry_id):
                    self.acknowledged[entry_id] = read_named(found[0][1]).number
                    return True
        except RedisError:
            # Unknown: asked again, which its number makes harmless.
            self._stopping.wait(0.01)
        return False

    def stop(self) -> None:
        self._stopping.set()
        self.join()


@contextmanager
def trading(hand: LogHand) -> Iterator[Trader]:
    trader = Trader(hand)
    trader.start()
    try:
        yield trader
    finally:
        trader.stop()


def numbers_in(hand: LogHand) -> dict[str, int]:
    outputs = eventually(lambda: hand.redis.xrange(hand.output))
    return {entry_id.decode(): read_named(fields).number for entry_id, fields in outputs}


def more_than(trader: Trader, count: int) -> None:
    wait_for(lambda: len(trader.acknowledged) > count, f"more than {count} acknowledged orders")


def test_a_power_cut_with_always_loses_nothing_that_was_acknowledged(config_for) -> None:
    with served() as server:
        config = config_for(server)
        hand = LogHand(config)
        hand.keep_everything()
        with running(config), trading(hand) as trader:
            for _ in range(5):
                more_than(trader, len(trader.acknowledged) + 30)
                server.cut_the_power()
                server.start()
            more_than(trader, len(trader.acknowledged) + 30)
        found = numbers_in(hand)

    assert trader.acknowledged.items() <= found.items()
    assert list(found.values()) == list(range(1, len(found) + 1))


def test_a_power_cut_with_everysec_loses_acknowledged_orders_and_the_engine_says_so(
    config_for,
) -> None:
    """Guards what the documentation says of `everysec`: it loses, and nobody trades on as if nothing were lost."""
    with served("everysec") as server:
        config = config_for(server)
        hand = LogHand(config)
        hand.keep_everything()
        engine = RunningEngine(build_runner(config))
        engine.thread.start()
        with trading(hand) as trader:
            more_than(trader, 100)
            whole = server.log_file.stat().st_size
            wait_for(lambda: server.synced_bytes() >= whole, "a safe beginning")
            server.slow_down(30_000)
            before = len(trader.acknowledged)
            wait_for(
                lambda: len(trader.acknowledged) > before + 20 and server.unsynced_bytes() > 4_000,
                "a tail that no fsync has reached",
            )
            lost_bytes = server.cut_the_power()
        server.slow_down(0)
        server.start()
        error = engine.ended()
        found = numbers_in(hand)

    lost = trader.acknowledged.keys() - found.keys()
    assert lost_bytes > 4_000
    assert lost
    # Only the newest are lost: what is left is a whole beginning.
    assert max(found.values()) < min(trader.acknowledged[entry_id] for entry_id in lost)
    assert isinstance(error, HaltError)
    assert error.code is HaltCode.LOG_REWOUND


def test_an_engine_that_starts_after_such_a_loss_refuses_its_newer_snapshot(config_for) -> None:
    with served("everysec") as server:
        config = config_for(server)
        hand = LogHand(config)
        hand.keep_everything()
        with running(config):
            for message in open_demo(ACCOUNT):
                hand.reply_to(message)
            wait_for(lambda: server.unsynced_bytes() == 0, "a synced log")
            # Longer than the slowest machine needs to come to the cut.
            server.slow_down(30_000)
            hand.reply_to(deposit(ACCOUNT, 2, 1))
        server.cut_the_power()
        server.slow_down(0)
        server.start()
        with pytest.raises(HaltError) as refused:
            build_runner(config).run()

    assert refused.value.code is HaltCode.SNAPSHOT_AHEAD
    assert refused.value.exit_code == 78


@pytest.mark.parametrize("delay_ms", [20, 200])
def test_a_slow_disk_delays_and_loses_nothing(config_for, delay_ms) -> None:
    with served() as server:
        config = config_for(server)
        hand = LogHand(config)
        with running(config):
            for message in open_demo(ACCOUNT):
                hand.reply_to(message)
            server.slow_down(delay_ms)
            sent = [hand.append(deposit(ACCOUNT, cash_seq, 1)) for cash_seq in (2, 3)]
            server.slow_down(0)
            replies = [codec.decode_reply(hand.output_at(i).reply) for i in sent]

    assert replies == [Accepted(), Accepted()]


def test_a_disk_that_hardly_moves_refuses_opens_and_loses_nothing(config_for, redis_url) -> None:
    order = PlaceOrder(
        request_id="open",
        account=ACCOUNT,
        user_id=ACCOUNT,
        symbol="BTCUSDT",
        side=Side.BUY,
        quantity_units=1,
        leverage=10,
    )
    with served() as server:
        config = config_for(server)
        hand = LogHand(config)
        # Each of several syncs before it takes its time; redis-py would give up after five seconds.
        hand.redis = Redis.from_url(server.url, socket_timeout=60, retry=Retry(NoBackoff(), 0))
        gateway = EngineGateway(
            log_url=server.url, redis_url=redis_url, prefix=config.prefix, timeout_ms=20_000
        )
        with running(config) as engine:
            for message in open_demo(ACCOUNT):
                hand.reply_to(message)
            gateway.start_in_thread()
            server.slow_down(2_500)
            sent = [hand.append(deposit(ACCOUNT, cash_seq, 1)) for cash_seq in (2, 3)]
            wait_for(lambda: engine.runner.health().lag_ms > 1_000, "a lag that refuses opens")
            refusal = wait_for(lambda: _refusal(gateway, order), "the refusal")
            server.slow_down(0)
            replies = [codec.decode_reply(hand.output_at(i).reply) for i in sent]
            gateway.stop_thread()

    assert "behind" in str(refusal)
    assert replies == [Accepted(), Accepted()]


def _refusal(gateway: EngineGateway, order: PlaceOrder) -> EngineBusyError | None:
    """Return why the gateway does not even send an order; None: it would."""
    try:
        admit(order, pending=gateway.pending_count, report=gateway._health.reports.get(0))
    except EngineBusyError as error:
        return error
    return None


def test_a_full_disk_of_the_log_stops_the_server_and_loses_nothing(config_for) -> None:
    with served(is_watched=False) as server:
        config = config_for(server)
        hand = LogHand(config)
        hand.keep_everything()
        with running(config), trading(hand) as trader:
            more_than(trader, 30)
            server.kill()
            server.start(file_bytes_max=server.log_file.stat().st_size + 60_000)
            ended = server.wait()
            server.start()
            more_than(trader, len(trader.acknowledged) + 30)
        found = numbers_in(hand)

    assert ended != 0
    assert trader.acknowledged.items() <= found.items()
    assert list(found.values()) == list(range(1, len(found) + 1))


def test_a_full_disk_of_the_snapshots_is_an_alarm_and_trading_goes_on(
    stream_prefix, log_redis_url, redis_url, tmp_path
) -> None:
    config = engine_config(
        stream_prefix, log_redis_url, redis_url, tmp_path / "snapshots", snapshot_every_entries=20
    )
    hand = LogHand(config)
    engine = engine_process.start(replace(config, is_dedicated=True), tmp_path)
    for message in open_demo(ACCOUNT):
        hand.reply_to(message)
    wait_for(lambda: list(config.snapshot_dir.glob("*.snapshot")), "a first snapshot")
    soft = (100, resource.RLIM_INFINITY)
    resource.prlimit(engine.pid, resource.RLIMIT_FSIZE, soft)
    key = streams.health_key(config.prefix)
    other = Redis.from_url(redis_url)
    wait_for(lambda: b"SNAPSHOT_FAILED" in (other.get(key) or b""), "the alarm")
    during = hand.reply_to(deposit(ACCOUNT, 2, 1))
    wait_for(lambda: not list(config.snapshot_dir.glob("*.tmp")), "no torn file to stay")
    resource.prlimit(
        engine.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    )
    wait_for(lambda: b"SNAPSHOT_FAILED" not in (other.get(key) or b""), "the end of the alarm")
    engine.terminate()

    assert during == Accepted()
    assert engine.wait(20) == 0


def test_a_disk_that_fails_under_a_snapshot_is_an_alarm_and_nothing_is_trimmed(
    stream_prefix, log_redis_url, redis_url, tmp_path
) -> None:
    config = engine_config(
        stream_prefix, log_redis_url, redis_url, tmp_path / "snapshots", snapshot_every_entries=20
    )
    hand = LogHand(config)
    broken = tmp_path / "broken"
    engine = engine_process.start(
        replace(config, is_dedicated=True),
        tmp_path,
        **watched_disk(tmp_path, DISK_BROKEN=str(broken)),
    )
    for message in open_demo(ACCOUNT):
        hand.reply_to(message)
    wait_for(lambda: list(config.snapshot_dir.glob("*.snapshot")), "a first snapshot")
    broken.touch()
    key = streams.health_key(config.prefix)
    other = Redis.from_url(redis_url)
    wait_for(lambda: b"SNAPSHOT_FAILED" in (other.get(key) or b""), "the alarm")
    alarm = other.get(key)
    during = hand.reply_to(deposit(ACCOUNT, 2, 1))
    wait_for(lambda: not list(config.snapshot_dir.glob("*.tmp")), "no torn file to stay")
    (said,) = hand.redis.hvals(streams.snapshots_key(config.prefix))
    promised = [entry_id_from_text(i) for i in msgspec.json.decode(said)["entry_ids"]]
    files = {path.name for path in config.snapshot_dir.glob("*.snapshot")}
    broken.unlink()
    wait_for(lambda: b"SNAPSHOT_FAILED" not in (other.get(key) or b""), "the end of the alarm")
    engine.terminate()

    assert b"Input/output error" in alarm
    assert during == Accepted()
    # The log is trimmed by what hosts say that they have.
    assert {f"shard-0-of-1-{entry_id:019d}.snapshot" for entry_id in promised} <= files
    assert engine.wait(20) == 0


def test_a_full_memory_of_the_log_refuses_whole_batches_and_goes_on_afterwards(config_for) -> None:
    with served(is_watched=False) as server:
        config = config_for(server)
        hand = LogHand(config)
        hand.keep_everything()
        with running(config), trading(hand) as trader:
            more_than(trader, 30)
            hand.redis.config_set("maxmemory", hand.redis.info("memory")["used_memory"] + 60_000)
            wait_for(lambda: hand.redis.info("errorstats").get("errorstat_OOM"), "a full server")
            hand.redis.config_set("maxmemory", 0)
            more_than(trader, len(trader.acknowledged) + 30)
        found = numbers_in(hand)

    assert trader.acknowledged.items() <= found.items()
    assert list(found.values()) == list(range(1, len(found) + 1))


@pytest.mark.parametrize("cut", [10, 40, 90, 130])
def test_a_log_torn_in_its_last_transaction_loses_all_of_it_or_nothing(config_for, cut) -> None:
    with served(is_watched=False) as server:
        # Nothing else may be written after the deposit: no tick, and no lease that lapses.
        config = config_for(server, heartbeat_us=60_000_000, lease_us=60_000_000)
        hand = LogHand(config)
        hand.keep_everything()
        engine = RunningEngine(build_runner(config))
        engine.thread.start()
        for message in open_demo(ACCOUNT):
            hand.reply_to(message)
        last = hand.append(deposit(ACCOUNT, 2, 1))
        # An engine that has not read the answer yet would find its checkpoint where it left it, and commit again.
        wait_for(lambda: engine.runner.health().entry_id == last, "the engine to know its commit")
        server.kill()
        server.cut(cut)
        server.start()
        position, found = hand.position(), numbers_in(hand)
        engine.ended()

    assert int(position[b"n"]) == max(found.values())
    assert last not in found


def test_a_log_torn_in_its_middle_does_not_start(config_for) -> None:
    with served(is_watched=False) as server:
        config = config_for(server)
        hand = LogHand(config)
        with running(config):
            for message in open_demo(ACCOUNT):
                hand.reply_to(message)
        server.kill()
        content = bytearray(server.log_file.read_bytes())
        middle = len(content) // 2
        # More than any one value is long: the server checks its own words, not what is written between them.
        content[middle : middle + 2_000] = bytes(2_000)
        server.log_file.write_bytes(content)

        assert server.refuses_to_start()
