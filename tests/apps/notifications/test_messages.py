"""Messages: who is told what, by which way and when; rendering of every event; exactly one copy whatever dies."""

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from django.conf import settings
from django.core import mail
from django.db import connection, transaction
from django.utils import timezone

from apps.auth.choices import LinkOrigin
from apps.auth.models import User
from apps.auth.services.links import Presence, login_link_use
from apps.auth.services.login_requests import LoginWish, login_request
from apps.auth.services.people import email_change_ask
from apps.common.models import OutboxEffect
from apps.common.outbox import outbox_run, outbox_try_again
from apps.notifications.choices import EVENT_RULES, Channel, NoticeEvent
from apps.notifications.facade import notify
from apps.notifications.models import Delivery, Preference, Reach
from apps.notifications.services.phones import phone_ask
from apps.notifications.services.sending import render
from apps.notifications.services.telling import quiet_end
from tests.apps.notifications.mail_server import MailServer

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

ROOT = Path(__file__).parents[3]
FACTS = {
    "device": "Chromium on Linux",
    "ip": "203.0.113.7",
    "label": "bot <1>",
    "scopes": "read, trade",
    "until": "for 15 minutes",
    "what": "A passkey was added",
    "phone": "…4567",
    "old": "old@example.com",
    "new": "new@example.com",
    "side": "Buy",
    "quantity": "0.10",
    "symbol": "BTCUSDT",
    "order": "1001-7",
    "account": "1001",
    "price": "60010.0",
    "pnl": "-12.500000",
    "level": "99.50",
    "equity": "500.000000",
    "margin": "502.512562",
    "amount": "25.00",
    "state": "approved",
    "reason": "",
    "period": "October 2026",
    "path": "/statements/9",
}


@pytest.fixture
def person() -> User:
    return User.objects.create_user("dora@example.com", name="Dora")


@pytest.fixture
def files(settings, tmp_path):
    """The default backends, with folders of this test's own."""
    settings.EMAIL_BACKEND = "apps.notifications.services.message_files.MailFiles"
    settings.EMAIL_FILE_PATH, settings.SMS_FILE_PATH = tmp_path / "mail", tmp_path / "sms"
    return tmp_path


def phone_of(person: User) -> Reach:
    return Reach.objects.create(
        user=person, phone="+436601234567", phone_confirmed_at=timezone.now()
    )


def carry_out_all() -> None:
    for effect_id in OutboxEffect.objects.order_by("id").values_list("id", flat=True):
        outbox_run(effect_id)


def test_an_event_is_told_once_by_each_way_that_is_on(person, files):
    phone_of(person)

    for _ in range(2):
        notify(person.pk, NoticeEvent.MARGIN_CALL, FACTS, "engine:1001:57")
    carry_out_all()
    carry_out_all()

    (letter,) = (files / "mail").glob("*.eml")
    parsed = message_from_bytes(letter.read_bytes(), policy=policy.default)
    assert (parsed["To"], parsed["Subject"]) == (
        "dora@example.com",
        "Margin call on account 1001",
    )
    assert "has fallen to 99.50 %" in parsed.get_body(("plain",)).get_content()
    assert "<p>Hello Dora,</p>" in parsed.get_body(("html",)).get_content()
    (text,) = (files / "sms").glob("*.txt")
    assert "To: +436601234567" in text.read_text()
    assert "CryptoCFD: Margin call on account 1001." in text.read_text()
    assert Delivery.objects.filter(sent_at__isnull=False).count() == 2


def test_a_message_falls_with_the_transaction_of_its_event(person):
    with transaction.atomic():
        notify(person.pk, NoticeEvent.DEPOSIT, FACTS, "deposit:1")
        transaction.set_rollback(True)

    assert not Delivery.objects.exists()
    assert not OutboxEffect.objects.exists()


def test_preferences_decide_but_what_guards_an_account_cannot_be_switched_off(person):
    for event in (NoticeEvent.STOP_LOSS_HIT, NoticeEvent.KEY_MADE):
        for channel in Channel:
            Preference.objects.create(user=person, event=event, channel=channel, is_on=False)
    Preference.objects.create(
        user=person, event=NoticeEvent.ORDER_FILLED, channel=Channel.MAIL, is_on=True
    )

    for event in (NoticeEvent.STOP_LOSS_HIT, NoticeEvent.KEY_MADE, NoticeEvent.ORDER_FILLED):
        notify(person.pk, event, FACTS, f"k:{event}")

    told = set(Delivery.objects.values_list("event", "channel"))
    assert told == {("key_made", "mail"), ("order_filled", "mail")}


def test_a_stranger_or_a_guest_is_told_nothing(person, mailoutbox):
    guest = User.objects.create_user("guest-1@guest.invalid", is_guest=True)

    notify(999_999, NoticeEvent.MARGIN_CALL, FACTS, "stranger")
    notify(guest.pk, NoticeEvent.MARGIN_CALL, FACTS, "guest")
    notify(person.pk, NoticeEvent.MARGIN_CALL, FACTS, "person")
    carry_out_all()

    assert [message.to for message in mailoutbox] == [["dora@example.com"]]
    dropped = set(Delivery.objects.values_list("user", "channel", "dropped"))
    assert dropped == {
        (guest.pk, "mail", "no_address"),
        (guest.pk, "sms", "no_phone"),
        (person.pk, "mail", ""),
        (person.pk, "sms", "no_phone"),
    }


