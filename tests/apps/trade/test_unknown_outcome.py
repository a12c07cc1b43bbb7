"""After a time-out nobody knows the outcome: the client is told so with the id by which it learns it, and the outcome is final."""

import threading
from typing import Any

import pytest
from rest_framework.test import APIClient

from apps.auth.facade import login_link_create
from apps.common.exact_json import json_decode
from apps.trade.models import Position
from cryptocfd.embedded.processes import wait_until
from engine.adapters.compose import CoreMachines
from engine.core.machine import Machine, Outcome
from engine.messages.commands import PlaceOrder
from tests.apps.live import Live, live_platform
from tests.apps.trade.wire import Wire, signed_in

pytestmark = pytest.mark.integration

TIMEOUT_MS = 500
BUY = {"symbol": "BTC", "type": "buy", "quantity": "0.1", "leverage": 10, "clientOrderId": "late"}


@pytest.fixture
def live(transactional_db, log_redis_url, redis_url, stream_prefix, tmp_path):
    with live_platform(
        stream_prefix, log_redis_url, redis_url, tmp_path, timeout_ms=TIMEOUT_MS
    ) as live:
        yield live


def asked(live: Live, client: Any) -> dict[str, Any]:
    live.project()
    answer = json_decode(client.get("/api/v1/trade/requests/late").content)
    found: dict[str, Any] = answer["data"]
    return found


def test_a_request_that_timed_out_is_resolved_by_its_id(live):
    user, account = live.user()
    live.price(100_000, 100_010)
    client = live.client(user)
    live.engine_stop()

    unknown = client.post("/api/v1/trade/create", BUY)
    live.engine_start()
    assert wait_until(lambda: asked(live, client).get("status") == "rejected", seconds=20)
    outcome = asked(live, client)
    again = client.post("/api/v1/trade/create", BUY)

    told = json_decode(unknown.content)
    assert (unknown.status_code, told["code"]) == (408, "OUTCOME_UNKNOWN")
    assert (told["requestId"], told["data"]) == ("late", {"timeoutMs": TIMEOUT_MS})
    # It came to the engine after its deadline, so it is refused for good, under the same id too.
    assert outcome["error"]["code"] == "EXPIRED"
    answer = json_decode(again.content)
    assert (again.status_code, answer["code"], answer["requestId"]) == (400, "EXPIRED", "late")
    assert account.id == outcome["accountId"]


class Brake:
    """Stands between an order's decision and its publication: the engine hangs there until it is let go."""

    def __init__(self) -> None:
        self._is_free = threading.Event()

    def hold(self) -> None:
        assert self._is_free.wait(30)

    def let_go(self) -> None:
        self._is_free.set()


class HeldMachine(Machine):
    """The real rules, with a brake after each order."""

    brake: Brake

    def decide(self, entry_id: int, message: Any, *rest: Any, **named: Any) -> Outcome | None:
        outcome = super().decide(entry_id, message, *rest, **named)
        if isinstance(message, PlaceOrder):
            self.brake.hold()
        return outcome


class HeldMachines(CoreMachines):
    def __init__(self, brake: Brake) -> None:
        super().__init__(shard=0, shards=1)
        self._kind = type("Held", (HeldMachine,), {"brake": brake})

    def new(self) -> Machine:
        return self._kind()

    def load(self, raw: bytes) -> Machine:
        return self._kind.load(raw, shard=0, shards=1)


@pytest.fixture
def held(live):
    """A platform whose engine hangs once it has decided an order in time."""
    live.engine_stop()
    brake = Brake()
    live.engine_start(machines=HeldMachines(brake))
    yield brake
    brake.let_go()


def one_position(account_id: int) -> str:
    (position,) = Position.objects.filter(account=account_id)
    return str(position.position_id)


def test_a_request_that_timed_out_and_was_filled_is_filled_once(live, held):
    user, account = live.user()
    live.price(100_000, 100_010)
    client = live.client(user)

    unknown = client.post("/api/v1/trade/create", BUY)
    held.let_go()
    again = client.post("/api/v1/trade/create", BUY)
    outcome = asked(live, client)

    told, answer = json_decode(unknown.content), json_decode(again.content)
    assert (unknown.status_code, told["code"], told["requestId"]) == (
        408,
        "OUTCOME_UNKNOWN",
        "late",
    )
    assert (again.status_code, answer["data"]["requestId"]) == (200, "late")
    assert outcome["status"] == "accepted"
    assert outcome["answer"]["orderId"] == answer["data"]["orderId"] == one_position(account.id)


def test_over_the_socket_too(live, held):
    user, account = live.user()
    live.price(100_000, 100_010)
    token = APIClient().get(login_link_create(user.email).url).json()["data"]["accessToken"]
    order = BUY | {"op": "order.create", "id": 1}

    async def talk() -> list[dict[str, Any]]:
        wire = Wire()
        try:
            await signed_in(wire, token)
            unknown = await wire.ask(order)
            held.let_go()
            return [unknown, await wire.ask(order | {"id": 2})]
        finally:
            await wire.hang_up()

    unknown, again = live.gateway.run(talk())
    outcome = asked(live, live.client(user))

    assert (unknown["success"], unknown["statusCode"], unknown["code"]) == (
        False,
        408,
        "OUTCOME_UNKNOWN",
    )
    assert unknown["requestId"] == "late"
    assert again["success"] is True
    assert outcome["answer"]["orderId"] == again["data"]["orderId"] == one_position(account.id)
