"""Runs the statements that sum up all accounts."""

from collections.abc import Mapping
from typing import Any, Final

from django.db import connection, transaction

# Hundreds of thousands of positions are grouped in memory; in what a statement has by default they would go to the disk and back.
_MEMORY: Final = "SET LOCAL work_mem = '64MB'"


def sums_read(statement: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
    """Return the rows of a statement that reads every open position."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_MEMORY)
        cursor.execute(statement, parameters)
        return cursor.fetchall()
