"""The catalogues are complete and compiled, and people meet their language on the account pages and in what is sent to them."""

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.core import mail
from django.test import Client
from django.utils import timezone

from apps.auth.choices import LinkOrigin
from apps.auth.models import User
from apps.auth.services.login_requests import LoginWish, login_request
from apps.common.models import OutboxEffect
from apps.common.outbox import outbox_run
from apps.notifications.choices import NoticeEvent
from apps.notifications.models import Delivery, Reach
from apps.notifications.services.sending import render
from cryptocfd import translations
from tests.apps.notifications.test_messages import FACTS

GERMAN = {"accept": "text/html", "accept-language": "de-AT,de;q=0.9,en;q=0.5"}


@pytest.mark.parametrize("language", translations.languages())
def test_a_catalogue_has_words_for_everything_and_is_compiled(language):
    assert translations.faults(language) == []


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('msgstr "Kauf"', 'msgstr ""', "no words for 'Buy'"),
        ("Hallo %(name)s", "Hallo", "other placeholders than 'Hello %(name)s,'"),
        ('msgid "Sell"', 'msgid "Vend"', "no words for 'Sell'"),
    ],
)
def test_what_is_missing_is_found(old, new, fault, monkeypatch, tmp_path: Path):
    text = translations.po_path("de").read_text()
    assert old in text
    copy = tmp_path / "django.po"
    copy.write_text(text.replace(old, new))
    monkeypatch.setattr(translations, "po_path", lambda _language: copy)

    assert any(fault in found for found in translations.faults("de"))


def carry_out_all() -> None:
    while waiting := OutboxEffect.objects.filter(done_at=None).order_by("id").first():
        outbox_run(waiting.pk)


@pytest.mark.integration
@pytest.mark.django_db(transaction=True)
class TestPeople:
    """Pages and letters on a real database."""

    def test_a_browser_meets_its_language_on_account_pages_only(self):
        browser = Client(headers=GERMAN)

        page = browser.get("/auth/sign-in")
        landing = browser.get("/")
        answer = browser.post("/api/v1/auth/login", {}, content_type="application/json")

        text = page.content.decode()
        assert '<html lang="de">' in text
        assert "Wir schicken dir einen Link; es gibt kein Passwort." in text
        assert page.headers["Content-Language"] == "de"
        assert "Accept-Language" in page.headers["Vary"]
        assert '<html lang="en">' in landing.content.decode()
        assert "expected a value, found none" in answer.content.decode()

    def test_the_terminal_brings_the_refusals_in_the_language_of_its_reader(self):
        dora = User.objects.create_user("dora@example.com")
        german, english = Client(headers=GERMAN), Client(headers={"accept-language": "en"})
        for browser in (german, english):
            browser.force_login(dora)

        pages = [german.get(path).content.decode() for path in ("/trade/BTCUSDT", "/portfolio")]

        assert all("der Hebel muss zwischen 1 und {leverageMax} liegen" in page for page in pages)
        text = english.get("/portfolio").content.decode()
        assert "leverage must be from 1 to {leverageMax}" in text

    def test_the_choice_of_a_language_begins_with_the_browsers(self):
        guest = User.objects.create_user("guest-1@guest.invalid", is_guest=True)
        browser = Client(headers=GERMAN)
        browser.force_login(guest)

        form = browser.get("/settings/notifications").context["form"]

        assert form["language"].value() == "de"

    @pytest.mark.parametrize("path", ["profile", "devices", "keys", "notifications", "phone"])
    def test_the_language_that_a_person_chose_goes_before_the_browsers(self, path):
        dora = User.objects.create_user("dora@example.com")
        Reach.objects.create(user=dora, language="de")
        browser = Client(headers={"accept-language": "en"})
        browser.force_login(dora)

        text = browser.get(f"/settings/{path}").content.decode()

        assert '<html lang="de">' in text
        assert "Einstellungen" in text

    @pytest.mark.usefixtures("stream_prefix", "embedded_servers")
    def test_a_newcomers_first_mail_and_later_messages_are_in_the_language_of_the_browser(self):
        wish = LoginWish("new@example.com", LinkOrigin.CLIENT, "", "", ip=None, language="de")
        login_request(wish=wish)
        carry_out_all()
        (letter,) = mail.outbox
        assert letter.subject == "Bei CryptoCFD anmelden"
        path = re.search(r"https?://[^/]+(/api/v1/auth/verify\S+)", letter.body)[1]

        Client(headers={"accept": "application/json", "accept-language": "de"}).get(path)

        assert Reach.objects.get().language == "de"

    @pytest.mark.parametrize("event", list(NoticeEvent))
    def test_every_event_has_german_words_in_every_form(self, event):
        person = User.objects.create_user("dora@example.com")
        delivery = Delivery(user=person, event=event, facts=FACTS, created_at=timezone.now())

        for form in ("subject.txt", "mail.txt", "mail.html", "sms.txt"):
            english = render(delivery, Reach(), form)
            german = render(delivery, Reach(language="de"), form)
            assert german != english, form
            assert not re.search(r"\b(your|the|account|of|with)\b", german, re.IGNORECASE), german

    def test_every_language_can_be_chosen(self):
        assert [code for code, _ in settings.LANGUAGES] == ["en", *translations.languages()]
