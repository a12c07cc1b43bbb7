"""The audit log (S-38): what is written, that nothing of it can be changed unnoticed, and that it holds no secret."""

import json
import logging
import threading

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.test import Client

from apps.auth.facade import login_link_create
from apps.auth.models import User
from apps.common.audit import AuditBrokenError, audit_note, audit_verify
from apps.common.models import AuditEntry

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]


SWAPPED = """
UPDATE common_auditentry AS e SET facts = o.facts, digest = o.digest
  FROM common_auditentry AS o WHERE e.n = 2 AND o.n = 4
"""


def force(statement: str) -> None:
    """Do what trigger and roles forbid, as somebody who owns the database could."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE common_auditentry DISABLE TRIGGER common_audit_append_only")
        cursor.execute(statement)
        cursor.execute("ALTER TABLE common_auditentry ENABLE TRIGGER common_audit_append_only")


@pytest.fixture
def entries() -> None:
    for number in range(1, 6):
        audit_note("sign_in", actor_id=number, ip="203.0.113.7", why=f"reason {number}")


def test_s38_the_chain_holds_and_each_day_has_its_digest(entries, capsys):
    (day,) = audit_verify()
    call_command("verify_audit")

    assert day.entries == 5
    assert day.digest == bytes(AuditEntry.objects.get(n=5).digest).hex()
    shown = capsys.readouterr().out
    assert day.digest in shown
    assert "The audit log is whole." in shown


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE common_auditentry SET actor_id = 9 WHERE n = 3", "entry 3 was changed"),
        ("UPDATE common_auditentry SET facts = '{}' WHERE n = 1", "entry 1 was changed"),
        ("UPDATE common_auditentry SET at_us = at_us + 1 WHERE n = 5", "entry 5 was changed"),
        ("DELETE FROM common_auditentry WHERE n = 2", "entry 2 is missing"),
        ("DELETE FROM common_auditentry WHERE n = 1", "entry 1 is missing"),
        (SWAPPED, "entry 2 was changed"),
    ],
)
def test_s38_whatever_is_changed_breaks_the_chain(entries, statement, said):
    force(statement)

    with pytest.raises(AuditBrokenError, match=said):
        audit_verify()


@pytest.mark.parametrize(
    "statement", ["UPDATE common_auditentry SET event = 'x'", "DELETE FROM common_auditentry"]
)
def test_s38_entries_are_only_added(entries, statement):
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        connection.cursor().execute(statement)


def test_s38_parallel_deeds_make_one_chain_without_gaps():
    def work(number: int) -> None:
        try:
            for _ in range(5):
                audit_note("sign_in", actor_id=number)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert [day.entries for day in audit_verify()] == [50]


def test_s38_a_deed_that_is_rolled_back_leaves_no_entry():
    with transaction.atomic():
        audit_note("key_made", actor_id=1)
        transaction.set_rollback(True)

    assert not AuditEntry.objects.exists()
    audit_note("key_made", actor_id=1)
    assert audit_verify()[0].entries == 1


def test_s38_doors_pins_and_devices_are_written_down_without_their_secrets(stream_prefix, caplog):
    caplog.set_level(logging.DEBUG)
    program = Client(headers={"accept": "application/json"})
    link = login_link_create("dora@example.com").url
    pair = program.get(link).json()["data"]
    bearer = {"authorization": f"Bearer {pair['accessToken']}"}

    def post(path: str, **body: str):
        return program.post(
            f"/api/v1/auth/mobile/{path}", body, content_type="application/json", headers=bearer
        )

    assert post("pin", pin="739105").status_code == 200
    assert post("pin/check", pin="861942").status_code == 403
    assert post("refresh-token", refreshToken=pair["refreshToken"]).status_code == 200
    device = program.get("/api/v1/auth/devices", headers=bearer).json()["data"][0]["id"]
    program.delete(f"/api/v1/auth/devices/{device}", headers=bearer)

    dora = User.objects.get().pk
    written = list(AuditEntry.objects.order_by("n").values_list("event", "actor_id"))
    assert written == [
        (event, dora) for event in ("sign_in", "pin_set", "pin_wrong", "device_ended")
    ]
    text = json.dumps(list(AuditEntry.objects.values_list("facts", flat=True))) + caplog.text
    secrets = ("739105", "861942", pair["accessToken"], pair["refreshToken"], link[-43:])
    assert [secret for secret in secrets if secret in text] == []


def test_s38_what_staff_does_in_the_admin_is_written_down():
    bob = User.objects.create_superuser("bob@example.com")
    dora = User.objects.create_user("dora@example.com")
    client = Client()
    client.force_login(bob)

    client.post(
        "/admin/accounts/user/", {"action": "sign_out_everywhere", "_selected_action": dora.pk}
    )
    client.post(f"/admin/accounts/user/{dora.pk}/change/", {"name": "Dora", "is_active": "on"})

    entries = AuditEntry.objects.filter(actor_id=bob.pk).order_by("n")
    assert [(row.event, row.facts["model"], row.facts["id"]) for row in entries] == [
        ("admin_change", "accounts.User", str(dora.pk))
    ] * 2
    assert "signed out everywhere" in entries[0].facts["what"]
