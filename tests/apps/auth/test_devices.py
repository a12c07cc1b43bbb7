"""Devices: their tokens (S-09, S-10), their PIN (S-11), and how they are signed out."""

import itertools
import json
import re
import threading
from datetime import timedelta

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.contrib.sessions.models import Session
from django.core import mail
from django.db import connection
from django.test import Client
from django.utils import timezone

from apps.auth import facade
from apps.auth.choices import DeviceEnd
from apps.auth.models import Device, RefreshToken
from apps.auth.services import pins
from apps.auth.services.identities import session_cache
from apps.common.errors import ServiceError
from apps.common.models import OutboxEffect
from apps.common.outbox import outbox_run
from apps.notifications.models import Delivery

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

REAL_HASHERS = list(django_settings.PASSWORD_HASHERS)

API = "/api/v1/auth"


@pytest.fixture(autouse=True)
def own_counters(stream_prefix, embedded_servers, settings):
    settings.REFRESH_LIMITS_PER_IP = ["1000/m"]


def sign_in(email: str = "alice@example.com") -> dict:
    return (
        Client(headers={"user-agent": "Phone 1.0"})
        .get(facade.login_link_create(email).url, headers={"accept": "application/json"})
        .json()["data"]
    )


def ask(method: str, path: str, pair: dict, body: dict | None = None):
    return Client().generic(
        method,
        f"{API}{path}",
        b"" if body is None else json.dumps(body),
        content_type="application/json",
        headers={"authorization": f"Bearer {pair['accessToken']}"},
    )


def refresh(token: str):
    return Client().post(
        f"{API}/mobile/refresh-token", {"refreshToken": token}, content_type="application/json"
    )


def code(answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def in_parallel(count: int, work) -> list:
    """Do the work that often, at most 40 at the same moment: the test's PostgreSQL takes 100 connections."""
    width = min(count, 40)
    barrier = threading.Barrier(width)
    results = []

    def run() -> None:
        try:
            barrier.wait(timeout=120)
            results.extend(work() for _ in range(count // width))
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(width)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=240)
    return results


def later(seconds: float) -> None:
    """Let time pass for the tokens that were used."""
    for token in RefreshToken.objects.exclude(used_at=None):
        token.used_at -= timedelta(seconds=seconds)
        token.save(update_fields=["used_at"])


# --- tokens ------------------------------------------------------------------------------------------------------------


def test_a_signed_in_client_gets_a_device_of_its_own():
    first = sign_in()

    answer = ask("GET", "/mobile/session-token", first)

    second = answer.json()["data"]
    assert set(second) == {
        "accessToken",
        "expiresAt",
        "refreshToken",
        "refreshExpiresAt",
        "user",
    }
    assert "no-store" in answer.headers["Cache-Control"]
    assert Device.objects.count() == Session.objects.count() == 2
    devices = ask("GET", "/devices", second).json()["data"]
    assert [(row["name"], row["isCurrent"]) for row in devices] == [
        ("", True),
        ("Phone 1.0", False),
    ]


def test_a_browser_gets_a_device_beside_its_session(visitor, post_form):
    post_form(visitor, facade.login_link_create("alice@example.com").url, "/auth/verify")

    answer = visitor.get(f"{API}/mobile/session-token", headers={"accept": "application/json"})

    pair = answer.json()["data"]
    assert ask("POST", "/verify-user", pair).status_code == 200
    assert visitor.get("/auth/sign-in").status_code == 302


def test_looking_at_the_route_signs_nothing_in():
    pair = sign_in()

    assert ask("HEAD", "/mobile/session-token", pair).status_code == 200
    assert Device.objects.count() == 1


def test_s09_access_tokens_end_after_ten_minutes(monkeypatch):
    pair = sign_in()
    assert ask("POST", "/verify-user", pair).status_code == 200
    ends = timezone.datetime.fromisoformat(pair["expiresAt"])
    assert timedelta(minutes=9) < ends - timezone.now() <= timedelta(minutes=10)


def test_s10_a_refresh_gives_a_new_pair_and_the_old_token_is_used():
    first = sign_in()

    second = refresh(first["refreshToken"]).json()["data"]
    third = refresh(second["refreshToken"]).json()["data"]

    assert len({first["refreshToken"], second["refreshToken"], third["refreshToken"]}) == 3
    assert ask("POST", "/verify-user", third).status_code == 200
    stored = str(list(RefreshToken.objects.values_list()))
    assert not any(pair["refreshToken"] in stored for pair in (first, second, third))


def test_s10_twenty_parallel_refreshes_make_one_successor():
    pair = sign_in()

    answers = in_parallel(20, lambda: refresh(pair["refreshToken"]))

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["data"]["refreshToken"] for answer in answers}) == 1
    assert RefreshToken.objects.count() == 2


