"""The figures of a day: what it brought, what the account was worth, and that they follow from the journal alone."""

from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction

from apps.common.exact_json import json_decode
from apps.trade.models import AccountDay, SymbolMark
from apps.trade.services.projection import rebuild
from apps.trade.services.projection.rebuild import read_models_digest, read_models_rebuild

pytestmark = pytest.mark.integration

BUY = {"symbol": "BTC", "type": "buy", "quantity": "0.1", "leverage": 10}
MICRO = 10**6


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
