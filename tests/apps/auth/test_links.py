"""Sign-in links: requirements S-01 to S-05 on a real database, queue and limiter."""

import threading
import time
from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.utils import timezone

from apps.auth import facade
from apps.auth.choices import LinkOrigin
from apps.auth.models import LoginLink, User
from apps.auth.services.links import CODE_TRIES_MAX, login_link_issue
from apps.auth.services.login_mails import login_mail_send
from apps.common.models import OutboxEffect
from apps.common.outbox import outbox_run
from apps.common.sealing import seal

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

LOGIN = "/api/v1/auth/login"
VERIFY = "/api/v1/auth/verify"


def ask_as_program(client: Client, email: str = "alice@example.com"):
    return client.post(LOGIN, {"email": email}, content_type="application/json")


def ask_as_browser(client: Client, post_form, email: str = "alice@example.com", **fields: str):
    return post_form(client, "/auth/sign-in", "/auth/sign-in", email=email, **fields)


def is_signed_in(client: Client) -> bool:
    return client.get("/auth/sign-in").status_code == 302


def in_parallel(count: int, work) -> list:
    """Run the work in that many threads at the same moment and return what each returned."""
    barrier = threading.Barrier(count)
    results = []

    def run() -> None:
        try:
            barrier.wait(timeout=30)
            results.append(work())
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    return results


# --- S-01: strong, hashed, ten minutes, once ------------------------------------------------------


def test_s01_token_has_256_bits_and_only_digests_are_stored():
    link = login_link_issue(email="alice@example.com", origin=LinkOrigin.CLIENT)

    stored = LoginLink.objects.values_list().get()
    assert len(link.token) == 43
    assert not any(link.token in str(value) or value == link.code for value in stored)


def test_s01_fifty_parallel_uses_make_one_session():
    token = login_link_issue(email="alice@example.com", origin=LinkOrigin.CLIENT).token

    answers = in_parallel(50, lambda: Client().get(VERIFY, {"token": token}))

    codes = sorted(answer.status_code for answer in answers)
    assert codes == [200] + [410] * 49
    assert Session.objects.count() == 1
    assert User.objects.filter(email="alice@example.com").count() == 1


def test_s01_link_ends_after_ten_minutes(program):
    token = login_link_issue(email="alice@example.com", origin=LinkOrigin.CLIENT).token
    link = LoginLink.objects.get()
    assert link.expires_at - link.created_at == timedelta(minutes=10)
    past = timezone.now() - timedelta(minutes=10)
    LoginLink.objects.update(created_at=past, expires_at=past + timedelta(seconds=1))

    answer = program.get(VERIFY, {"token": token})

    assert (answer.status_code, answer.json()["code"]) == (410, "LINK_EXPIRED")
    assert Session.objects.count() == 0


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({}, "INVALID"),
        ({"token": ""}, "INVALID"),
        ({"token": "garbage"}, "LINK_INVALID"),
        ({"token": "A" * 43}, "LINK_INVALID"),
        ({"token": "ü" * 43}, "LINK_INVALID"),
        ({"token": "A" * 129}, "INVALID"),
        ({"token": "\x00"}, "INVALID"),
        ({"token": "' OR 1=1 --"}, "LINK_INVALID"),
    ],
)
def test_s01_a_token_that_is_none_gets_a_clear_400(program, query, code):
    answer = program.get(VERIFY, query)

    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_s01_a_used_link_says_so(program):
    token = login_link_issue(email="alice@example.com", origin=LinkOrigin.CLIENT).token
    program.get(VERIFY, {"token": token})

    answer = program.get(VERIFY, {"token": token})

    assert (answer.status_code, answer.json()["code"]) == (410, "LINK_USED")


# --- S-02: looking at a link does not use it ------------------------------------------------------


def test_s02_pages_and_head_requests_never_use_a_link(visitor, program):
    url = facade.login_link_create("alice@example.com").url

    for _ in range(10):
        assert visitor.get(url).status_code == 200
    assert visitor.get(url, headers={"sec-purpose": "prefetch"}).status_code == 200
    assert visitor.head(url).status_code == 200
    assert program.head(url).status_code == 200
    assert visitor.head(url.replace("/api/v1", "")).status_code == 200

    assert LoginLink.objects.get().used_at is None
    assert Session.objects.count() == 0
    assert program.get(url).status_code == 200


