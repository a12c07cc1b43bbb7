"""From the log to the database, on a real PostgreSQL and two real Valkeys: exactly once, re-opened by late quotes, rolled up."""

import threading

import pytest
from django.test import Client

from apps.market import services
from apps.market.candles.intervals import INTERVALS, MINUTE_MS, MINUTES
from cryptocfd.embedded.processes import wait_until
from tests.apps.market.candle_support import NOON_MS, QuoteLog, plain_store, writer_of

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def _catalogue(transactional_db):
    services.catalogue_install()


@pytest.fixture
def store(transactional_db):
    store = plain_store()
    yield store
    store.close()


@pytest.fixture
def log(log_redis_url, stream_prefix):
    log = QuoteLog(log_redis_url, stream_prefix)
    yield log
    log.close()


@pytest.fixture
def writer(stream_prefix, log_redis_url, redis_url):
    made = []

    def build():
        made.append(writer_of(stream_prefix, log_redis_url, redis_url))
        return made[-1]

    yield build
    for one in made:
        one.end()


def minutes_of(store, symbol="BTCUSDT"):
    return store.read(symbol, MINUTES, 0, 2 * NOON_MS)


def test_quotes_of_the_log_become_minutes_and_every_longer_candle(store, log, writer):
    log.say(("BTCUSDT", 100, 104, NOON_MS), ("ETHUSDT", 50, 51, NOON_MS))
    log.say(("BTCUSDT", 90, 95, NOON_MS + 30_000))
    log.say(("BTCUSDT", 120, 125, NOON_MS + MINUTE_MS))

    assert writer().write_available() == 3

    first, second = minutes_of(store)
    assert (first.bid_open, first.bid_high, first.bid_low, first.bid_close) == (100, 100, 90, 90)
    assert (second.open_ms, second.bid_close, second.sources) == (NOON_MS + MINUTE_MS, 120, 4)
    for interval in list(INTERVALS.values())[1:]:
        candles = store.read("BTCUSDT", interval, 0, 2 * NOON_MS)
        assert sum(candle.quotes for candle in candles) == 3
        assert {candle.open_ms for candle in candles} == {
            interval.bucket(one.open_ms) for one in (first, second)
        }


def test_writer_that_died_goes_on_where_the_stored_candles_end(store, log, writer):
    log.say(("BTCUSDT", 100, 104, NOON_MS))
    first = writer()
    first.write_available()
    log.say(("BTCUSDT", 110, 114, NOON_MS + 1_000))
    # Read and built, but never stored: as after kill -9.
    first.step(None)
    first.end()

    again = writer()
    assert again.write_available() == 1
    again.end()
    writer().write_available()

    (candle,) = minutes_of(store)
    assert (candle.bid_open, candle.bid_close, candle.quotes) == (100, 110, 2)


def test_late_quote_opens_its_candle_again_and_all_above_it(store, log, writer):
    for minute in range(30):
        log.say(("BTCUSDT", 1000 + minute, 1004 + minute, NOON_MS + minute * MINUTE_MS + 30_000))
    writing = writer()
    writing.write_available()

    log.say(("BTCUSDT", 500, 504, NOON_MS + 10_000), at_ms=NOON_MS + 40 * MINUTE_MS)
    writing.write_available()

    first = minutes_of(store)[0]
    assert (first.bid_open, first.bid_low, first.bid_close) == (500, 500, 1000)
    assert first.quotes == 2
    for interval in list(INTERVALS.values())[1:]:
        candle = store.read("BTCUSDT", interval, interval.bucket(NOON_MS), NOON_MS + 1)[0]
        assert (candle.bid_low, interval.name) == (500, interval.name)


def test_second_writer_waits_for_the_first(store, log, writer):
    log.say(("BTCUSDT", 100, 104, NOON_MS))
    first, second = writer(), writer()
    first.write_available()

    assert second.write_available() == 0
    second.end()
    first.end()
    log.say(("BTCUSDT", 101, 105, NOON_MS + 5))
    assert second.write_available() == 1


