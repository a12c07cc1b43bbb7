"""Every operation beyond market orders, over REST and over the socket, with a real engine behind."""

from decimal import Decimal

import pytest

from apps.common.errors import EngineBusyError
from apps.common.exact_json import json_decode
from apps.profile import facade as profile
from apps.trade.models import Fill, Order, Position
from apps.trade.operations import OPERATIONS
from apps.trade.services import history

pytestmark = pytest.mark.integration

BUY = {"symbol": "BTC", "type": "buy", "quantity": "0.1", "leverage": 10}
# Ten thousand, and a spread of one.
BID, ASK = 100_000, 100_010


@pytest.fixture
def alice(live):
    user, account = live.user()
    live.price(BID, ASK)
    client = live.client(user)
    client.account = account.id
    return client


def exact(response):
    return json_decode(response.content)


def post(client, name, **body):
    return exact(client.post(f"/api/v1/trade/{name}", body))


def get(client, path, **query):
    return exact(client.get(f"/api/v1/{path}", query))


def ok(answer):
    assert answer["success"] is True, answer
    return answer["data"]


PENDING = [
    ({"orderType": "limit", "price": "9900"}, "9900.0", None),
    ({"orderType": "stop", "stopPrice": "10100"}, None, "10100.0"),
    ({"orderType": "stopLimit", "stopPrice": "10100", "price": "10150"}, "10150.0", "10100.0"),
]


@pytest.mark.parametrize(("order", "price", "stop_price"), PENDING)
def test_an_order_that_waits_is_pending_and_listed_as_it_was_answered(
    alice, order, price, stop_price
):
    created = ok(post(alice, "create", **BUY, **order, stopLoss="9000", timeInForce="day"))
    (listed,) = ok(get(alice, "trade/pending"))["message"]

    assert (created["status"], created["margin"], created["balance"]) == ("pending", None, None)
    assert created["price"] == (price and Decimal(price))
    assert created["stopPrice"] == (stop_price and Decimal(stop_price))
    assert created["expiresAt"].endswith("T00:00:00Z")
    shared = listed.keys() & created.keys()
    assert {name: listed[name] for name in shared} == {name: created[name] for name in shared}
    assert listed["isActivated"] is False
    assert ok(get(alice, "trade/open"))["total"] == 0


def test_a_marketable_limit_is_filled_at_once_and_keeps_the_improvement(alice):
    created = ok(post(alice, "create", **BUY, orderType="limit", price="10100"))

    assert (created["status"], created["price"]) == ("filled", Decimal("10001.0"))


def test_a_pending_order_is_changed_filled_and_explained_by_receipts(live, alice):
    order_id = ok(post(alice, "create", **BUY, orderType="limit", price="9900"))["orderId"]
    changed = ok(post(alice, "modify", orderId=order_id, price="9950", takeProfit="11000"))
    live.price(99_400, 99_410)
    live.project()

    detail = ok(get(alice, f"trade/orders/{order_id}"))

    assert changed["order"]["price"] == Decimal("9950.0")
    assert changed["order"]["takeProfit"] == Decimal("11000.0")
    assert changed["order"]["isChanged"] is True
    assert (detail["order"]["status"], detail["isCurrent"]) == ("filled", True)
    assert detail["position"]["entryPrice"] == Decimal("9941.0")
    assert [fill["fillId"] for fill in detail["fills"]] == [f"{order_id}.1"]
    kinds = [receipt["event"]["type"] for receipt in detail["receipts"]]
    assert kinds == ["OrderPlaced", "OrderModified", "PositionOpened"]
    opened = detail["receipts"][-1]
    assert (opened["rule"], bool(opened["ruleText"])) == ("P3", True)
    assert opened["quote"]["ask"] == Decimal("9941.0")
    assert opened["previousQuote"]["ask"] == Decimal("10001.0")
    assert len(opened["journal"]["chainHash"]) == 64


