"""Writes stored candles of one symbol and interval to a file: CSV, or Parquet with the optional pyarrow."""

import csv
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from typing_extensions import override

from apps.market.candles.candle import Candle
from apps.market.candles.intervals import INTERVALS
from apps.market.candles.store import CandleStore
from apps.market.selectors import InstrumentInfo, instrument_find, instruments_read
from engine.values import text_from_scaled

_PAGE = 10_000
_FAR_MS = 253_370_764_800_000
COLUMNS = ("timestamp", "open", "high", "low", "close", "volume", "ask_high", "ask_low", "sources")


class Command(BaseCommand):
    help = "Exports candles of the bid to a .csv or .parquet file; both can be played back by the replay."

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("symbol")
        parser.add_argument("path", type=Path)
        parser.add_argument("--interval", default="1m", choices=list(INTERVALS))
        parser.add_argument("--since", default="1970-01-01")
        parser.add_argument("--until", default="9998-01-01")

    @override
    def handle(self, *_args: Any, **options: Any) -> None:
        info = instrument_find(options["symbol"], among={i.symbol: i for i in instruments_read()})
        if info is None:
            raise CommandError(f"expected a symbol such as BTCUSDT, found {options['symbol']!r}")
        since_ms, until_ms = _time(options["since"]), _time(options["until"])
        path: Path = options["path"]
        write = {".csv": _csv_write, ".parquet": _parquet_write}.get(path.suffix)
        if write is None:
            raise CommandError(f"the file must end in .csv or .parquet, was {path.name!r}")
        store = CandleStore.connect()
        try:
            pages = _pages(store, info, options["interval"], since_ms, until_ms)
            # Whole or not at all: nobody should play back half of an export.
            draft = path.with_name(f".{path.name}.part")
            try:
                count = write(draft, pages)
                draft.replace(path)
            finally:
                draft.unlink(missing_ok=True)
        except OSError as error:
            raise CommandError(f"{path} cannot be written: {error.strerror}") from error
        finally:
            store.close()
        self.stdout.write(f"{path}: {count} candles of {info.symbol}, {options['interval']}")


def _pages(
    store: CandleStore, info: InstrumentInfo, interval: str, since_ms: int, until_ms: int
) -> Iterator[list[tuple[Any, ...]]]:
    while page := store.read(info.symbol, INTERVALS[interval], since_ms, until_ms, _PAGE):
        yield [_row(candle, info.price_decimals) for candle in page]
        since_ms = page[-1].open_ms + 1


def _row(candle: Candle, decimals: int) -> tuple[Any, ...]:
    prices = (candle.bid_open, candle.bid_high, candle.bid_low, candle.bid_close)
    return (
        datetime.fromtimestamp(candle.open_ms // 1000, UTC),
        *(text_from_scaled(price, decimals) for price in prices),
        candle.quotes,
        text_from_scaled(candle.ask_high, decimals),
        text_from_scaled(candle.ask_low, decimals),
        candle.sources,
    )


def _csv_write(path: Path, pages: Iterator[list[tuple[Any, ...]]]) -> int:
    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for page in pages:
            writer.writerows((row[0].isoformat(), *row[1:]) for row in page)
            count += len(page)
    return count


def _parquet_write(path: Path, pages: Iterator[list[tuple[Any, ...]]]) -> int:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise CommandError("Parquet needs pyarrow: pip install pyarrow") from error
    # Prices are text, exact to the digit, as in the CSV.
    kinds = [pyarrow.timestamp("ms", tz="UTC"), *([pyarrow.string()] * 4), pyarrow.int64()]
    kinds += [pyarrow.string(), pyarrow.string(), pyarrow.int16()]
    schema = pyarrow.schema(list(zip(COLUMNS, kinds, strict=True)))
    count = 0
    with parquet.ParquetWriter(path, schema) as writer:
        for page in pages:
            columns = [
                pyarrow.array(c, k) for c, k in zip(zip(*page, strict=True), kinds, strict=True)
            ]
            writer.write_table(pyarrow.Table.from_arrays(columns, schema=schema))
            count += len(page)
    return count


def _time(text: str) -> int:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise CommandError(f"expected a time such as 2026-01-31, found {text!r}") from error
    return min(int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()) * 1000, _FAR_MS)