def test_readiness_tells_of_stored_candles_that_stay_behind(
    store, log, writer, settings, stream_prefix, log_redis_url, redis_url
):
    settings.STREAM_PREFIX, settings.ENGINE_SHARDS = stream_prefix, 1
    settings.LOG_REDIS_URL, settings.REDIS_URL = log_redis_url, redis_url

    def told():
        return Client().get("/readyz").json()["checks"]["candles"]

    before = told()
    log.say(("BTCUSDT", 100, 104, NOON_MS))
    writing, waiting = writer(), writer()
    writing.write_available()
    after = told()
    log.say(("BTCUSDT", 101, 105, NOON_MS + 3 * MINUTE_MS + 1))
    waiting.write_available()
    behind = told()
    writing.write_available()

    assert before == {"ok": True, "lagMs": None}
    assert after == {"ok": True, "lagMs": 0}
    assert behind == {"ok": False, "lagMs": 3 * MINUTE_MS + 1}
    assert told() == {"ok": True, "lagMs": 0}


def test_a_writer_whose_lines_to_the_database_are_cut_goes_on(store, log, writer):
    def others() -> set[int]:
        rows = store.connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
        )
        return {pid for (pid,) in rows}

    before, one = others(), writer()
    thread = threading.Thread(target=one.run)
    thread.start()
    log.say(("BTCUSDT", 100, 104, NOON_MS))
    assert wait_until(lambda: len(minutes_of(store)) == 1, seconds=30)
    # Its own and Django's, by which it has read the instruments.
    for pid in others() - before:
        store.connection.execute("SELECT pg_terminate_backend(%s)", [pid])
    log.say(("BTCUSDT", 101, 105, NOON_MS + 60_000))

    goes_on = wait_until(lambda: len(minutes_of(store)) == 2, seconds=30)
    one.stop()
    thread.join(30)

    assert goes_on


def test_wiped_log_is_read_from_its_beginning_and_counted(store, log, writer):
    log.say(("BTCUSDT", 100, 104, NOON_MS + 5_000))
    first = writer()
    first.write_available()
    first.end()
    log.redis.delete(log.stream)
    log.redis.xadd(log.stream, log.fields(()), id="5-1")

    writer().write_available()

    row = store.connection.execute("SELECT entry_id, lost_spans FROM candles_position").fetchone()
    assert row == ("5-1", 1)


def test_what_was_trimmed_unread_is_counted_and_what_was_read_is_not(store, log, writer):
    def lost_after(keep):
        log.redis.xtrim(log.stream, maxlen=keep, approximate=False)
        one = writer()
        one.write_available()
        one.end()
        return store.connection.execute("SELECT lost_spans FROM candles_position").fetchone()[0]

    for second in range(4):
        log.say(("BTCUSDT", 100, 104, NOON_MS + second * 1_000))
    whole = lost_after(4)
    all_was_read = lost_after(1)
    for second in range(4, 8):
        log.say(("BTCUSDT", 100, 104, NOON_MS + second * 1_000))
    rest_is_whole = lost_after(5)
    for second in range(8, 12):
        log.say(("BTCUSDT", 100, 104, NOON_MS + second * 1_000))
    half_is_gone = lost_after(2)

    assert (whole, all_was_read, rest_is_whole, half_is_gone) == (0, 0, 0, 1)


def test_a_log_without_quotes_moves_the_stored_position(store, log, writer):
    log.say(("BTCUSDT", 100, 104, NOON_MS))
    one = writer()
    one.write_available()
    last = log.redis.xadd(log.stream, {b"m": b'{"type":"Tick"}', b"v": b"1", b"g": b""})
    one.write_available()

    assert store.position() == last.decode()


def test_commands_and_garbage_in_the_log_are_passed_over(store, log, writer):
    log.redis.xadd(log.stream, {b"m": b'{"type":"PlaceOrder"}', b"v": b"1", b"g": b""}, id="7-0")
    log.redis.xadd(log.stream, {b"m": b'{"type":"UpdateQuotes","x":', b"v": b"1"}, id="8-0")
    log.say(("BTCUSDT", 100, 104, NOON_MS))

    assert writer().write_available() == 3
    assert len(minutes_of(store)) == 1


def test_quotes_of_the_future_are_counted(store, log, writer):
    log.say(("BTCUSDT", 100, 104, NOON_MS + 3_600_000), at_ms=NOON_MS)

    writer().write_available()

    assert [candle.open_ms for candle in minutes_of(store)] == [NOON_MS]
    row = store.connection.execute("SELECT ahead_quotes FROM candles_position").fetchone()
    assert row == (1,)
