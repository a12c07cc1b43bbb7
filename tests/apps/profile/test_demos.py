"""Several demo accounts of one user: opened, topped up, reset, renamed; on a real engine."""

import threading
from decimal import Decimal

import pytest
from django.db import connection
from rest_framework.test import APIClient

from apps.common.errors import EngineTimeoutError
from apps.common.exact_json import json_decode
from apps.profile.models import CashRequest, TradingAccount

pytestmark = pytest.mark.integration

ACCOUNTS = "/api/v1/accounts"
ORDER = {"symbol": "BTCUSDT", "type": "buy", "quantity": "0.1", "leverage": 10}


def data(response) -> dict:
    return json_decode(response.content)["data"]


def code(response) -> tuple[int, str]:
    return response.status_code, json_decode(response.content)["code"]


def balance(client: APIClient, account: int) -> Decimal:
    return data(client.get("/api/v1/balance", {"accountId": account}))["message"]


def test_a_second_demo_opens_at_once_with_its_own_money(live):
    user, first = live.user()
    client = live.client(user)

    opened = client.post(ACCOUNTS, {"kind": "demo", "name": "Scalping"})

    assert opened.status_code == 201
    second = data(opened)
    assert second == {
        "accountId": second["accountId"],
        "kind": "demo",
        "name": "Scalping",
        "group": "standard",
        "isDefault": False,
        "isOpen": True,
    }
    assert [row["accountId"] for row in data(client.get(ACCOUNTS))] == [
        first.id,
        second["accountId"],
    ]
    assert balance(client, second["accountId"]) == 10_000


