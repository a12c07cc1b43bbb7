"""Accounts and cash on a real engine: opened once, credited once, whatever is repeated or interrupted."""

import threading
from decimal import Decimal

import pytest
from django.db import connection
from rest_framework.test import APIClient

from apps.auth.models import User
from apps.common.engine_gateway import gateway_install
from apps.common.errors import EngineBusyError
from apps.common.exact_json import json_decode
from apps.profile.choices import AccountKind as ProfileKind
from apps.profile.choices import CashKind, CashState
from apps.profile.facade import account_for, account_for_async, demo_account_seed
from apps.profile.models import CashOutbox, CashRequest, TradingAccount
from apps.profile.services.accounts import AccountUnknownError, account_ensure_row
from apps.profile.services.cash import cash_request_create
from apps.profile.tasks import CashRelay
from engine.messages.commands import OpenAccount
from engine.values import AccountKind, Actor
from tests.integration.engine_log import wait_for

pytestmark = pytest.mark.integration


def balance(client: APIClient) -> Decimal:
    return json_decode(client.get("/api/v1/balance").content)["data"]["message"]


def test_ensure_user_opens_one_demo_account_with_its_money_however_often_it_is_asked(live):
    user = User.objects.create(email="dora@example.com")
    client = live.client(user)

    answers = [json_decode(client.post("/api/v1/auth/ensure-user").content) for _ in range(3)]

    account = TradingAccount.objects.get(user=user)
    assert account.pk >= 1001
    assert answers[0]["data"] == {
        "userId": user.pk,
        "accountId": account.pk,
        "accounts": [
            {
                "accountId": account.pk,
                "kind": "demo",
                "name": "",
                "group": "standard",
                "isDefault": True,
                "isOpen": True,
            }
        ],
    }
    assert answers[1] == answers[2] == answers[0]
    assert balance(client) == Decimal(10_000)


def seed_in_thread(user_id: int) -> None:
    try:
        demo_account_seed(user_id)
    finally:
        connection.close()


def test_ten_at_once_make_one_account_and_one_deposit(live):
    user = User.objects.create(email="dora@example.com")
    threads = [threading.Thread(target=seed_in_thread, args=(user.pk,)) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert TradingAccount.objects.filter(user=user).count() == 1
    assert CashOutbox.objects.count() == 1
    assert balance(live.client(user)) == Decimal(10_000)


def test_a_user_without_an_account_is_told_what_to_do(live):
    user = User.objects.create(email="dora@example.com")

    response = live.client(user).get("/api/v1/balance")

    assert response.status_code == 404
    assert "ensure-user" in json_decode(response.content)["message"]


def test_what_could_not_be_sent_is_sent_later(live):
    user = User.objects.create(email="dora@example.com")
    gateway_install(None)
    with pytest.raises(EngineBusyError):
        demo_account_seed(user.pk)
    gateway_install(live.gateway)

    relay = CashRelay()
    thread = threading.Thread(target=relay.run)
    thread.start()
    wait_for(CashOutbox.objects.filter(answered_at__isnull=False).exists, "the relay")
    relay.stop()
    thread.join(10)

    assert balance(live.client(user)) == Decimal(10_000)


def test_cash_goes_out_in_order_and_the_projector_tells_what_became_of_it(live):
    user, account = live.user()
    for amount_usd, reference in [(50, "a"), (20_000, "b"), (7, "c")]:
        kind = CashKind.WITHDRAWAL if reference == "b" else CashKind.DEPOSIT
        cash_request_create(
            account_id=account.id,
            kind=kind,
            amount_micros=amount_usd * 1_000_000,
            method="bank",
            reference=reference,
        )

    relay = CashRelay()
    answered = [relay.relay_once() for _ in range(4)]
    live.project()

    assert answered == [1, 1, 1, 0]
    states = CashRequest.objects.filter(method="bank").order_by("id")
    assert [(row.state, row.code) for row in states] == [
        (CashState.SETTLED, ""),
        (CashState.REFUSED, "WITHDRAWABLE_INSUFFICIENT"),
        (CashState.SETTLED, ""),
    ]
    assert balance(live.client(user)) == Decimal(10_057)


def test_a_command_whose_answer_was_lost_is_decided_once(live):
    _, account = live.user()
    # As if the process had been killed between the engine's answer and the note of it.
    CashOutbox.objects.update(answered_at=None)

    relayed = CashRelay().relay_once()
    live.project()

    assert relayed == 1
    assert CashRequest.objects.get().state == CashState.SETTLED
    assert account.id == CashOutbox.objects.get().account_id


def test_one_account_that_is_refused_does_not_hold_up_the_others(live):
    bad, good = (User.objects.create(email=f"{name}@example.com") for name in ("bad", "good"))
    refused = account_ensure_row(user_id=bad.pk)
    TradingAccount.objects.filter(pk=refused.pk).update(group="absent")
    account_ensure_row(user_id=good.pk)

    assert CashRelay().relay_once() == 1
    assert balance(live.client(good)) == Decimal(10_000)


def test_a_live_account_that_is_refused_holds_up_nobodys_cash(live):
    bad, good = (User.objects.create(email=f"{name}@example.com") for name in ("bad", "good"))
    TradingAccount.objects.create(
        user=bad, kind=ProfileKind.LIVE, group="absent", is_approved=True, is_default=True
    )
    account_ensure_row(user_id=good.pk)

    assert CashRelay().relay_once() == 1
    assert balance(live.client(good)) == Decimal(10_000)


def test_an_account_that_the_engine_knows_already_is_taken_as_open(live):
    user = User.objects.create(email="dora@example.com")
    row = account_ensure_row(user_id=user.pk)
    live.send(
        OpenAccount(
            request_id="earlier",
            actor=Actor.SYSTEM,
            account=row.pk,
            owner_id=user.pk,
            kind=AccountKind.DEMO,
            group="standard",
        )
    )

    assert demo_account_seed(user.pk).is_open


def test_an_account_is_only_its_owners(live):
    dora, hers = live.user()
    eve, other = live.user()

    found = live.gateway.run(account_for_async(dora.pk, hers.id))

    assert account_for(dora.pk) == account_for(dora.pk, hers.id) == found
    with pytest.raises(AccountUnknownError):
        account_for(eve.pk, hers.id)
    assert account_for(eve.pk) == other
