"""The gateway on a real Valkey: every answer finds its asker, and silence is "unknown"."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from apps.common.admission import admit
from apps.common.cancellation import cancel_all
from apps.common.clock import now_us
from apps.common.engine_gateway import EngineGateway
from apps.common.errors import EngineBusyError, EngineTimeoutError
from apps.common.gateway_wire import CommandWriter
from apps.common.outputs import Output
from engine.messages.commands import ClosePosition, DefineGroup
from engine.messages.definitions import GroupSpec
from engine.messages.health import EngineHealth, EngineState
from engine.messages.rejects import RejectCode
from engine.messages.replies import Rejected
from engine.messages.streams import health_key, output_stream
from tests.apps.common.echo_engine import EchoEngine, order
from tests.integration.engine_log import wait_for
from tests.integration.lossy_proxy import LossyProxy

pytestmark = [pytest.mark.integration, pytest.mark.asyncio]


@pytest_asyncio.fixture
async def gateway(request, log_redis_url, redis_url, stream_prefix) -> AsyncIterator[EngineGateway]:
    gateway = EngineGateway(
        log_url=log_redis_url,
        redis_url=redis_url,
        prefix=stream_prefix,
        # Short, since some tests wait for it; those with much to do ask for more.
        timeout_ms=getattr(request, "param", 1_500),
    )
    await gateway.start()
    yield gateway
    await gateway.stop()


@pytest.mark.parametrize("gateway", [60_000], indirect=True)
async def test_10000_commands_in_a_burst_get_their_own_answers(gateway, engine):
    # A busy machine may take its time: what counts here is whose answer it is.
    gateway._timeout_ms = 60_000
    commands = [order(1001 + i % 200, f"r{i}") for i in range(10_000)]

    outputs = await asyncio.gather(*map(gateway.send, commands), return_exceptions=True)

    answered = [getattr(output, "reply", output) for output in outputs]
    assert [getattr(reply, "created", reply) for reply in answered] == [
        (f"{c.account}-{c.request_id}",) for c in commands
    ]
    assert gateway.pending_count == 0


async def test_same_key_and_content_under_way_is_sent_once(gateway, engine):
    engine.running.clear()
    asked = [asyncio.create_task(gateway.send(order(1001, "same"))) for _ in range(5)]
    await asyncio.sleep(0)
    engine.running.set()

    outputs = await asyncio.gather(*asked)

    assert len({output.output_id for output in outputs}) == 1
    assert engine.entries == 1


async def test_one_asker_who_gives_up_takes_nothing_from_the_others(gateway, engine):
    engine.running.clear()
    first, second = (asyncio.create_task(gateway.send(order(1001, "same"))) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    engine.running.set()

    assert (await second).reply.created == ("1001-same",)


async def test_other_content_under_the_same_id_is_refused(gateway, engine):
    outputs = await asyncio.gather(
        gateway.send(order(1001, "same")), gateway.send(order(1001, "same", units=20))
    )

    assert outputs[0].reply.created == ("1001-same",)
    assert outputs[1].reply == Rejected(code=RejectCode.EXISTS_WITH_DIFFERENT_CONTENT)


async def test_a_repeat_is_answered_by_the_first_output(gateway, engine):
    first = await gateway.send(order(1001, "again"))

    second = await gateway.send(order(1001, "again"))

    assert second.output_id == first.output_id
    assert second.reply == first.reply


@asynccontextmanager
async def behind_proxy(
    log_url: str, redis_url: str, prefix: str
) -> AsyncIterator[tuple[EngineGateway, LossyProxy]]:
    """Run a gateway whose way to the log may lose what it is told to lose."""
    with tempfile.TemporaryDirectory() as folder:
        proxy = LossyProxy(Path(folder) / "log.sock", log_url)
        gateway = EngineGateway(
            log_url=proxy.url, redis_url=redis_url, prefix=prefix, timeout_ms=1_500
        )
        await gateway.start()
        try:
            yield gateway, proxy
        finally:
            await gateway.stop()
            proxy.close()


async def test_a_batch_half_delivered_is_unknown_and_resolved_once(
    engine, log_redis_url, redis_url, stream_prefix
):
    async with behind_proxy(log_redis_url, redis_url, stream_prefix) as (gateway, proxy):
        commands = [order(1001, f"half-{i}") for i in range(40)]
        proxy.cut_request(b"XADD", kept=4_000)
        first = await asyncio.gather(*map(gateway.send, commands), return_exceptions=True)
        second = await asyncio.gather(*map(gateway.send, commands))

    assert proxy.lost == 1
    assert {type(answer) for answer in first} == {Output, EngineTimeoutError}
    assert [output.reply.created for output in second] == [(f"1001-half-{i}",) for i in range(40)]
    told = {o.request_id: o.output_id for o in first if isinstance(o, Output)}
    assert told.items() <= {o.request_id: o.output_id for o in second}.items()


async def test_a_first_answer_is_looked_up_again_when_the_connection_breaks(
    engine, log_redis_url, redis_url, stream_prefix
):
    async with behind_proxy(log_redis_url, redis_url, stream_prefix) as (gateway, proxy):
        first = await gateway.send(order(1001, "again"))
        proxy.lose_reply_to(b"XRANGE")
        second = await gateway.send(order(1001, "again"))
        proxy.lose_reply_to(b"XREVRANGE")
        _, last = await gateway.output_last(1001)

    assert proxy.lost == 2
    assert second.output_id == first.output_id
    assert last > first.output_id


async def test_silence_is_unknown_and_the_same_id_resolves_it(gateway, engine):
    engine.running.clear()

    with pytest.raises(EngineTimeoutError) as caught:
        await gateway.send(order(1001, "late"))
    engine.running.set()
    output = await gateway.send(order(1001, "late"))

    assert caught.value.http_status == 408
    assert caught.value.request_id == "late"
    assert output.reply.created == ("1001-late",)


async def test_a_repeat_is_answered_from_the_journal_once_the_stream_is_trimmed(
    log_redis_url, redis_url, stream_prefix, engine
):
    journal: dict[str, Output] = {}
    gateway = EngineGateway(
        log_url=log_redis_url,
        redis_url=redis_url,
        prefix=stream_prefix,
        journal=lambda _shard, _account, _request_id, output_id: journal.get(output_id),
    )
    await gateway.start()
    first = await gateway.send(order(1001, "old"))
    journal[first.output_id] = first
    await gateway.send(order(1001, "newer"))
    writer = gateway._writer
    writer.submit(("XTRIM", output_stream(stream_prefix), "MAXLEN", 1), pytest.fail)

    second = await gateway.send(order(1001, "old"))
    await gateway.stop()

    assert second is first


async def test_a_definition_reaches_every_shard(log_redis_url, redis_url, stream_prefix):
    engines = [EchoEngine(log_redis_url, stream_prefix, shard=s, shards=2) for s in range(2)]
    tasks = [asyncio.create_task(engine.run()) for engine in engines]
    gateway = EngineGateway(
        log_url=log_redis_url, redis_url=redis_url, prefix=stream_prefix, shards=2
    )
    await gateway.start()
    spec = GroupSpec(name="standard", version=1, commission_ppm=0)

    await gateway.send(DefineGroup(request_id="g1", source="groups", spec=spec))
    await gateway.stop()
    await cancel_all(tasks)

    assert [engine.entries for engine in engines] == [1, 1]


def health(**changes: object) -> EngineHealth:
    fields: dict[str, object] = {
        "state": EngineState.LIVE,
        "reason": "",
        "shard": 0,
        "shards": 1,
        "build": "",
        "epoch": 1,
        "entry_id": "1-0",
        "number": 1,
        "count": 1,
        "lag_entries": 0,
        "lag_ms": 0,
        "snapshot_id": "",
        "snapshot_at_us": 0,
        "snapshot_pause_us": 0,
        "snapshot_failure": "",
        "reported_at_us": now_us(),
    }
    return EngineHealth(**(fields | changes))


CLOSE = ClosePosition(request_id="close", account=1001, user_id=1, position_id="1001-1")


@pytest.mark.parametrize(
    ("lag", "pending"),
    [
        ({"lag_ms": 1_500}, 0),
        ({"lag_entries": 6_000}, 0),
        ({"log_memory_percent": 80}, 0),
        ({}, 20_000),
    ],
)
async def test_opens_are_refused_first(lag, pending):
    report = health(**lag)

    with pytest.raises(EngineBusyError, match="nothing was sent"):
        admit(order(1001, "open"), pending=pending, report=report)

    admit(CLOSE, pending=pending, report=report)


async def test_everything_is_refused_at_twice_the_limits_and_while_halted():
    for report in (
        health(lag_ms=2_500),
        health(log_memory_percent=90),
        health(state=EngineState.HALTED, reported_at_us=0),
    ):
        with pytest.raises(EngineBusyError):
            admit(CLOSE, pending=0, report=report)

    admit(order(1001, "open"), pending=0, report=health(lag_ms=9_000, reported_at_us=0))


async def test_a_report_of_the_engine_reaches_the_gateway(
    gateway, engine, redis_url, stream_prefix
):
    halted = msgspec.json.encode(health(state=EngineState.HALTED))
    async with Redis.from_url(redis_url) as redis:
        await redis.set(health_key(stream_prefix), halted)
    await asyncio.to_thread(wait_for, lambda: gateway._health.reports, "the report")

    with pytest.raises(EngineBusyError, match="halted"):
        await gateway.send(order(1001, "open"))


async def test_a_follower_hears_its_account_only(gateway, engine):
    heard: list[Output | None] = []
    unsubscribe = gateway.subscribe_account(1001, heard.append)

    await gateway.send(order(1001, "mine"))
    await gateway.send(order(1002, "theirs"))
    unsubscribe()
    await gateway.send(order(1001, "after"))

    assert [output.request_id for output in heard] == ["mine"]


async def test_an_output_that_nobody_can_read_does_not_end_the_hearing(
    gateway, engine, log_redis_url, stream_prefix, caplog
):
    heard: list[Output | None] = []
    gateway.subscribe_account(1001, heard.append)
    first = await gateway.send(order(1001, "first"))
    async with Redis.from_url(log_redis_url) as redis:
        await redis.xadd(output_stream(stream_prefix), {"not": "an output"})
    await asyncio.to_thread(wait_for, lambda: caplog.messages, "the complaint")

    second = await gateway.send(order(1001, "second"))

    assert heard == [first, second]
    assert any("fault" in message for message in caplog.messages)


async def test_commands_are_refused_while_the_log_cannot_be_reached(tmp_path):
    writer = CommandWriter(f"unix://{tmp_path}/absent.sock", "writer")
    refused: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    writer.start()

    writer.submit(("XADD", "stream", "*", "k", "v"), refused.set_result)
    reason = await asyncio.wait_for(refused, 2)
    await writer.stop()

    assert "cannot be reached" in reason
