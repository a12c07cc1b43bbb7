"""Who is signed in: access tokens, sessions and how soon their end is seen (S-06, S-07, S-08, S-09)."""

import base64
import json
import time
from datetime import timedelta

import jwt
import pytest
from asgiref.sync import async_to_sync
from django.conf import settings as django_settings
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from apps.auth import facade
from apps.auth.models import User
from apps.auth.services import identities
from apps.auth.services.identities import session_cache
from apps.auth.services.idle import is_awake
from apps.common.believed import BELIEVED_SECONDS

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

VERIFY_USER = "/api/v1/auth/verify-user"


def sign_in(program: Client, email: str = "alice@example.com") -> dict:
    return program.get(facade.login_link_create(email).url).json()["data"]


def ask_with(token: str, **more: str):
    return Client().post(VERIFY_USER, headers={"authorization": f"Bearer {token}"}, **more)


def test_verify_gives_programs_the_shape_of_the_contract(program):
    answer = program.get(facade.login_link_create("alice@example.com").url)

    body = answer.json()
    assert body["success"] is True
    assert body["message"] == "Success"
    assert set(body["data"]) == {
        "accessToken",
        "expiresAt",
        "refreshToken",
        "refreshExpiresAt",
        "user",
    }
    assert body["data"]["user"] == {
        "id": User.objects.get().pk,
        "email": "alice@example.com",
        "name": "",
        "isStaff": False,
        "isGuest": False,
    }
    assert "no-store" in answer.headers["Cache-Control"]


def test_s08_a_program_gets_no_cookie_of_a_session(program):
    answer = program.get(facade.login_link_create("alice@example.com").url)

    assert django_settings.SESSION_COOKIE_NAME not in answer.cookies


def test_verify_user_tells_who_and_until_when(program):
    data = sign_in(program)

    answer = ask_with(data["accessToken"])

    assert answer.status_code == 200
    status = answer.json()["data"]
    assert status["user"] == data["user"]
    assert (status["status"], status["sessionValid"]) == ("active", True)
    assert status["expiresAt"][:19] == data["expiresAt"][:19]


def test_verify_user_knows_a_browser_by_its_session(visitor, post_form):
    post_form(visitor, facade.login_link_create("alice@example.com").url, "/auth/verify")
    csrf = visitor.cookies[django_settings.CSRF_COOKIE_NAME].value

    json = {"content_type": "application/json", "headers": {"accept": "application/json"}}
    without = visitor.post(VERIFY_USER, {}, **json)
    json["headers"]["x-csrftoken"] = csrf
    with_csrf = visitor.post(VERIFY_USER, {}, **json)

    assert with_csrf.json()["data"]["user"]["email"] == "alice@example.com"
    assert without.status_code == 403


def test_without_a_token_the_answer_is_401_in_the_envelope():
    answer = Client().post(VERIFY_USER)

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.json()["success"] is False
    assert (answer.json()["statusCode"], answer.json()["code"]) == (401, "NOT_AUTHENTICATED")


# --- S-09: tokens that are worth nothing ----------------------------------------------------------


def _segment(value: dict) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _signed(payload: dict, *, key: str | None = None, algorithm: str = "HS256", **header) -> str:
    return jwt.encode(
        payload,
        django_settings.HEADLESS_JWT_PRIVATE_KEY if key is None else key,
        algorithm=algorithm,
        headers=header or None,
    )


def _without(payload: dict, name: str) -> dict:
    return {key: value for key, value in payload.items() if key != name}


