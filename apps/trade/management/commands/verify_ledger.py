"""Proves that the ledger adds up: every group and every book to zero, every client's entries to the balance."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from typing_extensions import override

from apps.common.one_moment import one_moment
from apps.trade import selectors


class Command(BaseCommand):
    help = "Adds up the ledger; fails with the first thing that does not fit."

    @override
    def handle(self, *_args: Any, **_options: Any) -> None:
        # The projector may add to entries and balances meanwhile.
        with one_moment():
            faults = selectors.ledger_faults()
        if faults:
            raise CommandError("; ".join(faults))
        self.stdout.write("The ledger sums to zero and agrees with every balance.")