def test_s02_the_page_keeps_its_address_to_itself(visitor):
    page = visitor.get(facade.login_link_create("alice@example.com").url)

    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert "no-store" in page.headers["Cache-Control"]
    assert "Sign in as a***@example.com" in page.content.decode()
    assert "alice@" not in page.content.decode()


def test_s02_the_button_signs_in_and_opens_the_terminal(visitor, post_form):
    url = facade.login_link_create("alice@example.com").url

    answer = post_form(visitor, url, "/auth/verify")

    assert (answer.status_code, answer.url) == (302, "/trade/BTCUSDT")
    assert is_signed_in(visitor)


def test_s02_a_post_without_the_csrf_token_is_refused(visitor):
    facade.login_link_create("alice@example.com")
    token = facade.login_link_create("alice@example.com").url.partition("token=")[2]

    answer = visitor.post("/auth/verify", {"token": token})

    assert answer.status_code == 403
    assert not LoginLink.objects.filter(used_at__isnull=False).exists()


def test_s02_no_log_line_holds_a_token(visitor, program, caplog):
    caplog.set_level("DEBUG")
    url = facade.login_link_create("alice@example.com").url
    token = url.partition("token=")[2]

    visitor.get(url)
    program.get(url)
    program.get(url)

    # Django's own query log shows parameters in DEBUG only, and there it is the digest.
    assert token not in caplog.text


# --- S-03: the link belongs to the browser that asked ---------------------------------------------


def test_s03_the_asking_browser_needs_only_the_button(visitor, mails, post_form):
    sent = ask_as_browser(visitor, post_form)
    assert (sent.status_code, sent.url) == (302, "/auth/code")
    [mail] = mails()

    answer = post_form(visitor, mail.url, "/auth/verify")

    assert answer.status_code == 302
    assert is_signed_in(visitor)


def test_a_path_with_signs_that_no_address_has_is_forgotten(visitor, mails, post_form):
    answer = ask_as_browser(visitor, post_form, next="/trade/ETHUSDT\0")

    assert answer.status_code == 302
    assert len(mails()) == 1


def test_s03_another_browser_must_show_the_code(visitor, other_visitor, mails, post_form):
    ask_as_browser(visitor, post_form)
    [mail] = mails()
    wrong = f"{(int(mail.code) + 1) % 1_000_000:06d}"

    page = other_visitor.get(mail.url).content.decode()
    without = post_form(other_visitor, mail.url, "/auth/verify")
    with_wrong = post_form(other_visitor, mail.url, "/auth/verify", code=wrong)
    assert 'name="code"' in page
    assert (without.status_code, with_wrong.status_code) == (403, 400)
    assert not is_signed_in(other_visitor)

    with_right = post_form(other_visitor, mail.url, "/auth/verify", code=mail.code)
    assert with_right.status_code == 302
    assert is_signed_in(other_visitor)


def test_s03_a_leaked_link_of_a_browser_opens_nothing_by_json(visitor, program, mails, post_form):
    ask_as_browser(visitor, post_form)
    [mail] = mails()

    answer = program.get(mail.url)
    assert (answer.status_code, answer.json()["code"]) == (403, "LINK_NEEDS_CODE")
    assert Session.objects.count() == 0

    assert program.get(f"{mail.url}&code={mail.code}").status_code == 200


def test_s03_a_json_login_from_a_page_is_bound_to_its_browser(program, mails):
    asking = Client(headers={"origin": "http://localhost:8000"})
    ask_as_program(asking)
    [mail] = mails()

    assert program.get(mail.url).status_code == 403
    assert asking.get(mail.url, headers={"accept": "application/json"}).status_code == 200


def test_s03_the_code_alone_works_in_the_asking_browser_only(
    visitor, other_visitor, mails, post_form
):
    ask_as_browser(visitor, post_form)
    [mail] = mails()

    stranger = post_form(other_visitor, "/auth/sign-in", "/auth/code", code=mail.code)
    assert stranger.status_code == 400
    assert not is_signed_in(other_visitor)

    spaced = f"{mail.code[:3]} {mail.code[3:]}"
    assert post_form(visitor, "/auth/code", "/auth/code", code=spaced).status_code == 302
    assert is_signed_in(visitor)


