"""What the house has won and lost, and against whom: its own ledger accounts by day, and its clients by their results."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from django.db.models import Sum

from apps.trade.models import HouseDay
from apps.trade.services.house.prices import PRICES_SQL, HousePrice, house_prices, price_columns
from apps.trade.services.house.sums import sums_read
from engine.values import AccountKind

_PARTS: Final = ("pnl", "commission", "swap", "insurance")


@dataclass(frozen=True, slots=True)
class HouseResult:
    """What the house's ledger accounts of one book were posted; micro-USD, positive is the house's gain."""

    # Realised P&L of clients, the other way round.
    pnl_micros: int = 0
    commission_micros: int = 0
    swap_micros: int = 0
    # Losses of clients that the house has covered; never positive.
    insurance_micros: int = 0

    @property
    def sum_micros(self) -> int:
        """Return all of it together."""
        return self.pnl_micros + self.commission_micros + self.swap_micros + self.insurance_micros


@dataclass(frozen=True, slots=True)
class HouseResults:
    """The realised results of one book."""

    total: HouseResult
    # Days (UTC) with postings, newest first.
    days: tuple[tuple[date, HouseResult], ...]


@dataclass(frozen=True, slots=True)
class AccountResult:
    """How one client has done; micro-USD, positive is the client's gain and the house's loss."""

    account: int
    owner_id: int
    group: str
    # Since the first day asked for: P&L less commission, with swap.
    realised_micros: int
    # Of what is open now.
    unrealised_micros: int
    balance_micros: int

    @property
    def sum_micros(self) -> int:
        """Return what was realised and what is open together."""
        return self.realised_micros + self.unrealised_micros


def house_results(book: AccountKind, *, since: date) -> HouseResults:
    """Return what a book has brought the house in all, and on each day since one."""
    rows = HouseDay.objects.filter(ledger__in=[f"{book.value}:house:{part}" for part in _PARTS])
    sums = rows.values_list("ledger").annotate(total=Sum("amount_micros")).order_by("ledger")
    days: dict[date, list[tuple[str, int]]] = {}
    recent = rows.filter(day__gte=since).values_list("day", "ledger")
    for day, ledger, amount in recent.annotate(total=Sum("amount_micros")).order_by("-day"):
        days.setdefault(day, []).append((ledger, int(amount)))
    return HouseResults(
        total=_result([(ledger, int(total)) for ledger, total in sums]),
        days=tuple((day, _result(found)) for day, found in days.items()),
    )


def _result(sums: Sequence[tuple[str, int]]) -> HouseResult:
    return HouseResult(**{f"{ledger.rpartition(':')[2]}_micros": amount for ledger, amount in sums})


_ACCOUNTS_SQL: Final = f"""
WITH realised AS (
    SELECT account, sum(pnl_micros - commission_micros + swap_micros) AS micros
    FROM trade_accountday WHERE day >= %(since)s GROUP BY account
), unrealised AS (
    SELECT p.account, sum(p.open_units::numeric * price.k * CASE p.direction
        WHEN 'long' THEN price.bid - p.entry_price_ticks ELSE p.entry_price_ticks - price.ask END) AS micros
    FROM trade_position p JOIN {PRICES_SQL} ON price.symbol = p.symbol
    WHERE p.closed_at_us IS NULL GROUP BY p.account
), result AS MATERIALIZED (
    SELECT a.account, a.owner_id, a."group", coalesce(r.micros, 0) AS realised, coalesce(u.micros, 0) AS unrealised,
        a.balance_micros, coalesce(r.micros, 0) + coalesce(u.micros, 0) AS total
    FROM trade_account a LEFT JOIN realised r USING (account) LEFT JOIN unrealised u USING (account)
    WHERE a.kind = %(book)s
), best AS (SELECT * FROM result WHERE total > 0 ORDER BY total DESC, account LIMIT %(limit)s),
worst AS (SELECT * FROM result WHERE total < 0 ORDER BY total, account LIMIT %(limit)s)
SELECT * FROM best UNION ALL SELECT * FROM worst"""  # noqa: S608 - built of a constant.


def accounts_by_result(
    book: AccountKind,
    *,
    since: date,
    limit: int,
    prices: Mapping[str, HousePrice] | None = None,
) -> tuple[tuple[AccountResult, ...], tuple[AccountResult, ...]]:
    """Return the accounts of a book that have won most since a day, and those that have lost most, the extremes first.

    What is open counts with its whole unrealised P&L, whenever it was opened.
    """
    columns = price_columns(house_prices() if prices is None else prices)
    parameters = {**columns, "since": since, "book": book.value, "limit": limit}
    found = [
        AccountResult(
            account=account,
            owner_id=owner_id,
            group=group,
            realised_micros=int(realised),
            unrealised_micros=int(unrealised),
            balance_micros=balance,
        )
        for account, owner_id, group, realised, unrealised, balance, _ in sums_read(
            _ACCOUNTS_SQL, parameters
        )
    ]
    # Two orders in one answer: a union keeps none by its own, so each side is put in order here.
    winners = sorted((r for r in found if r.sum_micros > 0), key=_by_gain)
    losers = sorted((r for r in found if r.sum_micros < 0), key=_by_loss)
    return tuple(winners), tuple(losers)


def _by_gain(result: AccountResult) -> tuple[int, int]:
    return -result.sum_micros, result.account


def _by_loss(result: AccountResult) -> tuple[int, int]:
    return result.sum_micros, result.account
