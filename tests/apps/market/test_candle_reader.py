"""Candles as they are asked for: memory and database must never differ, on the lean way and on the browsable one."""

import asyncio
import random

import msgspec
import pytest
from redis import Redis
from rest_framework.test import APIClient

from apps.common.errors import ServiceError
from apps.market import facade, selectors, services
from apps.market.candles import lean
from apps.market.candles.intervals import INTERVALS, MINUTE_MS
from apps.market.candles.memory import CandleMemory, candle_memory
from apps.market.candles.reader import CandleQuestion, CandleReader, candle_reader
from engine.messages.streams import candles_channel
from tests.apps.market.candle_support import NOON_MS, QuoteLog, plain_store, writer_of

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def _catalogue(transactional_db):
    services.catalogue_install()
    selectors.instruments_refresh()
    yield
    candle_memory.cache_clear()
    candle_reader.cache_clear()


class Path:
    """Log, writer, and what the writer tells; every step by hand."""

    def __init__(self, prefix, log_url, redis_url):
        self.store = plain_store()
        self.log = QuoteLog(log_url, prefix)
        self.writer = writer_of(prefix, log_url, redis_url)
        self._redis = Redis.from_url(redis_url)
        self._heard = self._redis.pubsub(ignore_subscribe_messages=True)
        self._heard.subscribe(candles_channel(prefix))
        self._heard.get_message(timeout=5)

    def told(self):
        """Write what is in the log and return the messages to the web processes."""
        self.writer.write_available()
        messages = []
        while (message := self._heard.get_message(timeout=0.05)) is not None:
            messages.append(message["data"])
        return messages

    def close(self):
        self.writer.end()
        self._heard.close()
        self._redis.close()
        self.log.close()
        self.store.close()


@pytest.fixture
def path(stream_prefix, log_redis_url, redis_url):
    path = Path(stream_prefix, log_redis_url, redis_url)
    yield path
    path.close()


def reader_of(memory=None):
    return CandleReader(memory or CandleMemory(redis_url="unix:///nowhere", prefix=""))


def question(interval, limit=1000, side="bid", **times):
    instrument = selectors.instrument_resolve("BTC")
    return CandleQuestion(instrument, INTERVALS[interval], side, limit, **times)


def rows(reader, asked):
    return [text for _, text in asyncio.run(reader.rows(asked))]


@pytest.mark.parametrize("seed", range(2))
def test_memory_and_database_give_the_same_candles(path, seed):
    draw = random.Random(seed)  # noqa: S311 - not a secret
    memory = CandleMemory(redis_url="unix:///nowhere", prefix="")
    reader = reader_of(memory)
    # Just before a month ends, so that every interval turns over; the 31st of May 2026 is a Sunday.
    now_ms = 1_780_271_700_000
    for _round in range(12):
        for _quote in range(draw.randint(1, 8)):
            now_ms += draw.choice((0, 1_000, 20_000, 60_000, 300_000))
            late_ms = draw.choice((0, 0, 0, 30_000, 120_000, 1_200_000, 20_000_000))
            bid = draw.randint(100, 200)
            path.log.say(("BTCUSDT", bid, bid + 3, now_ms - late_ms), at_ms=now_ms)
        told = path.told()
        if draw.random() < 0.8:
            for message in told:
                memory.take(message)
        else:
            # The connection was lost, and with it what was told.
            asyncio.run(memory._connected(None))
        side = draw.choice(("bid", "mid"))
        span = draw.choice(({}, {"start_ms": now_ms - 900_000}, {"end_ms": now_ms - 600_000}))
        for name in INTERVALS:
            asked = question(name, draw.choice((2, 7, 1000)), side, **span)
            assert rows(reader, asked) == rows(reader_of(), asked), (name, span)


def test_newest_candle_comes_from_memory_before_it_is_stored(path):
    path.log.say(("BTCUSDT", 100, 104, NOON_MS))
    memory = CandleMemory(redis_url="unix:///nowhere", prefix="")
    reader = reader_of(memory)
    for message in path.told():
        memory.take(message)
    rows(reader, question("1h"))
    path.log.say(("BTCUSDT", 130, 134, NOON_MS + 10_000))
    path.writer.step(None)
    path.writer._tell()

    for message in [path._heard.get_message(timeout=5)["data"]]:
        memory.take(message)

    assert rows(reader, question("1m", 1)) == [f'[{NOON_MS},"10.0","13.0","10.0","13.0","2"]']
    assert rows(reader, question("1h", 1))[0].endswith('"10.0","13.0","10.0","13.0","2"]')
    assert rows(reader_of(), question("1m", 1))[0].endswith('"10.0","1"]')


async def ask(query, headers=(), method="GET"):
    sent = []

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "path": lean.PATH,
        "method": method,
        "scheme": "http",
        "query_string": query.encode(),
        "headers": list(headers),
    }
    assert lean.candles_are_asked(scope)
    await lean.candles_app(scope, send)
    start, body = sent
    return start["status"], dict(start["headers"]), body["body"]