_OTHER_KEY = "another-key-that-is-as-long-as-the-right-one-is"
_NOW = 1_000_000_000
BAD_TOKENS = {
    "empty": lambda _t, _p: "",
    "one word": lambda _t, _p: "garbage",
    "three dots": lambda _t, _p: "...",
    "not base64": lambda _t, _p: "a.b.c",
    "bytes outside of ascii": lambda _t, _p: "\xe9\xff.\xe9.\xe9",
    "cut": lambda t, _p: t[:-2],
    "longer": lambda t, _p: t + "AA",
    "two tokens": lambda t, _p: f"{t} {t}",
    "huge": lambda t, _p: t + "A" * 100_000,
    "signature of another": lambda t, p: (
        t.rpartition(".")[0] + "." + _signed(p, key=_OTHER_KEY).rpartition(".")[2]
    ),
    "no signature": lambda t, _p: t.rpartition(".")[0] + ".",
    "alg none": lambda _t, p: f"{_segment({'alg': 'none', 'typ': 'JWT'})}.{_segment(p)}.",
    "alg None in capitals": lambda _t, p: (
        f"{_segment({'alg': 'NONE', 'typ': 'JWT'})}.{_segment(p)}."
    ),
    "alg HS512": lambda _t, p: _signed(p, algorithm="HS512"),
    "alg is a list": lambda _t, p: f"{_segment({'alg': ['HS256']})}.{_segment(p)}.AA",
    "another key": lambda _t, p: _signed(p, key=_OTHER_KEY),
    "the site's secret key": lambda _t, p: _signed(p, key=django_settings.SECRET_KEY),
    "own key in the header": lambda _t, p: _signed(
        p, key=_OTHER_KEY, jwk={"kty": "oct", "k": "YW5vdGhlcg"}
    ),
    "key by address": lambda _t, p: _signed(p, key=_OTHER_KEY, jku="https://evil.example/keys"),
    "key by path": lambda _t, p: _signed(p, key=_OTHER_KEY, kid="../../dev/null"),
    "another type": lambda _t, p: _signed(p, typ="logout+jwt"),
    "payload is a list": lambda _t, _p: f"{_segment({'alg': 'HS256'})}.W10.AA",
    "expired": lambda _t, p: _signed({**p, "exp": _NOW}),
    "expiry is text": lambda _t, p: _signed({**p, "exp": "tomorrow"}),
    "expiry beyond all time": lambda _t, p: _signed({**p, "exp": float("inf")}),
    "issued in the future": lambda _t, p: _signed({**p, "iat": p["exp"]}),
    "refresh token": lambda _t, p: _signed({**p, "token_use": "refresh"}),
    "another issuer": lambda _t, p: _signed({**p, "iss": "evil"}),
    "another audience": lambda _t, p: _signed({**p, "aud": "other-api"}),
    "another user": lambda _t, p: _signed({**p, "sub": str(int(p["sub"]) + 1)}),
    "user is no number": lambda _t, p: _signed({**p, "sub": "\u0661"}),
    "user is a list": lambda _t, p: _signed({**p, "sub": ["1"]}),
    "session of nobody": lambda _t, p: _signed({**p, "sid": "AAAA"}),
    "session is no text": lambda _t, p: _signed({**p, "sid": 7}),
    "session is no base64": lambda _t, p: _signed({**p, "sid": "é"}),
    **{
        f"without {name}": lambda _t, p, name=name: _signed(_without(p, name))
        for name in ("iss", "aud", "sub", "sid", "jti", "iat", "exp", "token_use")
    },
}


@pytest.mark.filterwarnings("ignore::jwt.InsecureKeyLengthWarning")
@pytest.mark.parametrize("name", BAD_TOKENS)
def test_s09_a_bad_token_gets_401(program, name):
    token = sign_in(program)["accessToken"]
    payload = jwt.decode(token, options={"verify_signature": False})
    bad = BAD_TOKENS[name](token, payload)

    answer = ask_with(bad)

    assert (answer.status_code, answer.json()["code"]) == (401, "NOT_AUTHENTICATED")
    assert facade.user_by_token(bad) is None
    assert ask_with(token).status_code == 200


def test_s09_a_token_is_no_session_and_a_session_is_no_token(program):
    token = sign_in(program)["accessToken"]
    key = Session.objects.get().session_key

    as_cookie = Client()
    as_cookie.cookies[django_settings.SESSION_COOKIE_NAME] = token
    assert as_cookie.post(VERIFY_USER).status_code == 401
    assert ask_with(key).status_code == 401
    assert key not in token


# --- S-06: what ends a session --------------------------------------------------------------------


def test_s06_signing_in_renews_the_session_id(visitor, post_form):
    first = facade.login_link_create("alice@example.com").url
    post_form(visitor, first, "/auth/verify")
    before = visitor.cookies[django_settings.SESSION_COOKIE_NAME].value

    post_form(visitor, facade.login_link_create("alice@example.com").url, "/auth/verify")

    assert visitor.cookies[django_settings.SESSION_COOKIE_NAME].value != before