def test_a_former_address_is_told_too(person, mailoutbox):
    notify(
        person.pk,
        NoticeEvent.EMAIL_CHANGED,
        FACTS,
        "email:1",
        also_mail_to="old@example.com",
    )
    carry_out_all()

    assert {message.to[0] for message in mailoutbox} == {"dora@example.com", "old@example.com"}


def test_quiet_hours_hold_back_what_can_wait(person):
    now = datetime(2026, 7, 1, 21, 30, tzinfo=UTC)
    night = Reach(time_zone="Europe/Vienna", quiet_from=22 * 60, quiet_until=7 * 60)

    # 23:30 in Vienna, so until 07:00 there.
    assert quiet_end(night, now) == datetime(2026, 7, 2, 5, 0, tzinfo=UTC)
    assert quiet_end(night, now + timedelta(hours=3)) == datetime(2026, 7, 2, 5, 0, tzinfo=UTC)
    assert quiet_end(night, now - timedelta(hours=2)) is None
    assert quiet_end(night, datetime(2026, 7, 2, 5, 0, tzinfo=UTC)) is None
    noon = Reach(time_zone="UTC", quiet_from=12 * 60, quiet_until=13 * 60)
    assert quiet_end(noon, datetime(2026, 7, 1, 12, 0, tzinfo=UTC)) == datetime(
        2026, 7, 1, 13, 0, tzinfo=UTC
    )

    local = timezone.now().hour * 60 + timezone.now().minute
    Reach.objects.create(
        user=person, quiet_from=(local - 60) % 1440, quiet_until=(local + 120) % 1440
    )
    notify(person.pk, NoticeEvent.DEPOSIT, FACTS, "can-wait")
    notify(person.pk, NoticeEvent.STOP_OUT, FACTS, "urgent")
    due = dict(OutboxEffect.objects.values_list("key", "due_at"))

    assert due["message:can-wait:mail"] > timezone.now() + timedelta(hours=1)
    assert due["message:urgent:mail"] <= timezone.now()


@pytest.mark.parametrize("event", list(NoticeEvent))
def test_every_event_has_its_words_in_every_form(person, event):
    facts = {name: f"<{value}>" for name, value in FACTS.items()}
    delivery = Delivery(user=person, event=event, facts=facts, created_at=timezone.now())

    forms = {
        form: render(delivery, Reach(), form)
        for form in ("subject.txt", "mail.txt", "mail.html", "sms.txt")
    }

    assert event in EVENT_RULES
    assert re.fullmatch(r".{6,119}", forms["subject.txt"])
    assert forms["sms.txt"].startswith(f"CryptoCFD: {forms['subject.txt']}")
    for form, text in forms.items():
        assert not re.search(r"[{}]|%\(", text), form
        assert ("<" in text.replace("&lt;", "") and "&lt;" not in text) or form != "mail.txt"
    # Facts come from outside: in HTML they are text.
    assert not re.search(r"<(?:Buy|1001|203|new|approved|October)", forms["mail.html"])
    used = {name for name in FACTS if FACTS[name] and FACTS[name] in forms["mail.txt"]}
    assert used, "a message that states no fact"


# --- whatever dies ----------------------------------------------------------------------------------------------------

