"""Writes outputs and postings as they are, and reads one output back; nothing is interpreted here."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import psycopg
from django.db import close_old_connections, connection
from psycopg.types.string import BytesBinaryDumper

from apps.common.arrays import Integers, Texts, arrays_register
from apps.common.outputs import Output
from apps.trade import selectors
from apps.trade.models import JournalEntry
from engine.messages.output_entry import OutputEntry
from engine.values import entry_id_from_text, text_from_entry_id

_PAGE: Final = 1_000
# A condition that every row meets, but for all that PostgreSQL knows another one each time: so it stores each row as it comes. Without
# it, it holds a thousand rows at a time, and finds the place of each among those it holds by going through them: a tenth of its work.
_ROW_BY_ROW: Final = " WHERE random() < 2"
_JOURNAL_COPY: Final = """
COPY trade_journalentry (layout, shard, n, output_id, account, request_id, reply, events, command, decided_at_us, epoch, build,
                         chain, version)
FROM STDIN (FORMAT BINARY)
"""
_JOURNAL_TYPES: Final = (
    *("int2", "int2", "int8", "int8", "int8", "varchar", "bytea", "bytea", "bytea"),
    *("int8", "int8", "varchar", "bytea", "int2"),
)


def journal_append(layout: int, outputs: Sequence[Output]) -> None:
    """Append outputs to the journal, in the caller's transaction."""
    rows = (
        (
            layout,
            output.shard,
            output.n,
            output.entry_id,
            output.account,
            output.request_id,
            output.reply_raw,
            output.events_raw,
            output.command_raw,
            output.decided_at_us,
            output.epoch,
            output.build,
            output.chain,
            output.version,
        )
        for output in outputs
    )
    copy_rows(_JOURNAL_COPY, _JOURNAL_TYPES, rows)


def copy_rows(statement: str, types: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Load rows by a COPY in binary form on this thread's connection.

    Errors: those of django.db, as everywhere; Django does not translate psycopg's for COPY by itself.
    """
    with (
        connection.wrap_database_errors,
        connection.cursor() as cursor,
        cursor.copy(statement + _ROW_BY_ROW) as copy,
    ):
        if "bytea" in types:
            # Else bytes pass through the one for psycopg.Binary, which is written in Python.
            cursor.adapters.register_dumper(bytes, BytesBinaryDumper)
        copy.set_types(types)
        for row in rows:
            copy.write_row(row)


def statement_run(
    statement: str, values: Sequence[Integers | Texts | int | bytes]
) -> list[tuple[Any, ...]]:
    """Run a statement on whole columns, or single values, on this thread's connection, and return its rows.

    With a cursor of psycopg's own: Django's would write the columns into the statement's text. Errors: as copy_rows.
    """
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        arrays_register(cursor)
        cursor.execute(statement, values, binary=True)
        return cursor.fetchall() if cursor.description else []


def output_of(entry: JournalEntry) -> Output:
    """Return a journal row as the output that it was."""
    return Output(
        entry.shard,
        text_from_entry_id(entry.output_id),
        OutputEntry(
            version=entry.version,
            number=entry.n,
            gateway=b"",
            account=entry.account,
            request_id=entry.request_id,
            reply=bytes(entry.reply),
            events=bytes(entry.events),
            command=bytes(entry.command),
            decided_at_us=entry.decided_at_us,
            epoch=entry.epoch,
            build=entry.build,
            chain=bytes(entry.chain),
        ),
    )


def output_from_journal(shard: int, account: int, request_id: str, output_id: str) -> Output | None:
    """Return the output that answered a request, None if it has not been projected; for threads that hold no connection.

    In whatever layout: an account keeps its answers when a reshard gives it another shard. A command without account
    has an answer in each shard, and its own shard's is meant if there is one.
    """
    try:
        entries = selectors.journal_entries_of_request(
            account=account, request_id=request_id, output_id=entry_id_from_text(output_id)
        )
        entry = next((e for e in entries if e.shard == shard), entries[0] if entries else None)
        return None if entry is None else output_of(entry)
    finally:
        close_old_connections()


def journal_outputs(layout: int, shard: int, *, after: int = 0) -> Iterator[Output]:
    """Yield the outputs of one chain in order, from the number behind ``after`` on."""
    while True:
        rows = JournalEntry.objects.filter(layout=layout, shard=shard, n__gt=after).order_by("n")
        outputs = [output_of(row) for row in rows[:_PAGE]]
        if not outputs:
            return
        yield from outputs
        after = outputs[-1].n


def journal_range(layout: int, shard: int, *, after: int, upto: int, limit: int) -> list[Output]:
    """Return outputs with after < id (packed) <= upto, in order."""
    rows = JournalEntry.objects.filter(
        layout=layout, shard=shard, output_id__gt=after, output_id__lte=upto
    ).order_by("output_id")
    return [output_of(row) for row in rows[:limit]]
