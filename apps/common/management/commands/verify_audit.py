"""Proves that nobody has changed the audit log, and prints each day's digest, to be kept elsewhere."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from typing_extensions import override

from apps.common.audit import AuditBrokenError, audit_verify


class Command(BaseCommand):
    help = "Follows the chain of the audit log; fails with the first entry that does not fit."

    @override
    def handle(self, *_args: Any, **_options: Any) -> None:
        try:
            days = audit_verify()
        except AuditBrokenError as error:
            raise CommandError(str(error)) from error
        for day in days:
            self.stdout.write(f"{day.day}  {day.entries:>8}  {day.digest}")
        self.stdout.write("The audit log is whole.")
