"""A burst of commands: every answer belongs to its asker, and everybody gets one."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from apps.common.errors import EngineBusyError
from engine.messages.commands import ClosePosition, PlaceOrder
from engine.messages.replies import Accepted, Rejected
from engine.values import Side
from tests.apps.live import live_platform

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

BURST = 10_000
# What the gateway lets wait for the engine; lowered so that a short burst is a flood.
ADMITTED = 500


def test_10000_commands_in_a_burst_are_all_answered(
    transactional_db, log_redis_url, redis_url, stream_prefix, tmp_path
) -> None:
    # All are answered, however slow the machine is; how fast is a bench's question.
    with live_platform(
        stream_prefix, log_redis_url, redis_url, tmp_path, timeout_ms=60_000
    ) as live:
        owners = [live.user() for _ in range(20)]
        live.price(100_000, 100_010)
        commands = []
        for number in range(BURST // 2):
            user, account = owners[number % len(owners)]
            # Opened and closed at once, so that no account comes to its limit; the k-th order of an account is known.
            name = {"user_id": user.pk, "account": account.id}
            opening = PlaceOrder(
                request_id=f"o{number}",
                **name,
                symbol="BTCUSDT",
                side=Side.BUY,
                quantity_units=10,
                leverage=10,
            )
            order_id = f"{account.id}-{number // len(owners) + 1}"
            closing = ClosePosition(request_id=f"c{number}", **name, position_id=order_id)
            commands += [opening, closing]

        async def burst() -> list[Any]:
            return await asyncio.gather(
                *(live.gateway.send(command) for command in commands), return_exceptions=True
            )

        outputs = live.gateway.run(burst())

    kinds = Counter(type(getattr(output, "reply", output)) for output in outputs)
    assert kinds == {Accepted: BURST}
    assert [(o.account, o.request_id) for o in outputs] == [
        (c.account, c.request_id) for c in commands
    ]


def test_f30_a_flood_is_refused_at_once_while_closes_pass_and_leaves_nothing_behind(
    transactional_db, log_redis_url, redis_url, stream_prefix, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr("apps.common.admission.PENDING_MAX", ADMITTED)
    with live_platform(
        stream_prefix, log_redis_url, redis_url, tmp_path, timeout_ms=60_000
    ) as live:
        user, account = live.user()
        live.price(100_000, 100_010)
        name = {"user_id": user.pk, "account": account.id}
        order = {**name, "symbol": "BTCUSDT", "side": Side.BUY, "quantity_units": 10}
        held = [
            live.send(PlaceOrder(request_id=f"held{number}", **order, leverage=10)).reply.created[0]
            for number in range(10)
        ]
        # A fresh one: the first may be old by now on a busy machine.
        live.price(100_000, 100_010)
        flood = [
            PlaceOrder(request_id=f"f{number}", **order, leverage=10)
            for number in range(10 * ADMITTED)
        ]
        closes = [ClosePosition(request_id=f"c-{one}", **name, position_id=one) for one in held]

        async def send_all() -> list[Any]:
            return await asyncio.gather(
                *(live.gateway.send(command) for command in (*flood, *closes)),
                return_exceptions=True,
            )

        answers = live.gateway.run(send_all())
        calm = live.gateway.send_sync(PlaceOrder(request_id="calm", **order, leverage=10))

    opened, closed = answers[: len(flood)], answers[len(flood) :]
    refused = [answer for answer in opened if isinstance(answer, EngineBusyError)]
    # Nobody of the flood waits in vain: an answer of the engine, or at once the word to come back.
    assert len(refused) == len(flood) - ADMITTED
    assert {(error.http_status, error.retry_after_s is not None) for error in refused} == {
        (503, True)
    }
    assert {type(getattr(a, "reply", a)) for a in opened} <= {Accepted, Rejected, EngineBusyError}
    assert {type(answer.reply) for answer in closed} == {Accepted}
    assert live.gateway.pending_count == 0
    # The account is at its most positions or has room again: an answer either way.
    assert isinstance(calm.reply, Accepted | Rejected)