def test_s10_a_token_shown_again_ends_the_family_and_its_owner_is_told(mailoutbox):
    first = sign_in()
    second = refresh(first["refreshToken"]).json()["data"]
    later(11)

    replayed = [code(refresh(first["refreshToken"])) for _ in range(3)]

    assert replayed == [(401, "REFRESH_TOKEN_REUSED")] + [(401, "REFRESH_TOKEN_INVALID")] * 2
    assert code(refresh(second["refreshToken"])) == (401, "REFRESH_TOKEN_INVALID")
    assert ask("POST", "/verify-user", second).status_code == 401
    assert Device.objects.get().end_reason == DeviceEnd.REUSE
    outbox_run(OutboxEffect.objects.get(key__endswith=":mail").pk)
    assert [(m.to, m.subject) for m in mail.outbox] == [
        (["alice@example.com"], "A stolen session was ended")
    ]
    assert "127.0.0.1" in mail.outbox[0].body


def test_s10_parallel_replays_end_the_family_once():
    pair = sign_in()
    refresh(pair["refreshToken"])
    later(11)

    answers = in_parallel(10, lambda: refresh(pair["refreshToken"]).status_code)

    assert answers == [401] * 10
    assert OutboxEffect.objects.filter(key__endswith=":mail").count() == 1


def test_s10_another_device_lives_on():
    mine, other = sign_in(), sign_in()
    refresh(mine["refreshToken"])
    later(11)
    refresh(mine["refreshToken"])

    assert refresh(other["refreshToken"]).status_code == 200


@pytest.mark.parametrize("token", ["", "garbage", "A" * 43, "ü" * 43, "A" * 200, 7, None, ["x"]])
def test_s10_a_token_that_is_none_is_refused(token):
    answer = refresh(token)

    assert answer.status_code in {400, 401}
    assert answer.json()["success"] is False


def test_s10_a_token_ends_with_its_time_and_with_its_session():
    silent, signed_out = sign_in(), sign_in()
    RefreshToken.objects.filter(device=Device.objects.order_by("id").first()).update(
        expires_at=timezone.now()
    )
    Session.objects.filter(session_key=Device.objects.order_by("id").last().session_key).delete()

    assert code(refresh(silent["refreshToken"])) == (401, "REFRESH_TOKEN_INVALID")
    assert code(refresh(signed_out["refreshToken"])) == (401, "REFRESH_TOKEN_INVALID")


def test_s06_a_revoked_device_is_out_at_once():
    mine, other = sign_in(), sign_in()
    assert ask("POST", "/verify-user", other).status_code == 200
    other_id = Device.objects.latest("id").pk

    left = ask("DELETE", f"/devices/{other_id}", mine)

    assert [row["isCurrent"] for row in left.json()["data"]] == [True]
    assert ask("POST", "/verify-user", other).status_code == 401
    assert refresh(other["refreshToken"]).status_code == 401


def test_s16_devices_of_others_do_not_exist():
    mine, foreign = sign_in(), sign_in("bob@example.com")
    foreign_id = Device.objects.latest("id").pk

    assert code(ask("DELETE", f"/devices/{foreign_id}", mine)) == (404, "DEVICE_UNKNOWN")
    assert ask("POST", "/verify-user", foreign).status_code == 200


# --- PIN ---------------------------------------------------------------------------------------------------------------


def pin(pair: dict, value: object, **more: str):
    return ask("POST", "/mobile/pin", pair, {"pin": value, **more})


def pin_check(pair: dict, value: str):
    return ask("POST", "/mobile/pin/check", pair, {"pin": value})


@pytest.mark.parametrize("value", ["1234", "12345", "123456"])
def test_s11_a_pin_of_four_to_six_digits_is_set_and_kept_as_argon2(value, settings):
    settings.PASSWORD_HASHERS = REAL_HASHERS
    pair = sign_in()

    assert pin(pair, value).json()["data"] == {"pinSet": True}

    stored = Device.objects.get().pin_hash
    assert stored.startswith(Argon2PasswordHasher.algorithm + "$argon2id$")
    memory_kib, rounds, _ = map(int, re.search(r"m=(\d+),t=(\d+),p=(\d+)", stored).groups())
    # What OWASP asks for at least.
    assert memory_kib >= 19_456
    assert rounds >= 2
    assert value not in stored
    assert pin_check(pair, value).status_code == 200


@pytest.mark.parametrize(
    "value", ["", "123", "1234567", "12a4", "١٢٣٤", " 1234", "1234\n", "-123", None]
)
def test_s11_what_is_no_pin_is_refused(value):
    answer = pin(sign_in(), value)

    assert code(answer) == (400, "INVALID")
    assert Device.objects.get().pin_hash == ""


