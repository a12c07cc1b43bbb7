"""Prints users and roles for servers of one's own: an ACL file for the log's Valkey, or SQL for PostgreSQL."""

import os
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from typing_extensions import override

from cryptocfd.server_roles import LOG_RULES, database_sql, log_acl


class Command(BaseCommand):
    help = "Prints the log's ACL file (passwords from LOG_PASSWORD_<USER>), or PostgreSQL's roles as SQL."
    requires_system_checks = ()

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("server", choices=("log", "postgres"))

    @override
    def handle(self, *_args: Any, **options: Any) -> None:
        if options["server"] == "postgres":
            self.stdout.write(database_sql())
            return
        names = {name: f"LOG_PASSWORD_{name.upper()}" for name in LOG_RULES}
        missing = [variable for variable in names.values() if not os.environ.get(variable)]
        if missing:
            raise CommandError(f"Set a password for each user: {', '.join(missing)}.")
        self.stdout.write(log_acl({name: os.environ[variable] for name, variable in names.items()}))
