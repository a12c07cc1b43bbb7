"""200 users do 50 random things each, all at once: answers belong to askers, and everything that is told is one truth."""

import asyncio
import random
from typing import Any

import pytest
from channels.db import database_sync_to_async

from apps.common.errors import ServiceError
from apps.common.serializers import StrictSerializer
from apps.profile.facade import account_view
from apps.trade import operations, selectors
from apps.trade.models import Account, Order, Position
from apps.trade.operations import Asked, Operation
from apps.trade.services import history
from apps.trade.services.projection.rebuild import read_models_digest, read_models_rebuild
from tests.apps.live import Live, live_platform

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

USERS, STEPS, SEED = 200, 50, 20_261_126


@pytest.fixture
def live(transactional_db, log_redis_url, redis_url, stream_prefix, tmp_path, monkeypatch):
    # However busy the machine is: who asks for an order that has ended waits for the record.
    monkeypatch.setattr(history, "PROJECTED_WAIT_S", 60.0)
    with live_platform(stream_prefix, log_redis_url, redis_url, tmp_path) as live:
        live.gateway._timeout_ms = 60_000
        yield live


class Trader:
    """One user, who does whatever comes to his mind and checks that every answer is his."""

    def __init__(self, user_id: int, account: Any, seed: int) -> None:
        self.user_id = user_id
        self.account = account
        self.random = random.Random(seed)  # noqa: S311 - a seeded history, no secret.
        self.orders: list[str] = []
        self.faults: list[object] = []
        self.refusals: set[str] = set()
        self.done = 0

    async def live_through(self) -> None:
        for step in range(STEPS):
            await self._do(f"{self.account.id}-step-{step}")

    async def _do(self, request_id: str) -> None:
        operation, data = self._wish()
        serializer: StrictSerializer = operation.shape(data=data)
        serializer.is_valid(raise_exception=True)
        asked = Asked(self.user_id, request_id, dict(serializer.validated_data))
        self.done += 1
        try:
            answer = await operation.run(asked)
        except ServiceError as refusal:
            self.refusals.add(refusal.code)
            if refusal.http_status >= 500 or refusal.request_id not in ("", request_id):
                self.faults.append((operation.op, refusal.code, refusal.message))
            return
        self._check(operation, answer, request_id)

    def _check(self, operation: Operation, answer: dict[str, Any], request_id: str) -> None:
        if operation.is_write and answer["requestId"] != request_id:
            self.faults.append((operation.op, "request", answer["requestId"]))
        foreign = [id_ for id_ in _accounts_in(answer) if id_ != self.account.id]
        if foreign:
            self.faults.append((operation.op, "account", foreign))
        if "orderId" in answer:
            self.orders.append(str(answer["orderId"]))

    def _wish(self) -> tuple[Operation, dict[str, Any]]:
        pick = self.random
        order_id = pick.choice(self.orders) if self.orders else f"{self.account.id}-1"
        order = {
            "symbol": "BTC",
            "type": pick.choice(("buy", "sell")),
            "quantity": f"0.0{pick.randint(1, 99):02}",
            "leverage": pick.choice((1, 5, 20)),
            "marginMode": pick.choice(("cross", "isolated")),
        }
        waiting = {"orderType": "limit", "price": str(pick.choice((9_000, 9_990, 10_010, 11_000)))}
        return pick.choice(
            (
                (operations.ORDER_CREATE, order),
                (operations.ORDER_CREATE, order),
                (operations.ORDER_CREATE, order | waiting),
                (operations.ORDER_CLOSE, {"orderId": order_id}),
                (operations.ORDER_CLOSE, {"orderId": order_id, "quantity": "0.001"}),
                (operations.ORDER_MODIFY, {"orderId": order_id, "takeProfit": "12000"}),
                (operations.ORDER_CANCEL, {"orderId": order_id}),
                (operations.ORDER_REVERSE, {"orderId": order_id}),
                (operations.ORDER_MARGIN, {"orderId": order_id, "amount": 1}),
                (operations.ORDER_CLOSE_BY, {"orderId": order_id, "otherOrderId": order_id}),
                (operations.ORDER_CLOSE_ALL, {"profit": "losers"}),
                (operations.ORDER_CANCEL_ALL, {"type": "sell"}),
                (operations.PREVIEW, order),
                (operations.ORDERS_OPEN, {}),
                (operations.ORDERS_PENDING, {}),
            )
        )


def _accounts_in(value: Any) -> list[int]:
    if isinstance(value, list):
        return [id_ for inner in value for id_ in _accounts_in(inner)]
    if not isinstance(value, dict):
        return []
    own = [value["accountId"]] if "accountId" in value else []
    return own + [id_ for inner in value.values() for id_ in _accounts_in(inner)]


async def all_at_once(live: Live, traders: list[Trader]) -> None:
    async def market() -> None:
        pick = random.Random(SEED)  # noqa: S311 - as above.
        while True:
            bid = 100_000 + pick.randint(-900, 900)
            await asyncio.to_thread(live.price, bid, bid + 10)
            await asyncio.sleep(0.1)

    async def record() -> None:
        project = database_sync_to_async(live.project, thread_sensitive=False)
        while not over.is_set():
            await project()
            await asyncio.sleep(0.05)

    over = asyncio.Event()
    moving, recording = asyncio.ensure_future(market()), asyncio.ensure_future(record())
    try:
        await asyncio.gather(*(trader.live_through() for trader in traders))
    finally:
        moving.cancel()
        # Not in the middle: its thread would go on.
        over.set()
        await asyncio.gather(moving, recording, return_exceptions=True)


def test_answers_belong_to_askers_and_tables_equal_engine_and_rebuild(live: Live) -> None:
    traders = []
    for number in range(USERS):
        user, account = live.user()
        traders.append(Trader(user.pk, account, SEED + number))
    live.price(100_000, 100_010)

    future = asyncio.run_coroutine_threadsafe(all_at_once(live, traders), live.gateway._loop)
    future.result(240)
    live.project()

    assert [fault for trader in traders for fault in trader.faults] == []
    assert sum(trader.done for trader in traders) == USERS * STEPS
    assert {code for trader in traders for code in trader.refusals} >= {"POSITION_UNKNOWN"}
    for trader in traders:
        view = live.gateway.run(account_view(trader.account))
        account = Account.objects.get(account=trader.account.id)
        positions = Position.objects.filter(account=trader.account.id, closed_at_us=None)
        orders = Order.objects.filter(account=trader.account.id, state="pending")
        assert (account.balance_micros, account.seq) == (view.balance_micros, view.seq)
        assert {(p.position_id, p.open_units, p.margin_micros) for p in positions} == {
            (p.position_id, p.quantity_units, p.margin_micros) for p in view.positions
        }
        assert {(o.order_id, o.quantity_units, o.price_ticks) for o in orders} == {
            (o.order_id, o.quantity_units, o.price_ticks) for o in view.orders
        }
    digest = read_models_digest()
    read_models_rebuild()
    assert read_models_digest() == digest
    assert selectors.ledger_faults() == []
