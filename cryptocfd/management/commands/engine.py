"""Runs one shard's engine in a process of its own under a supervisor, until SIGTERM or a halt; restores a lost log."""

import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from typing_extensions import override

from cryptocfd.console import Progress
from cryptocfd.embedded.errors import SetupError
from cryptocfd.engine_processes import engines_run
from cryptocfd.history.bootstrap import BOOTSTRAP_HELP, restore_from_journal
from cryptocfd.history.tools import servers_answer


class Command(BaseCommand):
    help = "Runs the engine of one shard (default: the first) in a process of its own."
    # The engine has no database and serves no page; the checks would only delay its start.
    requires_system_checks = ()

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "action",
            nargs="?",
            choices=("run", "restore"),
            default="run",
            help="restore makes a new log where the old one is lost, and ends",
        )
        parser.add_argument(
            "--from-journal", action="store_true", help="with restore: from PostgreSQL's journal"
        )
        parser.add_argument("--bootstrap", action="store_true", help=BOOTSTRAP_HELP)
        parser.add_argument("--shard", type=int, default=0, help="from 0 to ENGINE_SHARDS - 1")
        parser.add_argument(
            "--standby",
            action="store_true",
            help="follow the shard's active engine and take over when it is gone; without one, lead at once",
        )
        parser.add_argument(
            "--snapshot-dir", type=Path, help="folder of the snapshots; a standby needs its own"
        )

    @override
    def handle(self, *_args: Any, **options: Any) -> None:
        if options["action"] == "restore":
            self._restore(from_journal=options["from_journal"])
            return
        shard = options["shard"]
        if not 0 <= shard < settings.ENGINE_SHARDS:
            raise CommandError(
                f"--shard must be between 0 and {settings.ENGINE_SHARDS - 1}, was {shard}."
            )
        try:
            code = engines_run(
                (shard,),
                is_standby=options["standby"],
                snapshot_dir=options["snapshot_dir"],
                bootstrap=options["bootstrap"],
                say=Progress().step,
            )
        except SetupError as error:
            raise CommandError(str(error)) from error
        sys.exit(code)

    def _restore(self, *, from_journal: bool) -> None:
        if not from_journal:
            raise CommandError("restore needs to be told from what: --from-journal")
        try:
            with servers_answer():
                restore_from_journal(say=Progress().step)
        except SetupError as error:
            raise CommandError(str(error)) from error
