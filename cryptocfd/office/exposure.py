"""Exposure by instrument and book: what clients hold, what it is worth now, and how much of the house's cap it takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from apps.market.facade import InstrumentInfo, instruments_by_symbol
from apps.trade.facade import BookExposure, house_exposure, house_prices, net_micros
from cryptocfd.office import words
from cryptocfd.office.page import (
    HOUSE,
    book_asked,
    file_answer,
    freshness,
    is_file,
    office_page,
    page_show,
)
from engine.values import AccountKind, text_from_scaled

_BPS = 10_000
_WARNING_BPS = 8_000
_FILE_HEAD = (
    *("symbol", "book", "positions", "accounts", "long", "short", "net", "bid", "ask"),
    *("longUsd", "shortUsd", "netUsd", "grossUsd", "marginUsd", "unrealisedPnlUsd"),
    *("houseCapUsd", "houseCapUsedPercent"),
)


@dataclass(frozen=True, slots=True)
class _Cap:
    """How much of the house's cap in an instrument is used, by all books together: the engine knows one cap for all."""

    cap_micros: int
    # None without a cap or without a price; basis points, rounded down.
    share_bps: int | None


@office_page(HOUSE)
def exposure_page(request: HttpRequest) -> HttpResponse:
    """Show the exposure of all books or of one, the largest first."""
    prices = house_prices()
    everything = house_exposure(prices)
    book = book_asked(request)
    rows = sorted(
        (row for row in everything if book in {None, row.book}),
        key=lambda row: (-(row.gross_micros or 0), row.symbol, row.book),
    )
    infos = instruments_by_symbol()
    caps = _caps(everything, infos)
    if is_file(request):
        return file_answer(
            request, "exposure", _FILE_HEAD, (_file_row(r, infos, caps) for r in rows)
        )
    valued = {row.symbol: row.price for row in rows if row.price is not None}
    context = {
        "rows": [_table_row(row, infos.get(row.symbol), caps[row.symbol]) for row in rows],
        "totals": [_total(kind, everything) for kind in (AccountKind.LIVE, AccountKind.DEMO)],
        "book": book.value if book else "",
        "unpriced": sorted({row.symbol for row in rows if row.price is None}),
        "freshness": freshness(valued.values()),
    }
    return page_show(request, "exposure", title=_("Exposure"), context=context)


def _caps(rows: Sequence[BookExposure], infos: Mapping[str, InstrumentInfo]) -> dict[str, _Cap]:
    net_units: dict[str, int] = {}
    for row in rows:
        net_units[row.symbol] = net_units.get(row.symbol, 0) + row.net_units
    caps = {}
    for row in rows:
        info = infos.get(row.symbol)
        cap = info.exposure_house_micros_max if info else 0
        share = None
        if cap and row.price is not None:
            share = abs(net_micros(row.price, net_units[row.symbol])) * _BPS // cap
        caps[row.symbol] = _Cap(cap, share)
    return caps


def _table_row(row: BookExposure, info: InstrumentInfo | None, cap: _Cap) -> dict[str, object]:
    decimals = info.quantity_decimals if info else None
    return {
        "symbol": row.symbol,
        "book": row.book.value,
        "positions": words.number(row.positions),
        "accounts": words.number(row.accounts),
        "long": words.quantity(row.long_units, decimals),
        "short": words.quantity(row.short_units, decimals),
        "net": words.quantity(row.net_units, decimals),
        "long_usd": words.usd(row.long_micros),
        "short_usd": words.usd(row.short_micros),
        "net_usd": words.usd(row.net_micros),
        "house": words.gain(None if row.unrealised_micros is None else -row.unrealised_micros),
        "cap": words.whole_usd(cap.cap_micros or None),
        "share": words.percent(cap.share_bps),
        # For the bar, which ends at the cap.
        "share_whole": min(100, (cap.share_bps or 0) // 100),
        "is_near_cap": (cap.share_bps or 0) >= _WARNING_BPS,
    }


def _total(kind: AccountKind, rows: Sequence[BookExposure]) -> dict[str, object]:
    own = [row for row in rows if row.book is kind]
    return {
        "book": kind.value,
        "positions": words.number(sum(row.positions for row in own)),
        "long": words.usd(sum(row.long_micros or 0 for row in own)),
        "short": words.usd(sum(row.short_micros or 0 for row in own)),
        "net": words.usd(sum(row.net_micros or 0 for row in own)),
        "gross": words.usd(sum(row.gross_micros or 0 for row in own)),
        "margin": words.usd(sum(row.margin_micros for row in own)),
        "house": words.gain(-sum(row.unrealised_micros or 0 for row in own)),
    }


def _file_row(
    row: BookExposure, infos: Mapping[str, InstrumentInfo], caps: Mapping[str, _Cap]
) -> Sequence[object]:
    info = infos.get(row.symbol)
    cap = caps[row.symbol]
    # An instrument that has left the catalogue is told in units and ticks.
    units = info.quantity_decimals if info else 0
    ticks = info.price_decimals if info else 0
    price = row.price
    return (
        row.symbol,
        row.book.value,
        row.positions,
        row.accounts,
        *(text_from_scaled(n, units) for n in (row.long_units, row.short_units, row.net_units)),
        "" if price is None else text_from_scaled(price.bid_ticks, ticks),
        "" if price is None else text_from_scaled(price.ask_ticks, ticks),
        *map(
            words.exact_usd, (row.long_micros, row.short_micros, row.net_micros, row.gross_micros)
        ),
        words.exact_usd(row.margin_micros),
        words.exact_usd(row.unrealised_micros),
        words.exact_usd(cap.cap_micros or None),
        "" if cap.share_bps is None else text_from_scaled(cap.share_bps, 2),
    )
