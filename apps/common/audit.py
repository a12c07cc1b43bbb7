"""The audit log: who did what to the doors and to the money, appended in the transaction of the deed and chained by hashes.

Each entry's digest covers the entry before it, so one that is changed, removed or slipped in breaks the chain from there on
(`manage.py verify_audit`); a trigger and the database roles forbid it in the first place. Facts name things and never secrets: no
token, code, PIN, signature or key. What failed is written too, in a transaction of its own, since the deed was rolled back.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from django.db import connection, transaction

from apps.common.clock import now_us
from apps.common.models import AuditEntry

_GENESIS: Final = hashlib.sha256(b"cryptocfd audit log").digest()
# Advisory lock that lines up the entries; held until the end of the transaction, so that numbers have no gaps.
_LOCK: Final = 7_307


@dataclass(frozen=True, slots=True)
class AuditDay:
    """The end of one day in the chain, for keeping elsewhere: whoever has it can prove that day."""

    day: str
    entries: int
    # Of the day's last entry, hexadecimal.
    digest: str


class AuditBrokenError(Exception):
    """The chain does not hold; the message says from which entry on."""


def audit_begin() -> None:
    """Line up for an entry before the rows of a deed are locked, where several deeds of one transaction take turns at both."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


@transaction.atomic
def audit_note(event: str, *, actor_id: int | None, ip: str | None = None, **facts: str) -> None:
    """Append an entry, in the caller's transaction if there is one."""
    audit_begin()
    last = AuditEntry.objects.order_by("-n").first()
    entry = AuditEntry(
        n=last.n + 1 if last else 1,
        at_us=now_us(),
        event=event,
        actor_id=actor_id,
        ip=ip,
        facts=facts,
    )
    entry.digest = _digest(entry, bytes(last.digest) if last else _GENESIS)
    entry.save(force_insert=True)


def audit_verify() -> list[AuditDay]:
    """Return the days of the chain after proving all of it.

    Errors: AuditBrokenError.
    """
    days: dict[str, AuditDay] = {}
    before = _GENESIS
    for n, entry in enumerate(_entries(), start=1):
        if entry.n != n:
            raise AuditBrokenError(f"entry {n} is missing, the next one is {entry.n}")
        if bytes(entry.digest) != (before := _digest(entry, before)):
            raise AuditBrokenError(f"entry {n} was changed, or stands in the place of another")
        day = datetime.fromtimestamp(entry.at_us // 1_000_000, UTC).date().isoformat()
        known = days.get(day)
        days[day] = AuditDay(day, known.entries + 1 if known else 1, before.hex())
    return list(days.values())


def _entries() -> Iterator[AuditEntry]:
    return AuditEntry.objects.order_by("n").iterator(chunk_size=2000)


def _digest(entry: AuditEntry, before: bytes) -> bytes:
    content = [entry.n, entry.at_us, entry.event, entry.actor_id, entry.ip, entry.facts]
    return hashlib.sha256(before + json.dumps(content, sort_keys=True).encode()).digest()