def test_s03_parallel_guesses_share_the_few_tries(visitor, mails, post_form):
    ask_as_browser(visitor, post_form)
    [mail] = mails()
    wrong = f"{(int(mail.code) + 1) % 1_000_000:06d}"

    answers = in_parallel(20, lambda: Client().get(f"{mail.url}&code={wrong}").json()["code"])

    assert answers.count("CODE_INVALID") == CODE_TRIES_MAX
    assert answers.count("CODE_TRIES_EXCEEDED") == 20 - CODE_TRIES_MAX
    late = Client().get(f"{mail.url}&code={mail.code}")
    assert (late.status_code, late.json()["code"]) == (403, "CODE_TRIES_EXCEEDED")


def test_s03_a_printed_link_works_in_any_browser_of_this_machine(visitor, post_form):
    url = facade.login_link_create("alice@example.com").url

    assert url.startswith("http://localhost:8000/api/v1/auth/verify?token=")
    assert post_form(visitor, url, "/auth/verify").status_code == 302


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"REMOTE_ADDR": "203.0.113.9"},
        {"REMOTE_ADDR": ""},
        {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "127.0.0.1"},
        {"REMOTE_ADDR": "127.0.0.1", "HTTP_FORWARDED": "for=127.0.0.1"},
    ],
)
def test_s03_a_printed_link_works_on_this_machine_only(program, visitor, elsewhere):
    url = facade.login_link_create("alice@example.com").url

    answer = program.get(url, **elsewhere)
    page = visitor.get(url, **elsewhere)

    assert (answer.status_code, answer.json()["code"]) == (403, "LINK_LOCAL_ONLY")
    assert page.status_code == 403
    assert LoginLink.objects.get().used_at is None


# --- S-04: nobody learns who has an account -------------------------------------------------------


def test_s04_known_and_unknown_addresses_get_the_same_work(
    program, mails, django_assert_num_queries
):
    facade.users_seed()
    answers = []
    for email in ("alice@example.com", "nobody@example.com", "alice@example.com"):
        # The network is looked up and one row is written in a transaction of its own, whoever it is.
        with django_assert_num_queries(4):
            answers.append(ask_as_program(program, email))
    known, unknown, again = answers

    assert known.status_code == unknown.status_code == again.status_code == 200
    assert known.content == unknown.content == again.content
    different = {"name": "", "email": "", "nonce_sha256": "", "asked_at_us": 0}
    shapes = [row.payload | different for row in OutboxEffect.objects.order_by("id")]
    assert shapes[0] == shapes[1] == shapes[2] | {"is_held_back": False}
    first, second = mails()
    assert (first.to, second.to) == ("alice@example.com", "nobody@example.com")
    assert first.text.replace(first.token, "").replace(first.code, "") == second.text.replace(
        second.token, ""
    ).replace(second.code, "")


def test_s04_known_and_unknown_addresses_take_the_same_time(program, settings, stream_prefix):
    """Two hundred of each, by turns; beyond four standard deviations nobody calls it chance (one in 16,000)."""
    settings.LOGIN_LIMITS_PER_IP = settings.LOGIN_LIMITS_PER_ADDRESS = []
    facade.users_seed()
    took: dict[str, list[float]] = {"known": [], "unknown": []}
    for number in range(400):
        kind = "known" if number % 2 else "unknown"
        email = "alice@example.com" if kind == "known" else f"u{number}@example.com"
        began = time.perf_counter()
        ask_as_program(program, email)
        took[kind].append(time.perf_counter() - began)

    middle = {kind: sorted(times)[100] for kind, times in took.items()}
    assert abs(middle["known"] - middle["unknown"]) < 0.005
    assert abs(mann_whitney_z(took["known"], took["unknown"])) < 4


