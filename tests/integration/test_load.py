"""A burst of commands: every answer belongs to its asker, and everybody gets one."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from engine.messages.commands import ClosePosition, PlaceOrder
from engine.messages.replies import Accepted
from engine.values import Side
from tests.apps.live import live_platform

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

BURST = 10_000


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
