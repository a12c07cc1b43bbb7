"""Removes offset rows of shards that never were, which stand in the way of a proof of the journal and of a restore."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from typing_extensions import override

from apps.trade.services.projection.offsets import offsets_repair


class Command(BaseCommand):
    help = "Removes the projector's offset rows that belong to no chain of the journal; outputs stay as they are."

    @override
    def handle(self, *_args: Any, **_options: Any) -> None:
        removed = offsets_repair(settings.ENGINE_SHARDS)
        for row in removed:
            self.stdout.write(
                f"The offset of shard {row.shard} in layout {row.layout} is removed: it held nothing."
            )
        if not removed:
            self.stdout.write("Every offset belongs to a chain of the journal.")
