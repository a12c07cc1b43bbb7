"""Writes the postings of events: each event's group in one statement, where a trigger checks that it sums to zero."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, get_args

from apps.common.outputs import Output
from apps.trade.services.projection.journal import copy_rows
from engine.messages import events as ev

_LEDGER_COPY: Final = """
COPY trade_ledgerentry (layout, shard, n, event_index, posting_index, ledger, amount_micros, account, kind)
FROM STDIN (FORMAT BINARY)
"""
_LEDGER_TYPES: Final = (
    *("int2", "int2", "int8", "int4", "int2", "varchar", "int8"),
    *("int8", "varchar"),
)
# Names of the events that carry postings.
POSTED: Final[Mapping[type[ev.Event], str]] = {
    kind: kind.__name__
    for kind in get_args(ev.AnyAccountEvent)
    if "postings" in kind.__struct_fields__
}


def ledger_append(layout: int, outputs: Sequence[Output]) -> None:
    """Append the postings of all events of some outputs, in the caller's transaction.

    Errors: django IntegrityError when a group does not sum to zero or stands there already.
    """
    rows = _rows(layout, outputs)
    if rows:
        copy_rows(_LEDGER_COPY, _LEDGER_TYPES, rows)


def _rows(layout: int, outputs: Sequence[Output]) -> list[tuple[Any, ...]]:
    rows = []
    for output in outputs:
        shard, n = output.shard, output.n
        events: Sequence[Any] = output.events
        for index, event in enumerate(events):
            kind = POSTED.get(type(event))
            if kind is None:
                continue
            account = event.account
            for place, posting in enumerate(event.postings):
                amount = posting.amount_micros
                rows.append((layout, shard, n, index, place, posting.ledger, amount, account, kind))
    return rows
