"""The second factor: set up, asked for at sign-in with and without pages, asked for again, forced upon staff."""

import re

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, hotp_value
from django.contrib.sessions.models import Session
from django.core import mail
from django.core.cache import cache

from apps.auth.facade import login_link_create
from apps.auth.models import EmailChange, User
from apps.auth.services.step_up import PROVED_AT
from apps.auth.views.factor_forms import PasskeyAgainForm
from apps.common.clock import now_us
from apps.common.models import AuditEntry, OutboxEffect
from apps.common.outbox import outbox_run
from apps.notifications.models import Delivery, Preference, Reach

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


def totp_code(secret: str = SECRET) -> str:
    return format_hotp_value(hotp_value(secret, now_us() // 30_000_000))


@pytest.fixture(autouse=True)
def unused_codes(queue, settings):
    # A code may be made just before its half minute ends, and be looked at just after.
    settings.MFA_TOTP_TOLERANCE = 1
    cache.clear()


@pytest.fixture
def dora() -> User:
    return User.objects.create_user("dora@example.com", name="Dora")


@pytest.fixture
def guarded(dora, rf) -> User:
    TOTP.activate(dora, SECRET)
    return dora


def sign_in(client, user: User):
    """Use a console link as a browser does: open it, and press the button of its page."""
    url = login_link_create(user.email).url
    html = client.get(url).content.decode()
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', html))
    return client.post("/auth/verify", hidden)


def test_s14_sign_in_stops_at_the_second_factor(visitor, guarded, post_form):
    response = sign_in(visitor, guarded)

    assert response.url == "/settings/second-factor/authenticate"
    assert "_auth_user_id" not in visitor.session
    wrong = post_form(visitor, response.url, response.url, code="000000")
    assert "_auth_user_id" not in visitor.session
    right = post_form(visitor, response.url, response.url, code=totp_code())
    assert wrong.status_code == 200
    assert right.status_code == 302
    assert visitor.session["_auth_user_id"] == str(guarded.pk)


def test_s38_wrong_factors_on_pages_are_written_down_without_what_was_tried(
    visitor, guarded, post_form
):
    page = sign_in(visitor, guarded).url
    post_form(visitor, page, page, code="000000")
    post_form(visitor, page, page, credential="{}")
    post_form(visitor, page, page, code=totp_code())
    again = "/settings/second-factor/confirm"
    post_form(visitor, again, again, code="000001")
    assert not PasskeyAgainForm(user=guarded, data={"credential": "{}"}).is_valid()

    noted = AuditEntry.objects.filter(actor_id=guarded.pk, facts__why="second factor")
    assert list(noted.order_by("n").values_list("event", "ip")) == [
        ("sign_in_failed", "127.0.0.1"),
        ("sign_in_failed", "127.0.0.1"),
        ("proof_failed", "127.0.0.1"),
        # Outside of a request.
        ("proof_failed", None),
    ]
    assert not any("00000" in str(entry.facts) for entry in noted)


def test_s14_a_client_without_pages_adds_the_code_and_loses_no_link(program, guarded):
    url = login_link_create(guarded.email).url.partition("localhost")[2].partition("/")[2]

    missing = program.get(f"/{url}")
    wrong = program.get(f"/{url}&factor=000000")
    right = program.get(f"/{url}&factor={totp_code()}")

    assert (missing.status_code, missing.json()["code"]) == (403, "SECOND_FACTOR_REQUIRED")
    assert (wrong.status_code, wrong.json()["code"]) == (403, "SECOND_FACTOR_INVALID")
    assert right.status_code == 200
    assert right.json()["data"]["accessToken"]


def test_s14_secrets_are_encrypted_and_each_code_counts_once(program, guarded):
    codes = RecoveryCodes.activate(guarded)
    (first, *_) = codes.generate_codes()

    for answer in (200, 403):
        url = login_link_create(guarded.email).url.partition("localhost")[2].partition("/")[2]
        assert program.get(f"/{url}&factor={first}").status_code == answer
    stored = str(list(Authenticator.objects.values_list("data", flat=True)))
    assert SECRET not in stored
    assert first not in stored


def test_s14_staff_enter_the_admin_with_a_second_factor_only(visitor, settings, post_form):
    settings.STAFF_SECOND_FACTOR = True
    bob = User.objects.create_superuser("bob@example.com")
    sign_in(visitor, bob)

    door = visitor.get("/admin/", follow=True)
    # One page: each look at it makes a new secret.
    page = visitor.get("/settings/second-factor/app/add").content.decode()
    secret = re.search(r'value="([A-Z2-7]{32})"', page)[1]
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]*)"', page)[1]
    visitor.post(
        "/settings/second-factor/app/add",
        {"code": totp_code(secret), "csrfmiddlewaretoken": token},
    )

    assert door.redirect_chain[-1][0].startswith("/settings/second-factor/?next=")
    assert visitor.get("/admin/").status_code == 200
    told = Delivery.objects.get(user=bob, event="factor_changed", channel="mail")
    assert told.facts["what"] == "An authenticator app was added"


def test_s15_changes_need_a_proof_of_the_last_five_minutes(visitor, dora):
    sign_in(visitor, dora)
    paths = (
        "/settings/second-factor/app/add",
        "/settings/email",
        "/settings/delete",
        "/settings/data/export",
    )
    assert [visitor.get(path).status_code for path in paths] == [200] * 4

    session = visitor.session
    session[PROVED_AT] -= 301
    session.save()

    for path in paths:
        assert visitor.get(path).url.startswith("/auth/again?next=%2Fsettings")
        assert visitor.post(path, {"email": dora.email}).status_code in {302, 403}
    assert User.objects.get(pk=dora.pk).is_active


