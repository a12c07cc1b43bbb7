"""Staff look at a person's account: with the right to it, written down, for half an hour, and nothing can be changed (S-39)."""

import asyncio
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import Permission
from django.test import Client
from drf_spectacular.generators import SchemaGenerator

from apps.auth.models import ApiKey, User
from apps.auth.services import viewed
from apps.common.exact_json import json_decode
from apps.common.models import AuditEntry
from apps.profile.models import TradingAccount
from apps.trade.consumers import limits
from tests.apps.live import live_platform
from tests.apps.trade.wire import Wire

pytestmark = pytest.mark.integration

REASON = "she cannot find her order"
ORDER = {"symbol": "BTCUSDT", "type": "buy", "quantity": "0.1", "leverage": 10}
POSTS_THAT_READ = {"/api/v1/trade/preview"}


@pytest.fixture
def live(transactional_db, log_redis_url, redis_url, stream_prefix, tmp_path):
    with live_platform(stream_prefix, log_redis_url, redis_url, tmp_path) as live:
        yield live


class Look:
    """Alice, who trades, and bob, who may look at people."""

    def __init__(self, live) -> None:
        self.alice, self.account = live.user()
        live.price(100_000, 100_010)
        self.bob = User.objects.create_user("bob@example.com", is_staff=True)
        names = ("view_as_user", "view_user", "change_user")
        self.bob.user_permissions.set(Permission.objects.filter(codename__in=names))
        self.browser = Client(headers={"accept": "text/html"})
        self.browser.force_login(self.bob, backend=django_settings.AUTHENTICATION_BACKENDS[0])

    def begin(self, user: User, reason: str = REASON) -> Any:
        return self.browser.post(f"/admin/accounts/user/{user.pk}/look/", {"reason": reason})

    def json(self, path: str, method: str = "get", body: dict[str, Any] | None = None) -> Any:
        answer = getattr(self.browser, method)(
            f"/api/v1{path}",
            body or {},
            **({} if method == "get" else {"content_type": "application/json"}),
            headers={"accept": "application/json"},
        )
        return answer.status_code, json_decode(answer.content)


@pytest.fixture
def look(live) -> Look:
    return Look(live)


def events() -> list[tuple[str, int | None]]:
    rows = AuditEntry.objects.filter(event__startswith="view_").order_by("n")
    return list(rows.values_list("event", "actor_id"))


def test_s39_who_looks_sees_the_account_under_a_banner_and_it_is_written_down(look):
    assert look.begin(look.alice).headers["Location"] == "/"

    page = look.browser.get("/trade/BTCUSDT").content.decode()
    assert "<strong>bob@example.com</strong> looks at the account of" in page
    assert look.alice.email in page
    status, body = look.json("/accounts")
    assert (status, [row["accountId"] for row in body["data"]]) == (200, [look.account.id])
    assert look.json("/trade/preview", "post", ORDER)[0] == 200
    # In the back office they are who they are.
    assert "bob" in look.browser.get("/admin/").content.decode()

    assert look.browser.post("/auth/viewing/end").status_code == 302
    assert "looks at the account" not in look.browser.get("/portfolio").content.decode()
    assert look.json("/accounts")[1]["data"] == []
    assert events() == [("view_begin", look.bob.pk), ("view_end", look.bob.pk)]
    assert AuditEntry.objects.get(event="view_begin").facts == {
        "user": str(look.alice.pk),
        "reason": REASON,
    }
    assert not TradingAccount.objects.filter(user=look.bob).exists()


