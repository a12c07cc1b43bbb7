"""Documents of the identity check: what is taken, how it is kept, and who may open it."""

import threading

import pytest
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client

from apps.auth.models import User
from apps.common.errors import ServiceError
from apps.profile.models import KycDocument, KycFile
from apps.profile.services.kyc_documents import DOCUMENT_BYTES_MAX, document_add
from tests.apps.profile.test_go_live_page import IDENTITY, PAGE

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

UPLOAD = "/api/v1/kyc/documents"
PNG = b"\x89PNG\r\n\x1a\n" + b"picture of a passport"


@pytest.fixture(autouse=True)
def counters(stream_prefix, embedded_servers):
    """Limits of this test's own."""


@pytest.fixture
def dora() -> User:
    return User.objects.create_user("dora@example.com")


def client_of(user: User) -> Client:
    client = Client(headers={"accept": "application/json"})
    client.force_login(user)
    return client


def send(client: Client, content: bytes = PNG, name: str = "passport.png"):
    return client.post(UPLOAD, {"file": SimpleUploadedFile(name, content)})


def test_a_document_is_taken_and_kept_sealed(dora):
    answer = send(client_of(dora), name='../../etc/"passport".png')

    row = KycDocument.objects.get()
    assert answer.status_code == 201
    assert answer.json()["data"]["documents"][0]["size"] == len(PNG)
    assert (row.name, row.content_type) == ("passport.png", "image/png")
    assert b"passport" not in bytes(row.content_sealed)


def test_the_same_content_is_kept_once_and_eight_at_most(dora):
    for _ in range(3):
        send(client_of(dora))
    assert KycDocument.objects.count() == 1

    def add(number: int) -> None:
        try:
            document_add(user_id=dora.pk, name="x", content=PNG + bytes([number]))
        except ServiceError as error:
            refused.append(error.code)
        finally:
            connection.close()

    refused: list[str] = []
    threads = [threading.Thread(target=add, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert KycDocument.objects.count() == 8
    assert refused == ["DOCUMENTS_TOO_MANY"] * 5


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"<html><script>alert(1)</script>", 400, "DOCUMENT_INVALID"),
        (b"GIF89a", 400, "DOCUMENT_INVALID"),
        (b"", 400, "DOCUMENT_INVALID"),
        (PNG + bytes(DOCUMENT_BYTES_MAX), 413, "DOCUMENT_TOO_LARGE"),
    ],
)
def test_what_is_no_document_is_refused(dora, content, status, code):
    answer = send(client_of(dora), content, "passport.png")

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert not KycDocument.objects.exists()


def test_guests_and_strangers_hand_nothing_in(dora):
    guest = User.objects.create_user("guest-1@guest.invalid", is_guest=True)

    assert send(client_of(guest)).json()["code"] == "GUEST_FORBIDDEN"
    assert send(Client()).status_code == 401
    assert client_of(dora).post(UPLOAD, {}).json()["code"] == "INVALID"
    assert not KycDocument.objects.exists()


def test_only_staff_that_decides_opens_a_document_and_each_look_is_noted(dora):
    from django.contrib.admin.models import LogEntry

    owner = client_of(dora)
    scan = SimpleUploadedFile("scan.pdf", b"%PDF-1.7 a passport")
    assert owner.post(PAGE, {"step": "kyc", **IDENTITY, "kyc-file": scan}).status_code == 302
    document, file = KycDocument.objects.get(), KycFile.objects.get()
    path = f"/admin/profile/kycfile/document/{document.pk}"
    staff = User.objects.create_user("bob@example.com", is_staff=True)
    staff.user_permissions.add(Permission.objects.get(codename="view_kycfile"))

    assert owner.get(path).status_code in {302, 403}
    assert client_of(staff).get(path).status_code == 403
    staff.user_permissions.add(Permission.objects.get(codename="decide_kycfile"))
    shown = client_of(staff).get(f"/admin/profile/kycfile/{file.pk}/change/").content.decode()
    opened = client_of(staff).get(path)

    assert path in shown
    assert opened.content == b"%PDF-1.7 a passport"
    assert opened.headers["Content-Type"] == "application/pdf"
    assert opened.headers["Content-Disposition"] == 'attachment; filename="scan.pdf"'
    assert opened.headers["X-Content-Type-Options"] == "nosniff"
    assert LogEntry.objects.get(user=staff).change_message.startswith("opened the document")


def test_the_page_needs_a_document_with_the_file(dora):
    owner = client_of(dora)
    bad = SimpleUploadedFile("x.png", b"nothing of the kind")

    missing = owner.post(PAGE, {"step": "kyc", **IDENTITY})
    wrong = owner.post(PAGE, {"step": "kyc", **IDENTITY, "kyc-file": bad})

    assert (missing.status_code, wrong.status_code) == (400, 400)
    assert "This field is required" in missing.content.decode()
    assert "expected a picture" in wrong.content.decode()
    assert not KycFile.objects.exists()
