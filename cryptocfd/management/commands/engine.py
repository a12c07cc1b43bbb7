"""Runs one shard's engine in a process of its own under a supervisor, until SIGTERM or a halt; restores a lost log."""

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from typing_extensions import override

from cryptocfd.console import Progress
from cryptocfd.embedded.errors import SetupError
from cryptocfd.engine_config import engine_config, layout_check
from cryptocfd.history.bootstrap import BOOTSTRAP_HELP, bootstrap_check, restore_from_journal
from cryptocfd.history.recorded import JournalOutputs
from cryptocfd.history.tools import servers_answer
from engine.adapters.supervisor import Supervisor, run_engine


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
            help="follow the shard's active engine, and take over when it is gone",
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
            layout_check(may_mark=True)
            bootstrap_check(is_asked=options["bootstrap"], say=Progress().step)
            config = engine_config(shard, is_dedicated=True)
        except SetupError as error:
            raise CommandError(str(error)) from error
        folder = options["snapshot_dir"] or config.snapshot_dir
        config = replace(config, is_standby=options["standby"], snapshot_dir=folder)
        engine = partial(run_engine, recorded=JournalOutputs(shard))
        sys.exit(Supervisor(config, engine=engine).run())

    def _restore(self, *, from_journal: bool) -> None:
        if not from_journal:
            raise CommandError("restore needs to be told from what: --from-journal")
        try:
            with servers_answer():
                restore_from_journal(say=Progress().step)
        except SetupError as error:
            raise CommandError(str(error)) from error
