"""The adapter against a server that speaks the venue's wire format, drops, stays silent, sends garbage, and refuses."""

import asyncio
import dataclasses
import json
from http import HTTPStatus

import pytest

from apps.common.cancellation import cancel_all
from apps.market.clock import WallClock
from apps.market.feed.base import SourceUnavailableError
from apps.market.feed.binance import BinanceSource, Patience
from apps.market.feed.binance_wire import SPOT, USDM
from engine.values import SourceClass
from tests.apps.market.support import until
from tests.apps.market.venue import Venue, book, frame, running

SHORT = Patience(connect=1.0, answer=1.0, silence=0.3, lost=0.9, pause=0.02, pause_max=0.05)

pytestmark = pytest.mark.asyncio


def binance(venue, instruments, patience=SHORT):
    return BinanceSource(
        instruments=instruments,
        clock=WallClock(),
        venue=dataclasses.replace(SPOT, stream_url=venue.stream_url, rest_url=venue.rest_url),
        patience=patience,
    )


class Listener:
    """Runs a source in the background and keeps the newest quote of each symbol."""

    def __init__(self, source, symbols):
        self.quotes = {}
        self.batches = 0
        self.task = asyncio.create_task(self._run(source, symbols))

    async def _run(self, source, symbols):
        async for batch in source.quotes(symbols):
            self.batches += 1
            self.quotes.update((quote.symbol, quote) for quote in batch)

    def prices(self, symbol):
        quote = self.quotes.get(symbol)
        return quote and (quote.bid_ticks, quote.ask_ticks)

    async def end(self):
        await cancel_all([self.task])


async def test_books_tell_which_instruments_the_venue_has(instruments):
    venue = Venue()
    async with running(venue):
        source = binance(venue, instruments)

        covered = await source.open()

    # A delisted symbol has an empty book; a thousand of PEPE is quoted as PEPE.
    assert set(covered) == {"BTCUSDT", "ETHUSDT", "1000PEPEUSDT"}
    assert source.source_class is SourceClass.LIVE


async def test_quotes_come_from_the_books_first_and_from_the_stream_then(instruments):
    venue = Venue()

    async def talk(connection, _number):
        await connection.send(frame("BTCUSDT", "77501.19000000", "77501.21000000", 5))
        await connection.send(frame("PEPEUSDT", "0.00000920", "0.00000921", 6))
        await connection.wait_closed()

    venue.talk = talk
    async with running(venue):
        source = binance(venue, instruments)
        listener = Listener(source, await source.open())
        await until(lambda: listener.prices("BTCUSDT") == (775_011, 775_013))
        await until(lambda: listener.prices("1000PEPEUSDT") == (9200, 9210))
        assert source.is_live("BTCUSDT")
        await listener.end()

    # ETH was quiet: its price is that of the books.
    assert listener.prices("ETHUSDT") == (212_001, 212_002)
    assert listener.quotes["BTCUSDT"].venue_sequence == 5
    assert sorted(venue.asked_streams[0]) == [
        "btcusdt@bookTicker",
        "ethusdt@bookTicker",
        "pepeusdt@bookTicker",
    ]


async def test_dropped_connection_is_made_anew(instruments):
    venue = Venue()

    async def talk(connection, number):
        await connection.send(frame("BTCUSDT", f"7750{number}.0", f"7750{number}.1", number))
        if number < 3:
            connection.transport.abort()
        await connection.wait_closed()

    venue.talk = talk
    async with running(venue):
        source = binance(venue, instruments)
        listener = Listener(source, await source.open())
        await until(lambda: listener.prices("BTCUSDT") == (775_030, 775_031))
        await listener.end()

    assert len(venue.asked_streams) == 3


async def test_silent_connection_is_dropped_and_made_anew(instruments):
    venue = Venue()

    async def talk(connection, number):
        if number > 1:
            await connection.send(frame("BTCUSDT", "77502.0", "77502.1", number))
        await connection.wait_closed()

    venue.talk = talk
    async with running(venue):
        source = binance(venue, instruments)
        listener = Listener(source, await source.open())
        await until(lambda: listener.prices("BTCUSDT") == (775_020, 775_021))
        await listener.end()

    assert len(venue.asked_streams) == 2


