"""What staff decides in the admin: identity files, deposits and withdrawals, and adjustments by two people (S-37)."""

from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse

from apps.auth.models import User
from apps.common.audit import audit_verify
from apps.common.errors import ServiceError
from apps.common.models import AuditEntry
from apps.profile.choices import CashKind, CashState, KycState
from apps.profile.models import CashRequest, KycFile
from apps.profile.services.adjustments import adjustment_ask
from apps.profile.services.requests import request_approve
from apps.trade.models import LedgerEntry
from tests.apps.profile.test_live_money import API, IDENTITY, Desk, data

pytestmark = pytest.mark.integration

LIST = "admin:profile_cashrequest_changelist"


@pytest.fixture
def desk(live, settings) -> Desk:
    settings.PAYMENT_PROVIDERS = ["bank", "test"]
    desk = Desk(live)
    User.objects.filter(is_staff=True).update(is_superuser=True)
    return desk


def at_work(staff: User) -> Client:
    client = Client()
    client.force_login(staff)
    return client


def test_a_file_is_rejected_for_a_reason_that_its_owner_reads_and_approved_where_it_is_read(desk):
    desk.client.post(f"{API}/kyc", IDENTITY)
    file = KycFile.objects.get()
    staff = at_work(desk.first)
    page = reverse("admin:profile_kycfile_changelist")
    chosen = {"action": "reject", "_selected_action": [file.pk]}

    for asked in (staff.post(page, chosen), staff.post(page, {**chosen, "reason": "no"})):
        assert "Dora Example" in asked.content.decode()
        assert KycFile.objects.get().state == KycState.SUBMITTED
    staff.post(page, {**chosen, "reason": "The picture is too dark to read"})

    file.refresh_from_db()
    assert (file.state, file.reason) == (KycState.REJECTED, "The picture is too dark to read")
    decided = AuditEntry.objects.get(event="kyc_decided").facts
    assert (decided["user"], decided["reason"]) == (str(desk.user.pk), file.reason)
    # What is decided is decided: the pages of the file offer nothing more, until it is handed in again.
    approve = reverse("admin:profile_kycfile_approve_file", args=[file.pk])
    assert staff.post(approve).status_code == 403
    desk.client.post(f"{API}/kyc", IDENTITY)
    assert "Approve" in staff.get(approve).content.decode()
    assert KycFile.objects.get().state == KycState.SUBMITTED
    done = staff.post(approve, follow=True).content.decode()
    assert "of dora@example.com: Approved" in done
    assert KycFile.objects.get().state == KycState.APPROVED


def test_the_first_page_says_what_waits_to_whoever_may_see_it(desk):
    waits = "Deposits, withdrawals and adjustments to approve"
    desk.open().ask("deposits", "250.50")
    page = at_work(desk.first).get(reverse("admin:index"))
    rows = {row["title"]: row for row in page.context["waiting"]}

    assert {title: row["count"] for title, row in rows.items()} == {
        waits: 1,
        "Effects that were given up": 0,
        "Identity files to decide on": 0,
        "Trading modes that wait for a second person": 0,
    }
    assert page.context["waiting"][0]["title"] == waits
    for row in rows.values():
        shown = at_work(desk.first).get(row["way"])
        assert shown.status_code == 200
        assert shown.context["cl"].queryset.count() == row["count"]
    User.objects.filter(pk=desk.second.pk).update(is_superuser=False)
    assert waits not in at_work(desk.second).get(reverse("admin:index")).content.decode()


def test_a_half_approved_deposit_says_so_and_is_given_up_for_a_reason(desk):
    made = data(desk.open().ask("deposits", "250.50"))
    first, second = at_work(desk.first), at_work(desk.second)
    chosen = {"_selected_action": [made["id"]]}

    half = first.post(reverse(LIST), {"action": "approve", **chosen}, follow=True)
    assert "waits for a second person" in half.content.decode()
    asked = second.post(reverse(LIST), {"action": "give_back", **chosen}).content.decode()
    assert "250.500000 USD" in asked
    assert "dora@example.com" in asked
    assert desk.state(made["id"]) == CashState.REQUESTED
    reason = {"reason": "No such transfer has come"}
    second.post(reverse(LIST), {"action": "give_back", **chosen, **reason})

    assert desk.state(made["id"]) == CashState.CANCELLED
    assert AuditEntry.objects.get(event="cash_given_back").facts["reason"] == reason["reason"]


def test_s37_an_adjustment_is_posted_after_a_second_person_has_agreed(desk):
    desk.open().pay_in(100)
    first, second = at_work(desk.first), at_work(desk.second)
    page = reverse("admin:profile_cashrequest_adjust")
    wish = {"account": desk.account, "amount": "-12.50", "reason": "Paid twice on Monday"}

    for bad in ({"account": 999}, {"amount": "0"}, {"amount": "1.001"}, {"reason": "short"}):
        refused = first.post(page, wish | bad)
        assert refused.status_code == 200, bad
        assert "errorlist" in refused.content.decode() or "text-red" in refused.content.decode()
    assert not CashRequest.objects.filter(kind=CashKind.ADJUSTMENT).exists()
    first.post(page, wish)
    made = CashRequest.objects.get(kind=CashKind.ADJUSTMENT)
    chosen = {"action": "approve", "_selected_action": [made.pk]}
    again = first.post(reverse(LIST), chosen, follow=True).content.decode()
    assert "a second person has to approve it" in again
    assert desk.balance() == 100
    second.post(reverse(LIST), chosen)

    assert desk.state(made.pk) == CashState.SETTLED
    assert desk.balance() == Decimal("87.50")
    posted = LedgerEntry.objects.filter(ledger="live:cash:adjustment")
    assert [entry.amount_micros for entry in posted] == [12_500_000]
    ledger = data(desk.client.get(f"{API}/accounts/{desk.account}/ledger"))
    assert any(row["cashKind"] == "adjustment" for row in ledger["entries"])
    assert audit_verify()[-1].entries == AuditEntry.objects.count()


def test_an_adjustment_is_refused_to_owners_and_beyond_what_is_withdrawable(desk):
    desk.open().pay_in(100)
    User.objects.filter(pk=desk.user.pk).update(is_staff=True)
    own = {"account_id": desk.account, "amount_micros": 10_000, "reason": "A goodwill for me"}
    with pytest.raises(ServiceError, match="own account"):
        adjustment_ask(**own, staff_id=desk.user.pk)

    made = adjustment_ask(**(own | {"amount_micros": -100_010_000}), staff_id=desk.first.pk)
    with pytest.raises(ServiceError, match="own request"):
        request_approve(cash_id=made.pk, staff_id=desk.user.pk)
    request_approve(cash_id=made.pk, staff_id=desk.second.pk)

    assert desk.state(made.pk) == CashState.REFUSED
    assert desk.balance() == 100
