"""Runs the embedded servers alone, so that a dump is taken or put back while no part works with the data."""

import signal
import threading
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from typing_extensions import override

from cryptocfd.console import say
from cryptocfd.embedded.servers import EmbeddedServers


class Command(BaseCommand):
    help = (
        "Runs the embedded servers alone until Ctrl-C: for pg_dump, pg_restore, or a look inside."
    )
    requires_system_checks = ()

    @override
    def handle(self, *_args: Any, **_options: Any) -> None:
        stopping = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda _number, _frame: stopping.set())
        environment = settings.ENVIRONMENT
        servers = EmbeddedServers(
            settings.DATA_DIR,
            postgres=environment.postgres_is_embedded,
            log=environment.log_is_embedded,
            rest=environment.rest_is_embedded,
            log_fsync=settings.LOG_FSYNC,
        )
        servers.start(say)
        try:
            say(f"PostgreSQL is at {environment.database_url}; Ctrl-C stops the servers.")
            stopping.wait()
        finally:
            servers.stop()
