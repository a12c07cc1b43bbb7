"""Guests: a demo in one click, and an address later, under the same user."""

import pytest
from django.test import Client

from apps.auth.choices import LinkOrigin
from apps.auth.models import User
from apps.auth.services.links import login_link_issue

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]


def start_demo(visitor: Client, post_form):
    return post_form(visitor, "/", "/auth/demo")


def guest_of(visitor: Client) -> User:
    return User.objects.get(pk=visitor.session["_auth_user_id"])


def test_one_click_on_the_landing_page_signs_a_guest_in(visitor, post_form):
    answer = start_demo(visitor, post_form)

    assert (answer.status_code, answer.url) == (302, "/trade/BTCUSDT")
    guest = guest_of(visitor)
    assert guest.is_guest
    assert guest.email.endswith("@guest.invalid")
    assert visitor.post("/auth/demo").status_code == 403


def test_a_second_click_makes_no_second_guest(visitor, post_form):
    start_demo(visitor, post_form)
    token = visitor.cookies["csrftoken"].value

    answer = visitor.post("/auth/demo", headers={"x-csrftoken": token})

    assert answer.status_code == 302
    assert User.objects.count() == 1


def test_a_guest_who_tells_an_address_stays_the_same_user(visitor, post_form, mails):
    start_demo(visitor, post_form)
    guest = guest_of(visitor)
    old_session = visitor.session.session_key
    post_form(visitor, "/auth/sign-in", "/auth/sign-in", email="Dora@example.com")
    [mail] = mails()

    answer = post_form(visitor, mail.url, "/auth/verify")

    assert answer.status_code == 302
    guest.refresh_from_db()
    assert (guest.email, guest.is_guest) == ("dora@example.com", False)
    assert guest_of(visitor) == guest
    assert visitor.session.session_key != old_session


def test_a_guest_with_an_address_that_is_somebodys_signs_in_there(visitor, post_form, mails):
    dora = User.objects.create_user("dora@example.com")
    start_demo(visitor, post_form)
    guest = guest_of(visitor)
    post_form(visitor, "/auth/sign-in", "/auth/sign-in", email="dora@example.com")
    [mail] = mails()

    post_form(visitor, mail.url, "/auth/verify")

    assert guest_of(visitor) == dora
    guest.refresh_from_db()
    assert guest.is_guest


def test_a_link_that_a_guest_asked_for_gives_the_guest_nothing_when_another_browser_uses_it(
    visitor, other_visitor, post_form, mails
):
    start_demo(visitor, post_form)
    guest = guest_of(visitor)
    post_form(visitor, "/auth/sign-in", "/auth/sign-in", email="victim@example.com")
    [mail] = mails()

    post_form(other_visitor, mail.url, "/auth/verify", code=mail.code)

    assert guest_of(other_visitor).email == "victim@example.com"
    assert guest_of(other_visitor) != guest
    guest.refresh_from_db()
    assert guest.is_guest


def test_json_clients_are_never_taken_for_the_guest_of_a_cookie(visitor, post_form):
    start_demo(visitor, post_form)
    token = login_link_issue(email="dora@example.com", origin=LinkOrigin.CLIENT).token

    answer = visitor.get(
        "/api/v1/auth/verify", {"token": token}, headers={"accept": "application/json"}
    )

    assert answer.json()["data"]["user"]["isGuest"] is False
    assert guest_of(visitor).is_guest


def test_s23_one_network_address_starts_ten_demos_an_hour(post_form, settings):
    settings.GUEST_LIMITS_PER_IP = ["2/h"]
    for _ in range(2):
        assert start_demo(Client(headers={"accept": "text/html"}), post_form).status_code == 302

    answer = start_demo(Client(headers={"accept": "text/html"}), post_form)

    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 3500
    assert User.objects.count() == 2


@pytest.fixture(autouse=True)
def own_counters(stream_prefix, embedded_servers):
    """Count in this test alone."""
