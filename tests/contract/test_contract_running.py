"""The contract's table against the running platform: each route is asked for real, with each of its parameters, by both ways.

What old clients send must be taken, and what comes back must have the names of the table and the shape of the document. The lean way
and the island are told apart by a header that only the island knows how to answer.
"""

import re
from typing import Any
from uuid import uuid4

import httpx
import pytest
from django.utils import timezone

from apps.common.exact_json import json_decode
from cryptocfd.embedded.processes import wait_until
from tests.contract.contract_v1 import CONTRACT, Route
from tests.contract.test_contract_v1 import faults_of, names_lacking
from tests.integration.product import Product

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

PIN = "493021"
BUY = {"symbol": "BTC", "type": "buy", "quantity": "0.01", "leverage": 10}
ISLAND = {"If-None-Match": '"nothing"'}
STAFF = 'from apps.auth.models import User; User.objects.filter(email="alice@example.com").update(is_staff=True)'
# No limits, and a member of the staff without a second factor: the routes are what is asked for here.
SETTINGS = {
    "API_LIMITS_WRITE": "",
    "API_LIMITS_READ": "",
    "API_LIMITS_PUBLIC": "",
    "STAFF_SECOND_FACTOR": "false",
}


@pytest.fixture(scope="module")
def product():
    product = Product(**SETTINGS)
    try:
        product.start()
        product.manage("shell", "-c", STAFF)
        yield product
    finally:
        product.close()


class Asker:
    """A client that asks for routes of the table by their names and notes what is wrong with the answers."""

    def __init__(self, product: Product, token: str, headers: dict[str, str]) -> None:
        self.http = httpx.Client(base_url=f"{product.url}/api/v1", timeout=30)
        self.token = token
        self.headers = headers
        self.asked: set[str] = set()
        self.faults: list[tuple[str, object]] = []
        self._routes = {str(route): route for route in CONTRACT}

    def ask(self, name: str, sent: dict[str, Any] | None = None, **path: Any) -> Any:
        """Ask a route with parameters or a body; return its data."""
        route = self._routes[name]
        self.asked.add(name)
        headers = {"Idempotency-Key": uuid4().hex} | self.headers
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        given = {"params": sent} if route.method == "GET" else {"json": sent or {}}
        if route.method == "GET" or "clientOrderId" in (sent or {}):
            del headers["Idempotency-Key"]
        answer = self.http.request(
            route.method, route.path.format(**path), headers=headers, **given
        )
        envelope = json_decode(answer.content)
        if not answer.is_success or envelope["success"] is not True:
            self.faults.append((name, envelope))
            return {}
        self._judge(route, answer.status_code, envelope)
        return envelope["data"]

    def _judge(self, route: Route, status: int, envelope: dict[str, Any]) -> None:
        self.faults += [(str(route), fault) for fault in faults_of(route, envelope, status)]
        if route.out and (lacking := names_lacking(envelope["data"], route.out)):
            self.faults.append((str(route), lacking))


@pytest.fixture
def asker_of(product):
    made: list[Asker] = []

    def make(token: str, headers: dict[str, str]) -> Asker:
        made.append(Asker(product, token, headers))
        return made[-1]

    yield make
    for asker in made:
        asker.http.close()


def sign_in(product: Product, asker: Asker) -> None:
    """Sign in by the contract's own routes."""
    link = product.manage("login", "alice@example.com")
    token = re.search(r"token=(\S+)", link)
    assert token is not None
    asker.ask("POST /auth/login", {"email": "somebody@example.com"})
    asker.token = asker.ask("GET /auth/verify", {"token": token[1]})["accessToken"]
    pair = asker.ask("GET /auth/mobile/session-token")
    pair = asker.ask("POST /auth/mobile/refresh-token", {"refreshToken": pair["refreshToken"]})
    asker.token = pair["accessToken"]
    asker.ask("POST /auth/mobile/pin", {"pin": PIN})
    asker.ask("POST /auth/verify-user")


