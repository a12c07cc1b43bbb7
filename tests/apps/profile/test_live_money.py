"""Real money: KYC, live accounts, deposits and withdrawals with four eyes, on a real engine (S-12, S-16, S-20, S-21, S-37)."""

import json
import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from apps.auth.models import User
from apps.auth.services.people import person_delete
from apps.common.audit import audit_verify
from apps.common.errors import ServiceError
from apps.common.exact_json import json_decode
from apps.common.models import OutboxEffect
from apps.common.outbox import outbox_run
from apps.common.people import person_export
from apps.notifications.models import Delivery
from apps.profile.choices import CashState, KycState
from apps.profile.models import CashOutbox, CashRequest, KycDocument, KycFile, TradingAccount
from apps.profile.services.cash import cash_send_all
from apps.profile.services.kyc import kyc_decide
from apps.profile.services.kyc_documents import document_add
from apps.profile.services.payments import provider_for
from apps.profile.services.requests import request_approve, request_return
from apps.profile.tasks import CashRelay
from apps.trade.models import LedgerEntry
from apps.trade.services.projection.rebuild import read_models_rebuild

pytestmark = pytest.mark.integration

API = "/api/v1"
IDENTITY = {
    "fullName": "Dora Example",
    "birthDate": "1990-02-28",
    "country": "de",
    "address": "1 Example Street, Example",
    "documentKind": "passport",
    "documentNumber": "X1234567",
}


@pytest.fixture(autouse=True)
def ways_to_pay(settings):
    settings.PAYMENT_PROVIDERS = ["bank", "test"]


def data(response) -> dict:
    return json_decode(response.content)["data"]


def code(response) -> tuple[int, str]:
    return response.status_code, json_decode(response.content)["code"]


class Desk:
    """A person with a live account, two members of the staff, and what they do."""

    def __init__(self, live) -> None:
        self.live = live
        self.user = User.objects.create(email="dora@example.com")
        self.first, self.second = (
            User.objects.create(email=f"{name}@example.com", is_staff=True)
            for name in ("bob", "eve")
        )
        self.client = signed_in(self.user)
        self.account = 0

    def open(self) -> "Desk":
        self.account = data(self.client.post(f"{API}/accounts/live", {"name": "Real"}))["accountId"]
        self.client.post(f"{API}/kyc", IDENTITY)
        kyc_decide(
            file_id=KycFile.objects.get(user=self.user).pk,
            staff_id=self.first.pk,
            is_approved=True,
            reason="",
        )
        CashRelay().relay_once()
        return self

    def prove(self) -> None:
        """Sign in again, at a moment of its own: each proof approves one withdrawal."""
        session = self.client.session
        session["proved_at"] = session["proved_at"] + 1
        session.save()

    def ask(self, kind: str, amount: object, key: str = "k1", *, proves: bool = True, **more):
        if kind == "withdrawals" and proves:
            self.prove()
        body = {"amount": amount, "method": "test", **more}
        if kind == "withdrawals":
            body.setdefault("destination", "my bank")
        return self.client.post(
            f"{API}/accounts/{self.account}/{kind}", body, headers={"idempotency-key": key}
        )

    def pay_in(self, amount: object) -> None:
        made = data(self.ask("deposits", amount, key=f"in-{amount}"))
        self.approve(made["id"])

    def approve(self, cash_id: int) -> None:
        self.settle()
        request_approve(cash_id=cash_id, staff_id=self.first.pk)
        request_approve(cash_id=cash_id, staff_id=self.second.pk)
        self.settle()

    def settle(self) -> None:
        cash_send_all(account_id=self.account)
        self.live.project()

    def state(self, cash_id: int) -> str:
        self.settle()
        return CashRequest.objects.get(pk=cash_id).state

    def balance(self) -> Decimal:
        return data(self.client.get(f"{API}/balance", {"accountId": self.account}))["message"]


def signed_in(user: User) -> APIClient:
    """Sign a browser in that has just proved who is there."""
    client = APIClient()
    client.force_login(user)
    session = client.session
    session["proved_at"] = int(timezone.now().timestamp())
    session.save()
    return client


@pytest.fixture
def desk(live) -> Desk:
    return Desk(live)


# --- KYC and live accounts --------------------------------------------------------------------------------------------