def test_stops_of_an_open_order_are_set_and_taken_away_by_null(alice):
    order_id = ok(post(alice, "create", **BUY))["orderId"]
    ok(post(alice, "modify", orderId=order_id, stopLoss="9000", takeProfit="12000"))
    ok(post(alice, "modify", orderId=order_id, stopLoss=None))

    (order,) = ok(get(alice, "trade/open"))["message"]

    assert (order["stopLoss"], order["takeProfit"]) == (None, Decimal("12000.0"))


def test_a_change_repeated_after_the_fill_gets_its_first_answer(live, alice):
    order_id = ok(post(alice, "create", **BUY, orderType="limit", price="9900"))["orderId"]
    change = {"orderId": order_id, "stopLoss": "9000", "clientOrderId": "m1"}
    first = post(alice, "modify", **change)
    live.price(98_900, 98_910)
    live.project()

    assert ok(get(alice, "trade/open"))["total"] == 1
    assert post(alice, "modify", **change) == first
    assert post(alice, "modify", **change | {"stopLoss": "9001"})["statusCode"] == 409


def test_a_change_of_nothing_is_refused(alice):
    answer = post(alice, "modify", orderId=f"{alice.account}-1")

    assert (answer["code"], "nothing is to be changed" in answer["message"]) == ("INVALID", True)


def test_pending_orders_are_cancelled_one_by_one_and_together(alice):
    limit = {"orderType": "limit", "price": "9900"}
    first = ok(post(alice, "create", **BUY, **limit))["orderId"]
    rest = [ok(post(alice, "create", **BUY, **limit))["orderId"] for _ in range(2)]
    sell = ok(post(alice, "create", **BUY | {"type": "sell"}, orderType="limit", price="10100"))

    cancelled = ok(post(alice, "cancel", orderId=first))
    buys = ok(post(alice, "cancelAll", type="buy", symbol="BTC"))
    again = post(alice, "cancel", orderId=first)

    assert cancelled["order"]["status"] == "cancelled"
    assert (buys["orderIds"], buys["count"]) == (rest, 2)
    assert again["statusCode"] == 404
    (left,) = ok(get(alice, "trade/pending"))["message"]
    assert left["orderId"] == sell["orderId"]


def test_open_orders_are_closed_together_by_their_filters(live, alice):
    buy = ok(post(alice, "create", **BUY))["orderId"]
    sells = [ok(post(alice, "create", **BUY | {"type": "sell"}))["orderId"] for _ in range(2)]
    live.price(100_500, 100_510)

    winners = ok(post(alice, "closeAll", profit="winners"))
    rest = ok(post(alice, "closeAll", type="sell"))

    assert [order["orderId"] for order in winners["orders"]] == [buy]
    assert winners["orders"][0]["pnl"] == Decimal("4.900000")
    assert [order["orderId"] for order in rest["orders"]] == sells
    assert ok(get(alice, "trade/open"))["total"] == 0


def test_two_opposite_orders_close_against_each_other(alice):
    buy = ok(post(alice, "create", **BUY))["orderId"]
    sell = ok(post(alice, "create", **BUY | {"type": "sell", "quantity": "0.3"}))["orderId"]

    closed = ok(post(alice, "closeBy", orderId=buy, otherOrderId=sell))

    assert [(o["orderId"], o["commission"]) for o in closed["orders"]] == [(buy, 0), (sell, 0)]
    assert closed["orders"][1]["remainingQuantity"] == Decimal("0.20000")


def test_an_order_is_reversed_in_one_step(alice):
    buy = ok(post(alice, "create", **BUY))["orderId"]

    turned = ok(post(alice, "reverse", orderId=buy))

    assert turned["closed"]["orderId"] == buy
    assert (turned["opened"]["type"], turned["opened"]["price"]) == ("sell", Decimal("10000.0"))
    (order,) = ok(get(alice, "trade/open"))["message"]
    assert order["orderId"] == turned["orderId"]


