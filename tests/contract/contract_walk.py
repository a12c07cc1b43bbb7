"""Asks a running platform for every route of the contract's table, with each of its parameters, and notes what is wrong."""

import re
from collections import defaultdict
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
from django.utils import timezone

from apps.common.exact_json import json_decode
from cryptocfd.embedded.processes import wait_until
from tests.contract.contract_v1 import CONTRACT
from tests.contract.signals import PIN
from tests.contract.test_contract_v1 import faults_of, names_lacking
from tests.integration.product import Product

BUY = {"symbol": "BTC", "type": "buy", "quantity": "0.01", "leverage": 10}
PERSON = {
    "fullName": "Alice Example",
    "birthDate": "1990-05-17",
    "country": "DE",
    "address": "Example Street 1, 10115 Berlin",
    "documentKind": "passport",
    "documentNumber": "C01X00T47",
}
_YEARS_AGO_MS, _IN_YEARS_MS = 1_000_000_000_000, 1_900_000_000_000


class Asker:
    """A client that asks for routes of the table by their names and notes what is wrong with the answers."""

    def __init__(self, product: Product, token: str, headers: dict[str, str]) -> None:
        self.http = httpx.Client(base_url=f"{product.url}/api/v1", timeout=30)
        self.token = token
        self.headers = headers
        # By route: the names that were sent and taken.
        self.asked: dict[str, set[str]] = defaultdict(set)
        self.faults: list[tuple[str, object]] = []
        self._routes = {str(route): route for route in CONTRACT}

    def ask(self, name: str, sent: dict[str, Any] | None = None, **path: Any) -> Any:
        """Ask a route with parameters or a body; return its data."""
        route = self._routes[name]
        answer = self.request(route.method, route.path.format(**path), sent)
        envelope = json_decode(answer.content)
        if not answer.is_success or envelope["success"] is not True:
            self.faults.append((name, envelope))
            return {}
        self.asked[name] |= set(sent or {})
        self.faults += [(name, fault) for fault in faults_of(route, envelope, answer.status_code)]
        if route.out and (lacking := names_lacking(envelope["data"], route.out)):
            self.faults.append((name, lacking))
        return envelope["data"]

    def request(
        self, method: str, path: str, sent: dict[str, Any] | None = None, **headers: str
    ) -> httpx.Response:
        """Send what is given as parameters or as a body, signed in."""
        headers = self.headers | headers
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if method == "POST" and "clientOrderId" not in (sent or {}):
            headers.setdefault("Idempotency-Key", uuid4().hex)
        given = {"json": sent or {}} if method == "POST" else {"params": sent}
        return self.http.request(method, path, headers=headers, **given)

    def missing(self) -> dict[str, set[str]]:
        """Return what of the table was not asked for, or not with each of its parameters."""
        wanted = {
            str(route): {word.rstrip("!") for word in route.in_.split()} for route in CONTRACT
        }
        unsent = {
            name: words - self.asked[name] if name in self.asked else {"not asked"}
            for name, words in wanted.items()
        }
        return {name: words for name, words in unsent.items() if words}


def sign_in(product: Product, asker: Asker, email: str, factor: str) -> None:
    """Sign in by the contract's own routes."""
    link = product.manage("login", email)
    token = re.search(r"token=(\S+)", link)
    assert token is not None
    asker.ask("POST /auth/login", {"email": "somebody@example.com"})
    signed_in = asker.ask("GET /auth/verify", {"token": token[1], "factor": factor})
    asker.token = signed_in["accessToken"]
    pair = asker.ask("GET /auth/mobile/session-token")
    pair = asker.ask("POST /auth/mobile/refresh-token", {"refreshToken": pair["refreshToken"]})
    asker.token = pair["accessToken"]
    asker.ask("POST /auth/mobile/pin", {"pin": PIN})
    asker.ask("POST /auth/verify-user")