def test_a_live_account_opens_only_once_its_owner_is_known(desk):
    applied = desk.client.post(f"{API}/accounts/live", {})
    desk.account = data(applied)["accountId"]
    CashRelay().relay_once()

    assert applied.status_code == 201
    assert data(applied)["isOpen"] is False
    assert code(desk.ask("deposits", 10)) == (409, "ACCOUNT_NOT_OPEN")
    assert data(desk.client.get(f"{API}/kyc"))["state"] == "none"
    assert data(desk.client.post(f"{API}/kyc", IDENTITY))["state"] == "submitted"
    assert code(desk.client.post(f"{API}/kyc", IDENTITY)) == (409, "KYC_NOT_OPEN")

    kyc_decide(
        file_id=KycFile.objects.get().pk, staff_id=desk.first.pk, is_approved=True, reason=""
    )
    CashRelay().relay_once()

    assert TradingAccount.objects.get(pk=desk.account).is_open
    assert data(desk.client.get(f"{API}/kyc"))["depositPerDay"] == 50_000
    assert desk.balance() == 0


def test_nobody_decides_on_an_own_file_and_none_is_decided_twice(desk):
    desk.client.post(f"{API}/kyc", IDENTITY)
    file_id = KycFile.objects.get().pk

    with pytest.raises(ServiceError, match="own file"):
        kyc_decide(file_id=file_id, staff_id=desk.user.pk, is_approved=True, reason="")
    kyc_decide(file_id=file_id, staff_id=desk.first.pk, is_approved=False, reason="blurred")
    with pytest.raises(ServiceError, match="submitted"):
        kyc_decide(file_id=file_id, staff_id=desk.first.pk, is_approved=True, reason="")
    assert data(desk.client.get(f"{API}/kyc"))["reason"] == "blurred"
    assert desk.client.post(f"{API}/kyc", IDENTITY).status_code == 201


@pytest.mark.parametrize(
    "change",
    [
        {"birthDate": "2020-01-01"},
        {"birthDate": "1850-01-01"},
        {"country": "D"},
        {"documentKind": "library card"},
        {"state": "approved"},
        {"fullName": ""},
    ],
)
def test_s18_a_file_that_is_no_good_is_refused(desk, change):
    answer = desk.client.post(f"{API}/kyc", IDENTITY | change)

    assert code(answer) == (400, "INVALID")
    assert not KycFile.objects.exists()


def test_limits_follow_the_state_of_the_file(desk):
    desk.open().pay_in(40_000)

    refused = desk.ask("deposits", 10_001, key="more")
    assert code(refused) == (403, "KYC_LIMIT")
    words = json_decode(refused.content)["message"]
    assert "at most 50000.00 USD may move within 24 hours, of which 40000.00 are used" in words
    KycFile.objects.update(expires_at=timezone.now())
    assert data(desk.client.get(f"{API}/kyc"))["state"] == KycState.EXPIRED
    assert code(desk.ask("deposits", 1, key="expired")) == (403, "KYC_LIMIT")
    assert desk.ask("withdrawals", 1, key="out").status_code == 201


def test_guests_have_no_real_money(live):
    client = signed_in(User.objects.create(email="guest-1@guest.invalid", is_guest=True))

    assert code(client.post(f"{API}/accounts/live", {})) == (403, "GUEST_FORBIDDEN")
    assert code(client.post(f"{API}/kyc", IDENTITY)) == (403, "GUEST_FORBIDDEN")


# --- deposits and withdrawals -----------------------------------------------------------------------------------------


def test_s37_a_deposit_is_credited_after_two_people_have_agreed(desk):
    made = data(desk.open().ask("deposits", "250.50"))

    assert (made["state"], made["instructions"]["reference"]) == ("requested", made["reference"])
    request_approve(cash_id=made["id"], staff_id=desk.first.pk)
    with pytest.raises(ServiceError, match="second person"):
        request_approve(cash_id=made["id"], staff_id=desk.first.pk)
    assert desk.balance() == 0
    request_approve(cash_id=made["id"], staff_id=desk.second.pk)
    with pytest.raises(ServiceError, match="waits for approval"):
        request_approve(cash_id=made["id"], staff_id=desk.first.pk)

    assert desk.state(made["id"]) == CashState.SETTLED
    assert desk.balance() == Decimal("250.50")


def test_a_withdrawal_is_set_aside_at_once_and_paid_out_after_approval(desk):
    desk.open().pay_in(100)

    made = data(desk.ask("withdrawals", 60))

    assert desk.balance() == 40
    assert desk.state(made["id"]) == CashState.RESERVED
    desk.approve(made["id"])
    assert desk.state(made["id"]) == CashState.SETTLED
    assert desk.balance() == 40


