"""Many at once: every answer belongs to its asker, and everybody gets one."""

import asyncio
import json
from collections import Counter
from decimal import Decimal
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from apps.common.exact_json import json_decode
from engine.messages.commands import ClosePosition, PlaceOrder
from engine.messages.replies import Accepted
from engine.values import Side
from tests.apps.live import live_platform
from tests.integration.product import Client, Product

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

USERS = 200
BURST = 10_000
START = Decimal(10_000)


async def _trade_over_rest(
    http: httpx.AsyncClient, client: Client, number: int
) -> tuple[int, Decimal, dict[str, Any], dict[str, Any], Decimal]:
    async def ask(method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        answer = await http.request(
            method, f"/api/v1{path}", json=body, headers={"Authorization": f"Bearer {client.token}"}
        )
        assert answer.status_code == 200, answer.text
        return json_decode(answer.content)["data"]

    account = (await ask("POST", "/auth/ensure-user"))["accountId"]
    # A quantity that nobody else asks for.
    quantity = Decimal(100 + number).scaleb(-5)
    order = {"symbol": "BTC", "type": "buy", "quantity": str(quantity), "leverage": 10}
    opened = await ask("POST", "/trade/create", order)
    closed = await ask("POST", "/trade/close", {"orderId": opened["orderId"]})
    balance = (await ask("GET", "/balance"))["message"]
    return account, quantity, opened, closed["order"], balance


async def _trade_over_sockets(url: str, client: Client, number: int) -> list[dict[str, Any]]:
    async with connect(url, open_timeout=30) as socket:
        order = {"symbol": "BTC", "type": "sell", "quantity": f"0.0{100 + number}", "leverage": 5}
        for message in (
            {"op": "auth", "token": client.token},
            {"op": "order.create", "id": number, **order},
        ):
            await socket.send(json.dumps(message))
        return [json_decode(await asyncio.wait_for(socket.recv(), 30)) for _ in range(2)]


def test_200_users_at_once_each_get_their_own_answers() -> None:
    product = Product()
    try:
        product.start()
        clients = product.clients(USERS)

        async def rest() -> list[Any]:
            limits = httpx.Limits(max_connections=USERS)
            async with httpx.AsyncClient(base_url=product.url, timeout=60, limits=limits) as http:
                return await asyncio.gather(
                    *(_trade_over_rest(http, client, n) for n, client in enumerate(clients))
                )

        async def sockets() -> list[Any]:
            return await asyncio.gather(
                *(
                    _trade_over_sockets(product.socket_url, client, n)
                    for n, client in enumerate(clients)
                )
            )

        rounds = asyncio.run(rest())
        answers = asyncio.run(sockets())
        ledger = product.manage("verify_ledger")
    finally:
        product.close()

    assert len({account for account, *_ in rounds}) == USERS
    for account, quantity, opened, closed, balance in rounds:
        assert (opened["accountId"], closed["accountId"]) == (account, account)
        assert (opened["quantity"], closed["quantity"]) == (quantity, quantity)
        assert closed["orderId"] == opened["orderId"] == f"{account}-1"
        assert balance == START - opened["commission"] + closed["pnl"] - closed["commission"]
    for number, (signed_in, created) in enumerate(answers):
        assert signed_in["success"] is True
        assert (created["id"], created["data"]["accountId"]) == (number, rounds[number][0])
        assert created["data"]["quantity"] == Decimal(f"0.0{100 + number}").quantize(
            Decimal("0.00001")
        )
    assert "sums to zero" in ledger


def test_10000_commands_in_a_burst_are_all_answered(
    transactional_db, log_redis_url, redis_url, stream_prefix, tmp_path
) -> None:
    with live_platform(stream_prefix, log_redis_url, redis_url, tmp_path) as live:
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
