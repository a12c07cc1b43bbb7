"""API keys (S-22): signatures, windows, nonces, scopes, the account they are bound to; the examples of the documentation."""

import base64
import hashlib
import hmac
import json
import os
import re
import secrets
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import connection
from django.test import Client
from django.utils import timezone

from apps.auth.models import ApiKey, User
from apps.auth.services import signatures
from apps.common.clock import now_us
from apps.common.models import OutboxEffect
from apps.profile.models import TradingAccount

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "API-KEYS.md"
ACCOUNTS = "/api/v1/accounts"


@pytest.fixture(autouse=True)
def own_counters(stream_prefix, embedded_servers):
    """Count and note nonces in this test alone."""


def account_of(user: User, **more) -> TradingAccount:
    return TradingAccount.objects.create(user=user, kind="demo", group="standard", **more)


@pytest.fixture
def alice() -> User:
    user = User.objects.create_user("alice@example.com")
    account_of(user, is_default=True)
    return user


class Signer:
    """A key and how its owner signs with it."""

    def __init__(self, user: User, algorithm: str = "hmac", **wish) -> None:
        self.private = Ed25519PrivateKey.generate()
        public = base64.b64encode(self.private.public_key().public_bytes_raw()).decode()
        client = Client()
        client.force_login(user)
        session = client.session
        session["proved_at"] = now_us() // 1_000_000
        session.save()
        body = {"name": "bot", "algorithm": algorithm, "scopes": ["read"], **wish}
        if algorithm == "ed25519":
            body.setdefault("publicKey", public)
        self.made = client.post("/api/v1/keys", body, content_type="application/json")
        data = self.made.json().get("data") or {}
        self.key_id, self.secret = data.get("keyId", ""), data.get("secret") or ""
        self.account_id = data.get("accountId")

    def sign(self, text: bytes) -> bytes:
        if self.secret:
            return hmac.new(self.secret.encode(), text, hashlib.sha256).digest()
        return self.private.sign(text)

    def headers(self, method: str, path: str, body: bytes = b"", **change: str) -> dict[str, str]:
        timestamp = change.pop("timestamp", str(time.time_ns() // 1_000_000))
        nonce = change.pop("nonce", secrets.token_urlsafe(12))
        window = change.pop("window", "5000")
        text = f"{timestamp}\n{window}\n{nonce}\n{method}\n{path}\n".encode() + body
        return {
            "accept": "application/json",
            "x-key-id": self.key_id,
            "x-timestamp": timestamp,
            "x-nonce": nonce,
            "x-recv-window": window,
            "x-signature": base64.b64encode(self.sign(text)).decode(),
            **change,
        }

    def send(self, method: str, path: str, body: dict | None = None, **change: str):
        raw = b"" if body is None else json.dumps(body).encode()
        headers = self.headers(method, path, raw, **change)
        return Client().generic(method, path, raw, content_type="application/json", headers=headers)


def code(answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


@pytest.mark.parametrize("algorithm", ["hmac", "ed25519"])
def test_s22_a_signed_request_is_its_owners(alice, algorithm):
    key = Signer(alice, algorithm)

    answer = key.send("GET", ACCOUNTS)

    assert answer.status_code == 200
    assert [row["accountId"] for row in answer.json()["data"]] == [key.account_id]


def test_s22_the_secret_is_shown_once_and_kept_encrypted(alice):
    key = Signer(alice)

    listed = Client()
    listed.force_login(alice)
    shown = listed.get("/api/v1/keys", headers={"accept": "application/json"}).json()["data"]

    assert len(key.secret) == 43
    assert key.made.headers["Cache-Control"].count("no-store") == 1
    assert "secret" not in shown[0]
    assert key.secret not in str(ApiKey.objects.values_list().get())
    told = OutboxEffect.objects.get(key__endswith=":mail")
    assert told.key.startswith("message:key-made:")


def test_the_list_of_keys_is_sent_once_until_it_changes(alice):
    Signer(alice)
    asker = Client()
    asker.force_login(alice)

    def ask(tag: str = ""):
        headers = {"accept": "application/json"} | ({"if-none-match": tag} if tag else {})
        return asker.get("/api/v1/keys", headers=headers)

    first = ask()
    again = ask(first["ETag"])
    Signer(alice)
    other = ask(first["ETag"])

    assert (again.status_code, again.content) == (304, b"")
    assert (other.status_code, len(other.json()["data"])) == (200, 2)
    assert other["ETag"] != first["ETag"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"x-signature": base64.b64encode(b"0" * 32).decode()}, "SIGNATURE_INVALID"),
        ({"x-signature": "not base64!"}, "SIGNATURE_INVALID"),
        ({"x-signature": ""}, "SIGNATURE_INVALID"),
        ({"x-key-id": "ck_unknown"}, "SIGNATURE_INVALID"),
        ({"x-timestamp": "1700000000000"}, "SIGNATURE_INVALID"),
        ({"x-nonce": "another-nonce"}, "SIGNATURE_INVALID"),
        ({"x-recv-window": "60000"}, "SIGNATURE_INVALID"),
        ({"nonce": "short"}, "SIGNATURE_INVALID"),
        ({"nonce": "spaces in it"}, "SIGNATURE_INVALID"),
        ({"window": "60001"}, "SIGNATURE_INVALID"),
        ({"window": "0"}, "SIGNATURE_INVALID"),
        ({"timestamp": "1700000000"}, "SIGNATURE_INVALID"),
        ({"timestamp": "17000000000.0"}, "SIGNATURE_INVALID"),
        ({"timestamp": "1700000000000"}, "TIMESTAMP_INVALID"),
        ({"timestamp": "9000000000000"}, "TIMESTAMP_INVALID"),
    ],
)
def test_s22_a_request_that_is_not_signed_right_is_refused(alice, change, expected):
    answer = Signer(alice, "ed25519").send("GET", ACCOUNTS, **change)

    assert code(answer) == (401, expected)


