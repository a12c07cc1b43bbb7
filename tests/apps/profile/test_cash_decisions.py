"""What the engine decided about cash reaches the requests behind it: however many at once, by a few statements."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.auth.models import User
from apps.common.clock import datetime_from_us, now_us
from apps.notifications.models import Delivery
from apps.profile.choices import CashKind, CashState
from apps.profile.facade import CashDecision, cash_decided
from apps.profile.models import CashOutbox, CashRequest, TradingAccount
from apps.profile.services.cash import cash_request_create, cash_request_send
from engine.messages.rejects import RejectCode
from engine.values import CashKind as EngineCashKind

pytestmark = [pytest.mark.integration, pytest.mark.django_db]

NOW_US = now_us()
DEPOSIT = EngineCashKind.DEPOSIT


def accounts(count: int) -> list[TradingAccount]:
    return [
        TradingAccount.objects.create(
            user=User.objects.create(email=f"user{number}@example.com"),
            kind="live",
            group="standard",
        )
        for number in range(count)
    ]


def wish(account: TradingAccount, kind: CashKind = CashKind.DEPOSIT) -> CashRequest:
    number = CashRequest.objects.count()
    return cash_request_create(
        account_id=account.pk,
        kind=kind,
        amount_micros=5_000_000,
        method="bank",
        reference=f"r{number}",
    )


def decision(request: CashRequest, kind=DEPOSIT, code=None) -> CashDecision:
    """Decide about a request's newest command."""
    row = CashOutbox.objects.filter(request=request).latest("cash_seq")
    return CashDecision(row.account_id, row.cash_seq, kind, code, NOW_US)


def statements_of(decisions: list[CashDecision]) -> int:
    with CaptureQueriesContext(
        connection,
    ) as queries:
        cash_decided(decisions)
    return len(queries)


def test_a_burst_of_deposits_takes_as_many_statements_as_one():
    requests = [wish(account) for account in accounts(5) for _ in range(6)]
    decisions = [decision(request) for request in requests]

    one, many = statements_of(decisions[:1]), statements_of(decisions[1:])

    assert many == one
    rows = CashRequest.objects.values_list("state", "code", "decided_at").distinct()
    assert list(rows.order_by()) == [(CashState.SETTLED, "", datetime_from_us(NOW_US))]
    mails = Delivery.objects.filter(channel="mail")
    assert mails.count() == len(requests)


def test_each_of_a_burst_gets_what_was_decided_about_it():
    first, second = accounts(2)
    paid, refused, out = wish(first), wish(second), wish(first, CashKind.WITHDRAWAL)
    unasked = wish(second)
    reserved = decision(out, EngineCashKind.WITHDRAWAL)
    cash_request_send(request=out, kind=CashKind.RETURN)
    # Of the account's own numbers: one that no row stands behind.
    elsewhere = CashDecision(second.pk, 99, DEPOSIT, None, NOW_US)

    cash_decided(
        [
            decision(paid),
            decision(refused, code=RejectCode.ACCOUNT_SUSPENDED),
            reserved,
            elsewhere,
            decision(out, EngineCashKind.RETURN),
        ]
    )

    states = {row.pk: (row.state, row.code) for row in CashRequest.objects.all()}
    assert states == {
        paid.pk: (CashState.SETTLED, ""),
        refused.pk: (CashState.REFUSED, "ACCOUNT_SUSPENDED"),
        out.pk: (CashState.RETURNED, ""),
        unasked.pk: (CashState.PENDING, ""),
    }
    told = Delivery.objects.filter(channel="mail", user=first.user, event="withdrawal")
    assert [row.facts["state"] for row in told.order_by("id")] == [
        "waiting for approval",
        "returned to the account",
    ]
