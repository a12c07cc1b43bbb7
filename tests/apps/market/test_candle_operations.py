"""Diagnostics that tell the truth, refreshes that run as jobs, and TradingView's protocol on the same store."""

import hashlib
import json

import django_rq
import pytest
from rest_framework.test import APIClient

from apps.auth.models import User
from apps.common.clock import now_us
from apps.market import selectors, services, tasks
from apps.market.backfill.sources import BinanceHistory
from apps.market.candles.candle import Candle, Sources
from apps.market.candles.diagnostics import diagnostics_forget
from apps.market.candles.intervals import MINUTE_MS
from apps.market.candles.memory import candle_memory
from apps.market.candles.reader import candle_reader
from apps.market.feed.pins import source_classes_pin
from engine.values import SourceClass
from tests.apps.market.candle_support import NOON_MS, plain_store, worker_of_this_thread
from tests.apps.market.klines import KlineVenue, kline_server
from tests.apps.market.test_api import fed

__all__ = ["fed"]

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def _empty(settings, transactional_db, log_redis_url, redis_url, stream_prefix):
    settings.LOG_REDIS_URL, settings.REDIS_URL = log_redis_url, redis_url
    settings.RQ_QUEUES = {"default": settings.RQ_QUEUES["default"] | {"URL": redis_url}}
    services.catalogue_install()
    selectors.instruments_refresh()
    diagnostics_forget()
    yield
    candle_memory.cache_clear()
    candle_reader.cache_clear()
    django_rq.get_queue().empty()


@pytest.fixture
def store(transactional_db):
    store = plain_store()
    yield store
    store.close()


@pytest.fixture
def client():
    return APIClient()


@pytest.fixture
def staff_client():
    client = APIClient()
    client.force_authenticate(User.objects.create(email="bob@example.com", is_staff=True))
    return client


def candle(open_ms, sources=Sources.LIVE, bid=775_000):
    return "BTCUSDT", Candle.of_quote(open_ms, bid, bid + 8, 0, sources), None


def test_diagnostics_tell_coverage_gaps_lag_and_sources(store, client):
    now_ms = now_us() // 1000 // MINUTE_MS * MINUTE_MS
    times = [now_ms - n * MINUTE_MS for n in (10, 9, 8, 5, 4)]
    rows = [candle(at) for at in times[:3]] + [candle(at, Sources.BACKFILLED) for at in times[3:]]
    store.write(rows, entry_id="5-0", lost_spans=1, ahead_quotes=2)

    response = client.get("/api/v1/candles/diagnostics?symbol=BTC&interval=1m")

    data = response.json()["data"]
    (line,) = data["series"]
    assert data["storage"] == "postgresql"
    assert (line["first"], line["last"], line["count"], line["missing"]) == (
        times[0],
        times[-1],
        5,
        2,
    )
    assert line["sources"] == {"live": 3, "backfilled": 2}
    assert 3 * MINUTE_MS <= line["lagMs"] < 6 * MINUTE_MS
    assert {"from": times[2] + MINUTE_MS, "to": times[3] - MINUTE_MS, "minutes": 2} in data["gaps"]
    writer = data["writer"]
    assert (writer["entryId"], writer["lostSpans"], writer["aheadQuotes"]) == ("5-0", 1, 2)


def test_diagnostics_of_everything_have_a_line_per_series(store, client):
    store.add([candle(NOON_MS), candle(NOON_MS + 40 * 24 * 60 * MINUTE_MS)], is_replacing=False)

    series = client.get("/api/v1/candles/diagnostics").json()["data"]["series"]

    missing = {line["interval"]: line["missing"] for line in series}
    assert missing["1d"] == 39
    assert missing["1M"] == 1
    assert len(series) == 9


def test_refresh_is_for_staff(client):
    assert client.post("/api/v1/candles/refresh", {}).status_code == 401


def test_refresh_is_for_programs_with_a_service_key(client, settings):
    settings.SERVICE_KEYS = {"scheduler": hashlib.sha256(b"correct horse").hexdigest()}

    def ask(authorization):
        return client.post(
            "/api/v1/candles/refresh", {"symbol": "BTC"}, headers={"authorization": authorization}
        )

    answer = ask("Service correct horse")
    assert (answer.status_code, answer.json()["data"]["status"]) == (202, "queued")
    for wrong in ("Service wrong", "Service", "Service ", "Bearer correct horse", "correct horse"):
        assert ask(wrong).status_code == 401, wrong


@pytest.mark.parametrize(
    ("interval", "written", "mended"),
    [("1m", True, False), ("1h", False, True), (None, True, True)],
)
def test_refresh_of_an_interval_does_only_that(store, monkeypatch, interval, written, mended):
    source_classes_pin({"BTCUSDT": SourceClass.LIVE})
    now_ms = now_us() // 1000 // MINUTE_MS * MINUTE_MS
    store.add([candle(now_ms - 600 * MINUTE_MS)], is_replacing=False)
    # What lies above the hour follows it by its trigger, and is mended with it.
    # Far above whatever the venue tells of the hours since.
    store.connection.execute("UPDATE candles_1h SET bid_high = bid_high + 1000000000")

    with kline_server(KlineVenue(now_ms - 90 * MINUTE_MS, now_ms)) as url:
        monkeypatch.setattr(tasks, "binance_history", lambda _feeds: BinanceHistory(rest_url=url))
        told = tasks.candles_refresh("BTCUSDT", False, interval)

    assert (told["written"] > 0, told["mended"] > 0) == (written, mended)
    days = store.connection.execute("SELECT max(bid_high) FROM candles_1d").fetchone()
    minutes = store.connection.execute("SELECT max(bid_high) FROM candles_1m").fetchone()
    assert (days == minutes) is mended


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"symbol": "NOPE"}, "SYMBOL_UNKNOWN"),
        ({"symbol": 5}, "INVALID"),
        ({"interval": "2h"}, "INVALID"),
        ({"force": "yes"}, "INVALID"),
    ],
)
def test_refresh_that_means_nothing_is_refused(staff_client, body, code):
    response = staff_client.post("/api/v1/candles/refresh", body)

    assert (response.status_code, response.json()["code"]) == (400, code)
    assert django_rq.get_queue().count == 0