def test_a_returned_withdrawal_is_back_on_the_account_once(desk):
    desk.open().pay_in(100)
    made = data(desk.ask("withdrawals", 60))
    desk.settle()

    request_return(cash_id=made["id"], staff_id=desk.first.pk)
    with pytest.raises(ServiceError, match="waits for approval"):
        request_return(cash_id=made["id"], staff_id=desk.second.pk)

    assert desk.state(made["id"]) == CashState.RETURNED
    assert desk.balance() == 100


def test_the_owner_takes_back_what_nobody_has_approved(desk):
    desk.open().pay_in(100)
    deposit = data(desk.ask("deposits", 5, key="d"))["id"]
    taken, approved = (data(desk.ask("withdrawals", 10, key=key))["id"] for key in "ab")
    desk.settle()
    request_approve(cash_id=approved, staff_id=desk.first.pk)
    base = f"{API}/accounts/{desk.account}"

    assert data(desk.client.delete(f"{base}/deposits/{deposit}"))["state"] == "cancelled"
    assert data(desk.client.delete(f"{base}/withdrawals/{taken}"))["state"] == "returning"
    late = desk.client.delete(f"{base}/withdrawals/{approved}")
    assert code(late) == (409, "CASH_REQUEST_STATE")
    assert desk.state(taken) == CashState.RETURNED
    assert desk.balance() == 90


def test_more_than_is_withdrawable_is_refused(desk):
    desk.open().pay_in(100)

    answer = desk.ask("withdrawals", "100.01")

    assert code(answer) == (400, "WITHDRAWABLE_INSUFFICIENT")
    assert not CashRequest.objects.filter(kind="withdrawal").exists()
    assert desk.balance() == 100


def test_s20_the_same_request_is_one_and_another_content_is_refused(desk):
    desk.open().pay_in(100)

    same = [data(desk.ask("withdrawals", 10))["id"] for _ in range(3)]

    assert len(set(same)) == 1
    assert code(desk.ask("withdrawals", 11)) == (409, "EXISTS_WITH_DIFFERENT_CONTENT")
    assert code(desk.ask("withdrawals", 10, destination="elsewhere")) == (
        409,
        "EXISTS_WITH_DIFFERENT_CONTENT",
    )
    without = desk.client.post(
        f"{API}/accounts/{desk.account}/withdrawals",
        {"amount": 1, "method": "test", "destination": "x"},
    )
    assert code(without) == (400, "INVALID")
    assert desk.balance() == 90