def test_margin_of_an_isolated_order_is_added_and_taken_out(alice):
    order_id = ok(post(alice, "create", **BUY, marginMode="isolated"))["orderId"]

    added = ok(post(alice, "margin", orderId=order_id, amount="50"))["order"]
    removed = ok(post(alice, "margin", orderId=order_id, amount=20.5, action="remove"))["order"]
    too_much = post(alice, "margin", orderId=order_id, amount="5000", action="remove")

    assert (added["amount"], added["margin"]) == (Decimal(50), Decimal("150.01"))
    assert (removed["amount"], removed["margin"]) == (Decimal("-20.5"), Decimal("129.51"))
    assert removed["liquidationPrice"] > added["liquidationPrice"]
    assert too_much["code"] == "MARGIN_NOT_RELEASABLE"


def test_a_preview_costs_nothing_and_says_what_the_order_would_get(alice):
    seen = ok(post(alice, "preview", **BUY))
    refused = ok(post(alice, "preview", **BUY | {"quantity": 10, "leverage": 1}))
    placed = ok(post(alice, "create", **BUY))

    assert (seen["isAccepted"], seen["refusal"]) == (True, None)
    assert (seen["price"], seen["margin"], seen["commission"]) == (
        placed["price"],
        placed["margin"],
        placed["commission"],
    )
    assert seen["maxQuantity"] > 0
    assert refused["isAccepted"] is False
    assert refused["refusal"]["code"] == "FREE_MARGIN_INSUFFICIENT"
    assert "free margin must be at least" in refused["refusal"]["message"]


def test_what_became_of_a_request_is_told_by_its_id(live, alice):
    placed = post(alice, "create", **BUY, clientOrderId="r1")
    refused = post(alice, "create", **BUY | {"quantity": 10, "leverage": 1}, clientOrderId="r2")
    live.project()

    accepted = ok(get(alice, "trade/requests/r1"))
    rejected = ok(get(alice, "trade/requests/r2"))
    unknown = get(alice, "trade/requests/r3")

    assert (accepted["status"], accepted["answer"]) == ("accepted", placed["data"])
    assert (rejected["status"], rejected["error"]) == ("rejected", refused)
    assert (unknown["statusCode"], unknown["code"]) == (404, "REQUEST_UNKNOWN")


def test_an_unknown_request_says_whether_the_record_is_complete(live, alice):
    post(alice, "create", **BUY)
    behind = get(alice, "trade/requests/r3")
    live.project()

    assert behind["data"]["isCurrent"] is False
    assert get(alice, "trade/requests/r3")["data"]["isCurrent"] is True


def test_an_order_that_is_not_on_record_yet_says_so_as_json_and_as_a_receipt(live, alice):
    order_id = ok(post(alice, "create", **BUY))["orderId"]
    paths = (f"trade/orders/{order_id}", f"trade/orders/{order_id}/receipt.pdf")
    behind = [get(alice, path) for path in paths]
    live.project()
    found = [alice.get(f"/api/v1/{path}").status_code for path in paths]

    assert [answer["statusCode"] for answer in behind] == [404, 404]
    assert {(a["code"], a["message"]) for a in behind} == {
        ("ORDER_UNKNOWN", f"there is no order {order_id} of yours")
    }
    data = {"orderId": order_id, "isCurrent": False, "missingFromSeq": 1}
    assert [answer["data"] for answer in behind] == [data] * 2
    assert found == [200, 200]


def test_the_account_of_an_order_may_be_named_and_another_one_does_not_have_it(live, alice):
    order_id = ok(post(alice, "create", **BUY))["orderId"]
    other = ok(exact(alice.post("/api/v1/accounts", {"name": "second"})))["accountId"]
    live.project()
    path, receipt = f"trade/orders/{order_id}", f"trade/orders/{order_id}/receipt.pdf"

    whole = get(alice, path)
    named = get(alice, path, accountId=alice.account)
    pdf = alice.get(f"/api/v1/{receipt}", {"accountId": alice.account})
    of_another = [get(alice, p, accountId=other) for p in (path, receipt)]
    of_nobody = get(alice, path, accountId=2**40 - 1)
    wrong = [get(alice, p, **query) for p in (path, receipt) for query in BAD_QUERIES]

    assert ok(named) == ok(whole)
    assert (pdf.status_code, pdf["Content-Type"]) == (200, "application/pdf")
    assert {(a["statusCode"], a["code"], a["message"]) for a in (*of_another, of_nobody)} == {
        (404, "ORDER_UNKNOWN", f"there is no order {order_id} of yours")
    }
    assert {(a["statusCode"], a["code"]) for a in wrong} == {(400, "INVALID")}


