"""The socket with a real engine and real sessions behind: who may do what, and in which order events come."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.test import Client
from redis.asyncio import Redis
from rest_framework.test import APIClient

from apps.auth.facade import login_link_create, revocations_reader
from apps.auth.services import identities
from apps.auth.services.identities import session_cache
from apps.auth.services.tokens import access_token_decode
from apps.common.engine_gateway import engine_gateway
from apps.market.broadcaster import broadcaster
from apps.profile import facade as profile
from apps.profile.facade import AccountInfo
from apps.profile.selectors import accounts_cache
from apps.trade.consumers import limits
from apps.trade.models import HistoryEvent
from engine.messages.commands import PlaceOrder
from engine.messages.views import AccountView
from engine.values import Side
from tests.apps.trade.wire import DirectWire, Wire, signed_in

pytestmark = pytest.mark.integration

OWN_PAGE = ((b"host", b"localhost:8000"), (b"origin", b"http://localhost:8000"))
SELL = {"op": "order.create", "symbol": "BTC", "type": "sell", "quantity": 0.1, "leverage": 10}


@pytest.fixture
def on_wire(live) -> Callable[..., Any]:
    """Run a conversation on the gateway's loop, as every socket does, and hang up at its end."""

    def run(
        talk: Callable[[Wire], Awaitable[Any]],
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> Any:
        async def conversation() -> Any:
            wire = Wire(headers)
            try:
                return await talk(wire)
            finally:
                await wire.hang_up()

        return live.gateway.run(conversation())

    return run


@pytest.fixture
def alice(live):
    """A user with an account, her token and a fresh price."""
    session_cache.clear()
    user, account = live.user()
    live.price(100_000, 100_010)
    link = login_link_create(user.email).url
    token = APIClient().get(link).json()["data"]["accessToken"]
    yield user, account, token
    session_cache.clear()


def test_an_order_is_answered_by_its_id_and_told_as_an_event(on_wire, alice):
    _, account, token = alice

    async def talk(wire: Wire) -> list[dict[str, Any]]:
        await signed_in(wire, token)
        wire.say({"op": "subscribe", "channels": [f"account:{account.id}"]})
        snapshot, subscribed = await wire.hear(), await wire.hear()
        wire.say(SELL | {"id": "mine"})
        return [snapshot, subscribed, await wire.hear(), await wire.hear()]

    snapshot, subscribed, *both = on_wire(talk)

    assert subscribed["success"] is True
    assert (snapshot["ch"], snapshot["id"], snapshot["snapshot"]["positions"]) == (
        "account",
        account.id,
        [],
    )
    (reply,) = [frame for frame in both if frame["ch"] == "reply"]
    (event,) = [frame for frame in both if frame["ch"] == "account"]
    assert (reply["id"], reply["data"]["orderId"]) == ("mine", f"{account.id}-1")
    assert (event["seq"], event["d"]["type"]) == (snapshot["seq"] + 1, "PositionOpened")
    assert event["d"]["orderId"] == reply["data"]["orderId"]
    assert event["d"]["price"] == reply["data"]["price"]
    assert event["d"]["balance"] == reply["data"]["balance"]


def test_operations_are_taken_from_a_direct_end_and_answered_to_it_and_all_else_waits_its_turn(
    live, alice, monkeypatch, settings
):
    _, account, token = alice
    settings.SOCKET_MESSAGES_PER_SECOND = 3
    open_orders = {"op": "orders.open", "id": "x"}
    reached, go = asyncio.Event(), asyncio.Event()
    # What the task of a connection was given, such as the limit of its statements, holds for its operations too.
    mark, marks = ContextVar("mark", default=""), set()
    view = profile.account_view

    async def held(info: AccountInfo) -> AccountView:
        marks.add(mark.get())
        reached.set()
        await go.wait()
        return await view(info)

    monkeypatch.setattr(profile, "account_view", held)

    async def talk() -> None:
        mark.set("of the connection")
        wire = DirectWire()
        mark.set("of the server")
        wire.say({"op": "auth", "token": token})
        assert (await wire.read())["success"] is True
        # 1. Answered past ASGI, by the same frame.
        assert wire.offer(SELL | {"id": "mine"})
        reply = await wire.read()
        assert (reply["ch"], reply["op"], reply["id"]) == ("reply", "order.create", "mine")
        assert reply["data"]["status"] == "filled"
        # 2. What is no operation, or none that can be read, keeps its turn.
        for other in ({"op": "ping"}, {"op": "no.such"}, {"op": ["order.create"]}, ["a.b"]):
            assert not wire.offer(other)
        assert not wire.end.taker('{"op":"order.create"')
        assert not wire.end.taker("x." + " " * limits.MESSAGE_BYTES_MAX)
        # 3. So does an operation beyond those that may wait, and one behind a message in work.
        monkeypatch.setattr(limits, "IN_FLIGHT_MAX", 0)
        assert not wire.offer(open_orders)
        monkeypatch.setattr(limits, "IN_FLIGHT_MAX", 64)
        wire.say({"op": "subscribe", "channels": [f"account:{account.id}"]})
        await asyncio.wait_for(reached.wait(), 5)
        assert not wire.offer(open_orders)
        go.set()
        assert "snapshot" in await wire.read()
        assert (await wire.read())["success"] is True
        # 4. A socket that has not taken what was written before is written to in ASGI's way, which waits.
        wire.end.is_full = True
        assert wire.offer(open_orders)
        assert (await wire.hear())["data"]["total"] == 1
        # 5. Too many are refused one by one.
        wire.end.is_full = False
        codes = set()
        for _ in range(6):
            if not wire.offer(open_orders):
                wire.say(open_orders)
            codes.add((await wire.read()).get("code"))
        assert codes == {None, "RATE_LIMITED"}
        await wire.hang_up()
        assert not wire.offer(open_orders)

    live.gateway.run(talk())
    assert marks == {"of the connection"}


def test_after_a_gap_comes_a_new_snapshot(on_wire, alice):
    _, account, token = alice

    async def talk(wire: Wire) -> dict[str, Any]:
        await signed_in(wire, token)
        wire.say({"op": "subscribe", "channels": [f"account:{account.id}"]})
        await wire.hear()
        await wire.hear()
        engine_gateway()._account_events._tell_gap()
        return await wire.hear()

    frame = on_wire(talk)

    assert frame["reset"] is True
    assert "snapshot" in frame


def test_every_operation_of_rest_is_there_under_its_name(on_wire, alice, settings):
    settings.SOCKET_MESSAGES_PER_SECOND = 1000
    _, account, token = alice
    of_order = {"orderId": f"{account.id}-1"}
    messages = [
        SELL | {"clientOrderId": "a"},
        {"op": "order.modify", "stopLoss": "12000"} | of_order,
        SELL | {"op": "preview"},
        {"op": "orders.open", "sort": "-pnl"},
        {"op": "order.reverse"} | of_order,
        {"op": "order.closeAll"},
        SELL | {"orderType": "limit", "price": "10100"},
        {"op": "orders.pending"},
        {"op": "order.cancel", "orderId": f"{account.id}-3"},
        {"op": "order.cancelAll"},
        {"op": "orders.closed"},
        {"op": "account.ledger", "accountId": account.id},
        {"op": "account.events", "accountId": account.id},
    ]

    async def talk(wire: Wire) -> list[dict[str, Any]]:
        await signed_in(wire, token)
        return [await wire.ask(message) for message in messages]

    replies = on_wire(talk)

    assert [reply["success"] for reply in replies] == [True] * len(messages), replies
    assert replies[3]["data"]["message"][0]["stopLoss"] == 12000
    assert replies[4]["data"]["opened"]["type"] == "buy"
    assert replies[7]["data"]["total"] == 1
    assert replies[9]["data"]["count"] == 0


def test_who_comes_back_gets_what_was_missed_and_then_what_happens(live, on_wire, alice):
    _, account, token = alice

    async def order(wire: Wire) -> dict[str, Any]:
        await signed_in(wire, token)
        return await wire.ask(SELL)

    assert on_wire(order)["success"] is True
    live.project()

    async def talk(wire: Wire) -> list[dict[str, Any]]:
        await signed_in(wire, token)
        wire.say(
            {
                "op": "subscribe",
                "channels": [f"account:{account.id}"],
                "after": {str(account.id): 1},
            }
        )
        missed = [await wire.hear() for _ in range(3)]
        wire.say({"op": "order.close", "orderId": f"{account.id}-1"})
        return missed + [await wire.hear() for _ in range(2)]

    frames = on_wire(talk)
    events = [frame for frame in frames if frame["ch"] == "account"]

    assert [frame["seq"] for frame in events] == [2, 3, 4]
    assert [frame["d"]["type"] for frame in events] == [
        "CashPosted",
        "PositionOpened",
        "PositionClosed",
    ]
    assert not any("snapshot" in frame for frame in events)


def test_who_comes_back_while_the_record_lags_gets_a_reset(on_wire, alice):
    _, account, token = alice

    async def talk(wire: Wire) -> dict[str, Any]:
        await signed_in(wire, token)
        after = {str(account.id): 1}
        return await wire.ask(
            {"op": "subscribe", "channels": [f"account:{account.id}"], "after": after}
        )

    assert on_wire(talk)["reset"] is True


def test_who_comes_back_to_a_record_with_a_hole_gets_a_reset(live, on_wire, alice):
    _, account, token = alice

    async def order(wire: Wire) -> dict[str, Any]:
        await signed_in(wire, token)
        return await wire.ask(SELL)

    on_wire(order)
    live.project()
    HistoryEvent.objects.filter(account=account.id, seq=2).delete()

    async def talk(wire: Wire) -> dict[str, Any]:
        await signed_in(wire, token)
        after = {str(account.id): 1}
        return await wire.ask(
            {"op": "subscribe", "channels": [f"account:{account.id}"], "after": after}
        )

    assert on_wire(talk)["reset"] is True


BAD_MESSAGES = [
    ("{", "MALFORMED"),
    ("[1]", "MALFORMED"),
    ('{"op":"ping","t":1e5}', "MALFORMED"),
    ({"op": "nope"}, "OP_UNKNOWN"),
    ({"op": ["ping"]}, "OP_UNKNOWN"),
    ({}, "OP_UNKNOWN"),
    ({"op": "auth"}, "INVALID"),
    ({"op": "auth", "token": "x"}, "NOT_AUTHENTICATED"),
    ({"op": "ack", "frame": "1"}, "INVALID"),
    ({"op": "ping", "id": [1]}, "INVALID"),
    ({"op": "ping", "id": "x" * 65}, "INVALID"),
    ({"op": "subscribe", "channels": ["prices:*"], "afer": {}}, "INVALID"),
    ({"op": "subscribe", "channels": "prices:*"}, "INVALID"),
    ({"op": "subscribe", "channels": []}, "INVALID"),
    ({"op": "subscribe", "channels": ["prices:*"] * 51}, "INVALID"),
    ({"op": "subscribe", "channels": ["orders:1"]}, "CHANNEL_UNKNOWN"),
    ({"op": "subscribe", "channels": ["prices:NOPE"]}, "SYMBOL_UNKNOWN"),
    ({"op": "subscribe", "channels": ["candles:NOPE:1m"]}, "SYMBOL_UNKNOWN"),
    ({"op": "subscribe", "channels": ["candles:BTC"]}, "INVALID"),
    ({"op": "unsubscribe", "channels": ["candles:BTC:2h"]}, "INVALID"),
    ({"op": "subscribe", "channels": ["account:x"]}, "INVALID"),
    ({"op": "unsubscribe", "channels": ["account:x"]}, "INVALID"),
    ({"op": "unsubscribe", "channels": ["account:" + "9" * 5000]}, "INVALID"),
    ({"op": "subscribe", "channels": ["prices:*"], "after": [1]}, "INVALID"),
    ({"op": "subscribe", "channels": ["prices:*"], "after": {"1": "2"}}, "INVALID"),
    (SELL | {"leverage": 1000}, "LEVERAGE_INVALID"),
    (SELL | {"quantity": "1e5"}, "INVALID"),
    (SELL | {"balance": 1}, "INVALID"),
    ({"op": "order.close", "orderId": "9-1"}, "POSITION_UNKNOWN"),
    ({"op": "order.close"}, "INVALID"),
]


def test_bad_messages_get_a_code_and_a_sentence(on_wire, alice, settings):
    settings.SOCKET_MESSAGES_PER_SECOND = 1000

    async def talk(wire: Wire) -> list[dict[str, Any]]:
        await signed_in(wire, alice[2])
        return [await wire.ask(message) for message, _ in BAD_MESSAGES]

    frames = on_wire(talk)

    assert [frame["code"] for frame in frames] == [code for _, code in BAD_MESSAGES]
    assert {frame["success"] for frame in frames} == {False}
    assert all(frame["message"] for frame in frames)


def test_a_refused_subscription_opens_none_of_its_channels(live, on_wire, alice, settings):
    settings.SOCKET_MESSAGES_PER_SECOND = 1000
    own, foreign = f"account:{alice[1].id}", f"account:{live.user()[1].id}"
    wishes = [
        ["prices:ETH", own, "prices:NOPE"],
        ["prices:*", own, "candles:BTC:2h"],
        ["candles:BTC:1m", own, "account:x"],
        ["prices:ETH", "candles:BTC:1m", own, foreign],
        [own, "prices:ETH", "orders:1"],
    ]

    async def talk(wire: Wire) -> list[dict[str, Any]]:
        await signed_in(wire, alice[2])
        return [
            await wire.ask(message)
            for channels in wishes
            for message in ({"op": "subscribe", "channels": channels}, {"op": "ping"})
        ]

    before = len(broadcaster()._subscriptions)
    frames = on_wire(talk)

    assert [frame["ch"] for frame in frames] == ["reply", "pong"] * len(wishes)
    assert [frame["code"] for frame in frames[::2]] == [
        "SYMBOL_UNKNOWN",
        "INVALID",
        "INVALID",
        "ACCOUNT_UNKNOWN",
        "CHANNEL_UNKNOWN",
    ]
    assert len(broadcaster()._subscriptions) == before


def test_who_takes_no_prices_any_more_hears_no_more_of_the_feed(on_wire, alice):
    async def talk(wire: Wire) -> tuple[int, ...]:
        await signed_in(wire, alice[2])
        counts = []
        for op, channels in (
            ("subscribe", ["prices:BTC,ETH"]),
            ("unsubscribe", ["prices:BTC"]),
            ("unsubscribe", ["prices:ETH"]),
            ("subscribe", ["prices:*"]),
            ("unsubscribe", ["prices:*"]),
        ):
            assert (await _reply_to(wire, {"op": op, "channels": channels}))["success"] is True
            counts.append(len(broadcaster()._subscriptions))
        return tuple(counts)

    assert on_wire(talk) == (1, 1, 0, 1, 0)


def test_s32_nobody_trades_or_listens_unknown(on_wire, alice):
    account = alice[1]
    wishes = [
        SELL,
        {"op": "order.close", "orderId": f"{account.id}-1"},
        {"op": "subscribe", "channels": [f"account:{account.id}"]},
    ]

    async def talk(wire: Wire) -> list[dict[str, Any]]:
        return [await wire.ask(wish) for wish in wishes]

    assert {frame["code"] for frame in on_wire(talk)} == {"NOT_AUTHENTICATED"}


def test_s34_charlie_hears_and_moves_nothing_of_alice(live, on_wire, alice):
    user, _ = live.user()
    token = APIClient().get(login_link_create(user.email).url).json()["data"]["accessToken"]
    theirs = alice[1].id

    async def talk(wire: Wire) -> list[dict[str, Any]]:
        await signed_in(wire, token)
        return [
            await wire.ask({"op": "subscribe", "channels": [f"account:{theirs}"]}),
            await wire.ask(SELL | {"accountId": theirs}),
            await wire.ask({"op": "order.close", "orderId": f"{theirs}-1"}),
        ]

    frames = on_wire(talk)

    assert [frame["statusCode"] for frame in frames] == [404, 404, 404]


def test_s32_a_socket_cannot_change_its_user(live, on_wire, alice):
    user, _ = live.user()
    other = APIClient().get(login_link_create(user.email).url).json()["data"]["accessToken"]

    async def talk(wire: Wire) -> dict[str, Any]:
        await signed_in(wire, alice[2])
        return await wire.ask({"op": "auth", "token": other})

    assert on_wire(talk)["code"] == "NOT_AUTHENTICATED"


def _cookie_of(user) -> bytes:
    browser = Client()
    browser.force_login(user, backend=django_settings.AUTHENTICATION_BACKENDS[0])
    name = django_settings.SESSION_COOKIE_NAME
    return f"{name}={browser.cookies[name].value}".encode()


@pytest.mark.parametrize(
    ("origin", "is_known"),
    [
        (b"http://localhost:8000", True),
        (b"http://evil.example", False),
        (b"http://sub.localhost:8000", False),
        (b"https://localhost:8001", False),
        (b"null", False),
        (b"", False),
    ],
)
def test_s31_a_cookie_counts_from_our_own_pages_only(on_wire, alice, origin, is_known):
    headers = ((b"host", b"localhost:8000"), (b"origin", origin), (b"cookie", _cookie_of(alice[0])))

    async def talk(wire: Wire) -> dict[str, Any]:
        return await wire.ask({"op": "order.close", "orderId": "9-1"})

    code = on_wire(talk, headers)["code"]

    assert code == ("POSITION_UNKNOWN" if is_known else "NOT_AUTHENTICATED")


@pytest.mark.alone
def test_s32_a_session_that_another_process_ends_closes_the_socket_within_two_seconds(
    on_wire, alice
):
    browser = Client()
    browser.force_login(alice[0], backend=django_settings.AUTHENTICATION_BACKENDS[0])
    name = django_settings.SESSION_COOKIE_NAME
    key = browser.cookies[name].value
    headers = (*OWN_PAGE, (b"cookie", f"{name}={key}".encode()))

    async def talk(wire: Wire) -> dict[str, Any]:
        reader = revocations_reader()
        await reader.start()
        try:
            await wire.ask({"op": "ping", "t": 1})
            # As another process does it: the row goes, and the word is spread.
            await asyncio.to_thread(browser.session.flush)
            began = time.monotonic()
            async with Redis.from_url(django_settings.REDIS_URL) as elsewhere:
                channel = f"{django_settings.STREAM_PREFIX}sessions:ended"
                assert await elsewhere.publish(channel, str(alice[0].pk)) == 1
            return await wire.hear() | {"seconds": time.monotonic() - began}
        finally:
            await reader.stop()

    closed = on_wire(talk, headers)
    assert closed["seconds"] < 2
    assert closed["code"] == limits.CLOSE_UNAUTHORISED


def test_s06_a_sign_out_closes_the_sockets_of_that_session(on_wire, alice, monkeypatch):
    monkeypatch.setattr(limits, "RECHECK_SECONDS", 0.02)
    browser = Client()
    browser.force_login(alice[0], backend=django_settings.AUTHENTICATION_BACKENDS[0])
    name = django_settings.SESSION_COOKIE_NAME
    headers = (*OWN_PAGE, (b"cookie", f"{name}={browser.cookies[name].value}".encode()))

    async def talk(wire: Wire) -> dict[str, Any]:
        await wire.ask({"op": "ping", "t": 1})
        await asyncio.to_thread(browser.post, "/auth/logout")
        return await wire.hear()

    assert on_wire(talk, headers)["code"] == limits.CLOSE_UNAUTHORISED


def test_s32_a_token_that_ends_right_after_the_sign_in_closes_its_socket(
    on_wire, alice, monkeypatch
):
    monkeypatch.setattr(limits, "RECHECK_SECONDS", 0.02)
    claims = access_token_decode(alice[2])

    async def talk(wire: Wire) -> dict[str, Any]:
        await signed_in(wire, alice[2])
        monkeypatch.setattr(identities, "now_us", lambda: claims.expires_us)
        # Long before the time that a visitor has to sign in is over.
        return await wire.hear()

    assert on_wire(talk) == {"type": "websocket.close", "code": limits.CLOSE_UNAUTHORISED}


def test_s31_who_does_not_sign_in_is_sent_away(on_wire, monkeypatch):
    monkeypatch.setattr(limits, "AUTH_SECONDS", 0.02)

    async def talk(wire: Wire) -> dict[str, Any]:
        return await wire.hear()

    assert on_wire(talk)["code"] == limits.CLOSE_UNAUTHORISED


def test_s33_too_many_too_large_and_too_often(on_wire, alice, settings):
    settings.SOCKETS_PER_USER = 1
    settings.SOCKET_MESSAGES_PER_SECOND = 5

    async def talk(wire: Wire) -> list[dict[str, Any]]:
        await signed_in(wire, alice[2])
        second = Wire()
        refused = await second.ask({"op": "auth", "token": alice[2]})
        closed = await second.hear()
        await second.hang_up()
        fast = [await wire.ask({"op": "ping", "t": number}) for number in range(20)]
        third = Wire()
        large = await third.ask({"op": "ping", "t": "x" * 20_000})
        await third.hang_up()
        return [refused, closed, fast[0], fast[-1], large]

    refused, closed, first, last, large = on_wire(talk)

    assert (refused["code"], refused["statusCode"]) == ("RATE_LIMITED", 429)
    assert closed == {"type": "websocket.close", "code": limits.CLOSE_TOO_MANY}
    assert first == {"ch": "pong", "t": 0}
    assert last["code"] == "RATE_LIMITED"
    assert large == {"type": "websocket.close", "code": limits.CLOSE_TOO_LARGE}
    assert limits.sockets_by_user[alice[0].pk] == 0


def test_s33_a_browser_with_too_many_sockets_is_told_so(on_wire, alice, settings):
    settings.SOCKETS_PER_USER = 0
    headers = (*OWN_PAGE, (b"cookie", _cookie_of(alice[0])))

    async def talk(wire: Wire) -> list[dict[str, Any]]:
        return [await wire.hear(), await wire.hear()]

    refused, closed = on_wire(talk, headers)

    assert (refused["code"], refused["statusCode"]) == ("RATE_LIMITED", 429)
    assert closed == {"type": "websocket.close", "code": limits.CLOSE_TOO_MANY}


def test_s33_a_socket_has_fifty_candle_channels_at_most(on_wire, alice, monkeypatch):
    monkeypatch.setattr(limits, "SUBSCRIPTIONS_MAX", 2)

    async def talk(wire: Wire) -> list[dict[str, Any]]:
        await signed_in(wire, alice[2])
        intervals = ("1m", "5m", "1m", "15m")
        wishes = [
            {"op": "subscribe", "channels": [f"candles:BTC:{interval}"]} for interval in intervals
        ]
        return [await _reply_to(wire, wish) for wish in wishes]

    answers = on_wire(talk)

    assert [answer["success"] for answer in answers] == [True, True, True, False]
    assert answers[-1]["code"] == "RATE_LIMITED"


async def _reply_to(wire: Wire, message: dict[str, Any]) -> dict[str, Any]:
    frame = await wire.ask(message)
    while frame.get("ch") != "reply":
        frame = await wire.hear()
    return frame


def test_while_a_store_is_away_a_socket_says_so_and_what_it_asked_was_not_sent(
    on_wire, alice, monkeypatch, caplog
):
    headers = (*OWN_PAGE, (b"cookie", _cookie_of(alice[0])))

    async def talk(wire: Wire) -> list[dict[str, Any]]:
        await signed_in(wire, alice[2])
        accounts_cache.clear()
        session_cache.clear()
        with monkeypatch.context() as away:
            away.setitem(connection.settings_dict, "HOST", "/nowhere")
            order = await wire.ask(SELL | {"clientOrderId": "away"})
            browser = Wire(headers)
            greeting = [await browser.hear(), await browser.hear()]
            await browser.hang_up()
        again = await wire.ask({"op": "request.get", "requestId": "away"})
        return [order, *greeting, again]

    order, refused, closed, again = on_wire(talk)

    assert [(f["code"], f["statusCode"]) for f in (order, refused)] == [("UNAVAILABLE", 503)] * 2
    assert closed == {"type": "websocket.close", "code": limits.CLOSE_LATER}
    assert again["code"] == "REQUEST_UNKNOWN"
    assert "Traceback" not in caplog.text


def test_who_hears_all_prices_ends_none_of_them_by_a_name(on_wire, alice):
    async def talk(wire: Wire) -> dict[str, Any]:
        await signed_in(wire, alice[2])
        await _reply_to(wire, {"op": "subscribe", "channels": ["prices:*"]})
        await _reply_to(wire, {"op": "unsubscribe", "channels": ["prices:ETH"]})
        subscriptions = [s for s in broadcaster()._subscriptions if s.symbols is None]
        await _reply_to(wire, {"op": "unsubscribe", "channels": ["prices:*"]})
        return {"before": len(subscriptions), "after": subscriptions[0].symbols}

    assert on_wire(talk) == {"before": 1, "after": frozenset()}


def test_s33_a_client_that_takes_no_events_is_closed_and_not_fed_with_holes(on_wire, alice, live):
    _, account, token = alice

    async def talk(wire: Wire) -> dict[str, Any]:
        await signed_in(wire, token)
        wire.say({"op": "subscribe", "channels": [f"account:{account.id}"]})
        await wire.hear()
        await wire.hear()
        output = await engine_gateway().send(_order(alice))
        # All at once, so that the socket has no turn to send any of them.
        for _ in range(limits.EVENTS_WAITING_MAX + 1):
            engine_gateway()._account_events.tell(output)
        frame = await wire.hear()
        while "text" in frame or "ch" in frame:
            frame = await wire.hear()
        return frame

    assert on_wire(talk) == {"type": "websocket.close", "code": limits.CLOSE_TOO_SLOW}


def _order(alice):
    return PlaceOrder(
        request_id="o",
        user_id=alice[0].pk,
        account=alice[1].id,
        symbol="BTCUSDT",
        side=Side.BUY,
        quantity_units=10_000,
        leverage=10,
    )