def test_refresh_is_one_job_that_fills_gaps_and_mends_sums(store, staff_client, monkeypatch):
    source_classes_pin({"BTCUSDT": SourceClass.LIVE})
    now_ms = now_us() // 1000 // MINUTE_MS * MINUTE_MS
    present = now_ms - 60 * MINUTE_MS
    store.add([candle(present)], is_replacing=False)
    store.connection.execute("UPDATE candles_1d SET bid_high = bid_high + 99")
    answer = staff_client.post("/api/v1/candles/refresh", {"symbol": "BTC"})
    again = staff_client.post("/api/v1/candles/refresh", {"symbol": "BTC"})

    venue = KlineVenue(now_ms - 90 * MINUTE_MS, now_ms)
    with kline_server(venue) as url:
        monkeypatch.setattr(tasks, "binance_history", lambda _feeds: BinanceHistory(rest_url=url))
        django_rq.get_worker(worker_class=worker_of_this_thread()).work(burst=True)

    job_id = answer.json()["data"]["jobId"]
    done = staff_client.get(f"/api/v1/candles/refresh?jobId={job_id}").json()["data"]
    assert (answer.status_code, answer.json()["data"]["status"]) == (202, "queued")
    assert again.json()["data"]["jobId"] == job_id
    assert done["status"] == "finished"
    assert done["result"]["written"] >= 80
    assert done["progress"]["done"] == done["progress"]["total"] > 0
    assert store.gaps("BTCUSDT", now_ms - 90 * MINUTE_MS, now_ms - 5 * MINUTE_MS) == []
    days = store.connection.execute("SELECT max(bid_high) FROM candles_1d").fetchone()
    assert days == store.connection.execute("SELECT max(bid_high) FROM candles_1m").fetchone()


def test_unknown_job_is_404(staff_client):
    response = staff_client.get("/api/v1/candles/refresh?jobId=candles-x")

    assert (response.status_code, response.json()["code"]) == (404, "JOB_UNKNOWN")


# --- UDF --------------------------------------------------------------------------------------------------------------


def test_udf_describes_server_and_symbols(client):
    config = client.get("/udf/config").json()
    symbol = client.get("/udf/symbols?symbol=CryptoCFD:BTCUSDT").json()
    found = client.get("/udf/search?query=bit&limit=2").json()

    assert config["supports_time"] is True
    assert "1D" in config["supported_resolutions"]
    assert (symbol["ticker"], symbol["pricescale"], symbol["session"]) == ("BTCUSDT", 10, "24x7")
    assert [one["symbol"] for one in found][:1] == ["BTCUSDT"]
    assert len(found) == 2
    assert client.get("/udf/time").content.isdigit()
    assert client.get("/udf/symbols?symbol=NOPE").json()["s"] == "error"


def test_udf_history_is_the_same_store_in_columns(store, client):
    store.add(
        [candle(NOON_MS + n * MINUTE_MS, bid=775_000 + n) for n in range(1_500)], is_replacing=False
    )
    begin = NOON_MS // 1000
    end = begin + 1_500 * 60

    span = client.get(f"/udf/history?symbol=BTC&resolution=1&from={begin}&to={end}")
    back = client.get(f"/udf/history?symbol=BTC&resolution=1&from={end}&to={end}&countback=1200")
    hours = client.get(f"/udf/history?symbol=BTC&resolution=60&from={begin - 3600}&to={end}").json()
    none = client.get(f"/udf/history?symbol=BTC&resolution=1&from={end + 60}&to={end + 120}").json()

    bars = span.json()
    assert (bars["s"], len(bars["t"]), bars["t"][0], bars["t"][-1]) == ("ok", 1500, begin, end - 60)
    assert b'"o":[77500.0,77500.1,' in span.content
    assert back.json()["t"] == bars["t"][-1200:]
    assert sum(hours["v"]) == 1_500
    assert none == {"s": "no_data", "nextTime": end - 60}
    assert span["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize(
    "query",
    [
        "",
        "symbol=BTC&resolution=7&from=1&to=2",
        "symbol=NOPE&resolution=1&from=1&to=2",
        "symbol=BTC&resolution=1&to=x",
        "symbol=BTC&resolution=1&to=5",
        "symbol=BTC&resolution=1&from=x&to=5&countback=3",
    ],
)
def test_udf_history_of_nothing_is_an_error_of_the_protocol(client, query):
    response = client.get(f"/udf/history?{query}")

    assert (response.status_code, response.json()["s"]) == (400, "error")


@pytest.mark.usefixtures("fed")
def test_udf_quotes_are_the_newest_prices(client):
    body = json.loads(client.get("/udf/quotes?symbols=BTC,NOPE,SOL").content)

    btc, nope, sol = body["d"]
    assert (btc["s"], btc["v"]["bid"], btc["v"]["ask"], btc["v"]["spread"]) == (
        "ok",
        46318.6,
        46319.5,
        0.9,
    )
    assert (nope["s"], sol["errmsg"]) == ("error", "no price yet")
