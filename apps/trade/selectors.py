"""Reads of the journal and the read models; nothing is changed here.

What must be current (balance, open positions) is asked of the engine instead.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Final, get_args

from django.db.models import (
    CharField,
    Count,
    DecimalField,
    ExpressionWrapper,
    F,
    OuterRef,
    Q,
    Subquery,
    Sum,
    Value,
)
from django.db.models.functions import Cast, Concat

from apps.trade.models import (
    Account,
    AccountDay,
    ClosedTrade,
    Fill,
    HistoryEvent,
    JournalEntry,
    LedgerEntry,
    Order,
    Position,
    ProjectorOffset,
    SymbolMark,
)
from apps.trade.models.ids import by_id
from engine.messages import events as ev
from engine.values import Direction, Side

DAY_US: Final = 86_400_000_000
# Names of the events that carry postings.
MONEY_KINDS: Final = tuple(
    kind.__name__ for kind in get_args(ev.AnyAccountEvent) if "postings" in kind.__struct_fields__
)


def layouts() -> list[list[ProjectorOffset]]:
    """Return where the journal stands: the offsets of each layout, oldest first, by shard."""
    rows = ProjectorOffset.objects.order_by("layout", "shard")
    return [list(group) for _, group in groupby(rows, key=lambda row: row.layout)]


def projected_number(*, shard: int) -> int:
    """Return the number of the last output of a shard that stands in the journal; 0 before the first."""
    row = ProjectorOffset.objects.filter(shard=shard).order_by("-layout").values_list("n").first()
    return row[0] if row else 0


def journal_entries_of_request(
    *, account: int, request_id: str, output_id: int
) -> list[JournalEntry]:
    """Return the journal rows that answered a request at an output id (packed), newest layout first."""
    rows = JournalEntry.objects.filter(
        account=account, request_id=request_id, output_id=output_id
    ).exclude(request_id="")
    return list(rows.order_by("-layout", "shard"))


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFilter:
    """Which rows of an account's history are meant; None is any."""

    account_id: int
    symbol: str | None = None
    # buy or sell: side of the order that opened.
    side: Side | None = None
    # Microseconds UTC; from the first on, before the second.
    start_us: int | None = None
    end_us: int | None = None


_DIRECTIONS: Final = {Side.BUY: Direction.LONG, Side.SELL: Direction.SHORT}
_CLOSED_ORDERS: Final = {"closedAt": "seq", "pnl": "pnl_micros"}
_ORDERS: Final = {"createdAt": "placed_at_us"}


def closed_trades(
    *, rows: RowFilter, close_reason: str | None, sort: str, limit: int, offset: int
) -> tuple[list[ClosedTrade], int]:
    """Return a page of an account's closings, and how many there are in all."""
    found = ClosedTrade.objects.filter(
        _times("closed_at_us", rows), **_given(symbol=rows.symbol), account=rows.account_id
    )
    if rows.side is not None:
        found = found.filter(direction=_DIRECTIONS[rows.side].value)
    if close_reason is not None:
        found = found.filter(close_reason=close_reason)
    sign, name = _sort_parts(sort)
    found = found.order_by(sign + _CLOSED_ORDERS[name], f"{sign}seq")
    return list(found[offset : offset + limit]), found.count()


def orders_page(
    *, rows: RowFilter, state: str | None, sort: str, limit: int, offset: int
) -> tuple[list[Order], int]:
    """Return a page of an account's orders, whatever became of them, and how many there are in all."""
    found = Order.objects.filter(
        _times("placed_at_us", rows),
        **_given(symbol=rows.symbol, state=state, side=rows.side and rows.side.value),
        account=rows.account_id,
    )
    sign, name = _sort_parts(sort)
    found = found.order_by(sign + _ORDERS[name], *by_id("order_id", is_descending=bool(sign)))
    return list(found[offset : offset + limit]), found.count()


def _times(column: str, rows: RowFilter) -> Q:
    times = Q()
    if rows.start_us is not None:
        times &= Q(**{f"{column}__gte": rows.start_us})
    if rows.end_us is not None:
        times &= Q(**{f"{column}__lt": rows.end_us})
    return times


def _given(**conditions: str | None) -> dict[str, str]:
    return {name: value for name, value in conditions.items() if value is not None}


def _sort_parts(sort: str) -> tuple[str, str]:
    name = sort.removeprefix("-")
    return sort[: -len(name)], name


def order_by_id(*, order_id: str) -> Order | None:
    """Return an order that has been projected, None for an unknown one."""
    return Order.objects.filter(order_id=order_id).first()