def trade(asker: Asker, account: int) -> None:
    """Use every route of trading with every parameter that old and new clients send."""
    name = {"accountId": account}

    def keyed(**sent: Any) -> dict[str, Any]:
        return sent | name | {"clientOrderId": uuid4().hex}

    def opened(**changes: Any) -> str:
        # One that was refused is told at the end, with all else that is wrong.
        return str(asker.ask("POST /trade/create", BUY | changes).get("orderId", "1-1"))

    key = uuid4().hex
    ends = {"timeInForce": "gtd", "expiresAt": "2040-01-01T00:00:00Z"}
    first = opened(clientOrderId=key, slippage=50, takeProfit=10**6, stopLoss="1", **name)
    second, third = opened(type="sell", symbol="BTC_USDT"), opened(symbol="BTCUSDT", quantity=0.01)
    isolated = opened(marginMode="isolated", trailingDistance="5000")
    price = asker.ask("GET /prices/latest", {"symbols": "BTC"})[0]["ask"]
    limit = opened(orderType="limit", price="1000", timeInForce="gtc")
    stop = opened(orderType="stopLimit", stopPrice="900000", price="900000", **ends)
    opened(expectedPrice=str(price), slippage="50", orderType="market")
    _preview(asker, name)
    for listing in ("GET /trade/open", "GET /trade/pending"):
        _list(asker, listing, name | {"sort": "symbol" if "open" in listing else "createdAt"})
    asker.ask("POST /trade/modify", keyed(orderId=limit, price="1001", quantity="0.02"))
    changed = {"stopPrice": "900001", "price": "900001", "stopLoss": "1", "takeProfit": 10**6}
    asker.ask("POST /trade/modify", keyed(orderId=stop, **changed, **ends))
    asker.ask("POST /trade/modify", keyed(orderId=isolated, trailingDistance="6000"))
    asker.ask("POST /trade/cancel", keyed(orderId=limit))
    asker.ask("POST /trade/margin", keyed(orderId=isolated, amount=5, action="add"))
    asker.ask("POST /trade/closeBy", keyed(orderId=first, otherOrderId=second))
    turned = asker.ask("POST /trade/reverse", keyed(orderId=third)).get("orderId", "1-1")
    seen = {"slippage": "50", "expectedPrice": str(price)}
    asker.ask("POST /trade/close", keyed(orderId=turned, quantity="0.005", **seen))
    asker.ask("POST /trade/close", {"orderId": turned})
    asker.ask("POST /trade/closeAll", keyed(symbol="BTC", type="buy", profit="all"))
    asker.ask("POST /trade/cancelAll", keyed(symbol="BTC", type="buy"))
    _until(lambda: _closed(asker))
    _list(asker, "GET /trade/close", name | {"sort": "-pnl", "closeReason": "client"})
    asker.ask("GET /trade/orders/{order_id}", name, order_id=first)
    asker.ask("GET /trade/requests/{request_id}", name, request_id=key)


def _preview(asker: Asker, name: dict[str, Any]) -> None:
    known = {"marginMode": "cross", "slippage": "1", "expectedPrice": "1", "stopLoss": "1"}
    more = {"takeProfit": 10**6, "trailingDistance": "5000", "orderType": "market"}
    asker.ask("POST /trade/preview", BUY | name | known | more)
    pending = {"price": "900000", "stopPrice": "900000", "timeInForce": "gtd"}
    ends = {"orderType": "stopLimit", "expiresAt": "2040-01-01T00:00:00Z"}
    asker.ask("POST /trade/preview", BUY | pending | ends)


def _list(asker: Asker, listing: str, more: dict[str, Any]) -> None:
    """Ask for a list with all that narrows it."""
    period = {"startTime": _YEARS_AGO_MS, "endTime": _IN_YEARS_MS}
    kind = {"symbol": "BTC", "type": "buy"}
    asker.ask(listing, {"limit": 5, "offset": 0} | period | kind | more)


def _closed(asker: Asker) -> Any:
    return asker.request("GET", "/trade/close").json()["data"]["message"]


def _until(condition: Callable[[], object]) -> None:
    assert wait_until(condition, seconds=30)


