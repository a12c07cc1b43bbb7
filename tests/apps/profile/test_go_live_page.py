"""The page "Go live": its forms lead from nobody known to money on its way."""

import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from apps.auth.models import User
from apps.common.clock import now_us
from apps.profile.models import CashRequest, KycDocument, KycFile, TradingAccount
from apps.profile.services.kyc import kyc_decide
from apps.profile.tasks import CashRelay

pytestmark = pytest.mark.integration

PAGE = "/go-live"
IDENTITY = {
    "kyc-full_name": "Dora Example",
    "kyc-birth_date": "1990-02-28",
    "kyc-country": "de",
    "kyc-address": "1 Example Street",
    "kyc-document_kind": "passport",
    "kyc-document_number": "X1234567",
}


@pytest.fixture
def dora(transactional_db) -> User:
    return User.objects.create_user("dora@example.com")


def scan() -> SimpleUploadedFile:
    return SimpleUploadedFile("passport.png", b"\x89PNG\r\n\x1a\n a passport")


def browser(user: User, *, age_s: int = 0) -> Client:
    client = Client()
    client.force_login(user)
    session = client.session
    session["proved_at"] = now_us() // 1_000_000 - age_s
    session.save()
    return client


def test_a_stranger_is_asked_to_sign_in(transactional_db):
    assert Client().get(PAGE).url == "/auth/sign-in?next=/go-live"


def test_a_guest_is_asked_for_an_address(transactional_db):
    guest = User.objects.create_user("guest-1@guest.invalid", is_guest=True)
    client = browser(guest)

    page = client.get(PAGE).content.decode()
    client.post(PAGE, {"step": "kyc", **IDENTITY})

    assert "Add an e-mail" in page
    assert not KycFile.objects.exists()


def test_the_forms_lead_from_nobody_known_to_a_deposit(live, dora, settings):
    settings.PAYMENT_PROVIDERS = ["bank"]
    settings.PAYMENT_BANK_ACCOUNT = "DE00 EXAMPLE"
    client = browser(dora)
    assert client.post(PAGE, {"step": "kyc", **IDENTITY, "kyc-file": scan()}).status_code == 302
    assert client.post(PAGE, {"step": "live", "live-name": "Real"}).status_code == 302
    waiting = client.get(PAGE).content.decode()
    assert 'data-kyc="submitted"' in waiting
    assert "waits for step 1" in waiting
    assert "Pay in" not in waiting
    staff = User.objects.create_user("bob@example.com", is_staff=True)
    kyc_decide(file_id=KycFile.objects.get().pk, staff_id=staff.pk, is_approved=True, reason="")
    CashRelay().relay_once()

    page = client.get(PAGE).content.decode()
    (request_id,) = re.findall(r'name="deposit-request_id" value="(\w+)"', page)
    form = {
        "step": "deposit",
        "deposit-account": TradingAccount.objects.get().pk,
        "deposit-amount": "250.50",
        "deposit-method": "bank",
        "deposit-request_id": request_id,
    }
    answers = [client.post(PAGE, form).status_code for _ in range(2)]

    assert answers == [302, 302]
    request = CashRequest.objects.get()
    listed = client.get(PAGE).content.decode()
    assert f"Pay to DE00 EXAMPLE, reference {request.reference}" in listed
    assert "Cancel: Deposit of 250.50 USD" in listed
    # A way that is taken away while somebody waits for money that came by it.
    settings.PAYMENT_PROVIDERS = ["test"]
    assert f"reference {request.reference}" in client.get(PAGE).content.decode()

    cancel = {
        "step": "cancel",
        "cancel-account": request.account_id,
        "cancel-kind": "deposit",
        "cancel-cash": request.pk,
    }
    stranger = browser(User.objects.create_user("charlie@example.com"))
    refused = stranger.post(PAGE, cancel)
    assert refused.status_code == 404
    assert "There is no account" in refused.content.decode()
    assert client.post(PAGE, cancel).status_code == 302
    request.refresh_from_db()
    assert request.state == "cancelled"
    assert "Cancel: Deposit" not in client.get(PAGE).content.decode()
    assert client.post(PAGE, cancel).status_code == 409


def test_what_is_not_good_is_said_beside_its_form(dora):
    form = {"step": "kyc", **IDENTITY, "kyc-file": scan(), "kyc-birth_date": "2024-01-01"}
    answer = browser(dora).post(PAGE, form)

    assert answer.status_code == 400
    assert "at least 18 years" in answer.content.decode()
    assert not KycDocument.objects.exists()
    assert browser(dora).post(PAGE, {"step": "nonsense"}).status_code == 302


def test_s15_who_is_signed_in_may_prove_it_again(dora):
    client = browser(dora)

    assert client.get("/auth/sign-in").status_code == 302
    assert client.get("/auth/sign-in?again=1").status_code == 200