BAD_QUERIES = ({"accountId": "x"}, {"accountId": 0}, {"account": 1001})


def test_the_ledger_explains_every_cent_page_by_page(live, alice):
    order_id = ok(post(alice, "create", **BUY))["orderId"]
    live.price(100_500, 100_510)
    ok(post(alice, "close", orderId=order_id))
    live.project()
    path = f"accounts/{alice.account}/ledger"

    whole = ok(get(alice, path))
    first = ok(get(alice, path, limit=2))
    second = ok(get(alice, path, limit=2, cursor=first["nextCursor"]))

    assert [entry["kind"] for entry in whole["entries"]] == [
        "PositionClosed",
        "PositionOpened",
        "CashPosted",
    ]
    assert [entry["cashKind"] for entry in whole["entries"]] == [None, None, "deposit"]
    assert first["entries"] + second["entries"] == whole["entries"]
    assert (second["nextCursor"], whole["isCurrent"]) == (None, True)
    assert sum(entry["amount"] for entry in whole["entries"]) == whole["entries"][0]["balance"]
    assert whole["entries"][0]["balance"] == ok(get(alice, "balance"))["message"]
    assert {sum(p["amount"] for p in entry["postings"]) for entry in whole["entries"]} == {0}


def test_events_after_a_seq_are_those_of_the_socket(live, alice):
    order_id = ok(post(alice, "create", **BUY))["orderId"]
    ok(post(alice, "close", orderId=order_id))
    live.project()
    path = f"accounts/{alice.account}/events"

    whole = ok(get(alice, path))
    rest = ok(get(alice, path, after=whole["events"][1]["seq"]))

    assert [e["seq"] for e in whole["events"]] == list(range(1, len(whole["events"]) + 1))
    assert [e["d"]["type"] for e in rest["events"]] == ["PositionOpened", "PositionClosed"]
    assert rest["events"] == whole["events"][2:]
    assert (rest["lastSeq"], rest["hasMore"]) == (whole["lastSeq"], False)
    assert ok(get(alice, path, limit=1))["hasMore"] is True


def test_who_goes_on_from_an_event_that_never_was_is_told_to_begin_anew(live, alice):
    """A cursor of another account or installation would wait for events that never come."""
    ok(post(alice, "create", **BUY))
    live.project()
    path = f"accounts/{alice.account}/events"

    newest = ok(get(alice, path))["lastSeq"]
    beyond, at_end = (ok(get(alice, path, after=newest + more)) for more in (1, 0))

    expected = {"accountId": alice.account, "events": [], "hasMore": False}
    expected |= {"isCurrent": True, "missingFromSeq": None}
    assert beyond == expected | {"lastSeq": newest, "reset": True}
    assert at_end == expected | {"lastSeq": newest, "reset": False}


