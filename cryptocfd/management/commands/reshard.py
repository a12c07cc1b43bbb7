"""Divides the log into another number of shards, offline: everything but the servers must be stopped."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from redis.exceptions import RedisError
from typing_extensions import override

from cryptocfd.console import Progress
from cryptocfd.embedded.errors import SetupError
from cryptocfd.engine_config import engine_config
from cryptocfd.history.errors import HistoryError
from cryptocfd.history.reshard import reshard
from cryptocfd.history.tools import log_client, servers_answer


class Command(BaseCommand):
    help = "Divides the log into another number of shards while everything but the servers rests."

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--to", type=int, required=True, help="number of shards afterwards")

    @override
    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            with servers_answer(), log_client() as client:
                done = reshard(client, engine_config(), options["to"], say=Progress().step)
        except (HistoryError, SetupError) as error:
            raise CommandError(str(error)) from error
        except RedisError as error:
            raise CommandError(f"The log's server cannot be reached: {error}.") from error
        self.stdout.write(
            f"{done.accounts} accounts are divided into {done.after.shards} shards (before: {done.before.shards}); nothing "
            f"else has changed, digest {done.digest}.\n"
            f"Set ENGINE_SHARDS={done.after.shards} for every process before you start them."
        )
