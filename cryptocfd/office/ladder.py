"""The liquidation ladder: what a move of one instrument's price would liquidate or stop out."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from apps.market.facade import instruments_by_symbol
from apps.trade.facade import LADDER_STEPS, HousePrice, Rung, house_prices, liquidation_ladder
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

# From the deepest fall to the highest rise.
_MOVES: Final = tuple(sorted((*LADDER_STEPS, *(-step for step in LADDER_STEPS))))
_FILE_HEAD: Final = (
    *("symbol", "book", "movePercent", "isolatedPositions", "isolatedAccounts", "isolatedUsd"),
    *("crossPositions", "crossAccounts", "crossUsd"),
)


@office_page(HOUSE)
def ladder_page(request: HttpRequest) -> HttpResponse:
    """Show what each move would take: all instruments side by side, and one of them in full."""
    prices = house_prices()
    ladder = liquidation_ladder(prices)
    book = book_asked(request)
    rungs = [rung for rung in ladder.rungs if book in {None, rung.book}]
    if is_file(request):
        return file_answer(request, "ladder", _FILE_HEAD, map(_file_row, rungs))
    by_symbol: dict[str, list[Rung]] = {}
    for rung in rungs:
        by_symbol.setdefault(rung.symbol, []).append(rung)
    asked = request.GET.get("symbol", "")
    symbols = sorted(by_symbol, key=lambda symbol: (-_most(by_symbol[symbol]), symbol))
    symbol = asked if asked in prices or asked in by_symbol else next(iter(symbols), "")
    context = {
        "book": book.value if book else "",
        "symbol": symbol,
        "moves": [_move_text(move) for move in _MOVES],
        "rows": [{"symbol": one, "cells": _cells(by_symbol[one])} for one in symbols],
        "detail": _detail(symbol, by_symbol.get(symbol, ()), prices),
        "unjudged": ladder.accounts_unjudged,
        "freshness": freshness([prices[one] for one in symbols if one in prices]),
    }
    return page_show(request, "ladder", title=_("Liquidation ladder"), context=context)


def _most(rungs: Iterable[Rung]) -> int:
    """Return the most that any move takes, micro-USD."""
    return max(_sums(rungs).values(), default=0)


def _sums(rungs: Iterable[Rung]) -> dict[int, int]:
    sums: dict[int, int] = {}
    for rung in rungs:
        sums[rung.move] = sums.get(rung.move, 0) + rung.sum_micros
    return sums


def _cells(rungs: Sequence[Rung]) -> list[dict[str, str]]:
    sums = _sums(rungs)
    counts = {move: sum(rung.positions for rung in rungs if rung.move == move) for move in _MOVES}
    return [
        {
            "usd": words.whole_usd(sums[move]) if move in sums else words.NOTHING,
            "positions": words.number(counts[move]) if counts[move] else "",
        }
        for move in _MOVES
    ]


def _detail(
    symbol: str, rungs: Iterable[Rung], prices: Mapping[str, HousePrice]
) -> list[dict[str, object]]:
    """Return the rows of one instrument, both books of a move together."""
    found = list(rungs)
    info = instruments_by_symbol().get(symbol)
    price = prices.get(symbol)
    rows: list[dict[str, object]] = []
    for move in _MOVES if symbol else ():
        here = [rung for rung in found if rung.move == move]
        decimals = info.price_decimals if info else None
        # Where longs are closed after a fall, shorts after a rise; rounded down to a tick, to be read only.
        side = 0 if price is None else price.bid_ticks if move < 0 else price.ask_ticks
        ticks = side * (100 + move) // 100
        rows.append(
            {
                "move": _move_text(move),
                "is_down": move < 0,
                "price": words.price(ticks, decimals) if price else words.NOTHING,
                "isolated_positions": words.number(sum(r.isolated_positions for r in here)),
                "isolated_accounts": words.number(sum(r.isolated_accounts for r in here)),
                "isolated_usd": words.usd(sum(r.isolated_micros for r in here)),
                "cross_positions": words.number(sum(r.cross_positions for r in here)),
                "cross_accounts": words.number(sum(r.cross_accounts for r in here)),
                "cross_usd": words.usd(sum(r.cross_micros for r in here)),
                "sum_usd": words.usd(sum(r.sum_micros for r in here)),
            }
        )
    return rows


def _move_text(move: int) -> str:
    return f"{'+' if move > 0 else ''}{words.number(move)}\u00a0%"


def _file_row(rung: Rung) -> Sequence[object]:
    return (
        rung.symbol,
        rung.book.value,
        rung.move,
        rung.isolated_positions,
        rung.isolated_accounts,
        words.exact_usd(rung.isolated_micros),
        rung.cross_positions,
        rung.cross_accounts,
        words.exact_usd(rung.cross_micros),
    )
