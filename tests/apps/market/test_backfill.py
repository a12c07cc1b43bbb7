"""History from a venue that speaks the real wire format, and from tapes: gaps only, in pages, within limits, resumable."""

import pandas as pd
import pytest
from django.core.management import CommandError, call_command
from redis import Redis

from apps.market import services
from apps.market.backfill import sources
from apps.market.backfill.service import backfill
from apps.market.backfill.sources import BinanceHistory, HistoryError, TapeHistory
from apps.market.candles.candle import Candle, Sources
from apps.market.candles.intervals import INTERVALS, MINUTE_MS, MINUTES
from apps.market.feed.base import SourceUnavailableError
from apps.market.feed.binance_wire import USDM
from engine.messages.streams import candles_channel
from tests.apps.market.candle_support import NOON_MS, plain_store
from tests.apps.market.klines import KlineVenue, kline_server

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

UNTIL_MS = NOON_MS + 2_500 * MINUTE_MS


@pytest.fixture(autouse=True)
def _addresses(settings, transactional_db, redis_url, stream_prefix):
    settings.REDIS_URL = redis_url
    services.catalogue_install()


@pytest.fixture
def store(transactional_db):
    store = plain_store()
    yield store
    store.close()


@pytest.fixture
def venue():
    return KlineVenue(NOON_MS - 10**9, UNTIL_MS + 10**9)


@pytest.fixture
def history(venue):
    with kline_server(venue) as url:
        yield BinanceHistory(rest_url=url, sleep=lambda _seconds: None)


@pytest.fixture
def btc(instruments):
    return instruments["BTCUSDT"]


def test_gap_is_filled_page_by_page_with_its_origin(store, venue, history, btc):
    told = []
    (filled,) = backfill(
        store,
        history,
        [btc],
        NOON_MS,
        UNTIL_MS,
        progress=lambda done, all_: told.append((done, all_)),
    )

    minutes = store.read("BTCUSDT", MINUTES, 0, 2 * NOON_MS)
    assert (filled.missing, filled.written, len(minutes)) == (2_500, 2_500, 2_500)
    assert [query["limit"] for query in venue.asked] == ["1000"] * 3
    assert told[-1] == (2_500, 2_500)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    first = minutes[0]
    price = 770_000 + NOON_MS // MINUTE_MS % 1_000 * 10
    assert (first.bid_open, first.bid_high, first.bid_low, first.bid_close) == tuple(
        price + offset - btc.spread_ticks // 2 for offset in (1, 90, -70, 15)
    )
    assert (first.quotes, first.sources) == (42, Sources.BACKFILLED)
    origin = store.connection.execute("SELECT DISTINCT origin FROM candles_1m").fetchall()
    assert origin == [("binance",)]
    hours = store.read("BTCUSDT", INTERVALS["1h"], 0, 2 * NOON_MS)
    assert sum(hour.quotes for hour in hours) == 2_500 * 42


def test_only_what_is_missing_is_asked_for_and_live_minutes_stay(store, venue, history, btc):
    live = [
        ("BTCUSDT", Candle.of_quote(NOON_MS + n * MINUTE_MS, 5, 6, 0, Sources.LIVE), None)
        for n in range(10, 20)
    ]
    store.add(live, is_replacing=False)

    (filled,) = backfill(store, history, [btc], NOON_MS, NOON_MS + 30 * MINUTE_MS)

    spans = [(int(query["startTime"]), int(query["endTime"])) for query in venue.asked]
    assert filled.written == filled.missing == 20
    assert spans == [
        (NOON_MS, NOON_MS + 10 * MINUTE_MS - 1),
        (NOON_MS + 20 * MINUTE_MS, NOON_MS + 30 * MINUTE_MS - 1),
    ]
    minutes = store.read("BTCUSDT", MINUTES, 0, 2 * NOON_MS)
    assert [one.bid_open for one in minutes[10:20]] == [5] * 10


def test_stopped_backfill_goes_on_where_it_stopped(store, venue, history, btc):
    venue.refusals = [(200, {}), (500, {})]
    with pytest.raises(HistoryError, match="status 500"):
        backfill(store, history, [btc], NOON_MS, UNTIL_MS)
    assert len(store.read("BTCUSDT", MINUTES, 0, 2 * NOON_MS)) == 1_000
    venue.asked.clear()

    (filled,) = backfill(store, history, [btc], NOON_MS, UNTIL_MS)

    assert filled.written == 1_500
    assert int(venue.asked[0]["startTime"]) == NOON_MS + 1_000 * MINUTE_MS


def test_futures_have_their_own_path_names_and_origin(store, venue, instruments):
    with kline_server(venue) as url:
        history = BinanceHistory(USDM, rest_url=url, sleep=lambda _seconds: None)
        backfill(store, history, [instruments["1000PEPEUSDT"]], NOON_MS, NOON_MS + 5 * MINUTE_MS)

    # The futures market lists a thousand of the coin under our own name.
    assert {query["symbol"] for query in venue.asked} == {"1000PEPEUSDT"}
    assert set(venue.paths) == {"/fapi/v1/klines"}
    rows = store.connection.execute("SELECT DISTINCT symbol, origin FROM candles_1m").fetchall()
    assert rows == [("1000PEPEUSDT", "binance:usdm")]


@pytest.mark.parametrize(
    ("feeds", "name"),
    [
        (["binance", "simulator"], "binance"),
        (["binance:usdm", "binance"], "binance:usdm"),
        (["simulator"], "binance"),
    ],
)
def test_history_comes_from_the_market_of_the_live_prices(feeds, name):
    assert sources.binance_history(feeds).name == name


