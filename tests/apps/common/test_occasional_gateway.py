"""A gateway that reads outputs only while it waits: every answer arrives, and nothing is read in between."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from apps.common.engine_gateway import EngineGateway
from apps.common.errors import EngineBusyError, EngineTimeoutError
from apps.common.occasional_gateway import OccasionalGateway
from tests.apps.common.echo_engine import order
from tests.integration.engine_log import wait_for

pytestmark = [pytest.mark.integration, pytest.mark.asyncio]


@pytest_asyncio.fixture
async def gateways(
    log_redis_url, redis_url, stream_prefix
) -> AsyncIterator[dict[type, EngineGateway]]:
    """One that reads all, and one that reads now and then."""
    found = {}
    for kind in (EngineGateway, OccasionalGateway):
        found[kind] = kind(
            log_url=log_redis_url, redis_url=redis_url, prefix=stream_prefix, timeout_ms=3_000
        )
        await found[kind].start()
    yield found
    for gateway in found.values():
        await gateway.stop()


async def until(condition, what: str) -> None:
    await asyncio.to_thread(wait_for, condition, what)


def outputs_seen(gateway, monkeypatch) -> list[str]:
    seen: list[str] = []
    answered = gateway._reader._on_outputs

    def note(outputs) -> None:
        seen.extend(output.request_id for output in outputs)
        answered(outputs)

    monkeypatch.setattr(gateway._reader, "_on_outputs", note)
    return seen


async def test_it_reads_while_it_waits_and_nothing_of_what_comes_in_between(
    gateways, engine, monkeypatch, caplog
):
    often, occasional = gateways[EngineGateway], gateways[OccasionalGateway]
    seen = outputs_seen(occasional, monkeypatch)

    first = await occasional.send(order(1001, "mine-1"))
    # The question under way at the first answer is the last.
    await often.send(order(1001, "last-read"))
    await until(lambda: not occasional._reader.is_owed, "a rest")
    for number in range(50):
        await often.send(order(1001, f"other-{number}"))
    second = await occasional.send(order(1001, "mine-2"))

    assert [o.reply.created for o in (first, second)] == [("1001-mine-1",), ("1001-mine-2",)]
    assert [name for name in seen if name.startswith("other")] == []
    assert {"mine-1", "mine-2"} <= set(seen)
    assert "outputs are missing" not in caplog.text


async def test_many_askers_at_once_get_their_own_answers(gateways, engine):
    outputs = await asyncio.gather(
        *(gateways[OccasionalGateway].send(order(1001, f"r{number}")) for number in range(500))
    )

    assert [o.reply.created for o in outputs] == [(f"1001-r{number}",) for number in range(500)]


async def test_a_repeat_and_a_late_answer_are_resolved_as_everywhere(gateways, engine):
    occasional = gateways[OccasionalGateway]
    occasional._timeout_ms = 300
    engine.running.clear()
    with pytest.raises(EngineTimeoutError):
        await occasional.send(order(1001, "late"))
    engine.running.set()
    occasional._timeout_ms = 3_000

    first = await occasional.send(order(1001, "late"))
    again = await occasional.send(order(1001, "late"))

    assert first.reply.created == ("1001-late",)
    assert again.output_id == first.output_id


async def test_an_answer_comes_through_a_connection_that_was_lost_while_it_was_awaited(
    gateways, engine, log_redis_url, stream_prefix
):
    occasional = gateways[OccasionalGateway]
    await occasional.send(order(1001, "warm"))
    engine.running.clear()
    asked = asyncio.create_task(occasional.send(order(1001, "through")))
    await until(lambda: occasional.pending_count == 1, "the command to leave")
    occasional._reader._connection._writer.close()
    await until(lambda: not occasional._reader.up.is_set(), "the end of the connection")
    engine.running.set()

    assert (await asked).reply.created == ("1001-through",)


async def test_without_a_connection_nothing_is_sent(gateways, engine):
    occasional = gateways[OccasionalGateway]
    await occasional._reader.stop()

    with pytest.raises(EngineBusyError):
        await occasional.send(order(1001, "never"))
    occasional._reader.start()
    await until(occasional._reader.up.is_set, "the connection")

    assert engine.entries == 0
    assert (await occasional.send(order(1001, "now"))).reply.created == ("1001-now",)


async def test_it_follows_no_account(gateways):
    with pytest.raises(RuntimeError, match="does not follow accounts"):
        gateways[OccasionalGateway].subscribe_account(1001, lambda _output: None)
