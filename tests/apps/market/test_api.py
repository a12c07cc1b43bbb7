"""The market's public endpoints: exact numbers, stable codes, nothing but memory behind them."""

import re
from datetime import timedelta

import msgspec
import pytest
from django.core.cache import cache
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from apps.market import facade
from apps.market.clock import WallClock
from apps.market.prices import price_book
from engine.messages.commands import Quote
from engine.messages.streams import PriceBatch
from engine.values import SourceClass

pytestmark = [pytest.mark.integration, pytest.mark.django_db]


@pytest.fixture
def client():
    return APIClient()


@pytest.fixture(autouse=True)
def _catalogue(db):
    facade.catalogue_install()


@pytest.fixture
def fed():
    now_us = WallClock().now_us()
    batch = PriceBatch(
        source="replay",
        source_class=SourceClass.REPLAY,
        sent_us=now_us,
        quotes=(
            Quote("BTCUSDT", 463_186, 463_195, now_us),
            Quote("ETHUSDT", 212_000, 212_003, now_us - 60_000_000),
        ),
    )
    price_book()._take_prices(msgspec.json.encode(batch))


def test_supported_assets_lists_every_instrument_with_its_specification(client):
    response = client.get("/api/v1/supportedAssets")

    body = response.json()
    assert response.status_code == 200
    assert (body["success"], body["message"], len(body["data"])) == (True, "Success", 123)
    btc = body["data"][0]
    assert (btc["symbol"], btc["name"], btc["base"]) == ("BTCUSDT", "Bitcoin", "BTC")
    assert btc["imageUrl"] == "http://testserver/assets/BTC.svg"
    assert (btc["status"], btc["maxLeverage"]) == ("open", 100)
    assert btc["tiers"][1]["maxLeverage"] == 100


def test_numbers_are_exact_digits(client):
    text = client.get("/api/v1/supportedAssets").content.decode()

    assert '"minQuantity":0.00010,' in text
    assert '"maintenanceRate":0.004000,' in text
    assert '"swapLongPercent":-10.0000,' in text


def test_latest_prices_are_those_of_this_process(client, fed):
    response = client.get("/api/v1/prices/latest")

    btc, eth = response.json()["data"]
    assert response.status_code == 200
    assert re.search(rb'"bid":46318\.6,"ask":46319\.5,', response.content)
    assert (btc["asset"], btc["decimal"], btc["source"]) == ("BTCUSDT", 1, "replay")
    assert (btc["simulated"], btc["stale"]) == (True, False)
    # Between 46318.6 and 46319.5, rounded down to a tick.
    assert b'"price":46319.0,' in response.content
    assert (eth["asset"], eth["stale"]) == ("ETHUSDT", True)


def test_latest_prices_of_some_symbols_in_any_spelling(client, fed):
    response = client.get("/api/v1/prices/latest", {"symbols": "eth,BTC_USDT,ETHUSDT,SOL"})

    assert [price["asset"] for price in response.json()["data"]] == ["ETHUSDT", "BTCUSDT"]


@pytest.mark.parametrize("symbols", ["NOPE", "BTC,", ",", "BTC,,ETH", "'; DROP TABLE", "x" * 9999])
def test_unknown_symbol_is_a_stable_code(client, fed, symbols):
    response = client.get("/api/v1/prices/latest", {"symbols": symbols})

    assert response.status_code == 400
    assert response.json()["code"] == "SYMBOL_UNKNOWN"


def test_no_feed_is_503(client):
    response = client.get("/api/v1/prices/latest")

    assert response.status_code == 503
    assert (response.json()["success"], response.json()["code"]) == (False, "FEED_UNAVAILABLE")


def test_a_format_that_there_is_not_is_refused_in_words(client):
    answer = client.get("/api/v1/supportedAssets?format=csv").json()

    assert (answer["code"], answer["message"]) == (
        "INVALID",
        "format: expected one of json, api, found 'csv'",
    )


@pytest.mark.parametrize("path", ["/api/v1/supportedAssets", "/api/v1/prices/latest"])
def test_wrong_method_is_405(client, path):
    assert client.post(path, {}).status_code == 405


def test_icon_is_drawn_for_every_coin(client):
    icons = set()
    for info in facade.instruments():
        response = client.get(f"/assets/{info.base}.svg")
        assert response.status_code == 200
        assert response["Content-Type"] == "image/svg+xml"
        assert "max-age" in response["Cache-Control"]
        icons.add(response.content)

    assert len(icons) == 123


@pytest.mark.parametrize("base", ["NOPE", "btc", "BTCUSDT", "%3Cscript%3E"])
def test_icon_of_nothing_is_404(client, base):
    assert client.get(f"/assets/{base}.svg").status_code == 404


def candle_insert(symbol: str, *, minutes_ago: int, bid_ticks: int) -> None:
    opened = timezone.now().replace(second=0, microsecond=0) - timedelta(minutes=minutes_ago)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO candles_5m VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 1, 1)",
            [symbol, opened, *[bid_ticks] * 10],
        )


def test_prices_of_a_day_ago_are_the_first_ones_since_then(client):
    cache.clear()
    candle_insert("BTCUSDT", minutes_ago=25 * 60, bid_ticks=400_000)
    candle_insert("BTCUSDT", minutes_ago=23 * 60, bid_ticks=450_001)
    candle_insert("BTCUSDT", minutes_ago=60, bid_ticks=460_000)

    rows = client.get("/api/v1/prices/dayAgo").json()["data"]

    assert rows == [{"asset": "BTCUSDT", "price": 45000.1}]


def test_without_history_no_price_of_a_day_ago_is_made_up(client):
    cache.clear()

    assert client.get("/api/v1/prices/dayAgo").json()["data"] == []
