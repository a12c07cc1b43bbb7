"""The pages of API keys: made with a fresh proof, shown once, listed, revoked."""

import re

import pytest
from django.test import Client

from apps.auth.models import ApiKey, User
from apps.profile.models import TradingAccount
from tests.apps.second_factor import guard, prove

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

LIST, NEW = "/settings/keys", "/settings/keys/new"


@pytest.fixture(autouse=True)
def counters(stream_prefix, embedded_servers, settings):
    settings.MONEY_SECOND_FACTOR = True


@pytest.fixture
def dora() -> User:
    user = User.objects.create_user("dora@example.com")
    TradingAccount.objects.create(user=user, kind="demo", group="standard", is_default=True)
    return guard(user)


@pytest.fixture
def owner(dora) -> Client:
    client = Client()
    client.force_login(dora)
    prove(client)
    return client


def wish(**change: str) -> dict[str, object]:
    account = TradingAccount.objects.order_by("pk")[0].pk
    return {
        "name": "my bot",
        "account": account,
        "scopes": ["read"],
        "algorithm": "hmac",
        "networks": "203.0.113.0/24\n198.51.100.7",
        "expires_on": "2099-12-31",
    } | change


def test_a_key_is_made_shown_once_and_revoked(owner):
    made = owner.post(NEW, wish())

    key = ApiKey.objects.get()
    secret = re.search(r'id="key-secret" readonly value="([^"]+)"', made.content.decode())[1]
    assert (made.status_code, len(secret)) == (201, 43)
    assert "no-store" in made.headers["Cache-Control"]
    assert (key.may_read, key.may_trade) == (True, False)
    assert key.networks == ["203.0.113.0/24", "198.51.100.7/32"]
    assert f"{key.expires_at:%Y-%m-%d %H:%M}" == "2099-12-31 23:59"
    ApiKey.objects.update(used_at="2026-11-01T10:20:30Z", used_ip="203.0.113.9")
    listed = owner.get(LIST).content.decode()
    assert secret not in listed
    for text in ("my bot", key.public_id, "203.0.113.0/24", "2026-11-01 10:20", "203.0.113.9"):
        assert text in listed

    assert owner.post(LIST, {"key": key.public_id}).status_code == 302

    key.refresh_from_db()
    assert key.revoked_at is not None
    assert key.public_id not in owner.get(LIST).content.decode()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": ""}, "This field is required"),
        ({"scopes": []}, "This field is required"),
        ({"account": "999"}, "Select a valid choice"),
        ({"networks": "not a network"}, "expected addresses or networks"),
        ({"expires_on": "2020-01-01"}, "a time that is still to come"),
        ({"algorithm": "ed25519", "public_key": "x"}, "an Ed25519 public key in base64"),
    ],
)
def test_what_is_not_good_is_said_beside_the_form(owner, change, said):
    answer = owner.post(NEW, wish(**change))

    assert answer.status_code == 400
    assert said in answer.content.decode()
    assert not ApiKey.objects.exists()


def test_s15_the_page_asks_for_a_fresh_proof_and_for_a_second_factor(owner, dora):
    prove(owner, age_s=301)
    assert owner.get(NEW).url.startswith("/settings/second-factor/confirm?next=")
    assert owner.post(NEW, wish()).status_code == 302
    stranger = Client()
    assert stranger.get(NEW).url.startswith("/auth/sign-in?next=")
    assert stranger.get(LIST).url.startswith("/auth/sign-in?next=")

    bare = User.objects.create_user("charlie@example.com")
    account = TradingAccount.objects.create(user=bare, kind="demo", group="standard")
    client = Client()
    client.force_login(bare)
    prove(client, by_factor=False)
    answer = client.post(NEW, wish(account=account.pk))

    assert answer.status_code == 403
    assert "set up an authenticator app or a passkey first" in answer.content.decode()
    assert not ApiKey.objects.exists()


def test_s16_keys_of_others_cannot_be_revoked(owner):
    owner.post(NEW, wish())
    key = ApiKey.objects.get()
    other = User.objects.create_user("charlie@example.com")
    client = Client()
    client.force_login(other)

    client.post(LIST, {"key": key.public_id})
    junk = client.post(LIST, {"key": "\0"})

    key.refresh_from_db()
    assert key.revoked_at is None
    assert junk.status_code == 302
