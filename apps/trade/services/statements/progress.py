"""Tells how far the making of a statement is, while it is made.

The worker makes one in a single transaction (apps/common/outbox.py), and what is written there nobody else sees before its end.
So progress is written by a thread of its own, whose connection commits each time.
"""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from django.db import DatabaseError, connection

from apps.trade.models import StatementFile

logger = logging.getLogger(__name__)


@contextmanager
def progress_told(statement_id: str) -> Iterator[Callable[[int], None]]:
    """Give a function that tells how many entries of a statement have been read; a smaller number than before is left out.

    The caller's transaction must not have written the statement's row before the end: the thread would wait for that lock, and
    the caller for the thread.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="statement-progress") as aside:
        try:
            yield lambda done: aside.submit(_write, statement_id, done).result()
        finally:
            aside.submit(_close).result()


def _write(statement_id: str, done: int) -> None:
    try:
        StatementFile.objects.filter(pk=statement_id, progress__lt=done).update(progress=done)
    except DatabaseError as error:
        # The statement is made all the same.
        logger.warning("progress could not be written", extra={"error": repr(error)})


def _close() -> None:
    # By this name, and not handed over as a method: each thread has a connection of its own behind it.
    connection.close()
