"""Write docs/SECURITY-REQUIREMENTS.md from the names of the tests, or hold the file against them (``--check``)."""

import re
from argparse import ArgumentParser
from collections import defaultdict
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from typing_extensions import override

DOCUMENT: Final = "docs/SECURITY-REQUIREMENTS.md"
_TEST: Final = re.compile(r"^(?:async )?def (test_s(\d\d)_\w+)\(", re.MULTILINE)

REQUIREMENTS: Final = {
    1: "Link tokens: random, stored as digests, ten minutes, used once",
    2: "Looking at a link never uses it",
    3: "A link belongs to the browser that asked, elsewhere only with the code",
    4: "Nobody learns who has an account",
    5: "The newest link counts, and few are sent; its host comes from the settings",
    6: "Sign-in renews the session; sign-out and changes end all of them and their sockets",
    7: "Session cookies: host prefix, secure, lax, limited in time",
    8: "Browsers have server sessions, no tokens",
    9: "Access tokens: short, one algorithm, audience, issuer and type checked",
    10: "Refresh tokens are used once; a copy ends the family",
    11: "PIN: Argon2 with a pepper, counted before it is checked, five tries",
    12: "A step-up is bound to its transaction",
    13: "Lock-outs cannot lock others out",
    14: "Second factor for staff, withdrawals and keys",
    15: "A fresh proof before e-mail, PIN, factors, keys and withdrawals change",
    16: "Every id is checked against its owner",
    17: "The engine checks the owner again",
    18: "No mass assignment",
    19: "Money is parsed strictly",
    20: "Requests that move money are idempotent",
    21: "Parallel withdrawals of everything: one succeeds",
    22: "API keys: signature, window, nonce, scope, account, network, end",
    23: "Atomic rate limits",
    24: "Client addresses from trusted proxies only",
    25: "Limits of bodies, depth, pages and statements",
    26: "No cross-origin access with credentials",
    27: "Unsafe methods need a CSRF token or no cookie",
    28: "Errors tell nothing of the inside",
    29: "Outgoing requests go to a fixed list",
    30: "Feed data is not trusted",
    31: "Sockets: origin and authentication at the handshake",
    32: "Sockets: every action is authorised, and ends with the session",
    33: "Sockets: limits",
    34: "Sockets: private data only to its owner",
    35: "Deployment checks and security headers",
    36: "Content security policy with a nonce",
    37: "Admin: four eyes, no edited ledger",
    38: "Audit log",
    39: "Impersonation reads only",
    40: "Access lists of the streams' server",
    41: "The queue runs no foreign code",
    42: "Database roles",
    43: "Secrets from outside, rotated apart",
    44: "Snapshots are encrypted and checked",
    45: "Little personal data; deletion keeps the ledger",
    46: "Pinned dependencies",
    47: "Static checks",
    48: "The engine's process is fenced in",
    49: "Kill switch by two people",
    50: "What cannot be checked is refused",
}


def document() -> str:
    """Return the text of the document."""
    tests = defaultdict(list)
    root = settings.BASE_DIR
    for path in sorted((root / "tests").rglob("test_*.py")):
        for name, number in _TEST.findall(path.read_text()):
            tests[int(number)].append(f"`{path.relative_to(root).as_posix()}::{name}`")
    rows = [
        f"| S-{number:02} | {title} | {'<br>'.join(tests[number]) or 'no test carries this id'} |"
        for number, title in REQUIREMENTS.items()
    ]
    return "\n".join(
        [
            "# Security requirements and their tests",
            "",
            "Written by `manage.py document_security` from the names of the tests (`test_s<number>_...`); `make schema` writes it anew.",
            "",
            "| Id | Requirement | Tests |",
            "| --- | --- | --- |",
            *rows,
            "",
        ]
    )


class Command(BaseCommand):
    help = f"Writes {DOCUMENT} from the names of the tests."
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
            raise CommandError(f"{DOCUMENT} is not what the tests say: run `make schema`")
