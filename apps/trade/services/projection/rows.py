"""The read-model rows that one batch of outputs touches: loaded once, changed in memory, written once.

A row is an instance of its model, but made and stored past Django: its constructor, its preparing of values that are plain already and
its text of each statement took most of what an order cost here. The models stay the only definition of the tables.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from operator import itemgetter
from typing import Any, Final, Generic, TypeVar

from django.db import connection
from django.db.models import Field, Model

from apps.common.arrays import Integers, Texts
from apps.trade.models import Account, ClosedTrade, Fill, HistoryEvent, Order, Position
from apps.trade.services.projection.journal import copy_rows, statement_run
from engine.messages import events as ev
from engine.values import InvariantError

M = TypeVar("M", bound=Model)
K = TypeVar("K", int, str)

_INTEGERS: Final = ("bigint", "integer", "smallint")

# What is only ever added is kept as plain values: the fields of each, in their order there.
FILL: Final = (
    *("fill_id", "account", "position_id", "symbol", "side", "is_closing"),
    *("quantity_units", "price_ticks", "commission_micros", "at_us", "shard", "n"),
)
CLOSED_TRADE: Final = (
    *("fill_id", "account", "position_id", "symbol", "direction", "quantity_units"),
    *("entry_price_ticks", "close_price_ticks", "pnl_micros", "commission_micros"),
    *("insured_micros", "close_reason", "opened_at_us", "closed_at_us", "seq"),
)
HISTORY: Final = (
    *("account", "seq", "layout", "shard", "n", "event_index", "kind", "order_id", "symbol"),
    *("amount_micros", "balance_micros", "at_us"),
)


def row_new(model: type[M], /, **values: Any) -> M:
    """Return a row of a model with these values and the defaults of its other fields; never to be saved by itself."""
    defaults = _table_of(model).defaults
    merged = {**defaults, **values}
    if len(merged) != len(defaults):
        raise TypeError(f"{model.__name__} lacks a field of {sorted(values)}")
    row = model.__new__(model)
    row.__dict__ = merged
    return row


class Rows(Generic[K, M]):
    """Rows of one model by primary key."""

    def __init__(self, model: type[M], keys: Iterable[K]) -> None:
        self._model = model
        self._rows: dict[K, M] = rows_load(model, list(keys))
        self._stored: frozenset[K] = frozenset(self._rows)

    def get(self, key: K) -> M:
        """Return a row that must be there.

        Errors: InvariantError: the events before have been lost.
        """
        row = self._rows.get(key)
        if row is None:
            raise InvariantError(f"an event names an unknown {self._model.__name__} {key}")
        return row

    def find(self, key: K) -> M | None:
        """Return a row or None."""
        return self._rows.get(key)

    def all(self) -> Iterable[M]:
        """Return all rows."""
        return self._rows.values()

    def add(self, key: K, row: M) -> None:
        """Add a row that must be new."""
        if key in self._rows:
            raise InvariantError(f"{self._model.__name__} {key} exists already")
        self._rows[key] = row

    def write(self) -> None:
        """Insert what is new and update what was there."""
        # In one order everywhere, so that two writers could not lock each other out.
        keys = sorted(self._rows)
        rows_append(self._model, [self._rows[key] for key in keys if key not in self._stored])
        rows_replace(self._model, [self._rows[key] for key in keys if key in self._stored])


class BatchRows:
    """Everything that a batch of events may change."""

    def __init__(self, events: Sequence[ev.AccountEvent]) -> None:
        positions = {e.position_id for e in events if hasattr(e, "position_id")}
        for event in events:
            if type(event) is ev.AccountTermsChanged:
                positions.update(position_id for position_id, _ in event.liquidations)
        orders = {e.order_id for e in events if hasattr(e, "order_id")}
        # A position has the id of the order that opened it.
        opened = {e.position_id for e in events if type(e) is ev.PositionOpened}
        self.accounts = Rows[int, Account](Account, {e.account for e in events})
        self.positions = Rows[str, Position](Position, positions)
        self.orders = Rows[str, Order](Order, orders | opened)
        self.fills: list[tuple[Any, ...]] = []
        self.closed_trades: list[tuple[Any, ...]] = []
        self.history: list[tuple[Any, ...]] = []

    def write(self) -> None:
        """Write all rows, in the caller's transaction."""
        self.accounts.write()
        self.orders.write()
        self.positions.write()
        values_append(Fill, FILL, self.fills)
        values_append(ClosedTrade, CLOSED_TRADE, self.closed_trades)
        values_append(HistoryEvent, HISTORY, self.history)


