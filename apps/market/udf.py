"""TradingView's UDF protocol on our store, so that its charting library plugs in: config, symbols, search, history, quotes, time.

The protocol has its own shapes and its own failures ({"s":"error","errmsg":...}), so nothing here is in our envelope. Numbers are
exact decimals, never through a float.
"""

import json
from decimal import Decimal

from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.http import require_safe

from apps.common.errors import ServiceError
from apps.common.exact_json import json_encode
from apps.common.money import number_from_scaled
from apps.market.candles.answers import LIMIT_MAX
from apps.market.candles.intervals import INTERVALS, Interval
from apps.market.candles.reader import CandleQuestion, on_reader_loop
from apps.market.candles.windows import Row
from apps.market.clock import WallClock
from apps.market.prices import price_book
from apps.market.selectors import (
    QUOTE_CURRENCY,
    InstrumentInfo,
    instrument_find,
    instrument_resolve,
    instruments,
)

_EXCHANGE = "CryptoCFD"
# Their resolution: our interval.
_RESOLUTIONS = {
    "1": "1m",
    "5": "5m",
    "15": "15m",
    "30": "30m",
    "60": "1h",
    "240": "4h",
    "1D": "1d",
    "D": "1d",
    "1W": "1w",
    "W": "1w",
    "1M": "1M",
    "M": "1M",
}
_SHOWN_RESOLUTIONS = ["1", "5", "15", "30", "60", "240", "1D", "1W", "1M"]
# The library asks for thousands of bars at once; it asks again for what is missing before them.
_BARS_MAX = 10_000
_SYMBOLS_MAX = 200
_DIGITS_MAX = 12


@require_safe
def config(_request: HttpRequest) -> HttpResponse:
    """Say what this server can do."""
    return _answer(
        {
            "supported_resolutions": _SHOWN_RESOLUTIONS,
            "supports_group_request": False,
            "supports_search": True,
            "supports_marks": False,
            "supports_timescale_marks": False,
            "supports_time": True,
            "exchanges": [{"value": _EXCHANGE, "name": _EXCHANGE, "desc": "CFDs on crypto"}],
            "symbols_types": [{"name": "Crypto", "value": "crypto"}],
        }
    )