@pytest.mark.parametrize("part", ["method", "path", "query", "body"])
def test_s22_nothing_of_a_request_can_be_changed(alice, part):
    key = Signer(alice, scopes=["read", "trade"])
    body = b'{"amount": 1}'
    headers = key.headers("POST", f"{ACCOUNTS}?a=1", body)
    sent = {"method": "POST", "path": f"{ACCOUNTS}?a=1", "data": body}
    changed = {
        "method": {"method": "PUT"},
        "path": {"path": "/api/v1/trade/create?a=1"},
        "query": {"path": f"{ACCOUNTS}?a=2"},
        "body": {"data": b'{"amount": 2}'},
    }[part]

    answer = Client().generic(**sent | changed, content_type="application/json", headers=headers)

    assert code(answer) == (401, "SIGNATURE_INVALID")


def test_s22_the_window_holds_on_both_sides(alice):
    key = Signer(alice)
    now = time.time_ns() // 1_000_000

    assert key.send("GET", ACCOUNTS, timestamp=str(now - 20_000)).status_code == 401
    assert key.send("GET", ACCOUNTS, timestamp=str(now - 20_000), window="60000").status_code == 200
    ahead = key.send("GET", ACCOUNTS, timestamp=str(now + 60_000))
    assert code(ahead) == (401, "TIMESTAMP_INVALID")
    assert abs(ahead.json()["data"]["serverTime"] - now) < 60_000


@pytest.mark.parametrize("hours", [1, -1])
def test_f29_process_whose_clock_is_wrong_lets_no_signature_pass(alice, monkeypatch, hours):
    key = Signer(alice)
    monkeypatch.setattr(signatures, "now_us", lambda: now_us() + hours * 3_600_000_000)

    # Not with the widest window either.
    refused = [key.send("GET", ACCOUNTS, window=window) for window in ("5000", "60000")]
    monkeypatch.undo()

    assert [code(answer) for answer in refused] == [(401, "TIMESTAMP_INVALID")] * 2
    assert key.send("GET", ACCOUNTS).status_code == 200


def test_s22_of_forty_parallel_replays_one_passes(alice):
    key = Signer(alice)
    headers = key.headers("GET", ACCOUNTS, window="60000")
    codes = []

    def replay() -> None:
        try:
            codes.append(Client().get(ACCOUNTS, headers=headers).status_code)
        finally:
            connection.close()

    threads = [threading.Thread(target=replay) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)

    assert sorted(codes) == [200] + [401] * 39


def test_s22_a_key_without_the_scope_does_not_trade(alice):
    reads, trades = Signer(alice), Signer(alice, scopes=["trade"])
    order = {"symbol": "BTCUSDT", "type": "buy", "quantity": 1, "leverage": 1}

    assert code(reads.send("POST", "/api/v1/trade/create", order)) == (403, "KEY_SCOPE_MISSING")
    assert code(trades.send("GET", "/api/v1/trade/open")) == (403, "KEY_SCOPE_MISSING")
    # Past the scope: there is no engine here.
    assert code(trades.send("POST", "/api/v1/trade/create", order)) == (503, "ENGINE_BUSY")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/keys"),
        ("POST", "/api/v1/keys"),
        ("POST", "/api/v1/accounts"),
        ("GET", "/api/v1/auth/devices"),
        ("GET", "/api/v1/auth/mobile/session-token"),
        ("POST", "/api/v1/auth/mobile/pin"),
    ],
)
def test_s22_a_key_opens_no_door_to_itself(alice, method, path):
    key = Signer(alice, scopes=["read", "trade"])

    assert key.send(method, path, {} if method == "POST" else None).status_code == 403
    assert ApiKey.objects.count() == 1


