"""The phone number: a code is sent to it, few are tried, and only a proved number gets messages."""

import re
import threading

import pytest
from django.db import connection
from django.test import Client

from apps.auth.models import User
from apps.auth.services.step_up import PROVED_AT
from apps.common.clock import now_us
from apps.common.errors import ServiceError
from apps.common.models import OutboxEffect
from apps.common.outbox import outbox_run
from apps.notifications.choices import NoticeEvent
from apps.notifications.facade import notify
from apps.notifications.models import Delivery, Reach
from apps.notifications.services.phones import CODE_TRIES_MAX, phone_ask, phone_confirm

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

PAGE = "/settings/phone"
NUMBER, OTHER = "+436601234567", "+491701234567"


@pytest.fixture(autouse=True)
def counters(stream_prefix, embedded_servers):
    """Limits of this test's own."""


@pytest.fixture
def dora() -> User:
    return User.objects.create_user("dora@example.com", name="Dora")


@pytest.fixture
def texts(settings, tmp_path):
    """Carry out what waits, and return the text messages so far, joined by receiver."""
    settings.SMS_FILE_PATH = tmp_path / "sms"

    def deliver() -> dict[str, str]:
        for effect_id in OutboxEffect.objects.order_by("id").values_list("id", flat=True):
            outbox_run(effect_id)
        found: dict[str, str] = {}
        for path in (tmp_path / "sms").glob("*.txt"):
            text = path.read_text()
            to = re.search("To: (.*)", text)[1]
            found[to] = found.get(to, "") + text
        return found

    return deliver


def browser(user: User, *, age_s: int = 0) -> Client:
    client = Client()
    client.force_login(user)
    session = client.session
    session[PROVED_AT] = now_us() // 1_000_000 - age_s
    session.save()
    return client


def code_in(text: str) -> str:
    return re.search(r"code is (\d{6})", text)[1]


def test_a_number_counts_once_its_code_has_come_back(dora, texts, mailoutbox):
    client = browser(dora)
    assert client.post(PAGE, {"step": "ask", "phone": "+43 660 1234567"}).status_code == 302
    code = code_in(texts()[NUMBER])
    page = client.get(PAGE).content.decode()
    assert f"A code is on its way to {NUMBER}" in page
    assert Reach.objects.get().phone == ""

    wrong = client.post(PAGE, {"step": "confirm", "code": f"{(int(code) + 1) % 10**6:06}"})
    right = client.post(PAGE, {"step": "confirm", "code": f"{code[:3]} {code[3:]}"})

    assert (wrong.status_code, right.status_code) == (400, 302)
    reach = Reach.objects.get()
    assert (reach.phone, reach.code_digest) == (NUMBER, "")
    assert reach.phone_confirmed_at is not None
    notify(dora.pk, NoticeEvent.MARGIN_CALL, {"account": "1001", "level": "99"}, "k")
    assert "Margin call on account 1001" in texts()[NUMBER]
    # The owner learns it by mail, without the whole number.
    told = next(message for message in mailoutbox if "phone" in message.subject)
    assert "…4567" in told.body
    assert NUMBER not in told.body


def test_the_former_number_counts_until_the_new_one_is_proved(dora, texts, settings):
    phone_ask(user_id=dora.pk, phone=NUMBER)
    phone_confirm(user_id=dora.pk, code=code_in(texts()[NUMBER]))

    settings.STREAM_PREFIX = f"{settings.STREAM_PREFIX}a-minute-later:"
    client = browser(dora)
    client.post(PAGE, {"step": "ask", "phone": OTHER})
    assert Reach.objects.get().phone == NUMBER
    client.post(PAGE, {"step": "confirm", "code": code_in(texts()[OTHER])})
    assert Reach.objects.get().phone == OTHER

    client.post(PAGE, {"step": "forget"})
    reach = Reach.objects.get()
    assert (reach.phone, reach.phone_confirmed_at) == ("", None)
    assert Delivery.objects.filter(event="phone_changed", channel="mail").count() == 3


def test_of_twenty_parallel_guesses_five_are_looked_at(dora, texts):
    phone_ask(user_id=dora.pk, phone=NUMBER)
    code = code_in(texts()[NUMBER])
    wrong = f"{(int(code) + 1) % 10**6:06}"
    answers: list[str] = []

    def guess() -> None:
        try:
            phone_confirm(user_id=dora.pk, code=wrong)
        except ServiceError as error:
            answers.append(error.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=guess) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert answers.count("PHONE_CODE_INVALID") == CODE_TRIES_MAX
    assert answers.count("PHONE_CODE_ENDED") == 20 - CODE_TRIES_MAX
    with pytest.raises(ServiceError, match="ended"):
        phone_confirm(user_id=dora.pk, code=code)


@pytest.mark.parametrize("phone", ["", "0660 1234567", "+43", "+1", "hello", "+999123456789"])
def test_what_is_no_number_is_refused(dora, phone):
    answer = browser(dora).post(PAGE, {"step": "ask", "phone": phone})

    assert answer.status_code == 400
    assert "country code" in answer.content.decode()
    assert not OutboxEffect.objects.exists()


def test_few_codes_are_sent(dora):
    client = browser(dora)
    client.post(PAGE, {"step": "ask", "phone": NUMBER})

    answer = client.post(PAGE, {"step": "ask", "phone": OTHER})

    assert answer.status_code == 429
    assert OutboxEffect.objects.count() == 1


def test_s15_another_number_needs_a_fresh_proof(dora):
    client = browser(dora, age_s=301)

    asked = client.post(PAGE, {"step": "ask", "phone": NUMBER})
    forgot = client.post(PAGE, {"step": "forget"})

    assert asked.url == forgot.url == "/auth/again?next=%2Fsettings%2Fphone"
    assert not OutboxEffect.objects.exists()
