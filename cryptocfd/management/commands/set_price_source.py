"""Lets instruments take prices of another class: an operator's decision, recorded in the log with who and why.

Positions stay as they are, and from the next quote on they are valued by the new prices; so this is for people, never for a fail-over.
"""

from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser
from typing_extensions import override

from apps.common.audit import audit_note
from apps.common.errors import ServiceError
from apps.market.facade import SymbolUnknownError, price_source_command, symbol_resolve
from cryptocfd.engine_host import gateway_build
from engine.messages.replies import Rejected
from engine.values import SourceClass


class Command(BaseCommand):
    help = "Sends SetPriceSource to the engine; the feed follows within seconds."

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("symbol", help="such as BTCUSDT, or all")
        parser.add_argument("source_class", choices=[one.value for one in SourceClass])
        parser.add_argument("--staff", required=True, help="address of the operator who decides")
        parser.add_argument("--reason", required=True)

    @override
    def handle(self, *_args: Any, **options: Any) -> None:
        staff = get_user_model().objects.filter(email=options["staff"], is_staff=True).first()
        if staff is None:
            raise CommandError(f"expected the address of an operator, found {options['staff']!r}")
        try:
            symbol = None if options["symbol"] == "all" else symbol_resolve(options["symbol"])
        except SymbolUnknownError as error:
            raise CommandError(str(error)) from error
        command = price_source_command(
            symbol=symbol,
            source_class=SourceClass(options["source_class"]),
            staff_id=staff.pk,
            reason=options["reason"],
        )
        gateway = gateway_build()
        gateway.start_in_thread()
        try:
            output = gateway.send_sync(command)
        except ServiceError as error:
            raise CommandError(f"{error.code}: {error}") from error
        finally:
            gateway.stop_thread()
        if isinstance(output.reply, Rejected):
            raise CommandError(f"the engine refuses: {output.reply.code.name}")
        audit_note(
            "price_source_set",
            actor_id=staff.pk,
            symbol=symbol or "all",
            sourceClass=options["source_class"],
            reason=options["reason"],
        )
        self.stdout.write(f"{options['symbol']} takes {options['source_class']} prices.")