@require_safe
def server_time(_request: HttpRequest) -> HttpResponse:
    """Return the time, whole seconds."""
    return HttpResponse(str(WallClock().now_us() // 1_000_000), content_type="text/plain")


@require_safe
def symbols(request: HttpRequest) -> HttpResponse:
    """Describe one symbol."""
    info = instrument_find(_bare(request.GET.get("symbol", "")))
    if info is None:
        return _answer({"s": "error", "errmsg": "unknown_symbol"}, status=404)
    return _answer(
        {
            "name": info.symbol,
            "ticker": info.symbol,
            "full_name": f"{_EXCHANGE}:{info.symbol}",
            "description": f"{info.name} / {QUOTE_CURRENCY}",
            "type": "crypto",
            "session": "24x7",
            "timezone": "Etc/UTC",
            "exchange": _EXCHANGE,
            "listed_exchange": _EXCHANGE,
            "minmov": 1,
            "pricescale": 10**info.price_decimals,
            "has_intraday": True,
            "has_daily": True,
            "has_weekly_and_monthly": True,
            "intraday_multipliers": ["1", "5", "15", "30", "60", "240"],
            "supported_resolutions": _SHOWN_RESOLUTIONS,
            "volume_precision": 0,
            "currency_code": QUOTE_CURRENCY,
            "data_status": "streaming",
        }
    )


@require_safe
def search(request: HttpRequest) -> HttpResponse:
    """List the symbols whose name has the text."""
    text = request.GET.get("query", "").upper()[:32]
    limit = _whole(request.GET.get("limit", "")) or 30
    found = [info for info in instruments() if text in info.symbol or text in info.name.upper()]
    return _answer(
        [
            {
                "symbol": info.symbol,
                "full_name": f"{_EXCHANGE}:{info.symbol}",
                "description": f"{info.name} / {QUOTE_CURRENCY}",
                "exchange": _EXCHANGE,
                "ticker": info.symbol,
                "type": "crypto",
            }
            for info in found[: min(limit, _SYMBOLS_MAX)]
        ]
    )


@require_safe
def history(request: HttpRequest) -> HttpResponse:
    """Return bars as columns: from one time to before another, or as many before the end as `countback` asks for."""
    info = instrument_find(_bare(request.GET.get("symbol", "")))
    interval = INTERVALS.get(_RESOLUTIONS.get(request.GET.get("resolution", ""), ""))
    until, since = _whole(request.GET.get("to", "")), _whole(request.GET.get("from", ""))
    count = _whole(request.GET.get("countback", ""))
    is_from_missing = since is None and (count is None or "from" in request.GET)
    if info is None or interval is None or until is None or is_from_missing:
        expected = "expected symbol, resolution, from and to (whole seconds)"
        return _answer({"s": "error", "errmsg": expected}, status=400)
    try:
        rows = _bars(info, interval, since or 0, until, count)
        if rows:
            return _answer(_columns(rows))
        return _answer({"s": "no_data"} | _next_time(info, interval, until))
    except ServiceError as error:
        return _answer({"s": "error", "errmsg": error.message}, status=error.http_status)


@require_safe
def quotes(request: HttpRequest) -> HttpResponse:
    """Return the newest bid and ask of some symbols."""
    names = [text for text in request.GET.get("symbols", "").split(",")[:_SYMBOLS_MAX] if text]
    return _answer({"s": "ok", "d": [_quote(name) for name in names]})


def _bars(
    info: InstrumentInfo, interval: Interval, since: int, until: int, count: int | None
) -> list[Row]:
    """Return the rows that begin from `since` to before `until` (seconds); with a count, the last ones before `until`."""
    wanted = min(count or _BARS_MAX, _BARS_MAX)
    start_ms = 0 if count else since * 1000
    end_ms = until * 1000 - 1
    rows: list[Row] = []
    while len(rows) < wanted and end_ms >= start_ms:
        limit = min(LIMIT_MAX, wanted - len(rows))
        question = CandleQuestion(info, interval, "bid", limit, None, end_ms)
        page = list(on_reader_loop(lambda reader, asked=question: reader.rows(asked)))  # type: ignore[misc]
        rows = [row for row in page if row[0] >= start_ms] + rows
        if len(page) < limit:
            break
        end_ms = page[0][0] - 1
    return rows


def _columns(rows: list[Row]) -> dict[str, object]:
    read = [json.loads(text) for _, text in rows]
    columns: dict[str, object] = {"s": "ok", "t": [row[0] // 1000 for row in read]}
    for place, name in enumerate("ohlcv", start=1):
        columns[name] = [Decimal(row[place]) for row in read]
    return columns


def _next_time(info: InstrumentInfo, interval: Interval, until: int) -> dict[str, int]:
    """Return when the newest bar before an empty stretch begins, so that the library need not grope for it."""
    question = CandleQuestion(info, interval, "bid", 1, None, until * 1000 - 1)
    rows = on_reader_loop(lambda reader: reader.rows(question))
    return {"nextTime": rows[-1][0] // 1000} if rows else {}


def _quote(name: str) -> dict[str, object]:
    try:
        info = instrument_resolve(_bare(name))
    except ServiceError as error:
        return {"s": "error", "n": name[:40], "v": {}, "errmsg": error.message}
    quote = price_book().latest(info.symbol)
    if quote is None:
        return {"s": "error", "n": info.symbol, "v": {}, "errmsg": "no price yet"}
    bid = number_from_scaled(quote.bid_ticks, info.price_decimals)
    ask = number_from_scaled(quote.ask_ticks, info.price_decimals)
    values = {
        "short_name": info.symbol,
        "exchange": _EXCHANGE,
        "description": info.name,
        "lp": bid,
        "bid": bid,
        "ask": ask,
        "spread": number_from_scaled(quote.ask_ticks - quote.bid_ticks, info.price_decimals),
    }
    return {"s": "ok", "n": info.symbol, "v": values}


def _bare(text: str) -> str:
    return text.removeprefix(f"{_EXCHANGE}:")


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX else None


def _answer(value: object, *, status: int = 200) -> HttpResponse:
    response = HttpResponse(json_encode(value), content_type="application/json", status=status)
    # The charting library may live on another site; everything here is public.
    response["Access-Control-Allow-Origin"] = "*"
    response["Cache-Control"] = "no-cache"
    return response


udf_urlpatterns = [
    path("config", config, name="udf-config"),
    path("time", server_time, name="udf-time"),
    path("symbols", symbols, name="udf-symbols"),
    path("search", search, name="udf-search"),
    path("history", history, name="udf-history"),
    path("quotes", quotes, name="udf-quotes"),
]
