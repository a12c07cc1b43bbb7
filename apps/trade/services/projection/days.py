"""Keeps each account's figures of each day, and the last quote of each instrument that the journal has kept.

An account is valued after its last event of a day, at the prices that were on record then. So the figures follow from the journal alone
and come out equal however its outputs are divided into batches.
"""

from collections.abc import Sequence
from datetime import date
from functools import lru_cache

from apps.common.arrays import Integers, Texts
from apps.common.clock import datetime_from_us
from apps.common.outputs import Output
from apps.trade.models import Account, AccountDay, Position, SymbolMark
from apps.trade.services.projection.rows import BatchRows, row_new, rows_replace, rows_where
from engine.messages import events as ev
from engine.values import Direction, entry_time_us

_MICRO_DECIMALS = 6
_DAY_US = 86_400_000_000

# An event, its output and place in it, and the day (UTC).
Found = tuple[Output, int, ev.AccountEvent, date]


def scales_apply(outputs: Sequence[Output]) -> None:
    """Take over how the definitions in some outputs of one shard scale prices, in the caller's transaction."""
    found: dict[str, SymbolMark] = {}
    for output in outputs:
        for event in output.events:
            if type(event) is ev.InstrumentDefined:
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
        accounts = Integers.of(list({event.account for _, _, event, _ in found}))
        # Where in the batch each account has its last event of each day.
        self._last = {(event.account, day): place for place, (_, _, event, day) in enumerate(found)}
        days = Texts.of(list({day.isoformat() for _, day in self._last}))
        condition = "account = ANY(%s::bigint[]) AND day = ANY(%s::text[]::date[])"
        self._days = {
            (row.account, row.day): row for row in rows_where(AccountDay, condition, accounts, days)
        }
        # Open positions: those that no event of the batch names stay as they are, all others are in the rows.
        self._positions: dict[int, dict[str, Position]] = {}
        condition = "account = ANY(%s::bigint[]) AND closed_at_us IS NULL"
        for position in rows_where(Position, condition, accounts):
            ours = rows.positions.find(position.position_id) or position
            self._positions.setdefault(position.account, {})[position.position_id] = ours
        marks = rows_where(SymbolMark, "shard = ANY(%s::bigint[])", Integers.of([self._shard]))
        self._marks = {row.symbol: row for row in marks}
        self._changed_marks: set[str] = set()

    def take(
        self, place: int, day: date, event: ev.AccountEvent, account: Account, before_micros: int
    ) -> None:
        """Take over an event that the rows have taken; account is its row, before_micros the balance before."""
        self._mark(event)
        if type(event) is ev.PositionOpened:
            position = self._rows.positions.get(event.position_id)
            self._positions.setdefault(event.account, {})[event.position_id] = position
        elif type(event) is ev.PositionClosed and not event.remaining_units:
            del self._positions[event.account][event.position_id]
        key = (event.account, day)
        row = self._days.get(key)
        if row is None:
            row = row_new(AccountDay, account=event.account, day=day, opening_micros=before_micros)
            self._days[key] = row
        row.closing_micros = account.balance_micros
        _add(row, event, account.balance_micros - before_micros)
        if self._last[key] == place:
            positions = self._positions.get(event.account, {}).values()
            row.unrealised_micros = sum(map(self._unrealised, positions))
            row.equity_micros = row.closing_micros + row.unrealised_micros

    def write(self) -> None:
        """Write all days and quotes, in the caller's transaction."""
        rows_replace(AccountDay, [self._days[key] for key in sorted(self._days)])
        rows_replace(SymbolMark, [self._marks[symbol] for symbol in sorted(self._changed_marks)])

    def _mark(self, event: ev.AccountEvent) -> None:
        receipt: ev.Receipt | None = getattr(event, "receipt", None)
        quote = receipt.quote if receipt else None
        if quote is None:
            return
        row = self._marks.get(quote.symbol)
        if row is None:
            row = row_new(SymbolMark, shard=self._shard, symbol=quote.symbol)
            self._marks[quote.symbol] = row
        if quote.ts_us >= row.ts_us:
            row.bid_ticks, row.ask_ticks, row.ts_us = quote.bid_ticks, quote.ask_ticks, quote.ts_us
            self._changed_marks.add(quote.symbol)

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


def day_of(entry_id: int) -> date:
    """Return the day (UTC) of an output by its packed id."""
    return _day(entry_time_us(entry_id) // _DAY_US)


@lru_cache(maxsize=8)
def _day(number: int) -> date:
    return datetime_from_us(number * _DAY_US).date()


def _add(row: AccountDay, event: ev.AccountEvent, amount_micros: int) -> None:
    """Divide what an event did to the balance among the figures of its day."""
    other = amount_micros
    if type(event) is ev.PositionClosed:
        row.trades += 1
        row.pnl_micros += event.pnl_micros
        row.commission_micros += event.commission_micros
        other -= event.pnl_micros - event.commission_micros
    elif type(event) is ev.PositionOpened:
        row.commission_micros += event.commission_micros
        other += event.commission_micros
    elif type(event) is ev.SwapCharged:
        row.swap_micros += event.amount_micros
        other -= event.amount_micros
    if other:
        row.other_micros += other