def test_s39_no_route_changes_anything_meanwhile(look):
    look.begin(look.alice)
    schema = SchemaGenerator().get_schema(public=True)
    values = {"account_id": look.account.id, "order_id": f"{look.account.id}-1", "public_id": "x"}

    answers = {}
    for route, methods in schema["paths"].items():
        path = route
        for name in ("account_id", "order_id", "public_id", "device_id", "cash_id", "statement_id"):
            path = path.replace(f"{{{name}}}", str(values.get(name, 1)))
        for method in methods.keys() - {"get"}:
            status, body = look.json(path.removeprefix("/api/v1"), method, ORDER)
            answers[route] = (status, body.get("code"))

    assert len(answers) > 20
    assert {route for route, answer in answers.items() if answer != (403, "VIEW_ONLY")} == (
        POSTS_THAT_READ
    )
    # Some reads give away what only their owner may have.
    for path in ("/auth/mobile/session-token", "/auth/devices", "/keys", "/kyc"):
        assert look.json(path)[1]["code"] == "VIEW_ONLY"
    for path in ("/settings/profile", "/settings/second-factor/", "/settings/data/export"):
        assert look.browser.get(path).status_code == 403
    for path in ("/go-live", "/settings/keys/new", "/auth/logout"):
        assert look.browser.post(path, {"name": "bobs"}).status_code == 403
    assert not ApiKey.objects.exists()
    assert look.json("/trade/open")[1]["data"]["message"] == []
    assert ("view_refused", look.bob.pk) in events()


def test_s39_a_socket_shows_and_sends_nothing_and_ends_with_the_look(look, live, monkeypatch):
    monkeypatch.setattr(limits, "RECHECK_SECONDS", 0.02)
    look.begin(look.alice)
    name = django_settings.SESSION_COOKIE_NAME
    cookie = f"{name}={look.browser.cookies[name].value}".encode()
    own = ((b"host", b"localhost:8000"), (b"origin", b"http://localhost:8000"), (b"cookie", cookie))

    async def talk() -> list[Any]:
        wire = Wire(own)
        refused = await wire.ask({"op": "order.create", **ORDER})
        seen = await wire.ask({"op": "subscribe", "channels": [f"account:{look.account.id}"]})
        shown = await wire.hear()
        counted = limits.sockets_by_user[look.bob.pk], limits.sockets_by_user[look.alice.pk]
        await asyncio.to_thread(look.browser.post, "/auth/viewing/end")
        closed = await wire.hear()
        await wire.hang_up()
        return [refused["code"], seen, shown, counted, closed]

    code, seen, shown, counted, closed = live.gateway.run(talk())

    assert code == "VIEW_ONLY"
    assert {seen["ch"], shown["ch"]} == {"account", "reply"}
    # A person's own sockets are not used up by who looks.
    assert counted == (1, 0)
    assert closed["code"] == limits.CLOSE_UNAUTHORISED


@pytest.mark.parametrize("why", ["no right", "staff", "closed", "no reason", "nobody"])
def test_s39_not_everybody_may_look_at_everybody(look, why):
    target, reason = look.alice, REASON
    if why == "no right":
        look.bob.user_permissions.remove(Permission.objects.get(codename="view_as_user"))
    elif why == "staff":
        target = User.objects.create_user("eve@example.com", is_staff=True)
    elif why == "closed":
        User.objects.filter(pk=target.pk).update(is_active=False)
    elif why == "no reason":
        reason = "because"
    else:
        look.browser = Client()

    look.begin(target, reason)

    assert "looks at the account" not in look.browser.get("/portfolio").content.decode()
    assert events() == []


@pytest.mark.parametrize("end", ["time", "right", "person"])
def test_s39_a_look_ends_with_its_time_and_its_right(look, end, monkeypatch):
    look.begin(look.alice)
    assert "looks at the account" in look.browser.get("/portfolio").content.decode()

    if end == "time":
        now_us = viewed.now_us()
        monkeypatch.setattr(viewed, "now_us", lambda: now_us + 1801 * 1_000_000)
    elif end == "right":
        look.bob.user_permissions.clear()
    else:
        User.objects.filter(pk=look.alice.pk).update(is_staff=True)

    assert "looks at the account" not in look.browser.get("/portfolio").content.decode()


def test_s39_looking_at_somebody_without_an_account_opens_none(look):
    newcomer = User.objects.create_user("new@example.com")
    look.begin(newcomer)

    assert look.browser.get("/trade/BTCUSDT").status_code == 200
    assert not TradingAccount.objects.filter(user=newcomer).exists()