def test_what_is_read_from_the_history_says_from_which_event_on_it_may_lack_some(
    live, alice, monkeypatch
):
    order_id = ok(post(alice, "create", **BUY))["orderId"]
    live.project()
    account, period = f"accounts/{alice.account}", "from=2020-01-01&to=2020-01-31"
    paths = [
        "trade/close",
        "trade/orders",
        f"trade/orders/{order_id}",
        f"{account}/ledger",
        f"{account}/events",
        f"{account}/statement?{period}",
        f"{account}/performance?{period}",
    ]

    def told():
        answers = [ok(get(alice, path)) for path in paths]
        return {(answer["isCurrent"], answer["missingFromSeq"]) for answer in answers}

    async def silent(_account):
        raise EngineBusyError("the engine is away")

    newest = ok(get(alice, f"{account}/events"))["lastSeq"]
    assert told() == {(True, None)}
    monkeypatch.setattr(history, "PROJECTED_WAIT_S", 0.0)
    ok(post(alice, "create", **BUY))
    ok(post(alice, "close", orderId=order_id))
    assert told() == {(False, newest + 1)}
    live.project()
    assert told() == {(True, None)}
    assert ok(get(alice, f"{account}/events"))["lastSeq"] == newest + 2
    # The engine knows of further ones, if there are any.
    monkeypatch.setattr(profile, "account_view", silent)
    assert told() == {(False, newest + 3)}


def test_lists_are_filtered_and_sorted(live, alice):
    buy = ok(post(alice, "create", **BUY))["orderId"]
    sell = ok(post(alice, "create", **BUY | {"type": "sell"}))["orderId"]
    live.price(100_500, 100_510)

    def ids(path, **query):
        return [row["orderId"] for row in ok(get(alice, path, **query))["message"]]

    assert ids("trade/open") == [sell, buy]
    assert ids("trade/open", sort="-pnl") == [buy, sell]
    assert ids("trade/open", type="buy", symbol="BTC_USDT") == [buy]
    assert ids("trade/open", endTime=1) == []
    ok(post(alice, "closeAll"))
    live.project()
    assert ids("trade/close", sort="pnl") == [sell, buy]
    assert ids("trade/close", type="sell", startTime="2020-01-01T00:00:00Z") == [sell]
    assert ids("trade/close", closeReason="stop_out") == []
    assert ids("trade/orders", state="filled", sort="createdAt") == [buy, sell]
    assert ids("trade/orders", state="pending") == []
    assert get(alice, "trade/open", sort="size")["statusCode"] == 400
    # What would look like a quiet time.
    ledger = f"accounts/{alice.account}/ledger"
    for path, query in (
        ("trade/close", {"closeReason": "none"}),
        (ledger, {"kind": "Nothing"}),
        (ledger, {"startTime": 2, "endTime": 1}),
        ("trade/open", {"startTime": 2, "endTime": 1}),
    ):
        answer = get(alice, path, **query)
        assert (answer["code"], "expected" in answer["message"]) == ("INVALID", True), path


def test_what_happened_in_one_instant_is_listed_by_its_numbers_page_by_page(live, alice):
    """As text 1001-9 comes after 1001-10, so that the first page missed the newest orders."""
    sent = [ok(post(alice, "create", **BUY | {"quantity": "0.01"}))["orderId"] for _ in range(11)]
    ok(post(alice, "close", orderId=sent[9], quantity="0.004"))
    live.project()
    Order.objects.update(placed_at_us=1)
    Position.objects.update(opened_at_us=1)
    Fill.objects.update(at_us=1)

    def pages(sort):
        answers = [
            ok(get(alice, "trade/orders", sort=sort, limit=4, offset=offset))["message"]
            for offset in (0, 4, 8)
        ]
        return [row["orderId"] for page in answers for row in page]

    assert pages("-createdAt") == sent[::-1]
    assert pages("createdAt") == sent
    # As the pages of the admin have them.
    assert list(Order.objects.values_list("pk", flat=True)) == sent[::-1]
    assert list(Position.objects.values_list("pk", flat=True)) == sent[::-1]
    fills = [f"{order_id}.1" for order_id in sent]
    fills.insert(10, f"{sent[9]}.2")
    assert list(Fill.objects.values_list("pk", flat=True)) == fills[::-1]