def test_s15_the_mailbox_is_no_proof_for_who_has_a_second_factor(visitor, guarded, post_form):
    page = sign_in(visitor, guarded).url
    post_form(visitor, page, page, code=totp_code())
    assert visitor.get("/settings/email").status_code == 200

    session = visitor.session
    for record in session["account_authentication_methods"]:
        record["at"] -= 301
    session.save()

    assert visitor.get("/settings/email").url.startswith("/settings/second-factor/confirm?next=")


def carry_out_all() -> None:
    for effect_id in OutboxEffect.objects.order_by("id").values_list("id", flat=True):
        outbox_run(effect_id)


def test_s45_a_changed_address_is_proved_told_to_both_and_kept(visitor, dora, post_form):
    sign_in(visitor, dora)
    post_form(visitor, "/settings/email", "/settings/email", email="new@example.com")
    assert User.objects.get().email == "dora@example.com"
    carry_out_all()
    (letter,) = mail.outbox
    path = re.search(r"https?://[^/]+(/settings/email\S+)", letter.body)[1]

    assert visitor.get(path).status_code == 200
    assert User.objects.get().email == "dora@example.com"
    post_form(visitor, path, "/settings/email")

    assert User.objects.get().email == "new@example.com"
    change = EmailChange.objects.get()
    assert (change.old_email, change.new_email) == ("dora@example.com", "new@example.com")
    assert visitor.get("/settings/profile").status_code == 302
    carry_out_all()
    told = [message.to[0] for message in mail.outbox[1:]]
    assert sorted(told) == ["dora@example.com", "new@example.com"]


def test_s45_deletion_forgets_the_person_and_keeps_the_row(visitor, dora, post_form):
    sign_in(visitor, dora)
    Reach.objects.create(user=dora, phone="+436601234567", time_zone="Europe/Vienna")
    export = visitor.get("/settings/data/export").json()
    assert export["person"]["email"] == "dora@example.com"
    assert export["messages"]["timeZone"] == "Europe/Vienna"
    assert set(export) >= {"messages", "person", "trading"}

    refused = post_form(visitor, "/settings/delete", "/settings/delete", email="somebody@else.com")
    done = post_form(visitor, "/settings/delete", "/settings/delete", email="Dora@example.com")

    assert refused.status_code == 400
    assert done.status_code == 302
    dora.refresh_from_db()
    assert (dora.email, dora.name, dora.is_active) == (
        f"deleted-{dora.pk}@deleted.invalid",
        "",
        False,
    )
    assert not Reach.objects.exists()
    assert visitor.get("/settings/profile").status_code == 302


def test_s06_a_browser_signs_another_one_out(visitor, other_visitor, dora, post_form):
    sign_in(visitor, dora)
    sign_in(other_visitor, dora)
    html = visitor.get("/settings/devices").content.decode()
    assert html.count("Sign out") >= 3

    ids = re.findall(r'name="browser" value="(\d+)"', html)
    assert len(ids) == 2
    for browser_id in ids[1:]:
        post_form(visitor, "/settings/devices", "/settings/devices", browser=browser_id)
    alive = [client.get("/settings/profile").status_code for client in (visitor, other_visitor)]
    assert sorted(alive) == [200, 302]

    post_form(
        visitor if alive[0] == 200 else other_visitor,
        "/settings/devices",
        "/settings/devices",
        all="1",
    )
    assert {c.get("/settings/profile").status_code for c in (visitor, other_visitor)} == {302}
    assert Session.objects.count() <= 2


def test_a_new_kind_of_client_is_told_about_but_not_the_first(visitor, other_visitor, dora):
    visitor.defaults["HTTP_USER_AGENT"] = "Mozilla/5.0 (X11; Linux) Firefox/140.0"
    other_visitor.defaults["HTTP_USER_AGENT"] = "Mozilla/5.0 (Windows NT 10.0) Chrome/140.0"

    sign_in(visitor, dora)
    visitor.defaults["HTTP_USER_AGENT"] = "Mozilla/5.0 (X11; Linux) Firefox/141.0"
    sign_in(visitor, dora)
    assert not Delivery.objects.exists()
    sign_in(other_visitor, dora)

    told = Delivery.objects.get(channel="mail")
    assert (told.event, told.facts["device"]) == ("new_device", "Chrome on Windows")


def test_preferences_are_kept_as_differences(visitor, dora, post_form):
    sign_in(visitor, dora)
    wish = {
        "language": "de",
        "time_zone": "Europe/Vienna",
        "quiet_from": "22:00",
        "quiet_until": "07:30",
        "order_filled-mail": "on",
    }

    post_form(visitor, "/settings/notifications", "/settings/notifications", **wish)

    reach = Reach.objects.get(pk=dora.pk)
    assert reach.language == "de"
    assert (reach.time_zone, reach.quiet_from, reach.quiet_until) == ("Europe/Vienna", 1320, 450)
    chosen = {(row.event, row.channel): row.is_on for row in Preference.objects.all()}
    assert chosen["order_filled", "mail"] is True
    assert chosen["margin_call", "mail"] is False
    assert ("key_made", "mail") not in chosen
    # Without a phone the page shows no text messages, and what was chosen for them stays.
    Preference.objects.create(user=dora, event="deposit", channel="sms", is_on=True)
    post_form(visitor, "/settings/notifications", "/settings/notifications", **wish)
    assert Preference.objects.filter(channel="sms").count() == 1
    bad = post_form(
        visitor,
        "/settings/notifications",
        "/settings/notifications",
        **{**wish, "time_zone": "Nowhere/Else"},
    )
    assert bad.status_code == 400
