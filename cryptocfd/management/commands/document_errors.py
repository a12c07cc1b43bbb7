"""Write docs/ERRORS.md from the catalogue of codes, or hold the file against it (``--check``)."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from typing_extensions import override

from apps.common.error_catalogue import ErrorCode, error_catalogue

DOCUMENT = "docs/ERRORS.md"

_HEAD = """# Errors

Written by `manage.py document_errors`; change `apps/common/error_catalogue.py` or `apps/common/refusals.py` instead.
The same list is served at `/api/errors`.

A failure is `{"success": false, "statusCode": 400, "message": "...", "code": "...", "data": {...}, "requestId": "..."}`, over REST
and in the frames of the socket. Branch on `code`: it is stable. `message` is for people and may change; `data` has its numbers.
`requestId` is there where the request had reached the engine, and after `OUTCOME_UNKNOWN`. Codes are only added. "Again" says whether the same wish may succeed later without being changed: after a refusal of the engine
under a new request id, after `OUTCOME_UNKNOWN` under the same one.
"""


def document() -> str:
    """Return the text of the document."""
    codes = error_catalogue()
    edge = [code for code in codes if not code.is_decided]
    decided = [code for code in codes if code.is_decided]
    return "\n".join(
        [
            _HEAD,
            "## Before the engine",
            "",
            "Nothing was decided, except where the sentence says that nobody knows.",
            "",
            *_table(edge),
            "",
            "## Refusals of the engine",
            "",
            "In order of precedence: the first that applies is the answer. One with a `requestId` stands in the journal and has used that id up;",
            "one without was seen before the engine (a symbol, account or order that there is not, too many decimals): its id is free.",
            "Names in braces are the numbers, which `data` carries too. `NOT_OWNER` is shown as `ACCOUNT_UNKNOWN`.",
            "",
            *_table(decided),
            "",
        ]
    )


def _table(codes: list[ErrorCode]) -> list[str]:
    rows = [
        f"| `{code.code}` | {code.status} | {'yes' if code.is_retryable else 'no'} | {'<br>'.join(code.meanings)} |"
        for code in codes
    ]
    return ["| code | status | again | meaning |", "| --- | --- | --- | --- |", *rows]


class Command(BaseCommand):
    help = f"Writes {DOCUMENT} from the catalogue of codes."
    requires_system_checks = ()

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true", help="Compare instead of writing.")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        path = settings.BASE_DIR / DOCUMENT
        text = document()
        if not options["check"]:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            raise CommandError(f"{DOCUMENT} is not what the catalogue says: run `make schema`")