def test_s06_signing_out_ends_the_session_at_once(visitor, post_form):
    post_form(visitor, facade.login_link_create("alice@example.com").url, "/auth/verify")
    key = visitor.cookies[django_settings.SESSION_COOKIE_NAME].value
    assert facade.user_by_session(key).email == "alice@example.com"
    csrf = visitor.cookies[django_settings.CSRF_COOKIE_NAME].value

    assert visitor.get("/auth/logout").status_code == 405
    answer = visitor.post("/auth/logout", headers={"x-csrftoken": csrf})

    assert answer.status_code == 302
    assert facade.user_by_session(key) is None
    assert Session.objects.count() == 0


def test_s06_a_browser_signing_out_leaves_the_program_signed_in(program, visitor, post_form):
    token = sign_in(program)["accessToken"]
    post_form(visitor, facade.login_link_create("alice@example.com").url, "/auth/verify")
    csrf = visitor.cookies[django_settings.CSRF_COOKIE_NAME].value

    visitor.post("/auth/logout", headers={"x-csrftoken": csrf})

    assert facade.user_by_token(token) is not None


ALL_ENDS = pytest.mark.parametrize(
    "end",
    [
        lambda: Session.objects.all().delete(),
        lambda: Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1)),
        lambda: User.objects.update(is_active=False),
        lambda: User.objects.update(password="!another"),
        lambda: User.objects.all().delete(),
    ],
    ids=["revoked", "ended", "closed user", "signed out everywhere", "deleted user"],
)


@ALL_ENDS
def test_s06_a_token_dies_with_its_session(program, end):
    token = sign_in(program)["accessToken"]
    assert ask_with(token).status_code == 200

    end()
    session_cache.clear()

    assert ask_with(token).status_code == 401


def test_s06_a_revocation_elsewhere_is_seen_within_two_seconds(program):
    token = sign_in(program)["accessToken"]
    assert facade.user_by_token(token) is not None
    Session.objects.all().delete()

    deadline = time.monotonic() + BELIEVED_SECONDS + 0.5
    while facade.user_by_token(token) is not None:
        assert time.monotonic() < deadline

    assert facade.user_by_token(token) is None


def test_a_remembered_session_costs_no_query(program, django_assert_num_queries):
    token = sign_in(program)["accessToken"]
    facade.user_by_token(token)

    with django_assert_num_queries(0):
        user = facade.user_by_token(token)
        same = async_to_sync(facade.token_user)(token)

    assert user == same
    assert (user.email, user.is_authenticated, user.pk) == ("alice@example.com", True, user.id)


@ALL_ENDS
def test_s06_a_session_that_is_looked_at_again_ends_with_its_rows(program, end):
    sign_in(program)
    (key,) = Session.objects.values_list("session_key", flat=True)
    before = session_cache.read((key,))[key]

    end()

    assert before.user is not None
    assert session_cache.read((key,))[key].user is None


def test_sessions_that_have_not_changed_are_looked_at_together(
    program, django_assert_num_queries, monkeypatch
):
    for n in range(5):
        program.get(facade.login_link_create(f"user{n}@example.com").url)
    keys = list(Session.objects.values_list("session_key", flat=True))
    before = session_cache.read(keys)
    assert len({session.user.email for session in before.values()}) == 5

    with django_assert_num_queries(2):
        assert session_cache.read(keys) == before

    User.objects.filter(email="user3@example.com").update(name="Carla")
    after = session_cache.read(keys)
    changed = [key for key in keys if after[key] is not before[key]]
    assert [after[key].user.name for key in changed] == ["Carla"]
    # A session in use is checked in full now and then, which also notes that it is in use.
    now = identities.now_us()
    monkeypatch.setattr(identities, "now_us", lambda: now + 30_000_000)
    with django_assert_num_queries(2 + 5 * 2):
        session_cache.read(keys)


def test_sockets_ask_without_blocking_the_loop(program):
    token = sign_in(program)["accessToken"]
    key = Session.objects.get().session_key

    assert async_to_sync(facade.token_user)(token).email == "alice@example.com"
    session_cache.clear()
    assert async_to_sync(facade.session_user)(key).email == "alice@example.com"
    assert async_to_sync(facade.token_user)("garbage") is None
    assert async_to_sync(facade.session_user)("") is None


