"""Pages over the whole house: what is read there is what was traded, files are exact, and health tells what is wrong."""

import csv
import io
import re
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from apps.auth.models import User
from apps.common.clock import now_us
from apps.common.exact_json import json_decode
from apps.common.models import AuditEntry
from apps.market.prices import FeedStatus, SourceStatus, price_book
from engine.messages.commands import Quote
from engine.messages.streams import PriceBatch
from engine.values import SourceClass
from tests.integration.engine_log import wait_for

pytestmark = pytest.mark.integration

BUY = {"symbol": "BTC", "type": "buy", "quantity": "0.1", "leverage": 50}


@pytest.fixture
def operator(live) -> Client:
    """A member of the staff who may see the house and the health."""
    user = User.objects.create(email="bob@example.com", is_staff=True)
    rights = Permission.objects.filter(codename__in=("view_house", "view_health"))
    user.user_permissions.set(rights)
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture(autouse=True)
def book():
    """A process that has heard no price yet, before and after."""
    price_book.cache_clear()
    yield price_book()
    price_book.cache_clear()


@pytest.fixture
def trader(live) -> Any:
    """An account with two longs and an isolated short, one long closed again."""
    user, account = live.user()
    client = live.client(user)
    live.price(100_000, 100_010)
    orders = [
        json_decode(client.post("/api/v1/trade/create", BUY | more).content)["data"]
        for more in ({}, {}, {"type": "sell", "quantity": "0.05", "marginMode": "isolated"})
    ]
    client.post("/api/v1/trade/close", {"orderId": orders[0]["orderId"]})
    live.project()
    return account


def page(client: Client, name: str, **query: str) -> str:
    answer = client.get(reverse(f"admin:office-{name}"), query)
    assert answer.status_code == 200
    # As read: without tags and with single blanks.
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def file(client: Client, name: str, **query: str) -> list[dict[str, str]]:
    answer = client.get(reverse(f"admin:office-{name}"), {"format": "csv", **query})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/csv")
    assert "attachment" in answer.headers["Content-Disposition"]
    return list(csv.DictReader(io.StringIO(answer.content.decode())))


def test_exposure_is_shown_and_exported(live, operator, trader):
    text = page(operator, "exposure")
    (row,) = file(operator, "exposure")

    # 0.1 at the bid of 10,000.0 against 0.05 at the ask of 10,001.0.
    assert "1,000.00 0.10000 500.05 0.05000 500.00 0.05000" in text
    assert (row["symbol"], row["book"], row["positions"]) == ("BTCUSDT", "demo", "2")
    assert (row["long"], row["short"], row["net"]) == ("0.10000", "0.05000", "0.05000")
    assert Decimal(row["longUsd"]) == Decimal("1000.0")
    assert Decimal(row["shortUsd"]) == Decimal("500.05")
    assert Decimal(row["netUsd"]) == Decimal("500.0")
    # Both have lost the spread: 1.0 x 0.15.
    assert Decimal(row["unrealisedPnlUsd"]) == Decimal("-0.15")
    assert Decimal(row["houseCapUsd"]) > 0
    share = Decimal(row["netUsd"]) / Decimal(row["houseCapUsd"]) * 100
    assert 0 <= share - Decimal(row["houseCapUsedPercent"]) < Decimal("0.01")
    assert file(operator, "exposure", book="live") == []
    assert "No position is open." in page(operator, "exposure", book="live")
    assert AuditEntry.objects.get(event="admin_export", n=1).facts == {"what": "exposure"}


def test_a_newer_price_of_this_process_counts(live, operator, trader, book):
    quote = Quote("BTCUSDT", 110_000, 110_010, now_us())
    batch = PriceBatch(
        source="test", source_class=SourceClass.SIMULATED, sent_us=now_us(), quotes=(quote,)
    )
    book._take_prices(msgspec.json.encode(batch))

    (row,) = file(operator, "exposure")

    assert (row["bid"], row["ask"]) == ("11000.0", "11001.0")
    # 0.1 x (11,000 - 10,001) - 0.05 x (11,001 - 10,000).
    assert Decimal(row["unrealisedPnlUsd"]) == Decimal("49.85")


def test_results_are_shown_by_day_and_exported(live, operator, trader):
    text = page(operator, "results")
    (day,) = file(operator, "results", book="demo")
    (client,) = file(operator, "results", book="demo", of="clients")

    commission = Decimal("0.400040") * 2 + Decimal("0.4") + Decimal("0.2")
    assert "Demo book" in text
    assert Decimal(day["pnlUsd"]) == Decimal("0.1")
    assert Decimal(day["commissionUsd"]) == commission
    assert Decimal(day["sumUsd"]) == commission + Decimal("0.1")
    # Cut to cents, as everywhere on screens.
    assert "Realised, in all, USD +1.50 Realised today, USD +1.50 Unrealised, USD +0.15" in text
    assert "Realised and unrealised, USD +1.65" in text
    assert (client["account"], client["book"]) == (str(trader.id), "demo")
    assert Decimal(client["realisedUsd"]) == -commission - Decimal("0.1")
    assert Decimal(client["unrealisedUsd"]) == Decimal("-0.15")
    assert file(operator, "results", book="live") == []
    # Nobody is shown the way to a list that is not theirs.
    assert "/trade/account/" not in operator.get(reverse("admin:office-results")).content.decode()


def test_the_ladder_is_shown_for_the_instrument_asked_for(live, operator, trader):
    text = page(operator, "ladder", symbol="BTCUSDT")
    rows = {row["movePercent"]: row for row in file(operator, "ladder")}

    # 2 % of margin: gone with 2 %, and nothing of it before. The cross long never goes with 10,000 USD behind it.
    assert set(rows) == {"2", "5", "10", "20"}
    assert (rows["2"]["isolatedPositions"], rows["2"]["crossAccounts"]) == ("1", "0")
    assert Decimal(rows["2"]["isolatedUsd"]) == Decimal("500.05")
    assert "+2 % 10,201.0 1 1 500.05 0 0 0.00 500.05" in text
    assert "No move of up to 20 %" in page(operator, "ladder", book="live")


def test_health_tells_how_each_part_is(live, operator, trader, book):
    refused = SourceStatus(
        name="test",
        source_class=SourceClass.SIMULATED,
        state="live",
        symbols=1,
        accepted=7,
        refusals={"CROSSED": 3, "OLD": 1},
    )
    status = FeedStatus(at_us=now_us(), epoch=5, sequence=9, sources=(refused,), unserved=("ABC",))
    before = page(operator, "health")
    book._take_status(msgspec.json.encode(status))

    # Its first report may still be one of its recovery.
    wait_for(lambda: "Engine well" in page(operator, "health"), "a report of the live engine")
    text = page(operator, "health")

    assert "No feed has said a word to this process." in before
    assert "CROSSED 3, OLD 1" in text
    assert re.search(r"Instruments without a source ABC", text)
    assert "Feed look here" in text
    assert re.search(r"0 active live \d", text)
    prices = {row["symbol"]: row for row in file(operator, "health")}
    assert prices["BTCUSDT"]["stale"] == "yes"


def test_health_is_told_while_a_server_is_away(live, operator, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"

    text = page(operator, "health")

    assert "The server of the reports cannot be reached." in text


def test_the_pages_are_in_the_readers_language(live, operator, trader):
    answer = operator.get(reverse("admin:office-exposure"), headers={"accept-language": "de"})

    text = answer.content.decode()
    assert answer.headers["Content-Language"] == "de"
    assert "1.000,00" in text
    assert "Cap used" not in text