def test_twenty_at_once_do_not_make_more_demos_than_there_may_be(live):
    user, _ = live.user()
    codes: list[int] = []

    def open_one() -> None:
        try:
            codes.append(live.client(user).post(ACCOUNTS, {}).status_code)
        finally:
            connection.close()

    threads = [threading.Thread(target=open_one) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert sorted(codes) == [201] * 4 + [409] * 16
    assert TradingAccount.objects.filter(user=user).count() == 5


def test_a_top_up_is_credited_once_however_often_it_is_sent(live):
    user, account = live.user()
    client = live.client(user)
    path = f"{ACCOUNTS}/{account.id}/topUp"

    answers = [
        client.post(path, {"amount": "500.25"}, headers={"idempotency-key": "a-1"})
        for _ in range(3)
    ]
    other = client.post(path, {"amount": 500}, headers={"idempotency-key": "a-1"})

    assert [data(answer)["amount"] for answer in answers] == [Decimal("500.250000")] * 3
    assert code(other) == (409, "EXISTS_WITH_DIFFERENT_CONTENT")
    assert balance(client, account.id) == Decimal("10500.25")


@pytest.mark.parametrize("amount", [0, "-1", "1000000.000001", "0.0000001", "1e3", "NaN", True])
def test_s19_a_top_up_of_no_good_amount_is_refused(live, amount):
    user, account = live.user()

    answer = live.client(user).post(f"{ACCOUNTS}/{account.id}/topUp", {"amount": amount})

    assert answer.status_code == 400
    assert CashRequest.objects.filter(reference__startswith="top-up").count() == 0


def test_a_reset_sets_the_balance_back_in_both_directions(live):
    user, account = live.user()
    client = live.client(user)
    client.post(f"{ACCOUNTS}/{account.id}/topUp", {"amount": 77})

    for _ in range(2):
        assert client.post(f"{ACCOUNTS}/{account.id}/reset").status_code == 200

    assert balance(client, account.id) == 10_000
    assert CashRequest.objects.filter(reference="reset").count() == 1


def test_a_reset_whose_answer_was_lost_is_one_and_takes_nothing_from_what_follows(
    live, monkeypatch
):
    user, account = live.user()
    client = live.client(user)
    client.post(f"{ACCOUNTS}/{account.id}/topUp", {"amount": 77})
    send = live.gateway.send_sync

    def send_and_hear_nothing(command):
        send(command)
        raise EngineTimeoutError(request_id=command.request_id, timeout_ms=1)

    with monkeypatch.context() as deaf:
        deaf.setattr(live.gateway, "send_sync", send_and_hear_nothing)
        lost = code(client.post(f"{ACCOUNTS}/{account.id}/reset"))
    topped_up = client.post(f"{ACCOUNTS}/{account.id}/topUp", {"amount": 500})
    live.project()

    assert lost == (408, "OUTCOME_UNKNOWN")
    assert topped_up.status_code == 200
    assert balance(client, account.id) == 10_500
    assert set(CashRequest.objects.values_list("state", flat=True)) == {"settled"}


def test_a_reset_waits_until_nothing_is_open(live):
    user, account = live.user()
    client = live.client(user)
    live.price(100_000, 100_010)
    order = {"symbol": "BTCUSDT", "type": "buy", "quantity": "0.1", "leverage": 10}
    created = client.post("/api/v1/trade/create", order)
    assert created.status_code == 200

    assert code(client.post(f"{ACCOUNTS}/{account.id}/reset")) == (409, "ACCOUNT_NOT_FLAT")


def test_the_default_account_can_be_changed_and_a_name_given(live):
    user, first = live.user()
    client = live.client(user)
    second = data(client.post(ACCOUNTS, {}))["accountId"]

    changed = client.patch(f"{ACCOUNTS}/{second}", {"name": "Main", "isDefault": True})

    assert data(changed)["isDefault"] is True
    rows = {row["accountId"]: row for row in data(client.get(ACCOUNTS))}
    assert (rows[first.id]["isDefault"], rows[second]["isDefault"]) == (False, True)
    assert rows[second]["name"] == "Main"
    assert data(client.get("/api/v1/balance"))["accountId"] == second


@pytest.mark.parametrize(
    ("path", "order", "status"),
    [
        ("/api/v1/trade/create", ORDER, 200),
        # A refusal, and what finds nothing to do, are no events of the account.
        ("/api/v1/trade/create", ORDER | {"leverage": 1_000}, 400),
        ("/api/v1/trade/closeAll", {}, 200),
    ],
)
def test_a_request_without_an_account_is_carried_out_once_when_the_default_changes(
    live, path, order, status
):
    user, first = live.user()
    client = live.client(user)
    second = data(client.post(ACCOUNTS, {}))["accountId"]
    live.price(100_000, 100_010)
    live.project()
    request = order | {"clientOrderId": "once"}
    sent = client.post(path, request)
    client.patch(f"{ACCOUNTS}/{second}", {"isDefault": True})

    too_early = code(client.post(path, request))
    live.project()
    repeated = client.post(path, request)
    live.project()
    told = client.get("/api/v1/trade/requests/once")
    fresh = client.post(path, order | {"clientOrderId": "another"})
    of_no_repeat = client.post(path, order)
    live.project()
    told_of_fresh = client.get("/api/v1/trade/requests/another")

    assert too_early == (503, "ENGINE_BUSY")
    assert (sent.status_code, repeated.content) == (status, sent.content)
    assert data(told)["accountId"] == first.id
    # What has no id of its own cannot be a repeat, and waits for nothing.
    assert (fresh.status_code, of_no_repeat.status_code) == (status, status)
    assert data(told_of_fresh)["accountId"] == second


def test_an_account_is_opened_once_however_often_it_is_asked_for(live):
    user, _ = live.user()
    client = live.client(user)
    key = {"HTTP_IDEMPOTENCY_KEY": "open-1"}

    opened, again = (client.post(ACCOUNTS, {"name": "Scalping"}, **key) for _ in range(2))
    client.patch(f"{ACCOUNTS}/{data(opened)['accountId']}", {"name": "Swing"})
    renamed = client.post(ACCOUNTS, {"name": "Scalping"}, **key)
    other = code(client.post(ACCOUNTS, {"name": "Swing"}, **key))

    assert (opened.status_code, again.content) == (201, opened.content)
    assert data(renamed)["accountId"] == data(opened)["accountId"]
    assert other == (409, "EXISTS_WITH_DIFFERENT_CONTENT")
    assert len(data(client.get(ACCOUNTS))) == 2


def test_s16_accounts_of_others_do_not_exist(live):
    _, foreign = live.user()
    user, _ = live.user()
    client = live.client(user)

    answers = [
        client.post(f"{ACCOUNTS}/{foreign.id}/topUp", {}),
        client.post(f"{ACCOUNTS}/{foreign.id}/reset"),
        client.patch(f"{ACCOUNTS}/{foreign.id}", {"name": "mine"}),
    ]

    assert [code(answer) for answer in answers] == [(404, "ACCOUNT_UNKNOWN")] * 3


def test_s18_fields_that_are_not_the_owners_are_refused(live):
    user, account = live.user()
    client = live.client(user)

    for field in ("balance", "user", "group", "kind", "leverage"):
        answer = client.patch(f"{ACCOUNTS}/{account.id}", {field: "1"})
        assert code(answer) == (400, "INVALID")