WORKER = """
import os, signal, sys
from pathlib import Path
import django
django.setup()
from django.db import connection
from django.template.loader import get_template
from apps.common.outbox import outbox_run
from apps.notifications.choices import NoticeEvent
from apps.notifications.services import letters, sending
from apps.auth.services import login_mails, people
from apps.notifications.services import phones
# What every process would read anew; none of them may share a connection.
for event in NoticeEvent:
    get_template(f"notifications/events/{event}.html")
connection.close()
moment = sys.argv[1]
def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)
if moment == "before":
    Path.rename = die
elif moment == "after":
    rename = Path.rename
    Path.rename = lambda *args: (rename(*args), die())
elif moment == "server-has-it":
    import smtplib
    sendmail = smtplib.SMTP.sendmail
    smtplib.SMTP.sendmail = lambda *args, **kwargs: (sendmail(*args, **kwargs), die())
# A process for each, since none survives its effect.
for effect in map(int, sys.argv[2:]):
    if not (child := os.fork()):
        outbox_run(effect)
        os._exit(0)
    print(-os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def workers_die(moment: str, folder: Path, *, email_url: str = "") -> list[OutboxEffect]:
    """Let a worker be killed in the middle of each effect that waits; returns those."""
    effects = list(OutboxEffect.objects.filter(done_at=None).order_by("id"))
    base = connection.settings_dict
    names = ("ENGINE", "NAME", "USER", "PASSWORD", "HOST", "PORT", "OPTIONS")
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "tests.apps.notifications.worker_settings",
        "TEST_DATABASE": repr({name: base[name] for name in names}),
        "TEST_MESSAGES": str(folder),
        "TEST_KEYS": settings.API_KEY_KEYS,
        "EMAIL_URL": email_url,
        "LOG_LEVEL": "CRITICAL",
    }
    done = subprocess.run(
        [sys.executable, "-c", WORKER, moment, *(str(effect.pk) for effect in effects)],
        env=environment,
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.split() == [str(signal.SIGKILL.value)] * len(effects), done.stderr
    return effects


@pytest.mark.parametrize("moment", ["before", "after"])
def test_mail_and_sms_of_each_event_leave_exactly_once_when_the_worker_is_killed_in_the_middle(
    person, files, moment
):
    phone_of(person)
    for event in NoticeEvent:
        for channel in Channel:
            Preference.objects.create(user=person, event=event, channel=channel, is_on=True)
        notify(person.pk, event, FACTS, f"k:{event}")

    died = workers_die(moment, files)
    assert len(died) == len(NoticeEvent) * len(Channel)
    assert not OutboxEffect.objects.exclude(done_at=None).exists()
    carry_out_all()
    carry_out_all()

    assert len(list((files / "mail").glob("*.eml"))) == len(NoticeEvent)
    assert len(list((files / "sms").glob("*.txt"))) == len(NoticeEvent)
    assert not OutboxEffect.objects.filter(done_at=None).exists()
    subjects = Counter(
        message_from_bytes(letter.read_bytes(), policy=policy.default)["Subject"]
        for letter in (files / "mail").glob("*.eml")
    )
    assert set(subjects.values()) == {1}


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_letter_with_a_secret_leaves_exactly_once_too(person, files, moment, stream_prefix):
    login_request(wish=LoginWish("other@example.com", LinkOrigin.CLIENT, "", "", ip=None))
    # The first step, which makes the link.
    outbox_run(OutboxEffect.objects.get().pk)
    email_change_ask(user=person, new_email="new@example.com")
    phone_ask(user_id=person.pk, phone="+436601234567")

    assert len(workers_die(moment, files)) == 3
    carry_out_all()
    carry_out_all()

    letters = [
        message_from_bytes(letter.read_bytes(), policy=policy.default)
        for letter in (files / "mail").glob("*.eml")
    ]
    assert len(list((files / "sms").glob("phone-code-*.txt"))) == 1
    assert sorted(letter["To"] for letter in letters) == ["new@example.com", "other@example.com"]
    login = next(letter for letter in letters if letter["To"] == "other@example.com")
    token = re.search(r"token=(\S+)", login.get_body(("plain",)).get_content())[1]
    presence = Presence(nonce="", code="", is_page=False, is_local=False, ip=None)
    assert login_link_use(token=token, presence=presence).user.email == "other@example.com"


def test_a_mail_that_a_server_has_taken_is_not_sent_again(person, settings, caplog):
    with MailServer() as server:
        notify(person.pk, NoticeEvent.DEPOSIT, FACTS, "deposit:1")
        url = f"smtp://127.0.0.1:{server.port}"
        (effect,) = workers_die("server-has-it", Path(), email_url=url)
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port

        carry_out_all()
        carry_out_all()

        assert len(server.letters) == 1
        effect.refresh_from_db()
        assert effect.last_error.startswith("uncertain")
        assert effect.given_up_at is not None
        # A person has looked and wants it sent.
        assert outbox_try_again([effect.pk]) == 1
        carry_out_all()
        assert len(server.letters) == 2


def test_a_server_that_is_away_is_asked_again_later(person, settings, caplog):
    with MailServer() as server:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
    notify(person.pk, NoticeEvent.DEPOSIT, FACTS, "deposit:1")

    carry_out_all()

    effect = OutboxEffect.objects.get()
    assert (effect.failures, effect.claimed_at, effect.given_up_at) == (1, None, None)
    assert effect.last_error.startswith("NotSentError: no mail server")
    assert effect.due_at > timezone.now()


def test_the_admin_shows_dead_letters_and_tries_them_again(person, client, mailoutbox):
    staff = User.objects.create_superuser("bob@example.com")
    client.force_login(staff)
    notify(person.pk, NoticeEvent.DEPOSIT, FACTS, "dead")
    notify(person.pk, NoticeEvent.DEPOSIT, FACTS, "alive")
    dead = OutboxEffect.objects.get(key="message:dead:mail")
    dead.given_up_at, dead.last_error = timezone.now(), "the server refused"
    dead.save()
    listing = "/admin/common/outboxeffect/?fate=given-up"

    page = client.get(listing).content.decode()
    client.post(listing, {"action": "try_again", "_selected_action": [dead.pk]})

    assert "message:dead:mail" in page
    assert "the server refused" in page
    assert "message:alive:mail" not in page
    carry_out_all()
    assert len(mailoutbox) == len(mail.outbox) == 2
