"""Proves history: decides the retained log again, or evolves the whole journal; ends with 1 at the first difference."""

from collections import Counter
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from typing_extensions import override

from apps.common.one_moment import one_moment
from apps.trade import selectors
from cryptocfd.embedded.errors import SetupError
from cryptocfd.engine_config import engine_config
from cryptocfd.history.decide_again import decide_again, retained_length
from cryptocfd.history.errors import HistoryError
from cryptocfd.history.journal import JournalHistory, journal_length, replay_from_genesis
from cryptocfd.history.tools import progress_bar, servers_answer


class Command(BaseCommand):
    help = "Proves history, from the oldest usable snapshot or from the journal's beginning."

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--verify", action="store_true", required=True, help="compare with the record"
        )
        start = parser.add_mutually_exclusive_group(required=True)
        start.add_argument(
            "--from-snapshot",
            action="store_true",
            help="decide the retained input again, and compare outputs and snapshots",
        )
        start.add_argument(
            "--from-journal",
            action="store_true",
            help="evolve all outputs in PostgreSQL; check chain, ledger and every snapshot's hash",
        )

    @override
    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            with servers_answer():
                if options["from_snapshot"]:
                    self._from_snapshot()
                else:
                    self._from_journal()
        except (HistoryError, SetupError) as error:
            raise CommandError(str(error)) from error

    def _from_snapshot(self) -> None:
        for shard in range(settings.ENGINE_SHARDS):
            config = engine_config(shard)
            with progress_bar(f"shard {shard}", retained_length(config)) as advance:
                decided = decide_again(config, advance)
            self.stdout.write(
                f"Shard {shard}: {decided.entries} entries from {decided.start} on decide as they did, with "
                f"{decided.outputs} outputs; {decided.snapshots} snapshots agree."
            )

    def _from_journal(self) -> None:
        # The projector may add to journal and ledger meanwhile.
        with one_moment():
            with progress_bar("journal", journal_length()) as advance:
                history = replay_from_genesis(engine_config(), advance)
            faults = ledger_differences(history)
        if faults:
            raise CommandError("; ".join(faults))
        self.stdout.write(
            f"Layout {history.layout} with {len(history.shards)} shards: {history.outputs} outputs from genesis on form whole "
            f"chains; {history.snapshots} snapshots and the ledger agree."
        )


def ledger_differences(history: JournalHistory) -> list[str]:
    """Return where the engine's ledger and the one in PostgreSQL differ, in sentences."""
    engine: Counter[str] = Counter()
    for item in history.shards:
        engine.update(item.state.house)
        for account in item.state.accounts.values():
            engine[f"{account.kind.value}:client:{account.account}"] += account.balance_micros
    projected = selectors.ledger_totals()
    return [
        f"{name} is {engine[name]} by the journal's events and {projected.get(name, 0)} in the ledger"
        for name in sorted(engine.keys() | projected.keys())
        if engine[name] != projected.get(name, 0)
    ]
