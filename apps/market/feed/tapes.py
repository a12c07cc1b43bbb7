"""Reads tape files: one-minute candles as rows, from CSV or from Parquet (with the optional pyarrow).

Columns open, high, low, close; and timestamp or open_time, where times matter. Nothing is computed here: prices stay text.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from apps.market.feed.base import SourceUnavailableError

PRICES: Final = ("open", "high", "low", "close")
_TIMES: Final = ("timestamp", "open_time", "time")
_BATCH: Final = 10_000


@dataclass(frozen=True, slots=True)
class TapeRow:
    """One minute of a tape, as it is written there."""

    # Open, high, low, close as plain decimal text.
    prices: tuple[str, str, str, str]
    # Beginning, ms; None when the tape has no times.
    time_ms: int | None
    # Where it stands in the file, for messages.
    line: int


def tape_rows(path: Path) -> Iterator[TapeRow]:
    """Yield the rows of a tape in its order.

    Errors: SourceUnavailableError when it cannot be read or lacks a column.
    """
    try:
        yield from _parquet(path) if path.suffix == ".parquet" else _csv(path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        message = f"the tape cannot be read: {error}"
        raise SourceUnavailableError(message) from error


def _csv(path: Path) -> Iterator[TapeRow]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        header = next(rows, [])
        places, time_place = _places(header)
        for line, row in enumerate(rows, start=2):
            try:
                prices = tuple(row[place] for place in places)
                time = None if time_place is None else row[time_place]
            except IndexError as error:
                message = (
                    f"line {line} of the tape: expected {len(header)} columns, found {len(row)}"
                )
                raise SourceUnavailableError(message) from error
            opened, high, low, close = prices
            yield TapeRow((opened, high, low, close), _time_ms(time, line), line)


def _parquet(path: Path) -> Iterator[TapeRow]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        message = "Parquet tapes need pyarrow: pip install pyarrow"
        raise SourceUnavailableError(message) from error
    try:
        file = parquet.ParquetFile(path)
        names = list(file.schema_arrow.names)
        places, time_place = _places(names)
        wanted = [names[place] for place in places]
        time_name = None if time_place is None else names[time_place]
        line = 0
        for batch in file.iter_batches(
            _BATCH, columns=[*wanted, *([time_name] if time_name else [])]
        ):
            for row in batch.to_pylist():
                line += 1
                opened, high, low, close = (_text(row[name], line) for name in wanted)
                time = None if time_name is None else row[time_name]
                yield TapeRow((opened, high, low, close), _time_ms(time, line), line)
    except pyarrow.ArrowException as error:
        message = f"the tape cannot be read: {error}"
        raise SourceUnavailableError(message) from error


def _places(header: list[str]) -> tuple[list[int], int | None]:
    try:
        places = [header.index(name) for name in PRICES]
    except ValueError as error:
        message = f"the tape's columns must include {', '.join(PRICES)}"
        raise SourceUnavailableError(message) from error
    time = next((header.index(name) for name in _TIMES if name in header), None)
    return places, time


def _text(value: Any, line: int) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return f"{value:f}" if isinstance(value, Decimal) else str(value)
    if isinstance(value, float):
        # The shortest text that means this number, which is what was written into the file.
        return f"{Decimal(repr(value)):f}"
    message = f"row {line} of the tape: expected a price, found {value!r}"
    raise SourceUnavailableError(message)


def _time_ms(value: Any, line: int) -> int | None:
    if value is None:
        return None
    if isinstance(value, str) and not value.isdigit():
        try:
            value = datetime.fromisoformat(value)
        except ValueError as error:
            message = f"row {line} of the tape: expected a time, found {value[:40]!r}"
            raise SourceUnavailableError(message) from error
    if isinstance(value, datetime):
        # Tapes without a zone are in UTC.
        stated = value if value.tzinfo else value.replace(tzinfo=UTC)
        return int(stated.timestamp()) * 1000
    return int(value)
