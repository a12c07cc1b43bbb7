"""The read-model rows that one batch of outputs touches: loaded once, changed in memory, written once."""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from operator import attrgetter
from typing import Any, Generic, TypeVar

from django.db import connection
from django.db.models import Model

from apps.trade.models import Account, ClosedTrade, Fill, HistoryEvent, Order, Position
from apps.trade.services.projection.journal import copy_rows
from engine.messages import events as ev
from engine.values import check

M = TypeVar("M", bound=Model)
K = TypeVar("K", int, str)


class Rows(Generic[K, M]):
    """Rows of one model by primary key."""

    def __init__(self, model: type[M], keys: Iterable[K]) -> None:
        self._model = model
        self._rows: dict[K, M] = model._default_manager.in_bulk(list(keys))  # noqa: SLF001 - the documented way for any model.

    def get(self, key: K) -> M:
        """Return a row that must be there.

        Errors: InvariantError: the events before have been lost.
        """
        row = self._rows.get(key)
        check(row is not None, f"an event names an unknown {self._model.__name__} {key}")
        assert row is not None  # noqa: S101 - tells the type checker what check() has made sure.
        return row

    def find(self, key: K) -> M | None:
        """Return a row or None."""
        return self._rows.get(key)

    def all(self) -> Iterable[M]:
        """Return the rows that the batch has touched."""
        return self._rows.values()

    def add(self, key: K, row: M) -> None:
        """Add a row that must be new."""
        check(key not in self._rows, f"{self._model.__name__} {key} exists already")
        self._rows[key] = row

    def write(self) -> None:
        """Insert or update every row."""
        if not self._rows:
            return
        meta = self._model._meta  # noqa: SLF001 - Django's public, documented API.
        fields = [field.name for field in meta.concrete_fields if not field.primary_key]
        self._model._default_manager.bulk_create(  # noqa: SLF001 - as above.
            # In one order everywhere, so that two writers could not lock each other out.
            [self._rows[key] for key in sorted(self._rows)],
            update_conflicts=True,
            unique_fields=[meta.pk.name],
            update_fields=fields,
        )


class BatchRows:
    """Everything that a batch of events may change."""

    def __init__(self, events: Sequence[ev.AccountEvent]) -> None:
        positions = {e.position_id for e in events if hasattr(e, "position_id")}
        for event in events:
            if isinstance(event, ev.AccountTermsChanged):
                positions.update(position_id for position_id, _ in event.liquidations)
        orders = {e.order_id for e in events if hasattr(e, "order_id")}
        # A position has the id of the order that opened it.
        opened = {e.position_id for e in events if isinstance(e, ev.PositionOpened)}
        self.accounts = Rows[int, Account](Account, {e.account for e in events})
        self.positions = Rows[str, Position](Position, positions)
        self.orders = Rows[str, Order](Order, orders | opened)
        self.fills: list[Fill] = []
        self.closed_trades: list[ClosedTrade] = []
        self.history: list[HistoryEvent] = []

    def write(self) -> None:
        """Write all rows, in the caller's transaction."""
        self.accounts.write()
        self.orders.write()
        self.positions.write()
        _append(Fill, self.fills)
        _append(ClosedTrade, self.closed_trades)
        _append(HistoryEvent, self.history)


def _append(model: type[M], rows: Sequence[M]) -> None:
    # COPY, as for the journal: bulk_create takes three times as long, most of it to prepare values that are plain already.
    if rows:
        statement, types, values_of = _copy_of(model)
        copy_rows(statement, types, map(values_of, rows))


@cache
def _copy_of(model: type[Model]) -> tuple[str, Sequence[str], Callable[[Model], Sequence[Any]]]:
    """Return what COPY needs to know of a model: the statement, the types of its columns, and a row's values."""
    meta = model._meta  # noqa: SLF001 - Django's public, documented API.
    fields = meta.concrete_fields
    columns = ", ".join(str(field.column) for field in fields)
    # Without a length: varchar(40) is varchar.
    types = [str(field.db_type(connection)).partition("(")[0] for field in fields]
    values_of = attrgetter(*(field.attname for field in fields))
    return f"COPY {meta.db_table} ({columns}) FROM STDIN (FORMAT BINARY)", types, values_of