def trade(asker: Asker, account: int) -> None:
    """Use every route of trading with every parameter that old and new clients send."""
    name = {"accountId": account}
    asker.ask("POST /trade/preview", BUY | name | {"marginMode": "cross", "slippage": "1"})

    def opened(**changes: Any) -> str:
        # One that was refused is told at the end, with all else that is wrong.
        return str(asker.ask("POST /trade/create", BUY | changes).get("orderId", "1-1"))

    key = uuid4().hex
    first = opened(clientOrderId=key, slippage=50, takeProfit=10**6, stopLoss="1", **name)
    second, third = opened(type="sell", symbol="BTC_USDT"), opened(symbol="BTCUSDT", quantity=0.01)
    isolated = opened(marginMode="isolated", trailingDistance="5000")
    price = asker.ask("GET /prices/latest", {"symbols": "BTC"})[0]["ask"]
    limit = opened(orderType="limit", price="1000", timeInForce="gtc")
    opened(orderType="stopLimit", stopPrice="900000", price="900000", timeInForce="day")
    opened(expectedPrice=str(price), slippage="50", orderType="market")
    for listing in ("GET /trade/open", "GET /trade/pending"):
        asker.ask(listing, {"limit": 5, "offset": 0} | name)
    asker.ask("POST /trade/modify", {"orderId": limit, "price": "1001"})
    asker.ask("POST /trade/cancel", {"orderId": limit})
    asker.ask("POST /trade/margin", {"orderId": isolated, "amount": 5})
    asker.ask("POST /trade/closeBy", {"orderId": first, "otherOrderId": second})
    turned = asker.ask("POST /trade/reverse", {"orderId": third}).get("orderId", "1-1")
    asker.ask("POST /trade/close", {"orderId": turned, "quantity": "0.005"})
    asker.ask("POST /trade/close", {"orderId": turned})
    asker.ask("POST /trade/closeAll", {"symbol": "BTC", "type": "buy", "profit": "all"})
    asker.ask("POST /trade/cancelAll", {"symbol": "BTC", "type": "buy"})
    assert wait_until(
        lambda: asker.http.get(
            "/trade/close", headers={"Authorization": f"Bearer {asker.token}"}
        ).json()["data"]["message"],
        seconds=20,
    )
    asker.ask("GET /trade/close", {"limit": 5, "offset": 0} | name)
    asker.ask("GET /trade/orders/{order_id}", order_id=first)
    asker.ask("GET /trade/requests/{request_id}", request_id=key)


def read(asker: Asker, account: int) -> None:
    """Use what is read of the market and of an account."""
    asker.ask("GET /")
    asker.ask("GET /trade")
    asker.ask("GET /supportedAssets")
    asker.ask("GET /candles", {"symbol": "BTC", "interval": "5m", "limit": 10, "startTime": 0})
    asker.ask("GET /candles", {"symbol": "BTCUSDT", "endTime": 1_900_000_000_000})
    asker.ask("GET /candles/diagnostics")
    asker.ask("POST /candles/refresh", {"symbol": "BTC", "interval": "1m", "force": False})
    asker.ask("GET /balance", {"accountId": account})
    asker.ask("GET /accounts/{account_id}/ledger", {"limit": 5}, account_id=account)
    asker.ask("GET /accounts/{account_id}/events", {"after": 1}, account_id=account)
    today = f"{timezone.now():%Y-%m-%d}"
    for period in ({"day": today}, {"month": today[:7]}, {"from": today, "to": today}):
        asker.ask(
            "GET /accounts/{account_id}/statement",
            period | {"fileFormat": "json"},
            account_id=account,
        )
        asker.ask("GET /accounts/{account_id}/performance", period, account_id=account)


def accounts(asker: Asker, account: int) -> None:
    """Use the routes of accounts, real money and keys."""
    asker.ask("GET /accounts")
    asker.ask("POST /accounts", {"name": "second"})
    asker.ask("POST /accounts/{account_id}/topUp", {"amount": "10"}, account_id=account)
    asker.ask("GET /accounts/live")
    live = asker.ask("POST /accounts/live", {"name": "real"})["accountId"]
    asker.ask("GET /kyc")
    person = {
        "fullName": "Alice Example",
        "birthDate": "1990-05-17",
        "country": "DE",
        "address": "Example Street 1, 10115 Berlin",
        "documentKind": "passport",
        "documentNumber": "C01X00T47",
    }
    asker.ask("POST /kyc", person)
    for kind in ("deposits", "withdrawals"):
        asker.ask(f"GET /accounts/{{account_id}}/{kind}", account_id=live)
    asker.ask("GET /keys")
    asker.ask("POST /keys", {"name": "bot", "algorithm": "hmac", "scopes": ["read"], "pin": PIN})


def test_every_route_of_the_table_answers_for_real(product, asker_of):
    asker = asker_of("", {})
    sign_in(product, asker)
    account = asker.ask("POST /auth/ensure-user")["accountId"]
    trade(asker, account)
    read(asker, account)
    accounts(asker, account)

    assert asker.faults == [], "\n".join(map(str, asker.faults))
    # Real money moves after a person of the staff has approved the file: tests/apps/profile/test_live_money.py.
    approved = {f"POST /accounts/{{account_id}}/{kind}" for kind in ("deposits", "withdrawals")}
    assert {str(route) for route in CONTRACT} - asker.asked == approved


def test_the_island_answers_the_same_routes_as_the_lean_way(product, asker_of):
    asker = asker_of(product.client("charlie@example.com").token, ISLAND)
    account = asker.ask("POST /auth/ensure-user")["accountId"]
    trade(asker, account)

    assert asker.faults == [], "\n".join(map(str, asker.faults))
