"""Fills gaps of the stored minutes from the venue's public candles or from a tape file; stopped, it goes on there."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from rich.console import Console
from rich.progress import Progress
from typing_extensions import override

from apps.market.backfill.service import backfill
from apps.market.backfill.sources import BinanceHistory, History, HistoryError, TapeHistory
from apps.market.candles.intervals import MINUTE_MS
from apps.market.candles.store import CandleStore
from apps.market.feed.base import SourceUnavailableError
from apps.market.feed.binance_wire import SPOT, USDM
from apps.market.selectors import InstrumentInfo, instrument_find, instruments_read
from engine.values import SourceClass


class Command(BaseCommand):
    help = "Fills gaps of the candles from binance (default), binance:usdm or tape:<path>."

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("symbols", nargs="*", help="default: all instruments with live prices")
        parser.add_argument(
            "--source", default="binance", help="binance, binance:usdm or tape:<path>"
        )
        parser.add_argument("--since", help="such as 2026-01-01; default: 30 days ago")
        parser.add_argument("--until", help="default: three minutes ago")
        parser.add_argument("--force", action="store_true", help="replace minutes that are there")

    @override
    def handle(self, *_args: Any, **options: Any) -> None:
        now = timezone.now()
        since_ms = _minute(options["since"], now - timedelta(days=30))
        # Younger minutes may still be in the making.
        until_ms = min(_minute(options["until"], now), _minute(None, now - timedelta(minutes=3)))
        infos = _instruments(options["symbols"])
        store = CandleStore.connect()
        try:
            with Progress(console=Console(stderr=True), transient=True) as bar:
                task = bar.add_task("minutes", total=None)
                filled = backfill(
                    store,
                    _history(options["source"]),
                    infos,
                    since_ms,
                    until_ms,
                    is_replacing=options["force"],
                    progress=lambda done, total: bar.update(task, completed=done, total=total),
                )
        except (HistoryError, SourceUnavailableError) as error:
            raise CommandError(
                f"{error}; what was written stays, and a later run goes on"
            ) from error
        finally:
            store.close()
        for one in filled:
            self.stdout.write(f"{one.symbol}: {one.missing} minutes missing, {one.written} written")


def _history(text: str) -> History:
    kind, _, path = text.partition(":")
    if text == "binance":
        return BinanceHistory(SPOT)
    if text == USDM.name:
        return BinanceHistory(USDM)
    if kind == "tape" and path:
        return TapeHistory(Path(path).expanduser())
    raise CommandError(f"--source must be binance, binance:usdm or tape:<path>, was {text!r}")


def _instruments(symbols: list[str]) -> list[InstrumentInfo]:
    known = {info.symbol: info for info in instruments_read()}
    if not symbols:
        return [info for info in known.values() if info.source_class is SourceClass.LIVE]
    found = []
    for text in symbols:
        info = instrument_find(text, among=known)
        if info is None:
            raise CommandError(f"expected a symbol such as BTCUSDT, found {text!r}")
        found.append(info)
    return found


def _minute(text: str | None, default: datetime) -> int:
    try:
        at = datetime.fromisoformat(text) if text else default
    except ValueError as error:
        raise CommandError(f"expected a time such as 2026-01-31T12:00, found {text!r}") from error
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return int(at.timestamp() * 1000) // MINUTE_MS * MINUTE_MS
