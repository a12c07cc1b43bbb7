"""Runs one shard's engine as a process of its own, until SIGTERM; it ends with the reason as its exit code."""

import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from typing_extensions import override

from cryptocfd.embedded.errors import SetupError
from cryptocfd.engine_config import engine_config
from engine.adapters.compose import build_runner
from engine.adapters.process import run_to_exit


class Command(BaseCommand):
    help = "Runs the engine of one shard (default: the first) in a process of its own."
    # The engine has no database and serves no page; the checks would only delay its start.
    requires_system_checks = ()

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--shard", type=int, default=0, help="from 0 to ENGINE_SHARDS - 1")

    @override
    def handle(self, *_args: Any, **options: Any) -> None:
        shard = options["shard"]
        if not 0 <= shard < settings.ENGINE_SHARDS:
            raise CommandError(
                f"--shard must be between 0 and {settings.ENGINE_SHARDS - 1}, was {shard}."
            )
        try:
            runner = build_runner(engine_config(shard, is_dedicated=True))
        except SetupError as error:
            raise CommandError(str(error)) from error
        sys.exit(run_to_exit(runner))
