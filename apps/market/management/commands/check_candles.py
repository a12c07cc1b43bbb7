"""Holds every longer candle against the aggregate of its lower ones; for the night. Fails when one differs."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from typing_extensions import override

from apps.common.clock import now_us
from apps.market.candles.check import differences
from apps.market.candles.intervals import DAY_MS
from apps.market.candles.store import CandleStore

_SHOWN = 20


class Command(BaseCommand):
    help = "Checks that longer candles are the aggregates of the shorter ones."

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--days", type=int, default=2, help="how far back")

    @override
    def handle(self, *_args: Any, **options: Any) -> None:
        until_ms = now_us() // 1000
        store = CandleStore.connect()
        try:
            found = differences(store, until_ms - options["days"] * DAY_MS, until_ms)
        finally:
            store.close()
        for one in found[:_SHOWN]:
            self.stderr.write(
                f"{one.symbol} {one.interval} {one.open_ms}: {one.stored} is not {one.expected}"
            )
        if found:
            raise CommandError(f"{len(found)} candles are not the aggregate of their lower ones")
        self.stdout.write("Every longer candle is the aggregate of its lower ones.")