def order_parts(*, order_id: str) -> tuple[Position | None, list[Fill], list[ClosedTrade]]:
    """Return the position that an order opened, its fills and its closings, oldest first."""
    position = Position.objects.filter(position_id=order_id).first()
    fills = Fill.objects.filter(position_id=order_id).order_by(
        "at_us", "n", *by_id("fill_id", is_descending=False)
    )
    closings = ClosedTrade.objects.filter(position_id=order_id).order_by("seq")
    return position, list(fills), list(closings)


def history_of_order(*, account_id: int, order_id: str) -> list[HistoryEvent]:
    """Return every event of an order, oldest first."""
    rows = HistoryEvent.objects.filter(order_id=order_id, account=account_id)
    return list(rows.order_by("seq"))


def history_after(*, account_id: int, seq: int, limit: int) -> list[HistoryEvent]:
    """Return an account's events after one, oldest first."""
    rows = HistoryEvent.objects.filter(account=account_id, seq__gt=seq)
    return list(rows.order_by("seq")[:limit])


def money_page(
    *, rows: RowFilter, kind: str | None, before_seq: int | None, limit: int
) -> list[HistoryEvent]:
    """Return events that carry postings, newest first, below a seq if one is given."""
    found = HistoryEvent.objects.filter(
        _times("at_us", rows),
        **_given(symbol=rows.symbol, kind=kind),
        account=rows.account_id,
        kind__in=MONEY_KINDS,
    )
    if before_seq is not None:
        found = found.filter(seq__lt=before_seq)
    return list(found.order_by("-seq")[:limit])


def balance_before(*, account_id: int, at_us: int, seq_max: int) -> int:
    """Return an account's balance right before an instant, micro-USD; 0 before its first event."""
    before = HistoryEvent.objects.filter(account=account_id, at_us__lt=at_us, seq__lte=seq_max)
    balance: int | None = before.order_by("-seq").values_list("balance_micros", flat=True).first()
    return balance or 0


def money_between(
    *, account_id: int, start_us: int, end_us: int, after_seq: int, seq_max: int, limit: int
) -> list[HistoryEvent]:
    """Return events of a period that carry postings, oldest first, after a seq and up to another."""
    found = HistoryEvent.objects.filter(
        account=account_id,
        at_us__gte=start_us,
        at_us__lt=end_us,
        seq__gt=after_seq,
        seq__lte=seq_max,
        kind__in=MONEY_KINDS,
    )
    return list(found.order_by("seq")[:limit])


def money_count(*, account_id: int, start_us: int, end_us: int) -> int:
    """Return how many events of a period carry postings."""
    found = HistoryEvent.objects.filter(
        account=account_id, at_us__gte=start_us, at_us__lt=end_us, kind__in=MONEY_KINDS
    )
    return found.count()


def closings_between(
    *, account_id: int, start_us: int, end_us: int, seq_max: int
) -> list[ClosedTrade]:
    """Return an account's closings of a period up to a seq, oldest first."""
    found = ClosedTrade.objects.filter(
        account=account_id, closed_at_us__gte=start_us, closed_at_us__lt=end_us, seq__lte=seq_max
    )
    return list(found.order_by("seq"))


def unrealised_by_day(*, account_id: int, last: date) -> list[tuple[date, int]]:
    """Return what an account's open positions had gained after its last event of each day until one, oldest first; micro-USD."""
    found = AccountDay.objects.filter(account=account_id, day__lte=last)
    return list(found.order_by("day").values_list("day", "unrealised_micros"))


def first_event_us(*, account_id: int) -> int | None:
    """Return when an account had its first event, None before it."""
    times = HistoryEvent.objects.filter(account=account_id).order_by("seq")
    found: int | None = times.values_list("at_us", flat=True).first()
    return found


def positions_held(*, account_id: int, start_us: int, end_us: int, seq_max: int) -> list[Position]:
    """Return an account's positions that were open at some time of a period, without those opened after a seq."""
    later = HistoryEvent.objects.filter(
        account=account_id, kind="PositionOpened", seq__gt=seq_max
    ).values("order_id")
    found = Position.objects.filter(account=account_id, opened_at_us__lt=end_us)
    was_open = Q(closed_at_us__isnull=True) | Q(closed_at_us__gte=start_us)
    return list(found.filter(was_open).exclude(position_id__in=later).order_by("position_id"))


def closings_of(*, position_ids: Collection[str], seq_max: int) -> list[ClosedTrade]:
    """Return the closings of some positions up to a seq, oldest first."""
    found = ClosedTrade.objects.filter(position_id__in=position_ids, seq__lte=seq_max)
    return list(found.order_by("seq"))


