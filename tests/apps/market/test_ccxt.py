"""Any exchange through the real ccxt library, against a local server that speaks one of them: Binance's REST."""

import asyncio
import sys
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from apps.market.feed.base import SourceUnavailableError
from apps.market.feed.ccxt_source import CcxtPatience, CcxtSource
from apps.market.feed.sources import FeedSettingError, sources_from
from engine.values import SourceClass
from tests.apps.market.support import until

pytestmark = pytest.mark.asyncio

PATIENCE = CcxtPatience(poll=0.02, answer=5.0, silence=0.4, lost=0.4)


class Exchange:
    """What the server says; tests change it while it runs."""

    def __init__(self):
        self.prices = {
            "BTCUSDT": ("77500.10000000", "77500.20000000"),
            "ETHUSDT": ("2120.01000000", "2120.02000000"),
            # Under the coin's own name, a thousandth of ours.
            "PEPEUSDT": ("0.00000910", "0.00000911"),
            "EOSUSDT": ("0.00000000", "0.00000000"),
            "BTCEUR": ("70000.00", "70001.00"),
        }
        self.status = 200
        self.delisted = set()
        self.asked = 0

    async def info(self, _request):
        if self.status != 200:
            return web.Response(status=self.status, text="no")
        markets = [self._market(name) for name in self.prices]
        return web.json_response({"timezone": "UTC", "serverTime": 1, "symbols": markets})

    def _market(self, name):
        base, quote = name[:-4], name[-4:]
        if name == "BTCEUR":
            base, quote = "BTC", "EUR"
        return {
            "symbol": name,
            "status": "BREAK" if name in self.delisted else "TRADING",
            "baseAsset": base,
            "quoteAsset": quote,
            "baseAssetPrecision": 8,
            "quotePrecision": 8,
            "isSpotTradingAllowed": True,
            "permissions": ["SPOT"],
            "orderTypes": ["LIMIT"],
            "filters": [],
        }

    async def books(self, request):
        self.asked += 1
        if self.status != 200:
            return web.Response(status=self.status, text="no")
        names = request.query.get("symbols") or str(list(self.prices))
        rows = [
            {"symbol": name, "bidPrice": bid, "bidQty": "1", "askPrice": ask, "askQty": "1"}
            for name, (bid, ask) in self.prices.items()
            if name in names
        ]
        return web.json_response(rows)


@asynccontextmanager
async def running(exchange):
    app = web.Application()
    app.router.add_get("/api/v3/exchangeInfo", exchange.info)
    app.router.add_get("/api/v3/ticker/bookTicker", exchange.books)
    app.router.add_get("/api/v3/ticker/24hr", exchange.books)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/api/v3"
    finally:
        await runner.cleanup()


def source_at(url, instruments, clock, **config):
    return CcxtSource(
        exchange_id="binance",
        instruments=instruments,
        clock=clock,
        config={
            "urls": {"api": {"public": url, "private": url}},
            "options": {"fetchMarkets": ["spot"]},
            **config,
        },
        patience=PATIENCE,
    )


def told(batch):
    return {quote.symbol: (quote.bid_ticks, quote.ask_ticks) for quote in batch}


@pytest.mark.parametrize("config", [{}, {"has": {"fetchBidsAsks": False}}])
async def test_prices_come_exactly_and_change(instruments, clock, config):
    exchange = Exchange()
    async with running(exchange) as url:
        source = source_at(url, instruments, clock, **config)
        assert set(await source.open()) == {"BTCUSDT", "ETHUSDT", "1000PEPEUSDT"}
        batches = source.quotes(["BTCUSDT", "1000PEPEUSDT"])
        first = told(await anext(batches))
        # More decimals than the instrument has: the bid is rounded down, the ask up.
        exchange.prices["BTCUSDT"] = ("77600.19", "77600.31")
        second = told(await anext(batches))
        assert source.is_live("BTCUSDT")
        assert not source.is_live("ETHUSDT")
        await batches.aclose()

    assert first["BTCUSDT"] == (775_001, 775_002)
    shift = 10 ** (instruments["1000PEPEUSDT"].price_decimals - 5)
    assert first["1000PEPEUSDT"] == (910 * shift, 911 * shift)
    assert second["BTCUSDT"] == (776_001, 776_004)
    assert source.malformed == 0
    assert source.source_class is SourceClass.LIVE


async def test_exchange_that_falls_silent_is_not_live_and_then_given_up(instruments, clock):
    exchange = Exchange()
    async with running(exchange) as url:
        source = source_at(url, instruments, clock)
        await source.open()
        batches = source.quotes(["BTCUSDT"])
        await anext(batches)
        await anext(batches)
        exchange.status = 503
        waiting = asyncio.create_task(anext(batches))
        await until(lambda: not source.is_live("BTCUSDT"))
        with pytest.raises(SourceUnavailableError, match="no answer of binance"):
            await waiting


async def test_exchange_that_comes_back_goes_on(instruments, clock):
    exchange = Exchange()
    async with running(exchange) as url:
        source = CcxtSource(
            exchange_id="binance",
            instruments=instruments,
            clock=clock,
            config={
                "urls": {"api": {"public": url, "private": url}},
                "options": {"fetchMarkets": ["spot"]},
            },
            patience=CcxtPatience(poll=0.02, lost=60.0),
        )
        await source.open()
        batches = source.quotes(["BTCUSDT"])
        await anext(batches)
        exchange.status, before = 503, exchange.asked
        waiting = asyncio.create_task(anext(batches))
        await until(lambda: exchange.asked > before + 1)
        exchange.status = 200
        assert told(await asyncio.wait_for(waiting, 10)) == {"BTCUSDT": (775_001, 775_002)}
        await batches.aclose()


@pytest.mark.parametrize("status", [451, 403, 500])
async def test_refusal_at_the_start_is_an_unavailable_source(instruments, clock, status):
    exchange = Exchange()
    exchange.status = status
    async with running(exchange) as url:
        with pytest.raises(SourceUnavailableError, match="no contact with binance"):
            await source_at(url, instruments, clock).open()


async def test_what_is_no_price_is_counted_and_not_passed_on(instruments, clock):
    exchange = Exchange()
    async with running(exchange) as url:
        source = source_at(url, instruments, clock)
        await source.open()
        batches = source.quotes(["BTCUSDT", "ETHUSDT"])
        await anext(batches)
        exchange.prices["BTCUSDT"] = ("1e5", "1e5")
        exchange.delisted.add("BTCUSDT")
        batch = told(await anext(batches))
        await batches.aclose()

    assert set(batch) == {"ETHUSDT"}
    assert source.malformed >= 1


def build(text, instruments, clock, folder):
    return sources_from(
        [text], instruments=instruments, data_dir=folder, base_dir=folder, clock=clock
    )


async def test_setting_names_the_exchange(instruments, clock, tmp_path):
    (source,) = build("ccxt:kraken", instruments, clock, tmp_path)

    assert source.name == "ccxt:kraken"


@pytest.mark.parametrize("text", ["ccxt:nonesuch", "ccxt:", "ccxt"])
async def test_exchange_that_nobody_knows_is_refused(instruments, clock, tmp_path, text):
    with pytest.raises(FeedSettingError):
        build(text, instruments, clock, tmp_path)


async def test_without_the_library_the_setting_says_how_to_get_it(
    instruments, clock, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "ccxt.async_support", None)

    with pytest.raises(FeedSettingError, match=r"pip install -r requirements-ccxt\.txt"):
        build("ccxt:kraken", instruments, clock, tmp_path)
