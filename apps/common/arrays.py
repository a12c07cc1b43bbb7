"""Columns on their way to PostgreSQL: arrays in its binary form, packed at once.

Psycopg writes a list element by element, as text; for a page of candles that costs several times what the server needs to store it.
COPY would be as quick as this, but takes a temporary table and a round trip more where rows may be there already.
"""

import struct
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain, repeat
from typing import Any, Final

import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format
from typing_extensions import override

_INT8_OID, _TEXT_OID = 20, 25
_INT8_BYTES: Final = 8
# Dimensions, whether there are NULLs, type of the elements, length, number of the first element.
_HEAD: Final = struct.Struct(">iiIii")
_LENGTH: Final = struct.Struct(">i")
_INTEGER: Final = struct.Struct(">iq")
_NULL: Final = _LENGTH.pack(-1)


class Integers(bytes):
    """A bigint[] in binary form."""

    __slots__ = ()

    @classmethod
    def of(cls, values: Sequence[int | None]) -> "Integers":
        """Pack the values, each of which fits into eight bytes."""
        if None in values:
            body = b"".join(
                [_NULL if value is None else _INTEGER.pack(_INT8_BYTES, value) for value in values]
            )
            return cls(_HEAD.pack(1, 1, _INT8_OID, len(values), 1) + body)
        pairs = chain.from_iterable(zip(repeat(_INT8_BYTES), values))
        count = len(values)
        return cls(_HEAD.pack(1, 0, _INT8_OID, count, 1) + _pairs(count).pack(*pairs))


class Texts(bytes):
    """A text[] in binary form."""

    __slots__ = ()

    @classmethod
    def of(cls, values: Sequence[str | None]) -> "Texts":
        """Pack the values; few of them differ."""
        elements = {value: _element(value) for value in set(values)}
        body = b"".join([elements[value] for value in values])
        return cls(_HEAD.pack(1, int(None in elements), _TEXT_OID, len(values), 1) + body)


class _ReadyDumper(Dumper):
    """Passes on what is in binary form already."""

    format = Format.BINARY

    @override
    def dump(self, obj: bytes) -> bytes:
        return obj


class _IntegersDumper(_ReadyDumper):
    oid = 1016


class _TextsDumper(_ReadyDumper):
    oid = 1009


def arrays_register(
    connection: psycopg.Connection[object] | psycopg.Cursor[Any],
) -> None:
    """Let statements on this connection, or of this cursor alone, take Integers and Texts."""
    connection.adapters.register_dumper(Integers, _IntegersDumper)
    connection.adapters.register_dumper(Texts, _TextsDumper)


@lru_cache(maxsize=64)
def _pairs(count: int) -> struct.Struct:
    return struct.Struct(">" + "iq" * count)


def _element(value: str | None) -> bytes:
    if value is None:
        return _NULL
    raw = value.encode()
    return _LENGTH.pack(len(raw)) + raw