def test_s22_a_key_knows_its_own_account_only(alice):
    other = account_of(alice)
    key = Signer(alice, scopes=["read", "trade"])
    forbidden = (403, "KEY_ACCOUNT_FORBIDDEN")

    assert len(key.send("GET", ACCOUNTS).json()["data"]) == 1
    assert code(key.send("POST", "/api/v1/trade/cancel", {"orderId": f"{other.pk}-1"})) in [
        forbidden,
        (503, "ENGINE_BUSY"),
    ]


def test_s22_keys_end_when_they_are_revoked_or_old(alice):
    revoked, old = Signer(alice), Signer(alice)
    ApiKey.objects.filter(public_id=old.key_id).update(expires_at=timezone.now())
    owner = Client()
    owner.force_login(alice)

    gone = owner.delete(f"/api/v1/keys/{revoked.key_id}", headers={"accept": "application/json"})

    assert gone.status_code == 200
    assert code(revoked.send("GET", ACCOUNTS)) == (401, "SIGNATURE_INVALID")
    assert code(old.send("GET", ACCOUNTS)) == (401, "KEY_EXPIRED")


def test_s22_keys_keep_to_their_networks(alice):
    here, elsewhere = (
        Signer(alice, ipAddresses=["127.0.0.0/8"]),
        Signer(alice, ipAddresses=["203.0.113.7"]),
    )

    assert here.send("GET", ACCOUNTS).status_code == 200
    assert code(elsewhere.send("GET", ACCOUNTS)) == (403, "KEY_NETWORK_FORBIDDEN")
    assert ApiKey.objects.get(public_id=here.key_id).used_ip == "127.0.0.1"


@pytest.mark.parametrize(
    "wish",
    [
        {"scopes": []},
        {"scopes": ["withdraw"]},
        {"algorithm": "rsa"},
        {"algorithm": "ed25519", "publicKey": "AAAA"},
        {"ipAddresses": ["999.1.1.1"]},
        {"expiresAt": "2001-01-01T00:00:00Z"},
        {"name": ""},
        {"isStaff": True},
    ],
)
def test_a_wish_that_is_no_good_makes_no_key(alice, wish):
    answer = Signer(alice, **wish).made

    assert code(answer) == (400, "INVALID")
    assert not ApiKey.objects.exists()


def test_s15_a_key_needs_a_fresh_proof(alice):
    client = Client()
    client.force_login(alice)
    session = client.session
    session["proved_at"] = now_us() // 1_000_000 - 301
    session.save()

    answer = client.post(
        "/api/v1/keys",
        {"name": "bot", "algorithm": "hmac", "scopes": ["read"]},
        content_type="application/json",
    )

    assert code(answer) == (403, "STEP_UP_REQUIRED")


def test_s16_accounts_and_keys_of_others_are_out_of_reach(alice):
    bob = User.objects.create_user("bob@example.com")
    foreign = account_of(bob, is_default=True)
    key = Signer(alice)
    thief = Client()
    thief.force_login(bob)

    assert code(Signer(alice, accountId=foreign.pk).made) == (404, "ACCOUNT_UNKNOWN")
    answer = thief.delete(f"/api/v1/keys/{key.key_id}", headers={"accept": "application/json"})
    assert code(answer) == (404, "KEY_UNKNOWN")


def test_s50_when_nonces_cannot_be_noted_nothing_passes(alice, settings, monkeypatch):
    import redis

    from apps.common import rate_limits

    key = Signer(alice)

    class Away:
        def set(self, *_args, **_options):
            raise redis.ConnectionError

    class Script:
        registered_client = Away()

    monkeypatch.setattr(rate_limits, "_script", Script)

    assert code(key.send("GET", ACCOUNTS)) == (503, "UNAVAILABLE")


@pytest.mark.parametrize("language", ["python", "sh"])
def test_the_examples_of_the_documentation_are_signed_right(alice, live_server, language):
    key = Signer(alice)
    (example,) = re.findall(rf"```{language}\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    program = [sys.executable, "-c"] if language == "python" else ["bash", "-c"]

    done = subprocess.run(
        [*program, example],
        env=os.environ
        | {"KEY_ID": key.key_id, "KEY_SECRET": key.secret, "SERVER": live_server.url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert f"{key.account_id}" in done.stdout, done
