"""The invented past of simulated instruments: the same for the same seed, full, without a jump, once, and never among real candles."""

from itertools import pairwise

import msgspec
import pytest
from asgiref.sync import sync_to_async
from django.test import AsyncClient
from redis import Redis

from apps.market import selectors, services
from apps.market.backfill.invented import history_invent
from apps.market.backfill.service import backfill
from apps.market.backfill.simulated import SimulatedHistory
from apps.market.backfill.sources import BinanceHistory
from apps.market.candles.candle import Candle, Sources
from apps.market.candles.check import higher_differ
from apps.market.candles.diagnostics import diagnostics, diagnostics_forget
from apps.market.candles.intervals import DAY_MS, INTERVALS, MINUTE_MS, MINUTES
from apps.market.candles.memory import CandleBatch
from apps.market.candles.simulated import (
    Beginning,
    beginnings,
    histories_aggregate,
    history_decline,
    history_write,
)
from apps.market.models import Instrument
from engine.messages.streams import candles_channel
from engine.values import SourceClass
from tests.apps.market.candle_support import NOON_MS, plain_store, timescale_store
from tests.apps.market.klines import KlineVenue, kline_server
from tests.apps.market.timescale_server import connect, timescale_server

# The first minute of quotes; not the beginning of any longer candle.
FIRST_MS = NOON_MS + 7 * MINUTE_MS
INVENTED = int(Sources.SIMULATED | Sources.BACKFILLED)
SYMBOLS = ("BTCUSDT", "HOTUSDT")
# What a wide screen shows, and what the terminal asks for beyond it. Months have no history of that length.
ENOUGH = 180
LONG = [interval for interval in INTERVALS.values() if interval.name != "1M"]


def beginning_of(info, at_ms=FIRST_MS):
    bid_ticks = info.reference_price_ticks + 3
    return Beginning(at_ms, bid_ticks, 2 * bid_ticks + 5 * info.spread_ticks)


def candles_of(stretches):
    return [candle for stretch in reversed(stretches) for candle in stretch.candles]


# --- what is invented -------------------------------------------------------------------------------------------------


def test_seed_instrument_and_first_quote_decide_every_candle(instruments):
    btc, eth = instruments["BTCUSDT"], instruments["ETHUSDT"]

    first = history_invent(btc, 7, beginning_of(btc))

    assert history_invent(btc, 7, beginning_of(btc)) == first
    assert history_invent(btc, 8, beginning_of(btc)) != first
    assert history_invent(eth, 7, beginning_of(eth)) != first


@pytest.mark.parametrize("symbol", ["BTCUSDT", "SOLUSDT", "HOTUSDT", "1000PEPEUSDT", "APTUSDT"])
def test_candles_follow_one_another_and_end_at_the_first_quote(instruments, symbol):
    info = instruments[symbol]
    beginning = beginning_of(info)

    stretches = history_invent(info, 7, beginning)

    ends = [
        candle.open_ms + stretch.interval.length_ms
        for stretch in reversed(stretches)
        for candle in stretch.candles
    ]
    candles = candles_of(stretches)
    assert ends[:-1] == [candle.open_ms for candle in candles[1:]]
    assert ends[-1] == beginning.open_ms
    assert all(one.bid_close == two.bid_open for one, two in pairwise(candles))
    last = candles[-1]
    assert (last.bid_close, last.mid_close) == (beginning.bid_ticks, beginning.mid_half_ticks)
    assert last.ask_low <= last.mid_close - last.bid_close <= last.ask_high