def test_socket_that_asks_again_hears_of_the_end_of_token_and_session(program, monkeypatch):
    identify = facade.token_identity(sign_in(program)["accessToken"])
    user = async_to_sync(identify)()
    assert user.email == "alice@example.com"

    monkeypatch.setattr(identities, "now_us", lambda: user.expires_us)
    assert async_to_sync(identify)() is None
    monkeypatch.undo()
    assert async_to_sync(identify)() == user
    Session.objects.all().delete()
    session_cache.clear()
    assert async_to_sync(identify)() is None


# --- S-07: cookies --------------------------------------------------------------------------------


def test_s07_session_cookie_is_closed_to_scripts_and_ends_after_twelve_hours(visitor, post_form):
    post_form(visitor, facade.login_link_create("alice@example.com").url, "/auth/verify")

    cookie = visitor.cookies[django_settings.SESSION_COOKIE_NAME]
    assert cookie["httponly"] is True
    assert cookie["samesite"] == "Lax"
    assert 43190 <= int(cookie["max-age"]) <= 43200


def test_s07_saving_a_session_does_not_move_its_end(visitor, post_form):
    post_form(visitor, facade.login_link_create("alice@example.com").url, "/auth/verify")
    before = Session.objects.get().expire_date
    session = visitor.session
    session["something"] = 1
    session.save()

    assert Session.objects.get().expire_date == before


def test_users_seed_is_idempotent_and_leaves_changes_alone():
    first = facade.users_seed()
    User.objects.filter(email="charlie@example.com").update(name="Charles")

    second = facade.users_seed()

    assert [user.email for user in second] == [
        "alice@example.com",
        "bob@example.com",
        "charlie@example.com",
    ]
    assert [user.id for user in first] == [user.id for user in second]
    assert [user.is_staff for user in second] == [False, True, False]
    assert second[2].name == "Charles"
    assert facade.user_by_id(second[0].id) == second[0]
    assert facade.user_by_id(0) is None


def test_migrations_match_the_models():
    call_command("makemigrations", "accounts", check=True, dry_run=True, verbosity=0)


# --- half an hour without use -----------------------------------------------------------------------------------------


def idle_for(seconds: int) -> None:
    """Let the only session have been used last some seconds ago."""
    session = Session.objects.get()
    store = SessionStore(session.session_key)
    store["seen_at"] -= seconds
    store.save()
    session_cache.clear()


def test_s07_a_browser_that_is_idle_for_half_an_hour_is_signed_out(visitor, post_form):
    post_form(visitor, facade.login_link_create("alice@example.com").url, "/auth/verify")
    key = visitor.cookies["session"].value
    assert visitor.get("/settings/profile").status_code == 200

    idle_for(29 * 60)
    assert visitor.get("/settings/profile").status_code == 200
    # That was a use, so the half hour begins anew.
    idle_for(29 * 60)
    assert visitor.get("/settings/profile").status_code == 200
    idle_for(30 * 60)
    assert visitor.get("/settings/profile").url == "/auth/sign-in?next=/settings/profile"
    assert facade.user_by_session(key) is None
    assert not Session.objects.filter(session_key=key).exists()


def test_s07_an_open_socket_is_a_use(visitor, post_form):
    post_form(visitor, facade.login_link_create("alice@example.com").url, "/auth/verify")
    key = visitor.cookies["session"].value

    for _ in range(3):
        idle_for(20 * 60)
        # As a socket asks every second.
        assert facade.user_by_session(key) is not None

    assert visitor.get("/settings/profile").status_code == 200
    idle_for(31 * 60)
    assert facade.user_by_session(key) is None


def test_s07_a_touch_loses_nothing_that_another_request_wrote(visitor, post_form):
    post_form(visitor, facade.login_link_create("alice@example.com").url, "/auth/verify")
    idle_for(20 * 60)
    stale = SessionStore(Session.objects.get().session_key)
    decode = stale.decode

    def decode_while_another_writes(data: str) -> dict:
        other = SessionStore(stale.session_key)
        other["proved"] = "by another request"
        other.save()
        return decode(data)

    stale.load()
    stale.decode = decode_while_another_writes
    assert is_awake(stale)

    assert SessionStore(stale.session_key)["proved"] == "by another request"


def test_s07_devices_are_not_asked_for_their_use(program):
    sign_in(program)

    assert "seen_at" not in Session.objects.get().get_decoded()
