"""The trading routes as the public contract states them, with a real engine behind."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from urllib.parse import urlencode

import pytest
from rest_framework.test import APIClient

from apps.common.engine_gateway import engine_gateway, gateway_install
from apps.common.errors import EngineQueryRefusedError
from apps.common.exact_json import json_decode
from engine.messages.commands import DefineGroup, SetAccountGroup
from engine.messages.definitions import GroupSpec
from engine.messages.views import AccountQuery
from engine.values import Actor

pytestmark = pytest.mark.integration

BUY = {"symbol": "BTC", "type": "buy", "quantity": 0.1, "leverage": 10}
# Ten thousand, and a spread of one.
BID, ASK = 100_000, 100_010


def exact(response):
    return json_decode(response.content)


@pytest.fixture
def alice(live):
    user, account = live.user()
    live.price(BID, ASK)
    client = live.client(user)
    client.account = account.id
    return client


def create(client, **changes):
    return client.post("/api/v1/trade/create", BUY | changes)


def test_an_order_opens_at_ask_and_closes_at_bid_and_the_balance_is_exact(live, alice):
    created = exact(create(alice))
    live.price(100_500, 100_510)
    closed = exact(alice.post("/api/v1/trade/close", {"orderId": created["data"]["orderId"]}))
    balance = exact(alice.get("/api/v1/balance"))

    # 0.1 BTC: bought at 10,001.0, sold at 10,050.0 -> 4.9; 400 ppm of 1,000.1 and of 1,005.0 -> 0.40004 and 0.402.
    assert created["success"] is True
    assert created["message"] == "Success"
    assert (
        created["data"]
        | {
            "message": "Order created successfully",
            "orderId": f"{alice.account}-1",
            "symbol": "BTCUSDT",
            "type": "buy",
            "status": "filled",
            "quantity": Decimal("0.10000"),
            "price": Decimal("10001.0"),
            "leverage": 10,
            "margin": Decimal("100.010000"),
            "commission": Decimal("0.400040"),
            "balance": Decimal("9999.599960"),
        }
        == created["data"]
    )
    order = closed["data"]["order"]
    assert closed["data"]["message"] == "Order closed successfully"
    assert order["pnl"] == Decimal("4.900000")
    assert order["commission"] == Decimal("0.402000")
    assert balance["data"]["status"] == "success"
    assert balance["data"]["message"] == Decimal("10004.097960")
    assert b'"message":10004.097960' in alice.get("/api/v1/balance").content


def test_an_account_tells_the_levels_of_its_own_group(live, alice):
    first = exact(alice.get("/api/v1/balance"))["data"]
    spec = GroupSpec(
        name="cautious",
        version=1,
        commission_ppm=400,
        margin_call_level_bps=15_025,
        stop_out_level_bps=8_000,
    )
    live.send(DefineGroup(request_id="cautious-v1", source="test", actor=Actor.SYSTEM, spec=spec))
    live.send(
        SetAccountGroup(
            request_id="move", actor=Actor.SYSTEM, account=alice.account, group="cautious"
        )
    )

    moved = exact(alice.get("/api/v1/balance"))["data"]

    assert (first["marginCallLevel"], first["stopOutLevel"]) == (Decimal(100), Decimal(50))
    assert (moved["marginCallLevel"], moved["stopOutLevel"]) == (Decimal("150.25"), Decimal(80))


def test_open_orders_carry_live_figures_newest_first(live, alice):
    create(alice)
    create(alice, type="sell", quantity="0.2")
    live.price(100_100, 100_110)

    answer = exact(alice.get("/api/v1/trade/open?limit=10"))["data"]

    sell, buy = answer["message"]
    assert answer["total"] == 2
    assert (sell["type"], sell["price"], sell["pnl"]) == (
        "sell",
        Decimal("10000.0"),
        Decimal("-2.200000"),
    )
    assert (buy["type"], buy["currentPrice"], buy["pnl"]) == (
        "buy",
        Decimal("10010.0"),
        Decimal("0.900000"),
    )
    assert buy["createdAt"].endswith("Z")
    assert exact(alice.get("/api/v1/trade/open?limit=1&offset=1"))["data"]["message"] == [buy]


def test_history_contains_a_part_and_the_rest_newest_first(live, alice):
    order_id = exact(create(alice))["data"]["orderId"]
    alice.post("/api/v1/trade/close", {"orderId": order_id, "quantity": "0.04"})
    alice.post("/api/v1/trade/close", {"orderId": order_id})
    live.project()

    answer = exact(alice.get("/api/v1/trade/close"))["data"]

    assert answer["isCurrent"] is True
    assert [row["quantity"] for row in answer["message"]] == [
        Decimal("0.06000"),
        Decimal("0.04000"),
    ]
    assert {row["orderId"] for row in answer["message"]} == {order_id}
    assert exact(alice.get("/api/v1/trade/close?limit=1&offset=1"))["data"]["message"] == [
        answer["message"][1]
    ]


def test_history_says_when_it_is_behind(live, alice):
    create(alice)

    assert exact(alice.get("/api/v1/trade/close"))["data"]["isCurrent"] is False


def test_s20_the_same_key_returns_the_same_answer_and_other_content_is_a_conflict(alice):
    first = create(alice, clientOrderId="k1")
    again = alice.post("/api/v1/trade/create", BUY, headers={"Idempotency-Key": "k1"})
    other = create(alice, clientOrderId="k1", quantity="0.2")

    assert again.content == first.content
    assert other.status_code == 409
    assert exact(other)["code"] == "EXISTS_WITH_DIFFERENT_CONTENT"
    assert exact(alice.get("/api/v1/trade/open"))["data"]["total"] == 1


def test_an_id_is_used_up_by_the_engine_only(alice):
    wrong = [
        {"quantity": "0.000001"},
        {"quantity": -1},
        {"symbol": "NOPE"},
        {"accountId": 2**40 - 1},
        {"stopLosss": 1},
    ]
    seen = [exact(create(alice, clientOrderId="free", **change)) for change in wrong]
    decided = exact(create(alice, clientOrderId="used", leverage=1000))

    assert [failure["code"] for failure in seen] == [
        "QUANTITY_INVALID",
        "QUANTITY_INVALID",
        "SYMBOL_UNKNOWN",
        "ACCOUNT_UNKNOWN",
        "INVALID",
    ]
    assert not any("requestId" in failure for failure in seen)
    assert exact(create(alice, clientOrderId="free"))["success"] is True
    assert (decided["code"], decided["requestId"]) == ("LEVERAGE_INVALID", "used")
    assert exact(create(alice, clientOrderId="used"))["code"] == "EXISTS_WITH_DIFFERENT_CONTENT"


def test_a_closed_part_is_answered_again_after_the_rest_is_gone(live, alice):
    order_id = exact(create(alice))["data"]["orderId"]
    part = {"orderId": order_id, "quantity": "0.04", "clientOrderId": "c1"}
    first = alice.post("/api/v1/trade/close", part)
    alice.post("/api/v1/trade/close", {"orderId": order_id})
    live.project()

    assert alice.post("/api/v1/trade/close", part).content == first.content


@pytest.mark.parametrize(
    ("path", "fields", "too_early_code"),
    [
        ("/api/v1/trade/close", {"quantity": "0.1"}, "ENGINE_BUSY"),
        ("/api/v1/trade/modify", {"stopLoss": "9000"}, "ENGINE_BUSY"),
        # It needs no instrument to be sent, only to be told of.
        ("/api/v1/trade/cancel", {}, "OUTCOME_UNKNOWN"),
    ],
)
def test_what_ended_an_order_is_answered_again_as_soon_as_the_history_has_it(
    live, alice, path, fields, too_early_code
):
    limit = {} if path.endswith("close") else {"orderType": "limit", "price": "9500"}
    order_id = exact(create(alice, **limit))["data"]["orderId"]
    request = {"orderId": order_id, "clientOrderId": "k1"} | fields
    first = alice.post(path, request)
    if path.endswith("modify"):
        alice.post("/api/v1/trade/cancel", {"orderId": order_id})

    too_early = alice.post(path, request)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(alice.post, path, request)
        live.project()
        repeated = waiting.result()
    unknown = alice.post(
        path, request | {"orderId": f"{alice.account}-999999", "clientOrderId": "k2"}
    )

    assert exact(too_early)["code"] == too_early_code
    assert (first.status_code, repeated.content) == (200, first.content)
    assert unknown.status_code == 404


def test_text_and_numbers_mean_the_same(alice):
    as_text = {"symbol": "BTC_USDT", "type": "buy", "quantity": "0.10", "leverage": "10"}

    first = create(alice, clientOrderId="k1")
    again = alice.post("/api/v1/trade/create", as_text | {"clientOrderId": "k1"})

    assert again.content == first.content


def test_small_json_numbers_mean_the_same_as_their_text(alice):
    order = '{"symbol":"BTC","type":"buy","quantity":%s,"leverage":10,"slippage":%s}'
    pairs = [("0.10000000", "0.0000000"), ("0.0000001", "0")]

    answers = [
        [
            exact(
                alice.post(
                    "/api/v1/trade/preview", order % numbers, content_type="application/json"
                )
            )
            for numbers in (pair, tuple(f'"{number}"' for number in pair))
        ]
        for pair in pairs
    ]

    assert [[answer.get("code") for answer in both] for both in answers] == [
        [None, None],
        ["QUANTITY_INVALID", "QUANTITY_INVALID"],
    ]


BAD_INPUT = [
    ({"leverage": 1000}, "LEVERAGE_INVALID", "leverage must be from 1 to 100, was 1000"),
    ({"leverage": "1.5"}, "LEVERAGE_INVALID", "leverage must be a whole number, was 1.5"),
    ({"leverage": 0}, "LEVERAGE_INVALID", "leverage must be above 0, was 0"),
    ({"quantity": "0.000001"}, "QUANTITY_INVALID", "at most 5 decimals"),
    ({"quantity": "-1"}, "QUANTITY_INVALID", "quantity must be above 0, was -1"),
    ({"quantity": "99999999999999999"}, "QUANTITY_INVALID", "quantity must be smaller"),
    ({"quantity": "0.00001"}, "QUANTITY_INVALID", "quantity must be from 0.0001 to 10"),
    ({"quantity": True}, "INVALID", "expected a number"),
    ({"quantity": "1e5"}, "INVALID", "plain decimal number"),
    ({"quantity": "\u0661"}, "INVALID", "plain decimal number"),
    ({"quantity": None}, "INVALID", "quantity"),
    ({"symbol": "NOPE"}, "SYMBOL_UNKNOWN", "'NOPE'"),
    ({"type": "hold"}, "INVALID", "type"),
    ({"stopLoss": "11000"}, "STOPS_INVALID", "right side of 10000"),
    (
        {"quantity": 10, "leverage": 1},
        "FREE_MARGIN_INSUFFICIENT",
        "free margin must be at least",
    ),
    ({"slippage": "1", "expectedPrice": "9000"}, "PRICE_MOVED", "the price is 10001 now"),
    ({"slippage": "101"}, "PRICE_INVALID", "from 0 to 100 %"),
    ({"stoploss": "1"}, "INVALID", "unknown field"),
    ({"balance": "1000000"}, "INVALID", "unknown field"),
    ({"clientOrderId": "~cash-1"}, "INVALID", "letters, digits"),
    ({"clientOrderId": "x" * 65}, "INVALID", "64"),
]


def test_bad_input_is_refused_in_words_and_changes_nothing(alice):
    responses = [create(alice, **changes) for changes, _, _ in BAD_INPUT]
    answers = [exact(response) for response in responses]

    found = [(a["success"], a["statusCode"], a["code"]) for a in answers]
    assert found == [(False, 400, code) for _, code, _ in BAD_INPUT]
    assert {response.status_code for response in responses} == {400}
    silent = [
        (words, answer["message"])
        for (_, _, words), answer in zip(BAD_INPUT, answers, strict=True)
        if words not in answer["message"]
    ]
    assert silent == []
    assert exact(alice.get("/api/v1/trade/open"))["data"]["total"] == 0


BAD_BODIES = [
    b"{",
    b"[1]",
    b'{"quantity": 1e5}',
    b'{"quantity": NaN}',
    b"\xff",
    b"[" * 5000,
]


def test_a_body_that_is_no_good_json_is_a_400(alice):
    responses = [
        alice.generic("POST", "/api/v1/trade/create", body, content_type="application/json")
        for body in BAD_BODIES
    ]

    assert [response.status_code for response in responses] == [400] * len(BAD_BODIES)
    assert {exact(response)["success"] for response in responses} == {False}


def test_s25_a_body_that_is_too_large_is_a_413(alice):
    response = alice.generic(
        "POST", "/api/v1/trade/create", b" " * 70_000, content_type="application/json"
    )

    assert response.status_code == 413
    assert exact(response)["code"] == "TOO_LARGE"


@pytest.mark.parametrize(
    "limit", ["0", "101", "-1", "1e3", "x", "\N{ARABIC-INDIC DIGIT FIVE}", "1_0", "+5"]
)
def test_s25_a_page_has_a_hundred_rows_at_most(alice, limit):
    for path in ("/api/v1/trade/open", "/api/v1/trade/close"):
        assert alice.get(path, {"limit": limit}).status_code == 400


def test_two_ids_that_differ_are_refused(alice):
    response = alice.post(
        "/api/v1/trade/create", BUY | {"clientOrderId": "a"}, headers={"Idempotency-Key": "b"}
    )

    assert response.status_code == 400
    assert "differ" in exact(response)["message"]


def test_s16_charlie_can_neither_see_nor_touch_the_account_of_alice(live, alice):
    order_id = exact(create(alice))["data"]["orderId"]
    charlie = live.client(live.user()[0])
    theirs = {"accountId": alice.account}

    answers = [
        charlie.post("/api/v1/trade/close", {"orderId": order_id}),
        charlie.post("/api/v1/trade/close", {"orderId": order_id} | theirs),
        charlie.post("/api/v1/trade/create", BUY | theirs),
        charlie.get("/api/v1/trade/open", theirs),
        charlie.get("/api/v1/trade/close", theirs),
        charlie.get("/api/v1/balance", theirs),
    ]

    assert [answer.status_code for answer in answers] == [404] * 6
    assert exact(charlie.get("/api/v1/trade/open"))["data"]["message"] == []
    assert exact(alice.get("/api/v1/trade/open"))["data"]["total"] == 1


def test_every_route_of_an_account_asks_who_is_there(transactional_db):
    nobody = APIClient()
    responses = [
        nobody.post("/api/v1/trade/create", BUY),
        nobody.get("/api/v1/trade/open"),
        nobody.post("/api/v1/trade/close", {"orderId": "1001-1"}),
        nobody.get("/api/v1/trade/close"),
        nobody.get("/api/v1/balance"),
        nobody.post("/api/v1/auth/ensure-user"),
    ]

    assert [response.status_code for response in responses] == [401] * 6
    assert {exact(response)["code"] for response in responses} == {"NOT_AUTHENTICATED"}
    assert {response.headers["WWW-Authenticate"] for response in responses} == {
        'Bearer realm="api"'
    }


def test_the_greeting_is_public():
    assert exact(APIClient().get("/api/v1/trade")) == {
        "success": True,
        "data": "Hello Trade",
        "message": "Success",
    }


def test_a_person_can_use_the_routes_in_a_browser(live, alice):
    page = alice.get("/api/v1/trade/create", headers={"Accept": "text/html"})
    empty = dict.fromkeys(("slippage", "stopLoss", "takeProfit", "clientOrderId", "accountId"), "")
    form = urlencode(BUY | empty | {"csrfmiddlewaretoken": "x"})
    sent = alice.generic(
        "POST", "/api/v1/trade/create", form, content_type="application/x-www-form-urlencoded"
    )

    assert page.status_code == 405
    assert "clientOrderId" in page.content.decode()
    assert exact(sent)["data"]["quantity"] == Decimal("0.10000")


def test_without_a_gateway_nothing_is_sent_and_it_says_so(alice):
    gateway_install(None)
    response = create(alice)

    assert response.status_code == 503
    assert exact(response)["code"] == "ENGINE_BUSY"
    assert response.headers["Retry-After"] == "1"


def test_a_question_that_the_engine_cannot_read_is_refused_with_a_code(live):
    class LaterQuery(AccountQuery, frozen=True, gc=False, tag="LaterQuery", kw_only=True):
        """What a later release may ask."""

    with pytest.raises(EngineQueryRefusedError) as refused:
        engine_gateway().query_sync(LaterQuery(account=7))

    assert (refused.value.code, refused.value.http_status) == ("QUERY_REFUSED", 503)
    assert "MALFORMED" in refused.value.message