@pytest.mark.parametrize("symbol", ["BTCUSDT", "HOTUSDT"])
def test_prices_are_whole_ticks_above_zero_and_candles_are_in_order(instruments, symbol):
    info = instruments[symbol]

    candles = candles_of(history_invent(info, 3, beginning_of(info)))

    for one in candles:
        assert type(one.bid_open) is type(one.mid_close) is type(one.quotes) is int
        assert 0 < one.bid_low <= min(one.bid_open, one.bid_close)
        assert max(one.bid_open, one.bid_close) <= one.bid_high < one.ask_high
        assert 2 * one.bid_low < one.mid_low <= min(one.mid_open, one.mid_close)
        assert (one.sources, one.quotes > 0) == (INVENTED, True)
    assert len({one.bid_close for one in candles}) > 50
    assert max(one.bid_high for one in candles) < 100 * info.reference_price_ticks


def test_instruments_share_a_market_also_when_their_first_quotes_are_minutes_apart(instruments):
    btc, eth = instruments["BTCUSDT"], instruments["ETHUSDT"]
    one = history_invent(btc, 7, beginning_of(btc))[0].candles
    other = history_invent(eth, 7, beginning_of(eth, FIRST_MS + 3 * MINUTE_MS))[0].candles

    ups = {candle.open_ms: candle.bid_close > candle.bid_open for candle in other}
    same = [ups[one_.open_ms] is (one_.bid_close > one_.bid_open) for one_ in one[-1_000:]]

    # By chance it would be half of them, with a deviation of 16.
    assert sum(same) > 650


# --- how it gets into the store ---------------------------------------------------------------------------------------


@pytest.fixture
def database(settings, transactional_db, redis_url, stream_prefix):
    """Two simulated instruments, the first minute of their quotes, and the settings of a new installation."""
    settings.REDIS_URL = redis_url
    settings.SIMULATED_HISTORY = True
    settings.FEEDS = ["binance", "simulator:seed=7"]
    services.catalogue_install()
    Instrument.objects.exclude(symbol__in=SYMBOLS).delete()
    classes_set(SourceClass.SIMULATED)
    selectors.instruments_refresh()
    diagnostics_forget()


def classes_set(source_class):
    Instrument.objects.update(source_class=source_class.value)
    selectors.instruments_forget()


@pytest.fixture
def store(database):
    store = plain_store()
    quotes_write(store, Sources.SIMULATED)
    yield store
    store.close()


def quotes_write(store, source, count=3):
    """Store the first minutes as the writer of the log does."""
    for info in selectors.instruments_read():
        first = beginning_of(info)
        ask_ticks = first.mid_half_ticks - first.bid_ticks
        times = [first.open_ms + number * MINUTE_MS for number in range(count)]
        rows = [
            (info.symbol, Candle.of_quote(at, first.bid_ticks, ask_ticks, 0, int(source)), None)
            for at in times
        ]
        store.write(rows, entry_id="1-0")


def stored(store, interval=MINUTES, symbol="BTCUSDT"):
    return store.read(symbol, interval, 0, 2 * NOON_MS)


def everything(store):
    return {
        (symbol, name): stored(store, interval, symbol)
        for symbol in SYMBOLS
        for name, interval in INTERVALS.items()
    }


@pytest.mark.integration
def test_every_interval_is_full_and_made_of_the_shorter_ones(store, redis_url, stream_prefix):
    told = Redis.from_url(redis_url).pubsub()
    told.subscribe(candles_channel(stream_prefix))
    told.get_message(timeout=5)

    assert SimulatedHistory().step()

    for symbol in SYMBOLS:
        for interval in LONG:
            candles = stored(store, interval, symbol)
            assert len(candles) >= ENOUGH, interval.name
            steps = {two.open_ms - one.open_ms for one, two in pairwise(candles)}
            assert steps == {interval.length_ms}
            assert (
                candles[-1].bid_close
                == beginning_of(selectors.instrument_resolve(symbol)).bid_ticks
            )
        assert len(stored(store, INTERVALS["1M"], symbol)) >= 48
        assert (
            list(higher_differ(store, NOON_MS - 40 * DAY_MS, NOON_MS + DAY_MS, symbol=symbol)) == []
        )
    # Web processes that have a chart open read it anew.
    batches = [
        msgspec.json.decode(told.get_message(timeout=5)["data"], type=CandleBatch) for _ in SYMBOLS
    ]
    told.close()
    assert [batch.reopened for batch in batches] == [(symbol,) for symbol in SYMBOLS]