def read(asker: Asker, account: int) -> None:
    """Use what is read of the market and of an account."""
    asker.ask("GET /")
    asker.ask("GET /trade")
    asker.ask("GET /supportedAssets")
    for interval in ("1m", "5m", "15m", "30m", "1h", "4h", "1d", "1w", "1M"):
        asker.ask("GET /candles", {"symbol": "BTC", "interval": interval, "limit": 10})
    asker.ask("GET /candles", {"symbol": "BTCUSDT", "startTime": 0, "price": "mid"})
    asker.ask("GET /candles", {"symbol": "BTCUSDT", "endTime": _IN_YEARS_MS})
    asker.ask("GET /candles/diagnostics", {"symbol": "BTC", "interval": "1m"})
    asker.ask("POST /candles/refresh", {"symbol": "BTC", "interval": "1m", "force": False})
    asker.ask("GET /balance", {"accountId": account})
    about = {"account_id": account}
    page = asker.ask("GET /accounts/{account_id}/ledger", {"limit": 2}, **about)
    period = {"startTime": _YEARS_AGO_MS, "endTime": _IN_YEARS_MS}
    more = period | {"cursor": page["nextCursor"], "kind": "PositionOpened", "symbol": "BTC"}
    asker.ask("GET /accounts/{account_id}/ledger", more, **about)
    asker.ask("GET /accounts/{account_id}/events", {"after": 1, "limit": 5}, **about)
    today = f"{timezone.now():%Y-%m-%d}"
    for period in ({"day": today}, {"month": today[:7]}, {"from": today, "to": today}):
        wish = period | {"fileFormat": "json"}
        asker.ask("GET /accounts/{account_id}/statement", wish, **about)
        asker.ask("GET /accounts/{account_id}/performance", period, **about)
    for kind, begin in (("csv", b"seq,time"), ("xlsx", b"PK"), ("pdf", b"%PDF-")):
        wish = {"day": today, "fileFormat": kind}
        file = asker.request("GET", f"/accounts/{account}/statement", wish)
        if not file.is_success or not file.content.startswith(begin):
            asker.faults.append((f"statement as {kind}", file.content[:200]))


def ask_again(asker: Asker, account: int) -> None:
    """Ask for lists with the tag of the answer before: what has not changed is not sent again."""
    of_account = f"/accounts/{account}"
    for path in ("/supportedAssets", "/accounts", "/keys", "/trade/close", f"{of_account}/ledger"):
        tag = asker.request("GET", path).headers.get("ETag", "")
        again = asker.request("GET", path, **{"If-None-Match": tag})
        if (again.status_code, again.content) != (304, b""):
            asker.faults.append((f"{path} with {tag!r}", again.content[:200]))


def accounts(asker: Asker, account: int) -> None:
    """Use the routes of accounts and keys."""
    asker.ask("GET /accounts")
    asker.ask("POST /accounts", {"kind": "demo", "name": "second"})
    asker.ask("POST /accounts/{account_id}/topUp", {"amount": "10"}, account_id=account)
    public = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
    bot = {"name": "bot", "accountId": account, "scopes": ["read", "trade"], "pin": PIN}
    asker.ask("POST /keys", bot | {"algorithm": "hmac", "expiresAt": "2040-01-01T00:00:00Z"})
    asker.ask(
        "POST /keys",
        bot | {"algorithm": "ed25519", "publicKey": public, "ipAddresses": ["127.0.0.1"]},
    )
    asker.ask("GET /keys")


def real_money(asker: Asker) -> int:
    """Open a live account, pay in and out, and take back what nobody has decided; the staff is at work."""
    asker.ask("GET /kyc")
    live = asker.ask("POST /accounts/live", {"name": "real"})["accountId"]
    about = {"account_id": live}
    asker.ask("POST /kyc", PERSON)
    _until(lambda: any(row["isOpen"] for row in asker.ask("GET /accounts/live")))
    wish = {"amount": "250.00", "method": "test"}
    asker.ask("POST /accounts/{account_id}/deposits", wish, **about)
    _until(lambda: asker.ask("GET /balance", {"accountId": live})["message"] == 250)
    out = {"amount": 100, "method": "test", "destination": "my bank", "pin": PIN}
    paid = asker.ask("POST /accounts/{account_id}/withdrawals", out, **about)
    asker.ask("GET /accounts/{account_id}/deposits", **about)
    listed = "GET /accounts/{account_id}/withdrawals"
    _until(lambda: [row["state"] for row in asker.ask(listed, **about)] == ["reserved"])
    asker.ask("DELETE /accounts/{account_id}/withdrawals/{cash_id}", cash_id=paid["id"], **about)
    wish = {"amount": 5, "method": "bank"}
    waits = asker.ask("POST /accounts/{account_id}/deposits", wish, **about)
    asker.ask("DELETE /accounts/{account_id}/deposits/{cash_id}", cash_id=waits["id"], **about)
    return int(live)
