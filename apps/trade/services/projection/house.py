"""Adds up what each day brought the house's own ledger accounts, so that nobody has to read the whole ledger for it."""

from collections.abc import Sequence
from datetime import date
from typing import Any, Final

from apps.common.arrays import Integers, Texts
from apps.common.outputs import Output
from apps.trade.services.projection.days import day_of
from apps.trade.services.projection.journal import statement_run
from apps.trade.services.projection.ledger import POSTED

_HOUSE: Final = ":house:"
_ADD: Final = """
INSERT INTO trade_houseday (shard, ledger, day, amount_micros)
SELECT * FROM unnest(%s::bigint[], %s::text[], %s::text[]::date[], %s::bigint[])
ON CONFLICT (shard, ledger, day) DO UPDATE
SET amount_micros = trade_houseday.amount_micros + EXCLUDED.amount_micros"""


def house_days_add(outputs: Sequence[Output]) -> None:
    """Add the postings to the house's accounts in some outputs of one shard, in the caller's transaction."""
    sums: dict[tuple[str, date], int] = {}
    for output in outputs:
        events: Sequence[Any] = output.events
        for event in events:
            if type(event) not in POSTED:
                continue
            day = day_of(output.entry_id)
            for posting in event.postings:
                if _HOUSE in posting.ledger:
                    key = posting.ledger, day
                    sums[key] = sums.get(key, 0) + posting.amount_micros
    if sums:
        keys = sorted(sums)
        columns = (
            Integers.of([outputs[0].shard] * len(keys)),
            Texts.of([ledger for ledger, _ in keys]),
            Texts.of([day.isoformat() for _, day in keys]),
            Integers.of([sums[key] for key in keys]),
        )
        statement_run(_ADD, columns)