# --- tables -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Table:
    """What is to be known of a model to read and write its rows."""

    # By the names that its fields have in a row's __dict__.
    defaults: dict[str, Any]
    names: tuple[str, ...]
    columns: tuple[str, ...]
    # Without a length: varchar(40) is varchar.
    types: tuple[str, ...]
    values_of: Callable[[dict[str, Any]], Sequence[Any]]
    select: str
    replace: str


def rows_load(model: type[M], keys: Sequence[K]) -> dict[K, M]:
    """Return those rows of a model that have one of these keys."""
    # The key is the first field of every model that is read this way.
    table = _table_of(model)
    name, kind = table.columns[0], table.types[0]
    array = "bigint[]" if kind in _INTEGERS else "text[]"
    rows = rows_where(model, f"{name} = ANY(%s::{array})", column_of(kind, keys)) if keys else []
    return {row.__dict__[table.names[0]]: row for row in rows}


def rows_where(model: type[M], condition: str, *arrays: Integers | Texts) -> list[M]:
    """Return the rows of a model that meet a condition of SQL on some arrays."""
    table = _table_of(model)
    rows = []
    for values in statement_run(f"{table.select} WHERE {condition}", arrays):
        row = model.__new__(model)
        row.__dict__ = dict(zip(table.names, values, strict=True))
        rows.append(row)
    return rows


def rows_append(model: type[M], rows: Sequence[M]) -> None:
    """Insert rows that are new."""
    table = _table_of(model)
    values_append(model, table.names, [table.values_of(row.__dict__) for row in rows])


def values_append(
    model: type[Model], names: tuple[str, ...], rows: Sequence[Sequence[Any]]
) -> None:
    """Insert new rows of the values of these fields, which are all that the model has."""
    if rows:
        copy_rows(*_copy_of(model, names), rows)


def rows_replace(model: type[M], rows: Sequence[M]) -> None:
    """Insert rows, or let them take the place of those with their keys."""
    if rows:
        table = _table_of(model)
        columns = zip(*(table.values_of(row.__dict__) for row in rows), strict=True)
        statement_run(
            table.replace, [column_of(t, c) for t, c in zip(table.types, columns, strict=True)]
        )


def column_of(kind: str, values: Sequence[Any]) -> Integers | Texts:
    """Return values of a type of PostgreSQL as one array."""
    if kind in _INTEGERS:
        return Integers.of(values)
    if kind == "varchar":
        return Texts.of(values)
    # Booleans and dates, as PostgreSQL reads them.
    return Texts.of([None if value is None else str(value) for value in values])


@cache
def _table_of(model: type[Model]) -> _Table:
    meta = model._meta  # noqa: SLF001 - Django's public, documented API.
    fields: Sequence[Field[Any, Any]] = meta.concrete_fields
    quoted = connection.ops.quote_name
    key = [quoted(str(field.column)) for field in meta.pk_fields]
    columns = tuple(quoted(str(field.column)) for field in fields)
    types = tuple(str(field.db_type(connection)).partition("(")[0] for field in fields)
    relation = quoted(meta.db_table)
    listed = ", ".join(columns)
    arrays = ", ".join("%s::bigint[]" if t in _INTEGERS else "%s::text[]" for t in types)
    values = ", ".join(f"{name}::{t}" for name, t in zip(columns, types, strict=True))
    changes = ", ".join(f"{name} = EXCLUDED.{name}" for name in columns if name not in key)
    return _Table(
        defaults={field.attname: field.get_default() for field in fields},
        names=tuple(field.attname for field in fields),
        columns=columns,
        types=types,
        values_of=itemgetter(*(field.attname for field in fields)),
        select=f"SELECT {listed} FROM {relation}",
        replace=(
            f"INSERT INTO {relation} ({listed}) SELECT {values} FROM unnest({arrays}) AS given({listed})"
            f" ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changes}"
        ),
    )


@cache
def _copy_of(model: type[Model], names: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """Return the statement that loads rows of these fields, and their types."""
    table = _table_of(model)
    if sorted(names) != sorted(table.names):
        raise TypeError(f"{model.__name__} has other fields than {sorted(names)}")
    places = [table.names.index(name) for name in names]
    relation = connection.ops.quote_name(model._meta.db_table)  # noqa: SLF001 - as above.
    listed = ", ".join(table.columns[place] for place in places)
    statement = f"COPY {relation} ({listed}) FROM STDIN (FORMAT BINARY)"
    return statement, tuple(table.types[place] for place in places)
