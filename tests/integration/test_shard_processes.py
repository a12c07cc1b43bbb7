"""`serve --only engine` with four shards: an engine process each, of which one is killed or halts while the others trade."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection

from apps.common.engine_gateway import EngineGateway
from apps.common.errors import EngineBusyError, EngineTimeoutError
from apps.common.outputs import Output
from apps.trade.models import JournalEntry
from apps.trade.projector import Projector
from apps.trade.selectors import ledger_faults
from cryptocfd.embedded.layout import DATABASE_USER
from cryptocfd.engine_config import engine_config
from cryptocfd.history.recorded import JournalOutputs
from engine.adapters.compose import build_runner
from engine.messages import codec, streams
from engine.messages.commands import PlaceOrder
from engine.messages.output_entry import read_named
from engine.messages.replies import Accepted
from engine.messages.streams import shard_of
from engine.runtime.errors import EXIT_CONTRADICTION
from engine.values import CashKind
from tests.integration.engine_log import RunningEngine, wait_for
from tests.integration.serving import MANAGE, REPOSITORY
from tests.integration.sharded import ACCOUNTS, Sharded, cash, place

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

SHARDS = 4


@pytest.fixture
def serving(
    settings, stream_prefix, log_redis_url, redis_url, embedded_servers, tmp_path: Path
) -> Iterator[subprocess.Popen[bytes]]:
    settings.DATA_DIR = tmp_path
    settings.LOG_REDIS_URL, settings.REDIS_URL = log_redis_url, redis_url
    settings.ENGINE_SHARDS = SHARDS
    folder = embedded_servers.layout.postgres_socket_dir
    environment = {
        "DATABASE_URL": f"postgres://{DATABASE_USER}@/{connection.settings_dict['NAME']}?host={folder}",
        "LOG_REDIS_URL": log_redis_url,
        "REDIS_URL": redis_url,
        "STREAM_PREFIX": stream_prefix,
        "ENGINE_SHARDS": str(SHARDS),
        "DATA_DIR": str(tmp_path),
    }
    with (tmp_path / "engine.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, str(MANAGE), "serve", "--only", "engine"],
            cwd=REPOSITORY,
            env=os.environ | environment,
            stderr=log,
        )
    yield process
    if process.poll() is None:
        process.terminate()
        process.wait(30)
    sys.stderr.write((tmp_path / "engine.log").read_text())


@pytest.fixture
def platform(serving) -> Iterator[Sharded]:
    gateway = EngineGateway(
        log_url=settings.LOG_REDIS_URL,
        redis_url=settings.REDIS_URL,
        prefix=settings.STREAM_PREFIX,
        shards=SHARDS,
        timeout_ms=20_000,
    )
    gateway.start_in_thread()
    yield Sharded(gateway, [])
    gateway.stop_thread()


def below(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def until_answered(platform: Sharded, order: PlaceOrder) -> Output:
    """Send an order under its one request id until its outcome is known."""

    def answer() -> Output | None:
        try:
            return platform.gateway.send_sync(order)
        except (EngineBusyError, EngineTimeoutError):
            return None

    return wait_for(answer, f"the outcome of {order.request_id}")


def test_four_processes_trade_and_one_that_is_killed_comes_back(serving, platform) -> None:
    platform.define()
    platform.open_accounts()
    supervisors = below(serving.pid)
    engines = [engine for supervisor in supervisors for engine in below(supervisor)]
    platform.price(100_000)
    answers = [until_answered(platform, place(account, "before")) for account in ACCOUNTS]

    os.kill(engines[0], signal.SIGKILL)
    platform.price(100_100)
    answers += [until_answered(platform, place(account, "during")) for account in ACCOUNTS]
    wait_for(lambda: below(supervisors[0]), "the next engine")
    successors = [engine for supervisor in supervisors for engine in below(supervisor)]
    repeated = [until_answered(platform, place(account, "during")) for account in ACCOUNTS]
    serving.terminate()
    code = serving.wait(30)
    Projector().project_available()

    assert code == 0
    assert (len(set(engines)), len(set(successors))) == (SHARDS, SHARDS)
    assert [old != new for old, new in zip(engines, successors, strict=True)] == [
        True,
        *[False] * (SHARDS - 1),
    ]
    assert all(isinstance(answer.reply, Accepted) for answer in answers)
    assert [answer.output_id for answer in repeated] == [
        answer.output_id for answer in answers[len(ACCOUNTS) :]
    ]
    assert {answer.shard for answer in answers} == set(range(SHARDS))
    assert all(answer.shard == shard_of(answer.account, SHARDS) for answer in answers)
    for shard in range(SHARDS):
        stream = streams.output_stream(settings.STREAM_PREFIX, shard, SHARDS)
        published = [
            (output.number, output.chain)
            for _, fields in platform.redis.xrange(stream)
            for output in [read_named(fields)]
        ]
        rows = JournalEntry.objects.filter(shard=shard).order_by("n").values_list("n", "chain")
        assert [number for number, _ in published] == list(range(1, len(published) + 1))
        assert [(n, bytes(chain)) for n, chain in rows] == published
    assert ledger_faults() == []


def halt(platform: Sharded, shard: int) -> Callable[[], None]:
    """Let a foreign hand reach into the outputs of a shard, at which its engine halts; return what takes that back."""
    stream = streams.output_stream(settings.STREAM_PREFIX, shard, SHARDS)
    before = platform.redis.dump(stream)
    last = platform.redis.xinfo_stream(stream)["last-generated-id"].decode()
    foreign = f"{int(last.partition('-')[0]) + 3_600_000}-0"
    with platform.redis.pipeline(transaction=True) as pipeline:
        pipeline.xadd(stream, {"foreign": "hand"}, id=foreign)
        # Nobody has read it, but the stream takes nothing older any more.
        pipeline.xdel(stream, foreign)
        pipeline.execute()
    return lambda: platform.redis.restore(stream, 0, before, replace=True)


def test_a_halted_shard_leaves_the_others_at_work(serving, platform, client, tmp_path) -> None:
    platform.define()
    platform.open_accounts()
    supervisors = below(serving.pid)
    halted = [account for account in ACCOUNTS if shard_of(account, SHARDS) == 0]
    others = [account for account in ACCOUNTS if shard_of(account, SHARDS) != 0]

    take_back = halt(platform, 0)
    # The first command whose output cannot be published; its sender has gone away.
    waiting = platform.redis.xadd(
        streams.input_stream(settings.STREAM_PREFIX, 0, SHARDS),
        {
            streams.IN_VERSION: codec.WIRE_VERSION,
            streams.IN_MESSAGE: codec.encode(cash(halted[0], 3, CashKind.DEPOSIT, 1)),
            streams.IN_GATEWAY: b"",
        },
    )
    # A supervisor that is killed is no halt: it gets a successor.
    os.kill(supervisors[1], signal.SIGKILL)
    wait_for(lambda: below(serving.pid)[:1] != supervisors[:1], "the end of the halted shard")
    platform.price(100_000)
    answers = [until_answered(platform, place(account, "after")) for account in others]
    left = below(serving.pid)
    # Each engine reports once a second.
    checks = wait_for(
        lambda: (found := client.get("/readyz").json()["checks"])["engine1"]["ok"] and found,
        "a report of the successor",
    )

    take_back()
    engine = RunningEngine(build_runner(engine_config(0), recorded=JournalOutputs(0)))
    engine.thread.start()
    stream = streams.output_stream(settings.STREAM_PREFIX, 0, SHARDS)
    wait_for(lambda: platform.redis.xrange(stream, waiting, waiting), "the command that waited")
    again = until_answered(platform, place(halted[0], "again"))
    engine.runner.stop()
    ended = engine.ended()
    serving.terminate()
    code = serving.wait(30)
    log = (tmp_path / "engine.log").read_text()

    assert all(isinstance(answer.reply, Accepted) for answer in answers)
    assert {answer.shard for answer in answers} == {1, 2, 3}
    assert (len(left), set(supervisors) - set(left)) == (SHARDS - 1, set(supervisors[:2]))
    assert (checks["engine0"]["ok"], checks["engine0"]["state"]) == (False, "halted")
    assert [checks[f"engine{shard}"]["ok"] for shard in (2, 3)] == [True, True]
    assert isinstance(again.reply, Accepted)
    assert ended is None
    assert code == EXIT_CONTRADICTION
    (line,) = [line for line in log.splitlines() if "the others go on" in line]
    assert "shard=0" in line
    assert f"code={EXIT_CONTRADICTION}" in line