@pytest.mark.integration
def test_what_is_stored_is_what_was_invented_and_says_where_it_is_from(store):
    first = beginnings(store, ["BTCUSDT"])["BTCUSDT"]
    stretches = history_invent(selectors.instrument_resolve("BTC"), 7, first)

    assert SimulatedHistory().step()

    for stretch in stretches:
        found = stored(store, stretch.interval)
        assert found[: len(stretch.candles)] == stretch.candles
    rows = store.connection.execute(
        "SELECT origin, count(*) FROM candles_1m WHERE symbol = 'BTCUSDT' GROUP BY origin ORDER BY origin"
    )
    assert rows.fetchall() == [("simulator", len(stretches[0].candles)), (None, 3)]


@pytest.mark.integration
def test_it_is_made_once_and_a_restart_changes_nothing(store):
    part = SimulatedHistory()
    assert part.step()
    before = everything(store)

    assert part.step()
    assert SimulatedHistory().step()

    assert everything(store) == before


@pytest.mark.integration
def test_it_waits_for_the_first_quotes(database):
    store = plain_store()
    part = SimulatedHistory()

    assert not part.step()
    assert stored(store) == []
    quotes_write(store, Sources.SIMULATED)
    assert part.step()

    assert len(stored(store)) > ENOUGH
    store.close()


@pytest.mark.integration
@pytest.mark.parametrize(
    ("wanted", "feeds"), [(False, ["simulator"]), (True, ["replay:tape.csv", "binance"])]
)
def test_it_is_made_only_where_it_is_wanted_and_there_is_a_simulator(
    store, settings, wanted, feeds
):
    settings.SIMULATED_HISTORY, settings.FEEDS = wanted, feeds

    assert SimulatedHistory().step()

    assert len(stored(store)) == 3


@pytest.mark.integration
@pytest.mark.parametrize("source", [Sources.LIVE, Sources.REPLAY, Sources.BACKFILLED])
def test_an_instrument_with_a_candle_of_another_source_gets_none_now_or_later(store, source):
    alien = Candle.of_quote(FIRST_MS - 90 * DAY_MS, 5, 6, 0, int(source))
    store.add([("BTCUSDT", alien, None)], is_replacing=False)

    assert SimulatedHistory().step()
    store.connection.execute("DELETE FROM candles_1d WHERE sources <> 4")
    assert SimulatedHistory().step()

    assert len(stored(store)) == 4
    assert len(stored(store, symbol="HOTUSDT")) > ENOUGH


@pytest.mark.integration
def test_nothing_is_left_of_a_history_that_could_not_be_written_whole(store, instruments):
    btc = instruments["BTCUSDT"]
    first = beginnings(store, ["BTCUSDT"])["BTCUSDT"]
    stretches = history_invent(btc, 7, first)
    # The minutes come last: whoever is stopped there has written all the rest.
    stretches[0].candles.append(stretches[0].candles[-1])
    before = everything(store)

    with pytest.raises(Exception, match="duplicate key"):
        history_write(store, "BTCUSDT", first, stretches)

    assert everything(store) == before
    assert SimulatedHistory().step()
    assert len(stored(store)) > ENOUGH


@pytest.mark.integration
@pytest.mark.parametrize("source_class", [SourceClass.LIVE, SourceClass.REPLAY])
def test_it_goes_when_prices_of_another_class_are_taken_and_does_not_come_back(store, source_class):
    before = everything(store)
    part = SimulatedHistory()
    assert part.step()
    assert everything(store) != before

    classes_set(source_class)
    assert part.step()

    # The minutes of the quotes stay, and longer candles are made of them alone.
    assert everything(store) == before
    classes_set(SourceClass.SIMULATED)
    assert part.step()
    assert everything(store) == before


