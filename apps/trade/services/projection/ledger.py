"""Writes the postings of events: each event's group in one statement, where a trigger checks that it sums to zero."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from apps.common.outputs import Output
from apps.trade.services.projection.journal import copy_rows
from engine.messages.events import AccountEvent

_LEDGER_COPY: Final = """
COPY trade_ledgerentry (layout, shard, n, event_index, posting_index, ledger, amount_micros, account, kind)
FROM STDIN (FORMAT BINARY)
"""
_LEDGER_TYPES: Final = (
    *("int2", "int2", "int8", "int4", "int2", "varchar", "int8"),
    *("int8", "varchar"),
)


def ledger_append(layout: int, outputs: Sequence[Output]) -> None:
    """Append the postings of all events of some outputs, in the caller's transaction.

    Errors: django IntegrityError when a group does not sum to zero or stands there already.
    """
    rows = list(_rows(layout, outputs))
    if rows:
        copy_rows(_LEDGER_COPY, _LEDGER_TYPES, rows)


def _rows(layout: int, outputs: Sequence[Output]) -> Iterator[tuple[Any, ...]]:
    for output in outputs:
        for event_index, event in enumerate(output.events):
            if not isinstance(event, AccountEvent):
                continue
            for posting_index, posting in enumerate(getattr(event, "postings", ())):
                yield (
                    layout,
                    output.shard,
                    output.n,
                    event_index,
                    posting_index,
                    posting.ledger,
                    posting.amount_micros,
                    event.account,
                    type(event).__name__,
                )
