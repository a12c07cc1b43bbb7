"""Builds the read models and the ledger anew from the journal; they must come out as they were."""

import hashlib
from itertools import islice
from typing import Final

from django.db import connection, transaction

from apps.common.one_moment import moments_await
from apps.common.outputs import Output
from apps.trade import selectors
from apps.trade.models import (
    Account,
    AccountDay,
    ClosedTrade,
    Fill,
    HistoryEvent,
    HouseDay,
    LedgerEntry,
    Order,
    Position,
    ProjectorOffset,
    SymbolMark,
)
from apps.trade.services.projection.house import house_days_add
from apps.trade.services.projection.journal import journal_outputs
from apps.trade.services.projection.ledger import ledger_append
from apps.trade.services.projection.read_models import read_models_apply
from engine.messages.chain import CHAIN_GENESIS
from engine.values import check

_BATCH: Final = 1_000
# Everything that follows from the journal alone.
DERIVED: Final = (
    *(Account, Order, Position, Fill, ClosedTrade, HistoryEvent, LedgerEntry),
    *(AccountDay, SymbolMark, HouseDay),
)


def rebuild_lock() -> None:
    """Wait for proofs that have begun; then let them and the projector wait until the transaction ends."""
    moments_await()
    list(ProjectorOffset.objects.select_for_update().order_by("layout", "shard"))


@transaction.atomic
def read_models_rebuild() -> int:
    """Drop everything that follows from the journal and build it again; return how many outputs were read.

    Readers of these tables and the projector wait until the transaction ends.
    Errors: InvariantError when the journal has a gap or an edited row.
    """
    rebuild_lock()
    tables = ", ".join(f'"{model._meta.db_table}"' for model in DERIVED)  # noqa: SLF001 - Django's documented API.
    with connection.cursor() as cursor:
        # TRUNCATE and not DELETE: the ledger's trigger forbids to take single entries out.
        cursor.execute(f"TRUNCATE {tables}")
    # One layout after the other: within one, the shards have no account in common.
    return sum(_chain_rebuild(offset) for layout in selectors.layouts() for offset in layout)


def _chain_rebuild(offset: ProjectorOffset) -> int:
    chain = CHAIN_GENESIS
    last = 0
    outputs = journal_outputs(offset.layout, offset.shard)
    while batch := list(islice(outputs, _BATCH)):
        for output in batch:
            chain, last = _proved(output, chain, last), output.n
        ledger_append(offset.layout, batch)
        house_days_add(batch)
        read_models_apply(offset.layout, batch)
    check(last == offset.n, f"the journal of shard {offset.shard} ends at {last}, not {offset.n}")
    check(chain == bytes(offset.chain), f"the chain of shard {offset.shard} ends otherwise")
    return last


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
