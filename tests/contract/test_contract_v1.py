"""The public contract to the letter: every path, method, parameter and answer of the table, in the schema and in real answers."""

import functools
import re
from typing import Any
from uuid import uuid4

import pytest
from drf_spectacular.generators import SchemaGenerator
from jsonschema import Draft202012Validator
from rest_framework.test import APIClient

from apps.common.exact_json import json_decode
from tests.apps.live import live_platform
from tests.contract.contract_v1 import CONTRACT, Route


@functools.cache
def schema() -> dict[str, Any]:
    return SchemaGenerator().get_schema(request=None, public=True)


def described(route: Route) -> dict[str, Any] | None:
    path = "/api/v1/" if route.path == "/" else f"/api/v1{route.path}"
    found: dict[str, Any] | None = schema()["paths"].get(path, {}).get(route.method.lower())
    return found


PRESENT = CONTRACT


def resolved(part: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in part:
        part = schema()["components"]["schemas"][part["$ref"].rpartition("/")[2]]
    return part


def test_every_route_of_the_table_exists() -> None:
    missing = {str(route) for route in CONTRACT if described(route) is None}

    assert missing == set()


@pytest.mark.parametrize("route", PRESENT, ids=str)
def test_what_goes_in_is_described(route: Route) -> None:
    operation = described(route)
    assert operation is not None
    names = {p["name"]: p.get("required", False) for p in operation.get("parameters", [])}
    for content in operation.get("requestBody", {}).get("content", {}).values():
        body = resolved(content["schema"])
        required = body.get("required", ())
        names |= {name: name in required for name in body.get("properties", {})}

    wanted = {name.removesuffix("!"): name.endswith("!") for name in route.in_.split()}
    assert wanted.keys() <= names.keys()
    assert {name for name, is_required in wanted.items() if is_required} <= {
        name for name, is_required in names.items() if is_required
    }


@pytest.mark.parametrize("route", PRESENT, ids=str)
def test_who_may_ask_is_described_and_failures_too(route: Route) -> None:
    operation = described(route)
    assert operation is not None

    is_open = {} in operation.get("security", [{}]) or not operation.get("security")
    assert is_open is not route.is_private
    assert any(status.startswith("2") for status in operation["responses"])
    if route.is_private:
        assert "401" in operation["responses"]


@pytest.mark.parametrize("route", [r for r in PRESENT if r.out], ids=str)
def test_what_comes_out_is_described(route: Route) -> None:
    operation = described(route)
    assert operation is not None
    (status,) = (status for status in operation["responses"] if status.startswith("2"))
    envelope = resolved(operation["responses"][status]["content"]["application/json"]["schema"])

    assert envelope["properties"].keys() >= {"success", "data", "message"}
    names = described_names(envelope["properties"]["data"])
    assert set(route.out.replace("message[]", "message").replace("[] ", "").split()) - {
        "message"
    } <= names | {"message"}


def described_names(part: dict[str, Any], prefix: str = "", depth: int = 3) -> set[str]:
    """Return the names in a described answer; those of rows and of parts stand with and without what they are part of."""
    part = resolved(part)
    for choice in part.get("allOf", ()):
        part = resolved(choice)
    if "items" in part:
        return described_names(part["items"], prefix, depth)
    found: set[str] = set()
    for name, inner in part.get("properties", {}).items():
        found.add(prefix + name)
        if depth:
            found |= described_names(inner, f"{name}.", depth - 1)
            if "items" in resolved(inner):
                found |= described_names(inner, "", depth - 1)
    return found


# --- real answers -------------------------------------------------------------------------------------------------------

BUY = {"symbol": "BTC", "type": "buy", "quantity": "0.1", "leverage": 10}


@pytest.fixture
def live(transactional_db, log_redis_url, redis_url, stream_prefix, tmp_path):
    with live_platform(stream_prefix, log_redis_url, redis_url, tmp_path) as live:
        yield live


def names_lacking(data: Any, out: str) -> set[str]:
    """Return the names of the table that an answer does not have."""
    words = out.split()
    rows = data
    if words[0] == "[]":
        rows, words = data[0], words[1:]
    elif words[0] == "message[]":
        rows, words = data["message"][0], words[1:]
    return {word for word in words if not _has(rows, word.split("."))}


def _has(data: Any, path: list[str]) -> bool:
    for name in path:
        if name not in data:
            return False
        data = data[name]
    return True


def faults_of(route: Route, answer: Any, status: int = 200) -> list[str]:
    """Return in what an answer differs from its documented shape."""
    operation = described(route)
    assert operation is not None
    document = {
        **operation["responses"][str(status)]["content"]["application/json"]["schema"],
        "components": schema()["components"],
    }
    return [error.message for error in Draft202012Validator(document).iter_errors(_plain(answer))]


def _plain(value: Any) -> Any:
    # The validator's numbers are int and float; exactness is checked elsewhere.
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value if isinstance(value, str | int | None) else float(value)


@pytest.mark.integration
def test_real_answers_have_what_the_table_says_and_fit_the_schema(live) -> None:
    user, account = live.user()
    live.price(100_000, 100_010)
    client = live.client(user)
    by_name = {str(route): route for route in CONTRACT}
    faults: list[tuple[str, object]] = []

    def call(name: str, body: dict[str, Any] | None = None, **path: str) -> Any:
        route = by_name[name]
        address = f"/api/v1{route.path.format(**path)}"
        response = (
            client.get(address) if route.method == "GET" else client.post(address, body or {})
        )
        answer = json_decode(response.content)
        if answer.get("success") is not True:
            faults.append((name, answer))
            return {}
        faults.extend((name, fault) for fault in faults_of(route, answer))
        if route.out and (lacking := names_lacking(answer["data"], route.out)):
            faults.append((name, lacking))
        return answer["data"]

    def opened(**changes: Any) -> str:
        return str(call("POST /trade/create", BUY | changes)["orderId"])

    call("GET /")
    call("GET /trade")
    call("POST /auth/ensure-user")
    call("GET /supportedAssets")
    call("POST /trade/preview", BUY)
    first, second, third = opened(clientOrderId="c1"), opened(type="sell"), opened()
    isolated = opened(marginMode="isolated")
    pending = opened(orderType="limit", price="9000")
    call("GET /trade/open")
    call("GET /trade/pending")
    call("POST /trade/modify", {"orderId": pending, "price": "9001"})
    call("POST /trade/cancel", {"orderId": pending})
    call("POST /trade/margin", {"orderId": isolated, "amount": 5})
    call("POST /trade/closeBy", {"orderId": first, "otherOrderId": second})
    turned = call("POST /trade/reverse", {"orderId": third})
    call("POST /trade/close", {"orderId": turned["orderId"]})
    call("POST /trade/closeAll")
    call("POST /trade/cancelAll")
    live.project()
    call("GET /trade/close")
    call("GET /balance")
    call("GET /trade/orders/{order_id}", order_id=first)
    call("GET /trade/requests/{request_id}", request_id="c1")
    call("GET /accounts/{account_id}/ledger", account_id=str(account.id))
    call("GET /accounts/{account_id}/events", account_id=str(account.id))
    call("GET /accounts")
    faults += parameters_ignored(client)

    assert faults == []


def parameters_ignored(client: APIClient) -> list[tuple[str, object]]:
    """Return every operation that takes a parameter which it does not know, or refuses it in words of its own."""
    # A link of a mail takes what mailers add; the refresh is for the staff.
    others = {"/api/v1/auth/verify", "/api/v1/candles/refresh"}
    faults: list[tuple[str, object]] = []
    for path in schema()["paths"].keys() - others:
        # All that an address names: of these none has to be there.
        address = re.sub(r"{[a-z_]*statement[a-z_]*}", str(uuid4()), path)
        address = re.sub(r"{order[a-z_]*}", "1001-1", address)
        address = re.sub(r"{[a-z_]+}", "1", address)
        for method in schema()["paths"][path].keys() & {"get", "post", "patch", "delete"}:
            answer = json_decode(getattr(client, method)(f"{address}?nosuch=1").content)
            if (answer.get("code"), "nosuch" in answer.get("message", "")) != ("INVALID", True):
                faults.append((f"{method} {address}", answer))
    return faults


@pytest.mark.parametrize("route", [r for r in PRESENT if r.is_private], ids=str)
def test_nobody_gets_nothing(transactional_db, route: Route) -> None:
    path = route.path.format(account_id=1001, order_id="1001-1", request_id="r", cash_id=1)

    response = APIClient().generic(
        route.method, f"/api/v1{path}", b"{}", content_type="application/json"
    )

    answer = json_decode(response.content)
    assert (response.status_code, answer["success"]) == (401, False)
    assert answer["code"] == "NOT_AUTHENTICATED"


def test_s25_every_page_has_an_end() -> None:
    """500 rows at most; candles have the thousand of the contract."""
    most = {
        path: parameter["schema"].get("maximum")
        for path, methods in schema()["paths"].items()
        for operation in methods.values()
        for parameter in operation.get("parameters", [])
        if parameter["name"] == "limit"
    }

    assert len(most) > 5
    assert {path for path, rows in most.items() if rows is None or rows > 500} == {
        "/api/v1/candles"
    }
    assert most["/api/v1/candles"] == 1000