def mann_whitney_z(first: list[float], second: list[float]) -> float:
    """Return how far the ranks of two samples lie apart, in standard deviations of pure chance."""
    ranks = {value: rank for rank, value in enumerate(sorted(first + second), start=1)}
    n, m = len(first), len(second)
    u = sum(ranks[value] for value in first) - n * (n + 1) / 2
    return (u - n * m / 2) / (n * m * (n + m + 1) / 12) ** 0.5


def test_s04_an_unknown_address_becomes_a_user_by_its_first_link(program, mails):
    ask_as_program(program, "New.Person@Example.com")
    [mail] = mails()
    assert not User.objects.exists()

    answer = program.get(mail.url).json()

    assert answer["data"]["user"]["email"] == "new.person@example.com"
    assert User.objects.get().has_usable_password() is False


@pytest.mark.parametrize(
    "body", [{}, {"email": ""}, {"email": "alice"}, {"email": "a@b@c.de"}, {"email": ["x"]}]
)
def test_s04_an_address_that_is_none_gets_400(program, body):
    answer = program.post(LOGIN, body, content_type="application/json")

    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID")
    assert not OutboxEffect.objects.exists()


# --- S-05: the newest link counts, and there are not many -----------------------------------------


def test_s05_a_new_link_ends_the_older_ones(program):
    old = login_link_issue(email="alice@example.com", origin=LinkOrigin.CLIENT).token
    new = login_link_issue(email="ALICE@example.com", origin=LinkOrigin.CLIENT).token

    answer = program.get(VERIFY, {"token": old})

    assert (answer.status_code, answer.json()["code"]) == (410, "LINK_SUPERSEDED")
    assert program.get(VERIFY, {"token": new}).status_code == 200


def test_s05_of_parallel_links_one_is_alive():
    in_parallel(
        8, lambda: login_link_issue(email="alice@example.com", origin=LinkOrigin.CLIENT).token
    )

    assert LoginLink.objects.filter(superseded_at=None).count() == 1


def test_s05_a_held_back_mail_keeps_the_first_link_and_browser_valid(visitor, mails, post_form):
    ask_as_browser(visitor, post_form)
    ask_as_browser(visitor, post_form)
    [mail] = mails()

    assert post_form(visitor, mail.url, "/auth/verify").status_code == 302


def test_s05_one_address_gets_one_mail_a_minute_and_five_an_hour(program, mails, settings):
    ask_as_program(program)
    ask_as_program(program)
    assert len(mails()) == 1

    settings.LOGIN_LIMITS_PER_ADDRESS = ["5/h"]
    for _ in range(10):
        ask_as_program(program)
    assert len(mails()) == 5


def test_s05_one_network_address_asks_twenty_times_an_hour(
    program, visitor, stream_prefix, post_form
):
    for number in range(20):
        assert ask_as_program(program, f"u{number}@example.com").status_code == 200

    answer = ask_as_program(program, "u20@example.com")
    page = ask_as_browser(visitor, post_form)
    elsewhere = program.post(
        LOGIN,
        {"email": "u21@example.com"},
        content_type="application/json",
        REMOTE_ADDR="203.0.113.9",
    )

    assert (answer.status_code, answer.json()["code"]) == (429, "RATE_LIMITED")
    assert 3500 < int(answer.headers["Retry-After"]) <= 3600
    assert (page.status_code, "Retry-After" in page.headers) == (429, True)
    assert elsewhere.status_code == 200
    assert OutboxEffect.objects.count() == 21


def test_s13_strangers_cannot_use_up_the_mails_of_who_signed_in_here_before(program, mails):
    def ask(ip: str) -> int:
        """Ask for a mail to alice, and return how many have left so far."""
        program.post(
            LOGIN,
            {"email": "alice@example.com"},
            content_type="application/json",
            REMOTE_ADDR=ip,
        )
        return len(mails())

    home, stranger, elsewhere = "203.0.113.7", "198.51.100.9", "192.0.2.4"
    link = login_link_issue(email="alice@example.com", origin=LinkOrigin.CLIENT)
    assert program.get(VERIFY, {"token": link.token}, REMOTE_ADDR=home).status_code == 200

    # The share of all networks that are not known is used up by somebody else, also from a second network,
    assert ask(stranger) == 1
    assert ask(stranger) == 1
    assert ask(elsewhere) == 1
    # and the owner at home still gets a mail, one a minute.
    assert ask(home) == 2
    assert ask(home) == 2


