"""Keeps each account's figures of each day, and the last quote of each instrument that the journal has kept.

An account is valued after its last event of a day, at the prices that were on record then. So the figures follow from the journal alone
and come out equal however its outputs are divided into batches.
"""

from collections.abc import Iterator, Sequence
from datetime import date

from apps.common.clock import datetime_from_us
from apps.common.outputs import Output
from apps.trade.models import AccountDay, Position, SymbolMark
from apps.trade.services.projection.rows import BatchRows
from engine.messages import events as ev
from engine.values import Direction, entry_time_us

_MICRO_DECIMALS = 6

Found = tuple[Output, int, ev.AccountEvent]


def scales_apply(outputs: Sequence[Output]) -> None:
    """Take over how the definitions in some outputs of one shard scale prices, in the caller's transaction."""
    found: dict[str, SymbolMark] = {}
    for output in outputs:
        for event in output.events:
            if isinstance(event, ev.InstrumentDefined):
                spec = event.spec
                decimals = _MICRO_DECIMALS - spec.price_decimals - spec.quantity_decimals
                found[spec.symbol] = SymbolMark(
                    shard=output.shard, symbol=spec.symbol, k=10**decimals
                )
    SymbolMark.objects.bulk_create(
        [found[symbol] for symbol in sorted(found)],
        update_conflicts=True,
        unique_fields=["shard", "symbol"],
        update_fields=["k"],
    )


class DayBook:
    """The days and quotes that one batch of a shard's events touches: loaded once, written once."""

    def __init__(self, found: Sequence[Found], rows: BatchRows) -> None:
        self._rows = rows
        self._shard = found[0][0].shard
        accounts = {event.account for _, _, event in found}
        days = {day_of(output) for output, _, _ in found}
        self._days = {
            (row.account, row.day): row
            for row in AccountDay.objects.filter(account__in=accounts, day__in=days)
        }
        # Open positions that no event of the batch names, and that stay as they are.
        self._untouched: dict[int, list[Position]] = {}
        for position in Position.objects.filter(account__in=accounts, closed_at_us__isnull=True):
            if rows.positions.find(position.position_id) is None:
                self._untouched.setdefault(position.account, []).append(position)
        self._marks = {row.symbol: row for row in SymbolMark.objects.filter(shard=self._shard)}
        self._changed_marks: set[str] = set()
        # Where in the batch each account has its last event of each day.
        self._last = {
            (event.account, day_of(output)): place for place, (output, _, event) in enumerate(found)
        }

    def take(self, place: int, output: Output, event: ev.AccountEvent, before_micros: int) -> None:
        """Take over an event that the rows have taken."""
        self._mark(event)
        day = day_of(output)
        key = (event.account, day)
        row = self._days.get(key)
        if row is None:
            row = AccountDay(account=event.account, day=day, opening_micros=before_micros)
            self._days[key] = row
        row.closing_micros = self._rows.accounts.get(event.account).balance_micros
        _add(row, event, row.closing_micros - before_micros)
        if self._last[key] == place:
            row.unrealised_micros = sum(map(self._unrealised, self._open_positions(event.account)))
            row.equity_micros = row.closing_micros + row.unrealised_micros

    def write(self) -> None:
        """Write all days and quotes, in the caller's transaction."""
        AccountDay.objects.bulk_create(
            [self._days[key] for key in sorted(self._days)],
            update_conflicts=True,
            unique_fields=["account", "day"],
            update_fields=[
                *("closing_micros", "pnl_micros", "commission_micros", "swap_micros"),
                *("other_micros", "trades", "unrealised_micros", "equity_micros"),
            ],
        )
        SymbolMark.objects.bulk_create(
            [self._marks[symbol] for symbol in sorted(self._changed_marks)],
            update_conflicts=True,
            unique_fields=["shard", "symbol"],
            update_fields=["k", "bid_ticks", "ask_ticks", "ts_us"],
        )

    def _mark(self, event: ev.AccountEvent) -> None:
        receipt: ev.Receipt | None = getattr(event, "receipt", None)
        quote = receipt.quote if receipt else None
        if quote is None:
            return
        row = self._marks.setdefault(
            quote.symbol, SymbolMark(shard=self._shard, symbol=quote.symbol)
        )
        if quote.ts_us >= row.ts_us:
            row.bid_ticks, row.ask_ticks, row.ts_us = quote.bid_ticks, quote.ask_ticks, quote.ts_us
            self._changed_marks.add(quote.symbol)

    def _open_positions(self, account: int) -> Iterator[Position]:
        yield from self._untouched.get(account, ())
        for position in self._rows.positions.all():
            if position.account == account and position.open_units:
                yield position

    def _unrealised(self, position: Position) -> int:
        mark = self._marks.get(position.symbol)
        if mark is None or mark.bid_ticks is None or mark.ask_ticks is None:
            # Opened in another layout of shards, and nothing of its symbol has happened in this one yet.
            return 0
        if position.direction == Direction.LONG:
            gained_ticks = mark.bid_ticks - position.entry_price_ticks
        else:
            gained_ticks = position.entry_price_ticks - mark.ask_ticks
        return gained_ticks * position.open_units * mark.k


def day_of(output: Output) -> date:
    """Return the day (UTC) of an output."""
    return datetime_from_us(entry_time_us(output.entry_id)).date()


def _add(row: AccountDay, event: ev.AccountEvent, amount_micros: int) -> None:
    """Divide what an event did to the balance among the figures of its day."""
    pnl = commission = swap = 0
    if isinstance(event, ev.PositionClosed):
        pnl, commission = event.pnl_micros, event.commission_micros
        row.trades += 1
    elif isinstance(event, ev.PositionOpened):
        commission = event.commission_micros
    elif isinstance(event, ev.SwapCharged):
        swap = event.amount_micros
    row.pnl_micros += pnl
    row.commission_micros += commission
    row.swap_micros += swap
    row.other_micros += amount_micros - pnl + commission - swap
