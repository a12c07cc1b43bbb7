"""Reads that belong together, from the database as it was at one moment, whatever is committed meanwhile."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from django.db import connection, transaction

# Which advisory lock keeps tables from being emptied under a moment.
_LOCK: Final = 7_308


@contextmanager
def one_moment() -> Iterator[None]:
    """Let everything that is read inside be as of the first read; nothing can be written.

    Errors: RuntimeError inside another transaction, which has its moment already.
    """
    with _held(), transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def moments_await() -> None:
    """Wait for every moment's end and let none begin until the transaction ends; for whoever empties tables by TRUNCATE.

    To a moment that began before, such a table is empty whatever is in it. To be called before other locks are taken,
    so that nobody else waits for a moment.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


@contextmanager
def _held() -> Iterator[None]:
    # Of the session: it has to be had before the transaction, whose first statement makes its moment.
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock_shared(%s)", [_LOCK])
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock_shared(%s)", [_LOCK])
