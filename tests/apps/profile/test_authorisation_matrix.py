"""S-16: every route of the OpenAPI document, asked by nobody, by another user, by staff without a role and by a read-only key.

The routes come from the document, so a new one is in the matrix by itself; what anybody may ask is listed here by hand.
"""

import base64
import functools
import secrets
from typing import Any
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from drf_spectacular.generators import SchemaGenerator

from apps.auth.choices import KeyAlgorithm
from apps.auth.models import ApiKey, Device, User
from apps.auth.services.api_keys import KeyWish, key_make
from apps.common.clock import now_us
from apps.common.exact_json import json_decode, json_encode

pytestmark = pytest.mark.integration

# Whoever adds a line here opens a route to the whole world.
PUBLIC = {
    "GET /api/v1/",
    "POST /api/v1/auth/login",
    "GET /api/v1/auth/verify",
    "GET /api/v1/trade",
    "GET /api/v1/supportedAssets",
    "GET /api/v1/prices/latest",
    "GET /api/v1/prices/dayAgo",
    "GET /api/v1/candles",
    "GET /api/v1/candles/diagnostics",
}
# Open to all too, but a wrong token is answered like no token.
REFRESH = "POST /api/v1/auth/mobile/refresh-token"
NAMING = {
    "accountId",
    "orderId",
    "otherOrderId",
    "account_id",
    "order_id",
    "device_id",
    "public_id",
}


@functools.cache
def schema_made() -> dict[str, Any]:
    return SchemaGenerator().get_schema(public=True)


class Operation:
    """One method of one route, with what a request needs to get past the checks of its form."""

    def __init__(self, path: str, method: str, entry: dict, schema: dict, values: dict) -> None:
        self.method = method.upper()
        self.name = f"{self.method} {path}"
        self.values = values
        parameters = entry.get("parameters", [])
        self.in_path = {p["name"] for p in parameters if p["in"] == "path"}
        self.in_query = {p["name"] for p in parameters if p["in"] == "query"}
        body = entry.get("requestBody", {}).get("content", {}).get("application/json", {})
        shape = self._resolved(body.get("schema", {}), schema)
        wanted = set(shape.get("required", ())) | (NAMING & set(shape.get("properties", {})))
        self.body = {name: values[name] for name in wanted if name in values}
        self.names_something = bool(
            NAMING & (self.in_path | self.in_query | set(shape.get("properties", {})))
        )
        query = {name: values[name] for name in self.in_query & NAMING if name in values}
        for name in self.in_path:
            path = path.replace(f"{{{name}}}", str(values.get(name, 1)))
        joined = "&".join(f"{name}={value}" for name, value in query.items())
        self.path = f"{path}?{joined}" if joined else path

    @staticmethod
    def _resolved(shape: dict, schema: dict) -> dict:
        name = shape.get("$ref", "").rpartition("/")[2]
        return schema["components"]["schemas"][name] if name else shape

    @property
    def raw(self) -> bytes:
        return b"" if self.method == "GET" else json_encode(self.body)

    def send(self, client: Client, **headers: str) -> Any:
        return client.generic(
            self.method,
            self.path,
            self.raw,
            content_type="application/json",
            headers={"accept": "application/json", "idempotency-key": secrets.token_hex(8)}
            | headers,
        )


