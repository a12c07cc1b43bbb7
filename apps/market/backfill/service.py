"""Fills the gaps of the stored minutes, one after the other; stopped anywhere, it goes on there the next time.

What is missing is found in the database itself, so nothing else has to be remembered. Minutes that are there stay, unless
the caller insists.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from django.conf import settings

from apps.market.backfill.sources import History
from apps.market.candles.intervals import MINUTE_MS
from apps.market.candles.simulated import history_decline
from apps.market.candles.store import CandleStore
from apps.market.candles.writer import reopened_tell
from apps.market.selectors import InstrumentInfo

# Minutes that have passed and minutes to be looked at, of all symbols.
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Filled:
    """What became of one symbol."""

    symbol: str
    # Minutes that were missing, and how many of them the source had.
    missing: int
    written: int


def backfill(
    store: CandleStore,
    history: History,
    infos: Iterable[InstrumentInfo],
    since_ms: int,
    until_ms: int,
    *,
    is_replacing: bool = False,
    progress: Progress = lambda _done, _total: None,
) -> list[Filled]:
    """Fill the gaps of these instruments from one time to before another; `is_replacing` takes everything anew.

    An invented past goes first: it must not stand among candles from elsewhere.
    Errors: HistoryError; what was written until then stays.
    """
    wanted = list(infos)
    if invented := [info.symbol for info in wanted if history_decline(store, info.symbol)]:
        reopened_tell(settings.REDIS_URL, settings.STREAM_PREFIX, invented)
    gaps = {
        info.symbol: [(since_ms, until_ms)]
        if is_replacing
        else store.gaps(info.symbol, since_ms, until_ms)
        for info in wanted
    }
    total = sum(_minutes(gap) for spans in gaps.values() for gap in spans)
    done = 0
    filled = []
    for info in wanted:
        written = 0
        spans = gaps[info.symbol]
        try:
            for begin_ms, end_ms in spans:
                for page in history.pages(info, begin_ms, end_ms):
                    rows = [(info.symbol, candle, history.name) for candle in page]
                    written += store.add(rows, is_replacing=is_replacing)
                    if page:
                        reached = done + (page[-1].open_ms - begin_ms) // MINUTE_MS + 1
                        progress(min(reached, total), total)
                done += _minutes((begin_ms, end_ms))
                progress(done, total)
        finally:
            if written:
                store.refresh(spans[0][0], spans[-1][1] - 1)
                reopened_tell(settings.REDIS_URL, settings.STREAM_PREFIX, [info.symbol])
        filled.append(Filled(info.symbol, sum(map(_minutes, spans)), written))
    return filled


def _minutes(span: tuple[int, int]) -> int:
    return (span[1] - span[0]) // MINUTE_MS