@pytest.mark.integration
def test_a_backfill_fetches_the_time_of_an_invented_past_as_if_it_were_empty(store, instruments):
    assert SimulatedHistory().step()
    since_ms = FIRST_MS - 2_000 * MINUTE_MS

    with kline_server(KlineVenue(since_ms - DAY_MS, FIRST_MS + DAY_MS)) as url:
        history = BinanceHistory(rest_url=url, sleep=lambda _seconds: None)
        (filled,) = backfill(store, history, [instruments["BTCUSDT"]], since_ms, FIRST_MS)

    assert filled.written == filled.missing == 2_000
    minutes = stored(store)
    assert {one.sources for one in minutes[:-3]} == {int(Sources.BACKFILLED)}
    assert len(minutes) == 2_003
    # Nothing invented is left in longer candles either.
    assert stored(store, INTERVALS["1M"])[0].open_ms >= since_ms - 31 * DAY_MS
    assert list(higher_differ(store, since_ms, NOON_MS + DAY_MS, symbol="BTCUSDT")) == []
    # Nor does it come again.
    assert SimulatedHistory().step()
    assert stored(store) == minutes
    assert len(stored(store, symbol="HOTUSDT")) > ENOUGH


@pytest.mark.integration
def test_diagnostics_say_that_it_is_simulated_and_was_not_quoted(store):
    assert SimulatedHistory().step()

    (line,) = diagnostics(["BTCUSDT"], [INTERVALS["1d"]], FIRST_MS)["series"]

    assert line["missing"] == 0
    assert line["sources"] == {"simulated": line["count"], "backfilled": line["count"]}


@pytest.mark.integration
@pytest.mark.asyncio
@pytest.mark.parametrize("interval", ["1m", "1h", "1d"])
async def test_the_api_pages_back_to_its_beginning(store, interval):
    client = AsyncClient()
    await sync_to_async(SimulatedHistory().step)()
    rows, end_ms = [], NOON_MS + DAY_MS

    while True:
        path = f"/api/v1/candles?symbol=BTC&interval={interval}&limit=500&endTime={end_ms}"
        page = (await client.get(path)).json()["data"]["data"]
        if not page:
            break
        rows = page + rows
        end_ms = page[0][0] - 1

    expected = await sync_to_async(stored)(store, INTERVALS[interval])
    assert [row[0] for row in rows] == [one.open_ms for one in expected]
    assert [row[4].replace(".", "") for row in rows] == [str(one.bid_close) for one in expected]


# --- with TimescaleDB -------------------------------------------------------------------------------------------------


@pytest.mark.integration
def test_timescale_keeps_longer_candles_as_the_minutes_that_they_begin_with(database):
    with timescale_server() as conninfo:
        connection = connect(conninfo)
        store = timescale_store(connection)
        quotes_write(store, Sources.SIMULATED)
        info = selectors.instrument_resolve("BTCUSDT")
        first = beginnings(store, [info.symbol])[info.symbol]
        before = everything(store)
        stretches = history_invent(info, 7, first)
        days = stretches[-1].candles
        # The first day is older than minutes are kept; each week between would be a chunk of its own, and seconds of this test.
        days[:] = [days[0], *days[-30:]]

        written = history_write(store, info.symbol, first, stretches)
        histories_aggregate(store)

        assert written == len(candles_of(stretches)) - 1
        names = [interval.name for interval in LONG if interval.length_ms < DAY_MS]
        assert all(len(stored(store, INTERVALS[name])) >= ENOUGH for name in names)
        assert stored(store, INTERVALS["1d"])[0].open_ms == days[1].open_ms
        assert len(stored(store, INTERVALS["1d"])) >= 62
        assert list(higher_differ(store, NOON_MS - 40 * DAY_MS, NOON_MS, symbol=info.symbol)) == []

        assert history_decline(store, info.symbol)
        assert everything(store) == before
        connection.close()
