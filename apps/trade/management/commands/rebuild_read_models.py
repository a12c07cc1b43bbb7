"""Builds ledger and read models anew from the journal, and says whether they are what they were."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from typing_extensions import override

from apps.trade.services.projection.rebuild import (
    read_models_digest,
    read_models_rebuild,
    rebuild_lock,
)


class Command(BaseCommand):
    help = "Drops the ledger and the read models and builds them again from the journal."

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--update",
            action="store_true",
            help="after an update that adds to the read models: they may differ from before",
        )

    @override
    def handle(self, *_args: Any, **options: Any) -> None:
        with transaction.atomic():
            # The projector waits, or what it adds would look like a difference.
            rebuild_lock()
            before = read_models_digest()
            count = read_models_rebuild()
            after = read_models_digest()
        verdict = "equal to before" if before == after else "DIFFERENT from before"
        self.stdout.write(f"{count} outputs read, tables are {verdict} ({after})")
        if before != after and not options["update"]:
            raise CommandError("The read models were not what the journal says; they are now.")
