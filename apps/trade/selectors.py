"""Reads of the journal and the read models; nothing is changed here.

What must be current (balance, open positions) is asked of the engine instead.
"""

from dataclasses import dataclass
from typing import Final

from django.db.models import Count, DecimalField, ExpressionWrapper, F, Max, Sum
from django.db.models.functions import Cast

from apps.trade.models import (
    Account,
    ClosedTrade,
    Fill,
    JournalEntry,
    LedgerEntry,
    Position,
    ProjectorOffset,
)

FIRST_LAYOUT: Final = 1


def layout_current() -> int:
    """Return the number of the shard layout that outputs are journalled under."""
    newest: int | None = ProjectorOffset.objects.aggregate(newest=Max("layout"))["newest"]
    return newest or FIRST_LAYOUT


def journal_entry_by_output(*, layout: int, shard: int, output_id: int) -> JournalEntry | None:
    """Return the journal row of an output (packed id), None if it has not been projected."""
    return JournalEntry.objects.filter(layout=layout, shard=shard, output_id=output_id).first()


def closed_trades(*, account_id: int, limit: int, offset: int) -> list[ClosedTrade]:
    """Return an account's closings, newest first."""
    rows = ClosedTrade.objects.filter(account=account_id).order_by("-seq")
    return list(rows[offset : offset + limit])


def account_seq(*, account_id: int) -> int:
    """Return the last event of an account that has been projected; 0 before the first."""
    seq: int | None = (
        Account.objects.filter(account=account_id).values_list("seq", flat=True).first()
    )
    return seq or 0


def position_symbol(*, position_id: str) -> str | None:
    """Return the symbol of a position, open or closed; None if it has not been projected."""
    rows = Position.objects.filter(position_id=position_id).values_list("symbol", flat=True)
    return rows.first()


def ledger_faults() -> list[str]:
    """Return what does not add up, in sentences; empty when all is well.

    Each posting group and each book sum to zero; the entries of a client sum to the balance of the account.
    """
    groups = LedgerEntry.objects.values("layout", "shard", "n", "event_index")
    uneven = groups.annotate(total=Sum("amount_micros")).exclude(total=0).order_by("n")[:10]
    faults = [f"the postings of output {row['n']} sum to {row['total']}" for row in uneven]
    clients = dict(
        LedgerEntry.objects.filter(ledger__contains=":client:")
        .values_list("ledger")
        .annotate(total=Sum("amount_micros"))
        .order_by("ledger")
    )
    for account in Account.objects.order_by("account").iterator():
        ledger = f"{account.kind}:client:{account.account}"
        total = clients.pop(ledger, 0)
        if total != account.balance_micros:
            faults.append(f"{ledger} sums to {total}, its balance is {account.balance_micros}")
    faults += [f"{ledger} belongs to no account" for ledger in clients]
    return faults


@dataclass(frozen=True, slots=True)
class SymbolTurnover:
    """What was filled in one instrument."""

    symbol: str
    # Sum of quantity x price, units x ticks; opens and closes both count.
    ticks_units: int


def turnover_since(*, at_us: int) -> tuple[tuple[SymbolTurnover, ...], int]:
    """Return the turnover by symbol since an instant, and how many accounts took part."""
    fills = Fill.objects.filter(at_us__gte=at_us)
    # Wider than BIGINT: a day of a busy house may pass it.
    product = ExpressionWrapper(
        Cast("quantity_units", DecimalField(max_digits=40, decimal_places=0)) * F("price_ticks"),
        output_field=DecimalField(max_digits=60, decimal_places=0),
    )
    rows = fills.values_list("symbol").annotate(total=Sum(product)).order_by("symbol")
    accounts = fills.aggregate(count=Count("account", distinct=True))["count"]
    return tuple(SymbolTurnover(symbol, int(total)) for symbol, total in rows), accounts