def test_s11_a_pin_is_changed_only_by_who_knows_it():
    pair = sign_in()
    pin(pair, "1234")

    without = pin(pair, "9999")
    wrong = pin(pair, "9999", currentPin="0000")
    right = pin(pair, "9999", currentPin="1234")

    assert [code(without), code(wrong)] == [(403, "PIN_REQUIRED"), (403, "PIN_WRONG")]
    assert right.status_code == 200
    assert pin_check(pair, "9999").status_code == 200


def test_s06_a_changed_pin_signs_its_owner_out_everywhere_else(visitor, post_form):
    mine, other = sign_in(), sign_in()
    post_form(visitor, facade.login_link_create("alice@example.com").url, "/auth/verify")
    pin(mine, "1234")
    assert ask("POST", "/verify-user", other).status_code == 200
    assert visitor.get("/settings/profile").status_code == 200

    pin(mine, "9999", currentPin="1234")

    assert ask("POST", "/verify-user", other).status_code == 401
    assert refresh(other["refreshToken"]).status_code == 401
    assert visitor.get("/settings/profile").status_code == 302
    assert ask("POST", "/verify-user", mine).status_code == 200
    assert refresh(mine["refreshToken"]).status_code == 200


def test_s11_a_browser_session_has_no_pin(visitor, post_form):
    post_form(visitor, facade.login_link_create("alice@example.com").url, "/auth/verify")

    answer = visitor.post(
        f"{API}/mobile/pin",
        {"pin": "1234"},
        content_type="application/json",
        headers={"x-csrftoken": visitor.cookies["csrftoken"].value, "accept": "application/json"},
    )

    assert code(answer) == (403, "DEVICE_REQUIRED")


@pytest.fixture
def evaluated(monkeypatch) -> list[str]:
    """Note which PINs are evaluated; each costs an Argon2."""
    seen: list[str] = []
    real = pins.check_password

    def noted(password: str, encoded: str) -> bool:
        seen.append(password)
        return real(password, encoded)

    monkeypatch.setattr(pins, "check_password", noted)
    return seen


def test_s11_of_200_parallel_wrong_pins_five_are_evaluated(evaluated):
    pair = sign_in()
    pin(pair, "1234")
    turn = itertools.count()

    def attempt() -> tuple[int, str]:
        # Every tenth by HTTP; the others where all of them meet, since the way there has no part in the race.
        if next(turn) % 10 == 0:
            return code(pin_check(pair, "0000"))
        try:
            pins.pin_check(device=Device.objects.get(), pin="0000")
        except ServiceError as error:
            return error.http_status, error.code
        return 200, ""

    answers = in_parallel(200, attempt)

    assert len(answers) == 200
    assert len(evaluated) == 5
    assert answers.count((423, "PIN_LOCKED")) == 196
    assert answers.count((403, "PIN_WRONG")) == 4
    told = OutboxEffect.objects.filter(key__startswith="message:pin-locked:")
    assert told.filter(key__endswith=":mail").count() == 1


def test_s11_the_right_pin_is_refused_while_locked_and_taken_after(evaluated):
    pair = sign_in()
    pin(pair, "1234")
    for _ in range(5):
        pin_check(pair, "0000")

    locked = pin_check(pair, "1234")
    Device.objects.update(pin_locked_until=timezone.now())
    after = pin_check(pair, "1234")

    assert code(locked) == (423, "PIN_LOCKED")
    assert 890 < int(locked.headers["Retry-After"]) <= 901
    assert after.status_code == 200
    assert Device.objects.get().pin_attempts == 0
    assert len(evaluated) == 6


def test_s11_ten_wrong_pins_sign_the_device_out(evaluated):
    pair = sign_in()
    pin(pair, "1234")
    for _ in range(5):
        pin_check(pair, "0000")
    Device.objects.update(pin_locked_until=timezone.now())

    answers = [code(pin_check(pair, "0000")) for _ in range(5)]
    session_cache.clear()

    assert answers == [(403, "PIN_WRONG")] * 4 + [(423, "PIN_LOCKED")]
    assert Device.objects.get().end_reason == DeviceEnd.PIN
    told = Delivery.objects.filter(event="pin_locked", channel="mail").order_by("id")
    assert [row.facts["until"] for row in told] == [
        "for 15 minutes",
        "for good, and the device is signed out",
    ]
    assert pin_check(pair, "1234").status_code == 401
    assert refresh(pair["refreshToken"]).status_code == 401


def test_s13_wrong_pins_on_one_device_lock_no_other(evaluated):
    mine, thief = sign_in(), sign_in()
    pin(mine, "1234")
    pin(thief, "4321")
    for _ in range(6):
        pin_check(thief, "0000")

    assert pin_check(mine, "1234").status_code == 200