def test_s21_of_fifty_parallel_withdrawals_of_everything_one_succeeds(desk):
    desk.open().pay_in(100)
    barrier = threading.Barrier(25)
    codes: list[int] = []

    def withdraw(first: int) -> None:
        try:
            client = APIClient()
            client.force_login(desk.user)
            barrier.wait(60)
            for number in (first, first + 25):
                session = client.session
                session["proved_at"] = int(timezone.now().timestamp()) + number
                session.save()
                answer = client.post(
                    f"{API}/accounts/{desk.account}/withdrawals",
                    {"amount": 100, "method": "test", "destination": "x"},
                    headers={"idempotency-key": f"race-{number}"},
                )
                codes.append(answer.status_code)
        finally:
            connection.close()

    threads = [threading.Thread(target=withdraw, args=(number,)) for number in range(25)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(240)
    desk.settle()

    assert len(codes) == 50
    assert not CashOutbox.objects.filter(answered_at=None).exists()
    states = list(CashRequest.objects.filter(kind="withdrawal").values_list("state", flat=True))
    assert states.count(CashState.RESERVED) == 1
    assert set(states) <= {CashState.RESERVED, CashState.REFUSED}
    assert desk.balance() == 0


def test_parallel_deposits_to_several_accounts_keep_to_one_limit_together(desk):
    desk.open()
    more = [data(desk.client.post(f"{API}/accounts/live", {}))["accountId"] for _ in range(3)]
    accounts = [desk.account, *more]
    CashRelay().relay_once()
    barrier = threading.Barrier(len(accounts))
    answers: list[tuple[int, str]] = []

    def pay_in(account: int) -> None:
        try:
            client = signed_in(desk.user)
            barrier.wait(60)
            answer = client.post(
                f"{API}/accounts/{account}/deposits",
                {"amount": 50_000, "method": "test"},
                headers={"idempotency-key": "all"},
            )
            answers.append((answer.status_code, json_decode(answer.content).get("code", "")))
        finally:
            connection.close()

    threads = [threading.Thread(target=pay_in, args=(account,)) for account in accounts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)

    assert sorted(answers) == [(201, ""), *[(403, "KYC_LIMIT")] * 3]


def test_s12_a_withdrawal_needs_a_fresh_proof(desk):
    desk.open().pay_in(100)
    session = desk.client.session
    session["proved_at"] = 0
    session.save()

    assert code(desk.ask("withdrawals", 10, proves=False)) == (403, "STEP_UP_REQUIRED")
    assert desk.balance() == 100


def test_s12_a_proof_that_approved_one_withdrawal_approves_no_other(desk):
    desk.open().pay_in(100)
    desk.prove()

    first = desk.ask("withdrawals", 10, key="a", proves=False)
    again = desk.ask("withdrawals", 10, key="a", proves=False)
    more = desk.ask("withdrawals", 90, key="b", proves=False)
    elsewhere = desk.ask("withdrawals", 10, key="c", proves=False, destination="a thief")

    assert (first.status_code, again.status_code) == (201, 201)
    assert code(more) == code(elsewhere) == (403, "STEP_UP_REQUIRED")
    assert desk.balance() == 90


@pytest.mark.parametrize("amount", [0, -1, "0.001", "1e2", "NaN", "", True, None])
def test_s19_an_amount_that_is_none_is_refused(desk, amount):
    answer = desk.open().ask("deposits", amount)

    assert answer.status_code == 400
    assert not CashRequest.objects.exists()


def test_s16_money_of_others_is_out_of_reach(desk):
    desk.open().pay_in(100)
    made = data(desk.ask("deposits", 5))["id"]
    thief = signed_in(User.objects.create(email="thief@example.com"))
    base = f"{API}/accounts/{desk.account}"
    body = {"amount": 1, "method": "test", "destination": "thief"}
    key = {"idempotency-key": "x"}

    answers = [
        thief.get(f"{base}/deposits"),
        thief.get(f"{base}/withdrawals"),
        thief.post(f"{base}/withdrawals", body, headers=key),
        thief.post(f"{base}/deposits", {"amount": 1, "method": "test"}, headers=key),
        thief.delete(f"{base}/deposits/{made}"),
    ]

    assert [code(answer) for answer in answers] == [(404, "ACCOUNT_UNKNOWN")] * 5


def test_staff_decides_on_nothing_of_its_own(desk):
    made = data(desk.open().ask("deposits", 5))["id"]

    with pytest.raises(ServiceError, match="own request"):
        request_approve(cash_id=made, staff_id=desk.user.pk)


def test_a_bank_pays_to_an_iban():
    assert (
        provider_for("bank").destination_checked("gb82 west 1234 5698 7654 32")
        == "GB82WEST12345698765432"
    )


@pytest.mark.parametrize(
    "iban", ["DE89370400440532013001", "", "my bank", "DE89", "DE8937040044053201300\u0660"]
)
def test_a_bank_pays_to_nothing_else(iban):
    with pytest.raises(ServiceError, match="expected an IBAN"):
        provider_for("bank").destination_checked(iban)


def test_a_way_to_pay_that_is_not_offered_is_refused(settings):
    settings.PAYMENT_PROVIDERS = ["bank"]

    with pytest.raises(ServiceError, match="expected one of bank"):
        provider_for("test")


# --- what people are told ---------------------------------------------------------------------------------------------


def told(event: str) -> list[tuple[str, ...]]:
    """Return the mails about an event in their order: amount or reason, and the state."""
    rows = Delivery.objects.filter(event=event, channel="mail").order_by("id")
    return [(row.facts.get("amount", row.facts.get("reason")), row.facts["state"]) for row in rows]


def test_each_state_of_a_deposit_and_a_withdrawal_is_told_once(desk):
    desk.open()
    cancelled = data(desk.ask("deposits", 5, key="cancelled"))["id"]
    desk.client.delete(f"{API}/accounts/{desk.account}/deposits/{cancelled}")
    desk.pay_in("250.50")
    kept = data(desk.ask("withdrawals", 50, key="kept"))["id"]
    desk.approve(kept)
    returned = data(desk.ask("withdrawals", "0.10", key="returned"))["id"]
    desk.settle()
    request_return(cash_id=returned, staff_id=desk.first.pk)
    desk.settle()
    read_models_rebuild()

    assert told("deposit") == [
        ("5.00", "requested"),
        ("5.00", "cancelled"),
        ("250.50", "requested"),
        ("250.50", "settled"),
    ]
    assert told("withdrawal") == [
        ("50.00", "waiting for approval"),
        ("50.00", "settled"),
        ("0.10", "waiting for approval"),
        ("0.10", "returned to the account"),
    ]
    receivers = set(Delivery.objects.values_list("user", flat=True))
    assert receivers == {desk.user.pk}


def test_each_state_of_a_kyc_file_is_told_and_its_expiry_when_it_comes(desk):
    desk.client.post(f"{API}/kyc", IDENTITY)
    file = KycFile.objects.get()
    kyc_decide(file_id=file.pk, staff_id=desk.first.pk, is_approved=False, reason="blurred")
    desk.client.post(f"{API}/kyc", IDENTITY)
    kyc_decide(file_id=file.pk, staff_id=desk.first.pk, is_approved=True, reason="")

    end = OutboxEffect.objects.get(key__startswith="kyc-expiry:")
    file.refresh_from_db()
    assert end.due_at == file.expires_at
    outbox_run(end.pk)

    assert told("kyc") == [
        ("", "submitted"),
        ("blurred", "rejected"),
        ("", "submitted"),
        ("", "approved"),
        ("", "expired"),
    ]


def test_an_approval_that_was_renewed_does_not_expire_by_the_old_date(desk):
    desk.client.post(f"{API}/kyc", IDENTITY)
    file = KycFile.objects.get()
    kyc_decide(file_id=file.pk, staff_id=desk.first.pk, is_approved=True, reason="")
    KycFile.objects.update(expires_at=timezone.now() + timedelta(days=900))

    outbox_run(OutboxEffect.objects.get(key__startswith="kyc-expiry:").pk)

    assert [state for _, state in told("kyc")] == ["submitted", "approved"]


# --- the end of an account --------------------------------------------------------------------------------------------


def deletion_refused(desk) -> str:
    with pytest.raises(ServiceError) as refused:
        person_delete(user=User.objects.get(pk=desk.user.pk))
    assert (refused.value.code, refused.value.http_status) == ("ACCOUNT_IN_USE", 409)
    return refused.value.message


def test_s45_an_account_that_holds_something_is_not_deleted(desk):
    desk.open()
    waiting = data(desk.ask("deposits", 100))["id"]
    assert deletion_refused(desk) == "wait for your deposits and withdrawals, or cancel them"
    desk.approve(waiting)
    assert deletion_refused(desk) == "withdraw the money of your live accounts first"
    desk.approve(data(desk.ask("withdrawals", 100, key="out"))["id"])

    demo = data(desk.client.post(f"{API}/accounts", {"kind": "demo"}))["accountId"]
    desk.live.price(100_000, 100_010)
    order = {"symbol": "BTC", "type": "buy", "quantity": "0.1", "leverage": 10, "accountId": demo}
    order_id = data(desk.client.post(f"{API}/trade/create", order))["orderId"]
    desk.settle()
    assert deletion_refused(desk) == "close your positions first"
    desk.client.post(f"{API}/trade/close", {"orderId": order_id, "accountId": demo})
    desk.settle()

    person_delete(user=User.objects.get(pk=desk.user.pk))

    gone = User.objects.get(pk=desk.user.pk)
    assert (gone.is_active, gone.email) == (False, f"deleted-{gone.pk}@deleted.invalid")


def test_s45_export_and_deletion_know_the_identity_check_and_the_cash_requests(desk):
    document_add(user_id=desk.user.pk, name="scan.pdf", content=b"%PDF-1.7")
    desk.open().pay_in(100)
    paid_out = data(desk.ask("withdrawals", 100, key="out"))["id"]
    desk.approve(paid_out)
    desk.live.project()

    money = person_export(desk.user.pk)["money"]
    assert money["identity"][0]["full_name"] == "Dora Example"
    assert [row["name"] for row in money["documents"]] == ["scan.pdf"]
    assert {(row["kind"], row["amount_micros"]) for row in money["cashRequests"]} == {
        ("deposit", 100_000_000),
        ("withdrawal", 100_000_000),
    }
    assert json.dumps(money)

    entries = LedgerEntry.objects.filter(account=desk.account).count()
    person_delete(user=User.objects.get(pk=desk.user.pk))

    assert entries > 0
    assert LedgerEntry.objects.filter(account=desk.account).count() == entries
    assert not KycFile.objects.exists()
    assert not KycDocument.objects.exists()
    kept = CashRequest.objects.get(pk=paid_out)
    assert (kept.amount_micros, kept.destination, kept.state) == (100_000_000, "", "settled")
    everything = str(person_export(desk.user.pk))
    assert not any(word in everything for word in ("Dora", "dora@", "my bank", "X1234567"))
    assert audit_verify()
