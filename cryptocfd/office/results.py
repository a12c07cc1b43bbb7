"""What the house has won and lost in one book: realised by day from its ledger accounts, unrealised from open positions, and against whom."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.utils import formats
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from apps.common.clock import datetime_from_us, now_us
from apps.trade.facade import (
    AccountResult,
    HouseResult,
    HouseResults,
    accounts_by_result,
    house_exposure,
    house_prices,
    house_results,
)
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
from engine.values import AccountKind

_DAYS: Final = 30
_CLIENTS: Final = 10
_CLIENTS_IN_FILE: Final = 1000
# Days that winners and losers are told of, today among them.
_PERIODS: Final = {1: gettext_noop("Today"), 7: gettext_noop("7 days"), 30: gettext_noop("30 days")}
_FILE_HEAD: Final = ("day", "book", "pnlUsd", "commissionUsd", "swapUsd", "insuranceUsd", "sumUsd")
_CLIENTS_HEAD: Final = (
    *("account", "owner", "book", "group", "since"),
    *("realisedUsd", "unrealisedUsd", "sumUsd", "balanceUsd"),
)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the address asks for."""

    book: AccountKind
    period: int

    @property
    def since(self) -> date:
        """Return the first day of the period."""
        return _today() - timedelta(days=self.period - 1)


def _today() -> date:
    return datetime_from_us(now_us()).date()


@office_page(HOUSE)
def results_page(request: HttpRequest) -> HttpResponse:
    """Show the results of one book: the live one, as long as it has any."""
    prices = house_prices()
    exposure = house_exposure(prices)
    since = _today() - timedelta(days=_DAYS - 1)
    book = book_asked(request)
    results = house_results(book or AccountKind.LIVE, since=since)
    if book is None:
        book = AccountKind.LIVE
        if results.total == HouseResult() and not any(row.book is book for row in exposure):
            book = AccountKind.DEMO
            results = house_results(book, since=since)
    period = request.GET.get("days", "")
    asked = _Asked(book, int(period) if period in map(str, _PERIODS) else 1)
    if is_file(request):
        return _file(request, asked, results)
    winners, losers = accounts_by_result(book, since=asked.since, limit=_CLIENTS, prices=prices)
    own = [row for row in exposure if row.book is book]
    unrealised = -sum(row.unrealised_micros or 0 for row in own)
    context = {
        "book": book.value,
        "period": asked.period,
        "periods": [(days, _(name)) for days, name in _PERIODS.items()],
        "day_count": _DAYS,
        "unrealised": words.gain(unrealised),
        "overall": words.gain(results.total.sum_micros + unrealised),
        "total": _result_row(results.total),
        "today": words.gain(sum(row.sum_micros for day, row in results.days if day == _today())),
        "days": [
            {"day": formats.date_format(day, "Y-m-d"), **_result_row(row)}
            for day, row in results.days
        ],
        "sides": [
            (_("Clients that won most"), [_client_row(row) for row in winners]),
            (_("Clients that lost most"), [_client_row(row) for row in losers]),
        ],
        "may_see_accounts": request.user.has_perm("trade.view_account"),
        "freshness": freshness([row.price for row in own if row.price is not None]),
    }
    return page_show(request, "results", title=_("House results"), context=context)


def _result_row(result: HouseResult) -> dict[str, object]:
    return {
        "pnl": words.gain(result.pnl_micros),
        "commission": words.gain(result.commission_micros),
        "swap": words.gain(result.swap_micros),
        "insurance": words.gain(result.insurance_micros),
        "sum": words.gain(result.sum_micros),
    }


def _client_row(row: AccountResult) -> dict[str, object]:
    return {
        "account": row.account,
        "realised": words.gain(row.realised_micros),
        "unrealised": words.gain(row.unrealised_micros),
        "sum": words.gain(row.sum_micros),
        "balance": words.usd(row.balance_micros),
    }


def _file(request: HttpRequest, asked: _Asked, results: HouseResults) -> HttpResponse:
    book = asked.book.value
    if request.GET.get("of") == "clients":
        sides = accounts_by_result(asked.book, since=asked.since, limit=_CLIENTS_IN_FILE)
        rows = (_client_file_row(row, asked) for side in sides for row in side)
        return file_answer(request, f"clients-{book}", _CLIENTS_HEAD, rows)
    days = (_day_file_row(day.isoformat(), book, row) for day, row in results.days)
    return file_answer(request, f"results-{book}", _FILE_HEAD, days)


def _day_file_row(day: str, book: str, row: HouseResult) -> Sequence[object]:
    amounts = (row.pnl_micros, row.commission_micros, row.swap_micros, row.insurance_micros)
    return (day, book, *map(words.exact_usd, amounts), words.exact_usd(row.sum_micros))


def _client_file_row(row: AccountResult, asked: _Asked) -> Sequence[object]:
    return (
        row.account,
        row.owner_id,
        asked.book.value,
        row.group,
        asked.since.isoformat(),
        *map(words.exact_usd, (row.realised_micros, row.unrealised_micros, row.sum_micros)),
        words.exact_usd(row.balance_micros),
    )
