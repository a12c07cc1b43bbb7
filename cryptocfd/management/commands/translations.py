"""Bring locale/ up to date with the sources and compile it, or hold it against them (``--check``)."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from typing_extensions import override


class Command(BaseCommand):
    help = "Takes the marked texts out of the sources into locale/*.po, keeps known translations, and compiles them."
    requires_system_checks = ()

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true", help="Compare instead of writing.")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        # Babel is a tool of developers, so the rest of the program must start without it.
        from cryptocfd import translations

        for language in translations.languages():
            if not options["check"]:
                path = translations.po_path(language)
                path.parent.mkdir(parents=True, exist_ok=True)
                catalog = translations.updated(language)
                path.write_bytes(translations.po_text(catalog))
                path.with_suffix(".mo").write_bytes(translations.mo_content(catalog))
            if faults := translations.faults(language):
                raise CommandError("\n".join(faults))