def test_answer_is_that_of_the_contract(path):
    for minute in range(5):
        path.log.say(("BTCUSDT", 775_000 + minute, 775_008, NOON_MS + minute * MINUTE_MS))
    path.told()

    status, headers, body = asyncio.run(ask("symbol=BTC_USDT&interval=1m&limit=2"))

    times = [NOON_MS + 3 * MINUTE_MS, NOON_MS + 4 * MINUTE_MS]
    assert (status, headers[b"content-type"]) == (200, b"application/json")
    assert msgspec.json.decode(body) == {
        "success": True,
        "data": {
            "symbol": "BTCUSDT",
            "dbSymbol": "BTCUSDT",
            "interval": "1m",
            "price": "bid",
            "from": times[0],
            "to": times[1],
            "count": 2,
            "data": [
                [times[0], *["77500.3"] * 4, "1"],
                [times[1], *["77500.4"] * 4, "1"],
            ],
        },
        "message": "Success",
    }


def test_span_is_counted_from_its_start_or_up_to_its_end(path):
    for minute in range(10):
        path.log.say(("BTCUSDT", 100 + minute, 200, NOON_MS + minute * MINUTE_MS))
    path.told()

    def times(query):
        _, _, body = asyncio.run(ask(f"symbol=BTC&{query}"))
        return [
            (row[0] - NOON_MS) // MINUTE_MS for row in msgspec.json.decode(body)["data"]["data"]
        ]

    at = [NOON_MS + minute * MINUTE_MS for minute in range(10)]
    assert times(f"startTime={at[2]}&limit=3") == [2, 3, 4]
    assert times(f"endTime={at[5]}&limit=3") == [3, 4, 5]
    assert times(f"startTime={at[2]}&endTime={at[4]}") == [2, 3, 4]
    assert times(f"startTime={at[2] + 1}&endTime={at[4] - 1}") == [3]
    assert times(f"startTime={at[9] + 1}") == []


def test_unchanged_answer_is_not_sent_again(path):
    path.log.say(("BTCUSDT", 100, 104, NOON_MS))
    path.told()
    _, headers, _ = asyncio.run(ask("symbol=BTC"))

    status, _, body = asyncio.run(ask("symbol=BTC", [(b"if-none-match", headers[b"etag"])]))

    assert (status, body) == (304, b"")


def test_head_has_no_body(path):
    status, headers, body = asyncio.run(ask("symbol=BTC", method="HEAD"))

    assert (status, body) == (200, b"")
    assert int(headers[b"content-length"]) > 0


@pytest.mark.parametrize(
    ("query", "code", "says"),
    [
        ("", "INVALID", "symbol: expected a symbol such as BTCUSDT, found none"),
        ("symbol=NOPE", "SYMBOL_UNKNOWN", "'NOPE'"),
        ("symbol=BTC&interval=2h", "INVALID", "expected one of 1m, 5m"),
        ("symbol=BTC&limit=0", "INVALID", "from 1 to 1000, found '0'"),
        ("symbol=BTC&limit=1001", "INVALID", "from 1 to 1000, found '1001'"),
        ("symbol=BTC&limit=%D9%A1", "INVALID", "whole number"),
        ("symbol=BTC&startTime=1e9", "INVALID", "startTime"),
        ("symbol=BTC&startTime=99999999999999999999", "INVALID", "startTime"),
        ("symbol=BTC&startTime=2000&endTime=1000", "INVALID", "expected at least startTime 2000"),
        ("symbol=BTC&price=ask", "INVALID", "expected bid or mid"),
        ("symbol=BTC&" + "x" * 2000, "INVALID", "at most 1000 bytes"),
    ],
)
def test_bad_question_is_told_what_was_expected(query, code, says):
    status, _, body = asyncio.run(ask(query))

    answer = msgspec.json.decode(body)
    assert (status, answer["success"], answer["code"]) == (400, False, code)
    assert says in answer["message"]


def test_common_way_gives_the_same_body(path):
    path.log.say(("BTCUSDT", 775_000, 775_008, NOON_MS))
    path.told()
    _, headers, body = asyncio.run(ask("symbol=BTC"))
    client = APIClient()

    response = client.get("/api/v1/candles?symbol=BTC")
    page = client.get("/api/v1/candles?symbol=BTC", headers={"accept": "text/html"})
    again = client.get("/api/v1/candles?symbol=BTC", headers={"if-none-match": response["ETag"]})

    assert (response.content, response["ETag"]) == (body, headers[b"etag"].decode())
    assert "77500.0" in page.content.decode()
    assert again.status_code == 304
    assert client.get("/api/v1/candles?symbol=NOPE").json()["code"] == "SYMBOL_UNKNOWN"


def test_page_and_redirect_take_the_common_way(settings):
    scope = {"path": lean.PATH, "method": "GET", "scheme": "http", "headers": []}

    assert not lean.candles_are_asked(scope | {"headers": [(b"accept", b"text/html,*/*")]})
    assert not lean.candles_are_asked(scope | {"method": "POST"})
    assert not lean.candles_are_asked(scope | {"path": "/api/v1/prices/latest"})
    settings.SECURE_SSL_REDIRECT = True
    assert not lean.candles_are_asked(scope)
    assert lean.candles_are_asked(scope | {"scheme": "https"})


def test_candles_key_is_read_from_a_channels_name():
    assert facade.candle_key("btc/usdt:1M") == ("BTCUSDT", "1M")
    with pytest.raises(selectors.SymbolUnknownError):
        facade.candle_key("NOPE:1m")
    with pytest.raises(ServiceError, match="expected one of"):
        facade.candle_key("BTC")
