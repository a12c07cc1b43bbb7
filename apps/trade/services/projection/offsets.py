"""Offset rows that belong to no chain: releases before the projector compared log and journal noted shards that never were."""

from collections.abc import Sequence

from django.db import transaction

from apps.trade import selectors
from apps.trade.models import JournalEntry, ProjectorOffset
from apps.trade.services.projection.journal import output_of
from engine.messages.events import Resharded


def offsets_stray(shards: int) -> list[ProjectorOffset]:
    """Return the rows that hold nothing and whose shard is none of their layout; ``shards`` are those of the settings.

    How many shards a layout had is said by the first outputs of the next one, or by its own; of a journal that has never been
    divided only the settings say it.
    """
    stray: list[ProjectorOffset] = []
    layouts = selectors.layouts()
    for number, rows in enumerate(layouts):
        count = _shards_of(layouts, number)
        if count is None:
            count = shards if number == len(layouts) - 1 else len(rows)
        stray += [row for row in rows if row.shard >= count and not row.n]
    return [row for row in stray if not _has_outputs(row)]


@transaction.atomic
def offsets_repair(shards: int) -> list[ProjectorOffset]:
    """Remove the stray rows and return them; no output is touched."""
    list(ProjectorOffset.objects.select_for_update().order_by("layout", "shard"))
    stray = offsets_stray(shards)
    for row in stray:
        ProjectorOffset.objects.filter(layout=row.layout, shard=row.shard, n=0).delete()
    return stray


def _shards_of(layouts: Sequence[Sequence[ProjectorOffset]], number: int) -> int | None:
    """Return how many shards a layout had by the word of the journal, None where it does not say."""
    following = layouts[number + 1] if number + 1 < len(layouts) else ()
    if event := _beginning(following):
        return len(event.ended)
    event = _beginning(layouts[number])
    return event.shards if event else None


def _beginning(rows: Sequence[ProjectorOffset]) -> Resharded | None:
    for row in rows:
        first = JournalEntry.objects.filter(layout=row.layout, shard=row.shard, n=1).first()
        events = output_of(first).events if first else ()
        if events and isinstance(events[0], Resharded):
            return events[0]
    return None


def _has_outputs(row: ProjectorOffset) -> bool:
    return JournalEntry.objects.filter(layout=row.layout, shard=row.shard).exists()
