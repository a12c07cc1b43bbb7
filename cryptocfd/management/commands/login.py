"""Prints a fresh sign-in link for somebody at this machine; it works once, within ten minutes."""

from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.validators import validate_email
from django.db import OperationalError
from typing_extensions import override

from apps.auth.facade import login_link_create


class Command(BaseCommand):
    help = "Prints a fresh sign-in link (default: alice@example.com)."
    requires_system_checks = ()

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email", nargs="?", default="alice@example.com")

    @override
    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            validate_email(options["email"])
        except ValidationError as error:
            raise CommandError(f"expected an e-mail address, found {options['email']!r}") from error
        try:
            link = login_link_create(options["email"])
        except OperationalError as error:
            raise CommandError(
                f"The platform is not running: start it by `make run` and ask again. Its folder would be {settings.DATA_DIR}; "
                "another one is named by DATA_DIR, as in `make login DATA_DIR=~/cryptocfd`."
            ) from error
        self.stdout.write(link.url)