def symbol_scales(*, symbols: Collection[str]) -> dict[str, int]:
    """Return how much one tick of one unit is, micro-USD, by symbol; every shard has the same."""
    found = SymbolMark.objects.filter(symbol__in=symbols, k__gt=0)
    return dict(found.order_by("symbol", "shard").values_list("symbol", "k"))


def postings_of(
    *, events: Sequence[HistoryEvent]
) -> dict[tuple[int, int, int, int], list[LedgerEntry]]:
    """Return the postings of some events of one account, by (layout, shard, n, event_index)."""
    wanted = {(e.layout, e.shard, e.n, e.event_index) for e in events}
    found: dict[tuple[int, int, int, int], list[LedgerEntry]] = {key: [] for key in wanted}
    for layout, shard in {(e.layout, e.shard) for e in events}:
        ours = [e for e in events if (e.layout, e.shard) == (layout, shard)]
        entries = LedgerEntry.objects.filter(
            layout=layout,
            shard=shard,
            n__in={e.n for e in ours},
            # An output may hold events of thousands of accounts.
            event_index__in={e.event_index for e in ours},
        )
        for entry in entries.order_by("n", "event_index", "posting_index"):
            key = (layout, shard, entry.n, entry.event_index)
            if key in found:
                found[key].append(entry)
    return found


def journal_entries_of(
    *, events: Sequence[HistoryEvent]
) -> dict[tuple[int, int, int], JournalEntry]:
    """Return the journal rows of some events, by (layout, shard, n)."""
    found: dict[tuple[int, int, int], JournalEntry] = {}
    places: dict[tuple[int, int], set[int]] = {}
    for event in events:
        places.setdefault((event.layout, event.shard), set()).add(event.n)
    for (layout, shard), numbers in places.items():
        for row in JournalEntry.objects.filter(layout=layout, shard=shard, n__in=numbers):
            found[layout, shard, row.n] = row
    return found


def journal_entry_by_request(*, account_id: int, request_id: str) -> JournalEntry | None:
    """Return the output that decided a request first; later ones are repeats of it."""
    rows = JournalEntry.objects.filter(account=account_id, request_id=request_id)
    return rows.order_by("layout", "n").first()


def projected_until(*, shard: int) -> int:
    """Return the id (packed) of the last output of a shard that has been projected."""
    offset = ProjectorOffset.objects.filter(shard=shard).order_by("-layout").first()
    return offset.output_id if offset else 0


def order_symbols(*, order_ids: Collection[str]) -> dict[str, str]:
    """Return the symbols of orders by id."""
    rows = Order.objects.filter(order_id__in=order_ids)
    return dict(rows.values_list("order_id", "symbol"))


def account_seq(*, account_id: int) -> int:
    """Return the last event of an account that has been projected; 0 before the first."""
    seq: int | None = (
        Account.objects.filter(account=account_id).values_list("seq", flat=True).first()
    )
    return seq or 0


@dataclass(frozen=True, slots=True)
class AccountSum:
    """What the read models and the ledger say of one account."""

    account: int
    # Its last event that has been projected.
    seq: int
    balance_micros: int
    # Sum of the client's postings, micro-USD.
    ledger_micros: int


def account_sums(*, after: int, limit: int) -> list[AccountSum]:
    """Return the accounts behind one by id, with what their postings sum to; all as of one moment."""
    ledger = Concat(
        OuterRef("kind"),
        Value(":client:"),
        Cast(OuterRef("account"), CharField()),
        output_field=CharField(),
    )
    # The second condition, which follows from the other, is that of the index.
    own = LedgerEntry.objects.filter(
        account=OuterRef("account"), ledger=ledger, ledger__contains=":client:"
    )
    total = own.order_by().values("account").annotate(total=Sum("amount_micros")).values("total")
    rows = Account.objects.filter(account__gt=after).order_by("account")
    found = rows.annotate(total=Subquery(total)).values_list(
        "account", "seq", "balance_micros", "total"
    )
    return [
        AccountSum(account, seq, balance, int(total or 0))
        for account, seq, balance, total in found[:limit]
    ]


def journal_count(*, layout: int, shard: int, after: int, upto: int) -> int:
    """Return how many outputs of a chain stand in the journal with after < number <= upto."""
    return JournalEntry.objects.filter(layout=layout, shard=shard, n__gt=after, n__lte=upto).count()


def ledger_totals() -> dict[str, int]:
    """Return the sum of each ledger account that is not zero, micro-USD."""
    rows = LedgerEntry.objects.values_list("ledger").annotate(total=Sum("amount_micros"))
    return {name: int(total) for name, total in rows.order_by("ledger") if total}


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