def test_force_takes_everything_anew(store, history, btc):
    store.add(
        [("BTCUSDT", Candle.of_quote(NOON_MS, 5, 6, 0, Sources.LIVE), None)], is_replacing=False
    )

    backfill(store, history, [btc], NOON_MS, NOON_MS + 2 * MINUTE_MS, is_replacing=True)

    minutes = store.read("BTCUSDT", MINUTES, 0, 2 * NOON_MS)
    assert {one.sources for one in minutes} == {Sources.BACKFILLED}


def test_venue_that_asks_for_patience_gets_it(store, venue, btc):
    slept = []
    venue.refusals = [(429, {"retry-after": "7"}), (429, {"retry-after": "x"})]
    venue.weight = 5_000
    with kline_server(venue) as url:
        history = BinanceHistory(rest_url=url, sleep=slept.append)
        backfill(store, history, [btc], NOON_MS, NOON_MS + 5 * MINUTE_MS)

    assert slept == [7.0, 30.0, 60.0]


@pytest.mark.parametrize(
    ("refusals", "body", "says"),
    [
        ([(418, {"retry-after": "120"})], None, "banned this address for 120 s"),
        ([(429, {})] * 9, None, "goes on asking for patience"),
        ([], b"not json", "not candles"),
        ([], b'[[1,"x","1","1","1","1",2,"1",3]]', "no price"),
        ([], b'[[1,"1","1","1","1","1",2,"1",3]]', "beginning of a minute"),
    ],
)
def test_venue_that_gives_no_candles_is_told_apart(
    store, venue, history, btc, refusals, body, says
):
    venue.refusals, venue.body = refusals, body

    with pytest.raises(HistoryError, match=says):
        backfill(store, history, [btc], NOON_MS, NOON_MS + 5 * MINUTE_MS)


def test_thousands_of_the_cheapest_are_asked_for_by_the_coin(venue, history, instruments):
    (page,) = list(history.pages(instruments["1000PEPEUSDT"], NOON_MS, NOON_MS + MINUTE_MS))

    assert venue.asked[0]["symbol"] == "PEPEUSDT"
    decimals = instruments["1000PEPEUSDT"].price_decimals
    assert page[0].bid_open // 10**decimals in range(77_000_000, 78_001_000)


def test_web_processes_are_told_to_read_again(store, history, btc, redis_url, stream_prefix):
    with (
        Redis.from_url(redis_url) as client,
        client.pubsub(ignore_subscribe_messages=True) as heard,
    ):
        heard.subscribe(candles_channel(stream_prefix))
        heard.get_message(timeout=5)

        backfill(store, history, [btc], NOON_MS, NOON_MS + MINUTE_MS)

        assert heard.get_message(timeout=5)["data"] == b'{"candles":{},"reopened":["BTCUSDT"]}'


# --- tapes and commands -----------------------------------------------------------------------------------------------

TAPE = (
    "timestamp,open,high,low,close,volume\n"
    "2022-01-01 00:00:00.000000,100.0,120.0,90.0,110.0,1\n"
    "2022-01-01 00:01:00.000000,110.0,115.0,80.0,85.5,1\n"
)


def test_tape_is_stored_and_exported_as_it_was(store, tmp_path, btc):
    path = tmp_path / "tape.csv"
    path.write_text(TAPE)
    source = f"tape:{path}"
    command = (
        "backfill",
        "BTC",
        "--source",
        source,
        "--since",
        "2022-01-01",
        "--until",
        "2022-01-02",
    )

    call_command(*command)

    for suffix, read in ((".csv", pd.read_csv), (".parquet", pd.read_parquet)):
        target = tmp_path / f"out{suffix}"
        call_command("export_candles", "btc", str(target), "--since", "2022-01-01")
        frame = read(target)
        half = btc.spread_ticks // 2 / 10
        assert [float(value) + half for value in frame.open] == [100.0, 110.0]
        assert [float(value) + half for value in frame.low] == [90.0, 80.0]
        assert list(frame.sources) == [8, 8]
        again = list(TapeHistory(target).pages(btc, 0, 2 * NOON_MS))
        assert [candle.open_ms for candle in again[0]] == [1_640_995_200_000, 1_640_995_260_000]
    origin = store.connection.execute("SELECT DISTINCT origin FROM candles_1m").fetchall()
    assert origin == [("tape:tape.csv",)]


@pytest.mark.parametrize(
    "arguments",
    [
        ("backfill", "NOPE"),
        ("backfill", "BTC", "--source", "else"),
        ("backfill", "BTC", "--since", "soon"),
        ("export_candles", "NOPE", "x.csv"),
        ("export_candles", "BTC", "x.txt"),
        ("export_candles", "BTC", "/nowhere/at/all/x.csv"),
        ("export_candles", "BTC", "x.csv", "--since", "soon"),
    ],
)
def test_command_that_means_nothing_is_refused(store, arguments):
    with pytest.raises(CommandError, match=r"expected|must|cannot be written"):
        call_command(*arguments)


def test_tape_without_times_is_no_history(tmp_path, btc):
    path = tmp_path / "tape.csv"
    path.write_text("open,high,low,close\n1,1,1,1\n")

    with pytest.raises(HistoryError, match="no column of times"):
        list(TapeHistory(path).pages(btc, 0, 1))
    with pytest.raises(SourceUnavailableError):
        list(sources.TapeHistory(tmp_path / "none.csv").pages(btc, 0, 1))
