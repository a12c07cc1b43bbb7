"""The figures of a day: what it brought, what the account was worth, and that they follow from the journal alone."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.common.clock import now_us
from apps.common.exact_json import json_decode
from apps.market.candles.candle import Candle, Sources
from apps.trade.models import AccountDay, SymbolMark
from apps.trade.selectors import DAY_US
from apps.trade.services.projection import rebuild
from apps.trade.services.projection.rebuild import read_models_digest, read_models_rebuild
from apps.trade.services.statements import collect
from tests.apps.market.candle_support import plain_store

pytestmark = pytest.mark.integration

BUY = {"symbol": "BTC", "type": "buy", "quantity": "0.1", "leverage": 10}
MICRO = 10**6


@pytest.fixture(autouse=True)
def candle(transactional_db):
    """Empty the candles; return how to store a closing price of the instrument some days from now."""
    candles = plain_store()

    def store(days: int, bid_ticks: int, ask_ticks: int) -> None:
        at_ms = (now_us() // DAY_US + days + 1) * DAY_US // 1000 - 60_000
        one = Candle.of_quote(at_ms, bid_ticks, ask_ticks, 0, Sources.SIMULATED)
        candles.add([("BTCUSDT", one, None)], is_replacing=True)

    yield store
    candles.close()


@pytest.fixture
def traded(live):
    """One position is closed with a gain of 10, one is open with an entry of 10,001 and a last price of 10,100."""
    user, account = live.user()
    client = live.client(user)
    live.price(100_000, 100_010)
    opened = [
        json_decode(client.post("/api/v1/trade/create", BUY).content)["data"] for _ in range(2)
    ]
    live.price(101_000, 101_010)
    client.post("/api/v1/trade/close", {"orderId": opened[0]["orderId"]})
    return client, account


def test_a_day_has_its_results_fees_and_what_the_account_was_worth(live, traded):
    client, account = traded
    live.project()
    row = AccountDay.objects.get(account=account.id)
    balance = json_decode(client.get("/api/v1/balance").content)["data"]

    # 0.1 x (10,100 - 10,001); two openings and a closing at 0.04 %.
    assert (row.opening_micros, row.other_micros, row.trades) == (0, 10_000 * MICRO, 1)
    assert row.pnl_micros == 9_900_000
    assert row.commission_micros == 2 * 400_040 + 404_000
    assert Decimal(row.closing_micros).scaleb(-6) == balance["balance"]
    assert row.unrealised_micros == 9_900_000
    assert Decimal(row.equity_micros).scaleb(-6) == balance["equity"]
    mark = SymbolMark.objects.get(symbol="BTCUSDT")
    assert (mark.bid_ticks, mark.ask_ticks) == (101_000, 101_010)


def test_the_statement_tells_the_days(live, traded):
    client, account = traded
    live.project()
    row = AccountDay.objects.get(account=account.id)
    path = f"/api/v1/accounts/{account.id}/statement"
    (day,) = json_decode(client.get(path, {"day": f"{row.day:%Y-%m-%d}"}).content)["data"]["days"]

    assert (day["pnl"], day["trades"]) == (Decimal("9.900000"), 1)
    assert day["equity"] == Decimal(row.equity_micros).scaleb(-6)


def test_the_figures_do_not_depend_on_how_outputs_are_divided(live, traded, monkeypatch):
    live.project()
    at_once = read_models_digest()

    # The live projector took them in a few batches; one by one they come out the same.
    monkeypatch.setattr(rebuild, "_BATCH", 1)
    read_models_rebuild()

    assert read_models_digest() == at_once


def days_until(client, account, monkeypatch, days: int) -> list[dict]:
    """Return the account's days as somebody reads them some days from now."""
    first, later_us = timezone.now(), now_us() + days * DAY_US
    monkeypatch.setattr(collect, "now_us", lambda: later_us)
    last = first + timedelta(days=days + 3)
    period = {"from": f"{first:%Y-%m-%d}", "to": f"{last:%Y-%m-%d}"}
    path = f"/api/v1/accounts/{account.id}/statement"
    found: list[dict] = json_decode(client.get(path, period).content)["data"]["days"]
    return found


def test_quiet_days_have_a_row_and_are_valued_at_their_close(live, traded, candle, monkeypatch):
    client, account = traded
    live.project()
    candle(1, 102_000, 102_010)
    # None on the day after: it keeps this price.
    candle(3, 90_000, 90_010)
    days = days_until(client, account, monkeypatch, 4)
    today = days[0]

    dates = [day["date"] for day in days]
    assert dates == [f"{timezone.now() + timedelta(days=number):%Y-%m-%d}" for number in range(5)]
    # 0.1 bought at 10,001.0 is open; today no candle stands against the journal's own price.
    gains = [Decimal(text) for text in ("9.9", "19.9", "19.9", "-100.1", "-100.1")]
    assert [day["equity"] - day["closingBalance"] for day in days] == gains
    for day in days[1:]:
        moved = {day[name] for name in ("pnl", "commission", "swap", "other", "result", "trades")}
        assert moved == {0}
        assert day["openingBalance"] == day["closingBalance"] == today["closingBalance"]
    # They follow from read models and candles, so a rebuild tells the same.
    read_models_rebuild()
    assert days_until(client, account, monkeypatch, 4) == days


def test_a_short_is_valued_at_the_ask_and_what_is_closed_later_counts_until_then(
    live, candle, monkeypatch
):
    user, account = live.user()
    client = live.client(user)
    live.price(100_000, 100_010)
    sold = BUY | {"type": "sell", "quantity": "0.2"}
    order = json_decode(client.post("/api/v1/trade/create", sold).content)["data"]["orderId"]
    live.price(100_000, 100_010)
    client.post("/api/v1/trade/close", {"orderId": order, "quantity": "0.05"})
    live.project()
    candle(0, 100_000, 100_020)
    candle(1, 99_000, 99_100)

    days = days_until(client, account, monkeypatch, 1)

    # 0.15 of it is open: sold at 10,000.0, worth 10,002.0 and 9,910.0 at the ask.
    gains = [day["equity"] - day["closingBalance"] for day in days]
    assert gains == [Decimal("-0.3"), Decimal("13.5")]


def test_an_account_has_no_day_before_its_first_and_none_ahead(live, traded):
    client, account = traded
    live.project()
    today = timezone.now()
    path = f"/api/v1/accounts/{account.id}/performance"
    wide = {"from": f"{today - timedelta(days=9):%Y-%m-%d}", "to": f"{today:%Y}-12-31"}

    days = json_decode(client.get(path, wide).content)["data"]["days"]

    assert [day["date"] for day in days] == [f"{today:%Y-%m-%d}"]


@pytest.mark.parametrize(
    "damage",
    [
        {"closing_micros": 1},
        {"equity_micros": 1},
        {"commission_micros": -1},
        {"trades": -1},
    ],
)
def test_figures_that_do_not_add_up_cannot_be_stored(live, traded, damage):
    live.project()

    with pytest.raises(IntegrityError), transaction.atomic():
        AccountDay.objects.update(**damage)
