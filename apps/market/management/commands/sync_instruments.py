"""Shows what the venue says otherwise than our specifications, and takes it over when it is told to."""

import http.client
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.table import Table
from typing_extensions import override

from apps.market.feed.binance_wire import SPOT, USDM
from apps.market.feed.rest import ask_well
from apps.market.selectors import instruments_read
from apps.market.venue_rules import Difference, differences, differences_apply

_TIMEOUT_SECONDS = 20.0


class Command(BaseCommand):
    help = "Holds the instruments against the venue's public exchange information."

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--venue", choices=["spot", "usdm"], default="spot")
        parser.add_argument("--file", type=Path, help="exchange information saved before, instead")
        parser.add_argument("--url", help="address instead of the venue's own")
        parser.add_argument("--apply", action="store_true", help="take over what was shown")

    @override
    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            found = list(differences(self._raw(options), instruments_read()))
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise CommandError(f"no exchange information: {error}") from error
        if not found:
            self.stdout.write("The venue says nothing otherwise.")
            return
        self._show(found)
        takeable = sum(1 for one in found if one.field)
        if not options["apply"]:
            self.stdout.write(f"{takeable} of {len(found)} can be taken over: --apply does it.")
            return
        self.stdout.write(f"{differences_apply(found)} instruments changed.")

    def _raw(self, options: dict[str, Any]) -> bytes:
        if options["file"]:
            path: Path = options["file"]
            return path.read_bytes()
        venue = USDM if options["venue"] == "usdm" else SPOT
        return ask_well(
            options["url"] or venue.rest_url, venue.symbols_path, timeout=_TIMEOUT_SECONDS
        )

    def _show(self, found: list[Difference]) -> None:
        table = Table("instrument", "what", "ours", "the venue's")
        for one in found:
            table.add_row(one.symbol, one.field or "trading", one.ours, one.theirs)
        console = Console(width=100)
        with console.capture() as captured:
            console.print(table)
        self.stdout.write(captured.get())