def test_s24_a_forged_forwarding_header_changes_no_limit(program, settings, stream_prefix):
    settings.LOGIN_LIMITS_PER_IP = ["1/h"]
    ask_as_program(program)

    answer = program.post(
        LOGIN,
        {"email": "bob@example.com"},
        content_type="application/json",
        headers={"x-forwarded-for": "203.0.113.7"},
    )

    assert answer.status_code == 429


def test_s05_the_host_of_the_link_comes_from_the_settings(program, mails, settings):
    settings.ALLOWED_HOSTS = ["*"]

    program.post(
        LOGIN,
        {"email": "alice@example.com"},
        content_type="application/json",
        headers={"host": "evil.example", "x-forwarded-host": "evil.example"},
    )

    [mail] = mails()
    assert mail.url.startswith("http://localhost:8000/api/v1/auth/verify?token=")
    assert "evil" not in mail.text + mail.html


def test_s50_without_its_counters_sign_in_is_closed(program, settings, caplog):
    from apps.common import rate_limits

    settings.REDIS_URL = "unix:///nowhere/valkey.sock"
    rate_limits._script.cache_clear()

    answer = ask_as_program(program)

    rate_limits._script.cache_clear()
    assert (answer.status_code, answer.json()["code"]) == (503, "UNAVAILABLE")
    assert "the counters cannot be reached" in caplog.messages


# --- where to go afterwards -----------------------------------------------------------------------


def test_next_is_kept_across_the_mail(visitor, mails, post_form):
    post_form(visitor, "/auth/sign-in?next=/admin/", "/auth/sign-in", email="alice@example.com")
    [mail] = mails()

    assert post_form(visitor, mail.url, "/auth/verify").url == "/admin/"


@pytest.mark.parametrize("evil", ["https://evil.example/", "//evil.example", "/\\evil.example"])
def test_next_never_leaves_the_site(visitor, mails, post_form, evil):
    ask_as_browser(visitor, post_form, next=evil)
    [mail] = mails()

    assert post_form(visitor, mail.url, "/auth/verify").url == "/trade/BTCUSDT"


def test_a_closed_user_is_not_signed_in(program):
    facade.users_seed()
    User.objects.filter(email="alice@example.com").update(is_active=False)
    token = login_link_issue(email="alice@example.com", origin=LinkOrigin.CLIENT).token

    answer = program.get(VERIFY, {"token": token})

    assert (answer.status_code, answer.json()["code"]) == (403, "USER_INACTIVE")
    assert Session.objects.count() == 0


def test_links_older_than_thirty_days_are_forgotten():
    login_link_issue(email="alice@example.com", origin=LinkOrigin.CLIENT)
    old = timezone.now() - timedelta(days=31)
    LoginLink.objects.update(created_at=old, expires_at=old + timedelta(minutes=10))

    login_link_issue(email="bob@example.com", origin=LinkOrigin.CLIENT)

    assert [link.email for link in LoginLink.objects.all()] == ["bob@example.com"]


# --- the mail on its way ----------------------------------------------------------------------------------------------


def test_what_waits_in_the_outbox_signs_nobody_in(program, mails):
    ask_as_program(program)
    outbox_run(OutboxEffect.objects.get().pk)

    effect = OutboxEffect.objects.get(key__endswith=":mail")
    waiting = str(effect.payload)
    [mail] = mails()
    assert mail.token not in waiting
    assert mail.code not in waiting
    assert mail.to not in waiting
    # Afterwards not even that is kept.
    assert [row.payload for row in OutboxEffect.objects.all()] == [{}, {}]


def test_a_mail_that_comes_too_late_is_not_sent(program, mails, mailoutbox, settings):
    ask_as_program(program)
    settings.LOGIN_LINK_SECONDS = -1

    assert mails() == []
    assert not LoginLink.objects.exists()
    login_mail_send(name="x", sealed=seal({"to": "alice@example.com"})[:-8] + "AAAAAAA=")
    assert mailoutbox == []
