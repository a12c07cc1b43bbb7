"""Builds the read models and the ledger anew from the journal; they must come out as they were."""

import hashlib
from collections.abc import Iterator
from typing import Final

from django.db import connection, transaction

from apps.common.outputs import Output
from apps.trade import selectors
from apps.trade.models import (
    Account,
    ClosedTrade,
    Fill,
    HistoryEvent,
    JournalEntry,
    LedgerEntry,
    Order,
    Position,
    ProjectorOffset,
)
from apps.trade.services.projection.journal import output_of
from apps.trade.services.projection.ledger import ledger_append
from apps.trade.services.projection.read_models import read_models_apply
from engine.messages.chain import CHAIN_GENESIS
from engine.values import check

_BATCH: Final = 1_000
# Everything that follows from the journal alone.
DERIVED: Final = (Account, Order, Position, Fill, ClosedTrade, HistoryEvent, LedgerEntry)


@transaction.atomic
def read_models_rebuild() -> int:
    """Drop everything that follows from the journal and build it again; return how many outputs were read.

    Readers see the old tables until the transaction ends; the projector waits for its offset rows meanwhile.
    Errors: InvariantError when the journal has a gap or an edited row.
    """
    layout = selectors.layout_current()
    offsets = list(ProjectorOffset.objects.select_for_update().filter(layout=layout))
    tables = ", ".join(f'"{model._meta.db_table}"' for model in DERIVED)  # noqa: SLF001 - Django's documented API.
    with connection.cursor() as cursor:
        # TRUNCATE and not DELETE: the ledger's trigger forbids to take single entries out.
        cursor.execute(f"TRUNCATE {tables}")
    count = 0
    for offset in offsets:
        chain = CHAIN_GENESIS
        last = 0
        for outputs in _batches(layout, offset.shard):
            for output in outputs:
                chain, last = _proved(output, chain, last), output.n
            ledger_append(layout, outputs)
            read_models_apply(layout, outputs)
            count += len(outputs)
        check(
            last == offset.n, f"the journal of shard {offset.shard} ends at {last}, not {offset.n}"
        )
        check(chain == bytes(offset.chain), f"the chain of shard {offset.shard} ends otherwise")
    return count


def read_models_digest() -> str:
    """Return one hash over all rows that follow from the journal; equal tables have equal hashes."""
    digest = hashlib.blake2b(digest_size=16)
    for model in DERIVED:
        # The ledger's row numbers are given anew by a rebuild and mean nothing.
        fields = [f.name for f in model._meta.concrete_fields if f.name != "id"]  # noqa: SLF001 - as above.
        for row in model._default_manager.order_by(*fields).values_list(*fields).iterator():  # noqa: SLF001 - as above.
            digest.update(repr(row).encode())
    return digest.hexdigest()


def _proved(output: Output, chain: bytes, last: int) -> bytes:
    check(output.n == last + 1, f"output {last + 1} is missing from the journal")
    check(output.chain == output.chain_after(chain), f"output {output.n} was edited")
    return output.chain


def _batches(layout: int, shard: int) -> Iterator[list[Output]]:
    last = 0
    while True:
        rows = JournalEntry.objects.filter(layout=layout, shard=shard, n__gt=last).order_by("n")
        outputs = [output_of(row) for row in rows[:_BATCH]]
        if not outputs:
            return
        last = outputs[-1].n
        yield outputs
