"""Runs one shard's engine in a process of its own under a supervisor, until SIGTERM or a halt."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from typing_extensions import override

from cryptocfd.embedded.errors import SetupError
from cryptocfd.engine_config import engine_config
from engine.adapters.supervisor import Supervisor


class Command(BaseCommand):
    help = "Runs the engine of one shard (default: the first) in a process of its own."
    # The engine has no database and serves no page; the checks would only delay its start.
    requires_system_checks = ()

    @override
    def add_arguments(self, parser: CommandParser) -> None:
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
        shard = options["shard"]
        if not 0 <= shard < settings.ENGINE_SHARDS:
            raise CommandError(
                f"--shard must be between 0 and {settings.ENGINE_SHARDS - 1}, was {shard}."
            )
        try:
            config = engine_config(shard, is_dedicated=True)
        except SetupError as error:
            raise CommandError(str(error)) from error
        folder = options["snapshot_dir"] or config.snapshot_dir
        config = replace(config, is_standby=options["standby"], snapshot_dir=folder)
        sys.exit(Supervisor(config).run())
