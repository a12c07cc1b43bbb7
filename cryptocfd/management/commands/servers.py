"""Runs the embedded servers alone, so that a dump is taken or put back while no part works with the data."""

import threading
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from typing_extensions import override

from cryptocfd.console import say
from cryptocfd.embedded.configured import servers_configured
from engine.adapters.signals import on_signals


class Command(BaseCommand):
    help = (
        "Runs the embedded servers alone until Ctrl-C: for pg_dump, pg_restore, or a look inside."
    )
    requires_system_checks = ()

    @override
    def handle(self, *_args: Any, **_options: Any) -> None:
        servers = servers_configured()
        if servers.is_empty:
            raise CommandError("Every server is named by an address, so there is none to run here.")
        stopping = threading.Event()
        with on_signals(stopping.set):
            servers.start(say)
            try:
                # An address that somebody else has set may hold a password.
                at = "elsewhere" if servers.postgres is None else settings.ENVIRONMENT.database_url
                say(f"PostgreSQL is at {at}; Ctrl-C stops the servers.")
                stopping.wait()
            finally:
                servers.stop()
