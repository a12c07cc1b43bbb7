"""Builds ledger and read models anew from the journal, and says whether they are what they were."""

from typing import Any

from django.core.management.base import BaseCommand
from typing_extensions import override

from apps.trade.services.projection.rebuild import read_models_digest, read_models_rebuild


class Command(BaseCommand):
    help = "Drops the ledger and the read models and builds them again from the journal."

    @override
    def handle(self, *_args: Any, **_options: Any) -> None:
        before = read_models_digest()
        count = read_models_rebuild()
        after = read_models_digest()
        verdict = "equal to before" if before == after else "DIFFERENT from before"
        self.stdout.write(f"{count} outputs read, tables are {verdict} ({after})")
