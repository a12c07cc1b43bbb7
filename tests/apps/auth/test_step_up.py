"""What a fresh proof opens: one transaction and no other, money and keys only with a second factor, staff routes too."""

import json

import pytest
from django.test import Client

from apps.auth.models import ApiKey, Device, User
from apps.auth.services.identities import session_cache
from apps.common.errors import ServiceError
from apps.common.step_up import step_up_require
from tests.apps.second_factor import guard, prove, totp_code

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

REFRESH = "/api/v1/candles/refresh"
KEY = {"name": "bot", "algorithm": "hmac", "scopes": ["read"]}


@pytest.fixture(autouse=True)
def counters(stream_prefix, embedded_servers, settings):
    settings.MONEY_SECOND_FACTOR = settings.STAFF_SECOND_FACTOR = True
    settings.MFA_TOTP_TOLERANCE = 1


@pytest.fixture
def dora() -> User:
    return User.objects.create_user("dora@example.com")


def browser(user: User) -> Client:
    client = Client(headers={"accept": "application/json"})
    client.force_login(user)
    return client


def request_of(client: Client, user: User, rf):
    request = rf.get("/")
    request.session, request.user = client.session, user
    return request


def code(answer) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code", "")


def test_s12_a_proof_approves_one_transaction_and_no_other(dora, rf):
    guard(dora)
    client = browser(dora)
    prove(client)
    request = request_of(client, dora, rf)

    step_up_require(request, approves="withdrawal:1:25.00")
    step_up_require(request, approves="withdrawal:1:25.00")
    with pytest.raises(ServiceError, match="another transaction") as refused:
        step_up_require(request, approves="withdrawal:1:2500.00")

    assert (refused.value.code, refused.value.http_status) == ("STEP_UP_REQUIRED", 403)
    # What moves no money is not bound, and a new proof is good for the next transaction.
    step_up_require(request)
    prove(client, age_s=-1)
    step_up_require(request_of(client, dora, rf), approves="withdrawal:1:2500.00")


def test_s12_without_its_notes_nothing_is_approved(dora, rf, settings):
    from apps.common import rate_limits

    guard(dora)
    client = browser(dora)
    prove(client)
    settings.REDIS_URL = "unix:///nowhere/valkey.sock"
    rate_limits._script.cache_clear()

    with pytest.raises(ServiceError) as refused:
        step_up_require(request_of(client, dora, rf), approves="withdrawal:1:25.00")

    rate_limits._script.cache_clear()
    assert refused.value.http_status == 503


def test_s14_money_needs_a_second_factor_and_not_only_the_mailbox(dora, rf):
    client = browser(dora)
    prove(client, by_factor=False)

    with pytest.raises(ServiceError) as refused:
        step_up_require(request_of(client, dora, rf), needs_factor=True)
    assert (refused.value.code, refused.value.http_status) == ("SECOND_FACTOR_NEEDED", 403)
    step_up_require(request_of(client, dora, rf))

    guard(dora)
    with pytest.raises(ServiceError) as stale:
        step_up_require(request_of(client, dora, rf), needs_factor=True)
    assert stale.value.code == "STEP_UP_REQUIRED"
    prove(client)
    step_up_require(request_of(client, dora, rf), needs_factor=True)


def test_s14_a_key_needs_a_second_factor(dora):
    client = browser(dora)
    prove(client, by_factor=False)

    answer = client.post("/api/v1/keys", KEY, content_type="application/json")

    assert code(answer) == (403, "SECOND_FACTOR_NEEDED")
    assert not ApiKey.objects.exists()


def test_s14_the_rest_routes_of_staff_need_a_second_factor_too(dora):
    bob = User.objects.create_superuser("bob@example.com")
    clients = {user: browser(user) for user in (bob, dora)}

    def ask(client: Client) -> int:
        # A field that the route refuses: who gets past its door is told 400.
        body = json.dumps({"force": "perhaps"})
        return client.post(REFRESH, body, content_type="application/json").status_code

    assert [ask(client) for client in clients.values()] == [403, 403]
    guard(bob)
    assert ask(clients[bob]) == 403
    prove(clients[bob])
    assert ask(clients[bob]) == 400
    guard(dora)
    prove(clients[dora])
    assert ask(clients[dora]) == 403


def test_s14_a_device_of_staff_has_shown_the_factor_when_it_signed_in(stream_prefix):
    from apps.auth.facade import login_link_create

    bob = User.objects.create_superuser("bob@example.com")

    def device(factor: str = "") -> str:
        url = login_link_create(bob.email).url + (f"&factor={factor}" if factor else "")
        answer = Client(headers={"accept": "application/json"}).get(url)
        return answer.json()["data"]["accessToken"]

    def ask(token: str) -> int:
        session_cache.clear()
        headers = {"accept": "application/json", "authorization": f"Bearer {token}"}
        body = json.dumps({"force": "perhaps"})
        return (
            Client()
            .post(REFRESH, body, content_type="application/json", headers=headers)
            .status_code
        )

    early = device()
    assert ask(early) == 403
    guard(bob)
    assert ask(early) == 403
    late = device(totp_code())
    assert ask(late) == 400
    assert Device.objects.count() == 2