class Stage:
    """Alice with everything that can be named, and those who have no business with it."""

    def __init__(self, live) -> None:
        self.alice, account = live.user()
        live.price(100_000, 100_010)
        order = live.client(self.alice).post(
            "/api/v1/trade/create",
            {"symbol": "BTCUSDT", "type": "buy", "quantity": "0.1", "leverage": 10},
        )
        order_id = json_decode(order.content)["data"]["orderId"]
        self.private = Ed25519PrivateKey.generate()
        public = base64.b64encode(self.private.public_key().public_bytes_raw()).decode()
        self.key = key_make(
            user_id=self.alice.pk,
            wish=KeyWish("alice's", None, KeyAlgorithm.ED25519, public, False, True, (), None),
        ).key
        device = Device.objects.create(
            user=self.alice, session_key="s" * 32, name="alice's", expires_at=timezone.now()
        )
        Device.objects.update(expires_at=timezone.now() + timezone.timedelta(days=1))
        self.other, _ = live.user()
        self.staff, _ = live.user()
        User.objects.filter(pk=self.staff.pk).update(is_staff=True)
        self.staff.refresh_from_db()
        self.account_id = account.id
        values = {
            "accountId": account.id,
            "account_id": account.id,
            "orderId": order_id,
            "order_id": order_id,
            "otherOrderId": order_id,
            "device_id": device.pk,
            "public_id": self.key.public_id,
            "cash_id": 1,
            "statement_id": uuid4(),
            "request_id": "r-1",
            "symbol": "BTCUSDT",
            "type": "buy",
            "quantity": 1,
            "leverage": 1,
            "amount": 10,
            "method": "bank",
            "destination": "DE89370400440532013000",
            "name": "x",
            "algorithm": "hmac",
            "scopes": ["read"],
            "pin": "1234",
            "email": "x@example.com",
            "refreshToken": "x",
        }
        schema = schema_made()
        self.operations = [
            Operation(path, method, entry, schema, values)
            for path, methods in schema["paths"].items()
            for method, entry in methods.items()
            if path.startswith("/api/v1/")
        ]

    def client(self, user: User | None) -> Client:
        client = Client()
        if user is not None:
            client.force_login(user)
            session = client.session
            session["proved_at"] = now_us() // 1_000_000
            session.save()
        return client

    def signed(self, operation: Operation) -> dict[str, str]:
        timestamp, nonce = str(now_us() // 1000), secrets.token_urlsafe(12)
        line = f"{timestamp}\n60000\n{nonce}\n{operation.method}\n{operation.path}\n"
        signature = self.private.sign(line.encode() + operation.raw)
        return {
            "x-key-id": self.key.public_id,
            "x-timestamp": timestamp,
            "x-recv-window": "60000",
            "x-nonce": nonce,
            "x-signature": base64.b64encode(signature).decode(),
        }

    def state(self) -> tuple[object, ...]:
        """What nobody else may change."""
        return (
            list(ApiKey.objects.filter(user=self.alice).values_list("revoked_at")),
            list(Device.objects.filter(user=self.alice).values_list("ended_at", "pin_hash")),
        )


@pytest.fixture
def stage(live) -> Stage:
    return Stage(live)


def test_s16_nobody_gets_past_the_door(stage):
    open_to_all = {
        operation.name
        for operation in stage.operations
        if operation.send(stage.client(None)).status_code not in {401, 403}
    }

    assert open_to_all == PUBLIC & {operation.name for operation in stage.operations}
    assert {operation.name for operation in stage.operations} >= PUBLIC


@pytest.mark.parametrize("who", ["other", "staff"])
def test_s16_other_users_and_staff_without_a_role_reach_nothing_of_alices(stage, who):
    client = stage.client(getattr(stage, who))
    before = stage.state()
    leaks, passed = [], []

    for operation in stage.operations:
        if operation.name in PUBLIC:
            continue
        answer = operation.send(client)
        text = answer.content.decode()
        if stage.alice.email in text or '"alice\'s"' in text:
            leaks.append(operation.name)
        if operation.names_something and answer.status_code not in {400, 403, 404, 409}:
            passed.append((operation.name, answer.status_code))
        assert answer.status_code < 500, (operation.name, text)

    assert leaks == []
    assert passed == []
    assert stage.state() == before


def test_s22_a_read_only_key_reads_what_is_its_own_and_writes_nothing(stage):
    codes = {}
    for operation in stage.operations:
        if operation.name not in PUBLIC | {REFRESH}:
            answer = operation.send(Client(), **stage.signed(operation))
            codes[operation.name] = (answer.status_code, json_decode(answer.content).get("code"))

    # Staff only, whoever asks and how.
    assert codes.pop("POST /api/v1/candles/refresh")[0] == 403
    refused = {"KEY_FORBIDDEN", "KEY_SCOPE_MISSING"}
    writes = {name: code for name, code in codes.items() if not name.startswith("GET ")}
    # Both reckon and change nothing of the account.
    assert {name for name, (_, code) in writes.items() if code not in refused} == {
        "POST /api/v1/trade/preview",
        "POST /api/v1/accounts/{account_id}/statements",
    }
    reads = {name: code for name, code in codes.items() if name.startswith("GET ")}
    assert reads["GET /api/v1/balance"] == (200, None)
    # Who somebody is and how they sign in stays closed to every key; trading, money and history of its account do not.
    assert {name for name, (status, _) in reads.items() if status == 403} == {
        "GET /api/v1/accounts/live",
        "GET /api/v1/accounts/{account_id}/deposits",
        "GET /api/v1/accounts/{account_id}/withdrawals",
        "GET /api/v1/auth/devices",
        "GET /api/v1/auth/mobile/session-token",
        "GET /api/v1/candles/refresh",
        "GET /api/v1/keys",
        "GET /api/v1/kyc",
    }
    assert reads["GET /api/v1/keys"] == (403, "KEY_FORBIDDEN")
    assert all(status in {200, 400, 403, 404} for status, _ in reads.values()), reads


def test_s22_a_key_without_the_scope_to_read_reads_nothing(stage):
    ApiKey.objects.update(may_read=False, may_trade=True)

    codes = {}
    for operation in stage.operations:
        if operation.method == "GET" and operation.name not in PUBLIC:
            answer = operation.send(Client(), **stage.signed(operation))
            codes[operation.name] = (answer.status_code, json_decode(answer.content).get("code"))

    assert len(codes) > 15
    # Staff only, whoever asks and how.
    assert codes.pop("GET /api/v1/candles/refresh") == (403, "PERMISSION_DENIED")
    assert set(codes.values()) == {(403, "KEY_SCOPE_MISSING"), (403, "KEY_FORBIDDEN")}


# Which right each page over the whole house asks for; a new page fails here until it is said.
OFFICE = {
    "office-exposure": "view_house",
    "office-results": "view_house",
    "office-ladder": "view_house",
    "office-health": "view_health",
}


@pytest.mark.django_db
def test_s16_pages_over_the_house_are_for_staff_with_their_right_only(settings, redis_url):
    settings.REDIS_URL = redis_url
    names = {pattern.name for pattern in admin.site.extra_urls()}
    people = {
        name: User.objects.create(email=f"{name}@example.com", is_staff=name != "client")
        for name in ("client", "staff", *sorted(set(OFFICE.values())))
    }
    for right in sorted(set(OFFICE.values())):
        people[right].user_permissions.set(Permission.objects.filter(codename=right))

    assert names == set(OFFICE)
    for name, right in OFFICE.items():
        page = reverse(f"admin:{name}")
        for who, user in people.items():
            client = Client()
            client.force_login(user)
            answer = client.get(page)
            expected = 302 if who == "client" else 200 if who == right else 403
            assert answer.status_code == expected, (name, who)
            assert client.get(page, {"format": "csv"}).status_code == expected
            # There is nothing to be done on them, by nobody.
            assert client.post(page).status_code in {302, 403, 405}
            # Figures of the house stay in no cache.
            assert expected != 200 or "no-store" in answer.headers["Cache-Control"]
        assert Client().get(page).url == f"/admin/login/?next={page}"