async def test_venue_that_stays_silent_is_lost(instruments):
    venue = Venue()
    async with running(venue):
        source = binance(venue, instruments)
        listener = Listener(source, await source.open())

        with pytest.raises(SourceUnavailableError, match="no quote"):
            await asyncio.wait_for(listener.task, 10)

    assert not source.is_live("BTCUSDT")
    assert len(venue.asked_streams) >= 2


async def test_venue_that_goes_away_is_lost(instruments):
    venue = Venue()

    async def talk(connection, number):
        await connection.send(frame("BTCUSDT", "77501.0", "77501.1", number))
        await connection.wait_closed()

    venue.talk = talk
    async with running(venue):
        source = binance(venue, instruments)
        listener = Listener(source, await source.open())
        await until(lambda: listener.batches >= 2)

    with pytest.raises(SourceUnavailableError):
        await asyncio.wait_for(listener.task, 10)


async def test_garbage_is_counted_and_is_no_sign_of_life(instruments):
    venue = Venue()
    garbage = [
        "",
        "not json",
        "[]",
        '{"data":{"u":1,"s":"BTCUSDT","b":"1e5","a":"2"}}',
        '{"data":{"u":1,"s":"BTCUSDT","b":77500.1,"a":77500.2}}',
        '{"data":{"u":1,"s":"BTCUSDT","b":"NaN","a":"inf"}}',
        '{"data":{"u":true,"s":"BTCUSDT","b":"1","a":"2"}}',
        frame("NOPEUSDT", "1", "2", 1),
        b"\xff\xfe\x00",
    ]

    async def talk(connection, number):
        for message in garbage:
            await connection.send(message)
        await connection.wait_closed()

    venue.talk = talk
    async with running(venue):
        source = binance(venue, instruments)
        listener = Listener(source, await source.open())
        before = listener.prices("BTCUSDT")
        await until(lambda: source.malformed >= len(garbage))
        assert not source.is_live("BTCUSDT")
        with pytest.raises(SourceUnavailableError):
            await asyncio.wait_for(listener.task, 10)

    assert listener.prices("BTCUSDT") == before or before is None
    assert source.malformed % len(garbage) == 0


async def test_frame_that_is_too_long_ends_the_connection_only(instruments):
    venue = Venue()

    async def talk(connection, number):
        if number == 1:
            await connection.send("x" * 100_000)
        await connection.send(frame("BTCUSDT", "77502.0", "77502.1", number))
        await connection.wait_closed()

    venue.talk = talk
    async with running(venue):
        source = binance(venue, instruments)
        listener = Listener(source, await source.open())
        await until(lambda: listener.prices("BTCUSDT") == (775_020, 775_021))
        await listener.end()


@pytest.mark.parametrize("status", [HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS, HTTPStatus.FORBIDDEN])
async def test_refusal_of_the_stream_is_final(instruments, status):
    venue = Venue()
    async with running(venue):
        source = binance(venue, instruments)
        symbols = await source.open()
        venue.stream_status = status

        with pytest.raises(SourceUnavailableError, match=str(status.value)):
            await asyncio.wait_for(Listener(source, symbols).task, 10)


async def test_trouble_of_the_server_is_not_final(instruments):
    venue = Venue()

    async def talk(connection, number):
        await connection.send(frame("BTCUSDT", "77502.0", "77502.1", number))
        await connection.wait_closed()

    venue.talk = talk
    async with running(venue):
        source = binance(venue, instruments)
        symbols = await source.open()
        venue.stream_status = HTTPStatus.SERVICE_UNAVAILABLE
        listener = Listener(source, symbols)
        await until(lambda: venue.refused >= 2)
        venue.stream_status = HTTPStatus.SWITCHING_PROTOCOLS
        await until(lambda: listener.prices("BTCUSDT") == (775_020, 775_021))
        await listener.end()


@pytest.mark.parametrize(
    "change",
    [
        {"rest_status": HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS},
        {"rest_status": HTTPStatus.FOUND},
        {"rest_status": HTTPStatus.INTERNAL_SERVER_ERROR},
        {"books": {"code": -1003, "msg": "no"}},
        {"books": [{"symbol": "BTCUSDT"}]},
    ],
    ids=str,
)
async def test_venue_without_books_cannot_serve(instruments, change):
    venue = Venue()
    vars(venue).update(change)
    async with running(venue):
        with pytest.raises(SourceUnavailableError):
            await binance(venue, instruments).open()