def test_charlie_can_touch_nothing_of_alice(live, alice):
    order_id = ok(post(alice, "create", **BUY))["orderId"]
    ok(post(alice, "create", **BUY, clientOrderId="secret"))
    live.project()
    charlie = live.client(live.user()[0])
    theirs = {"accountId": alice.account}

    answers = [
        post(charlie, "modify", orderId=order_id, stopLoss="9000"),
        post(charlie, "cancel", orderId=order_id),
        post(charlie, "reverse", orderId=order_id),
        post(charlie, "margin", orderId=order_id, amount=1),
        post(charlie, "closeBy", orderId=order_id, otherOrderId=order_id),
        post(charlie, "closeAll", **theirs),
        post(charlie, "cancelAll", **theirs),
        post(charlie, "preview", **BUY, **theirs),
        get(charlie, "trade/pending", **theirs),
        get(charlie, "trade/orders", **theirs),
        get(charlie, f"trade/orders/{order_id}"),
        get(charlie, "trade/requests/secret"),
        get(charlie, "trade/requests/secret", **theirs),
        get(charlie, f"accounts/{alice.account}/ledger"),
        get(charlie, f"accounts/{alice.account}/events"),
    ]

    assert {answer["statusCode"] for answer in answers} == {404}
    assert ok(get(alice, "trade/open"))["total"] == 2


BAD = [
    ("create", BUY | {"orderType": "limit"}, "PRICE_INVALID"),
    ("create", BUY | {"orderType": "limit", "price": "9900.05"}, "PRICE_INVALID"),
    ("create", BUY | {"orderType": "iceberg"}, "INVALID"),
    ("create", BUY | {"orderType": "stop", "stopPrice": "9000"}, "PRICE_INVALID"),
    ("create", BUY | {"timeInForce": "day"}, "EXPIRY_INVALID"),
    (
        "create",
        BUY | {"orderType": "limit", "price": "9900", "timeInForce": "gtd"},
        "EXPIRY_INVALID",
    ),
    ("create", BUY | {"expiresAt": "tomorrow"}, "INVALID"),
    ("create", BUY | {"expiresAt": "2030-01-01T00:00:00"}, "INVALID"),
    ("create", BUY | {"expiresAt": -1}, "INVALID"),
    ("create", BUY | {"expiresAt": True}, "INVALID"),
    ("modify", {"orderId": "1", "price": 1}, "INVALID"),
    ("margin", {"orderId": "9-9", "amount": "0"}, "POSITION_UNKNOWN"),
    ("modify", {"orderId": "9-9", "price": 1}, "ORDER_UNKNOWN"),
    ("cancel", {"orderId": "9-9"}, "ORDER_UNKNOWN"),
    ("closeAll", {"profit": "some"}, "INVALID"),
    ("closeAll", {"symbol": "NOPE"}, "SYMBOL_UNKNOWN"),
    ("cancelAll", {"side": "buy"}, "INVALID"),
]


@pytest.mark.parametrize(("name", "body", "code"), BAD)
def test_bad_input_gets_its_code(alice, name, body, code):
    answer = post(alice, name, **body)

    assert (answer["success"], answer["code"], bool(answer["message"])) == (False, code, True)
    assert 400 <= answer["statusCode"] < 500


def test_every_operation_has_its_own_name():
    names = [operation.op for operation in OPERATIONS]

    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", ["create", "preview"])
@pytest.mark.parametrize("end", [253_402_300_799_998, "9999-12-31T23:59:59Z", 2**53 // 1000 + 1])
def test_an_end_beyond_what_a_message_can_hold_is_refused_before_it_is_sent(alice, name, end):
    answer = post(alice, name, **BUY, orderType="limit", price="9000", expiresAt=end)

    assert (answer["code"], set(answer["data"]["fields"])) == ("INVALID", {"expiresAt"})


def test_an_end_at_the_beginning_of_time_is_refused_by_the_engine(alice):
    order = BUY | {"orderType": "limit", "price": "9000", "timeInForce": "gtd", "expiresAt": 0}
    created = post(alice, "create", **order)
    previewed = ok(post(alice, "preview", **order))

    assert created["code"] == previewed["refusal"]["code"] == "EXPIRY_INVALID"