async def test_unreachable_venue_is_told_within_the_patience(instruments):
    venue = Venue()
    async with running(venue):
        pass

    with pytest.raises(SourceUnavailableError):
        await asyncio.wait_for(binance(venue, instruments).open(), 2)


async def test_streams_are_spread_over_connections_of_200(instruments, monkeypatch):
    monkeypatch.setattr("apps.market.feed.binance._STREAMS_PER_CONNECTION", 2)
    venue = Venue()
    async with running(venue):
        source = binance(venue, instruments)
        listener = Listener(source, await source.open())
        await until(lambda: len(venue.asked_streams) >= 2)
        await listener.end()

    assert sorted(len(streams) for streams in venue.asked_streams[:2]) == [1, 2]


async def test_silence_of_a_coin_that_is_not_traded_is_not_confirmed(instruments):
    venue = Venue()
    venue.statuses["ETHUSDT"] = "BREAK"

    async def talk(connection, _number):
        for number in range(1, 100_000):
            await connection.send(frame("BTCUSDT", "77500.1", "77500.2", number))
            await asyncio.sleep(0.02)

    venue.talk = talk
    async with running(venue):
        source = binance(venue, instruments, dataclasses.replace(SHORT, review=0.05))
        listener = Listener(source, await source.open())
        await until(lambda: source.is_live("BTCUSDT") and not source.is_live("ETHUSDT"))
        venue.statuses["ETHUSDT"] = "TRADING"
        await until(lambda: source.is_live("ETHUSDT"))
        await listener.end()


async def test_new_socket_takes_over_before_the_venue_cuts_the_old_one(instruments):
    venue = Venue()
    alive, met = set(), []

    async def talk(connection, number):
        met.append(bool(alive))
        alive.add(number)
        try:
            for update in range(1, 100_000):
                await connection.send(frame("BTCUSDT", "77500.1", "77500.2", update))
                await asyncio.sleep(0.01)
        finally:
            alive.discard(number)

    venue.talk = talk
    patient = Patience(connect=10.0, answer=10.0, silence=30.0, lost=30.0, rotation=0.3)
    async with running(venue):
        source = binance(venue, instruments, patient)
        listener = Listener(source, await source.open())
        await until(lambda: len(met) == 4, 60)
        await until(lambda: len(alive) <= 2, 60)
        assert source.is_live("BTCUSDT")
        await listener.end()

    # Each new socket found the old one still speaking.
    assert met == [False, True, True, True]


async def test_futures_speak_from_their_own_addresses(instruments):
    venue = Venue()

    async def talk(connection, _number):
        await connection.send(futures_frame("1000PEPEUSDT", "0.0091", "0.0092", 5))
        await connection.wait_closed()

    venue.talk = talk
    venue.books = [book("1000PEPEUSDT", "0.0090000", "0.0091000")]
    async with running(venue):
        market = dataclasses.replace(
            USDM, stream_url=f"{venue.stream_url}/public", rest_url=venue.rest_url
        )
        source = BinanceSource(
            instruments=instruments, clock=WallClock(), venue=market, patience=SHORT
        )
        assert source.name == "binance:usdm"
        listener = Listener(source, await source.open())
        decimals = instruments["1000PEPEUSDT"].price_decimals
        expected = (91 * 10 ** (decimals - 4), 92 * 10 ** (decimals - 4))
        await until(lambda: listener.prices("1000PEPEUSDT") == expected)
        await listener.end()

    assert venue.asked_streams[0] == ["1000pepeusdt@bookTicker"]


def futures_frame(symbol, bid, ask, number):
    """Return one message of the combined stream of futures, which has times and a type too."""
    data = {"e": "bookTicker", "u": number, "E": 1, "T": 1, "s": symbol, "b": bid, "B": "1"}
    stream = f"{symbol.lower()}@bookTicker"
    return json.dumps({"stream": stream, "data": data | {"a": ask, "A": "2"}})
