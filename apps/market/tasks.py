"""Jobs of the market, run by rq: the refresh of candles when it is asked for, their check and retention every night."""

import logging

import django_rq
from django.conf import settings
from rq import get_current_job
from rq.exceptions import NoSuchJobError
from rq.job import Job, JobStatus

from apps.common.clock import now_us
from apps.market.backfill.service import Filled, backfill
from apps.market.backfill.sources import HistoryError, binance_history
from apps.market.candles.check import differences
from apps.market.candles.diagnostics import check_record
from apps.market.candles.intervals import DAY_MS, INTERVALS, MINUTE_MS, MINUTES, MINUTES_KEPT_DAYS
from apps.market.candles.store import CandleStore
from apps.market.selectors import InstrumentInfo, instrument_resolve, instruments_read
from engine.values import SourceClass

logger = logging.getLogger(__name__)

_DAYS = 30
_TIMEOUT_SECONDS = 3600
# Minutes that the writer may still be making.
_YOUNG_MS = 3 * MINUTE_MS
# Two nights, so that one that was missed is looked at by the next.
_CHECKED_DAYS = 3
_SHOWN = 20


def refresh_schedule(symbol: str | None, interval: str | None, *, is_forced: bool) -> Job:
    """Queue a refresh, and return its job; one that waits or works already is returned instead.

    Errors: SymbolUnknownError.
    """
    name = instrument_resolve(symbol).symbol if symbol else "all"
    job_id = f"candles-{name}-{interval or 'all'}-{'forced' if is_forced else 'gaps'}"
    present = refresh_job(job_id)
    if present is not None and present.get_status() in (JobStatus.QUEUED, JobStatus.STARTED):
        return present
    return django_rq.get_queue().enqueue(
        candles_refresh,
        None if name == "all" else name,
        is_forced,
        interval,
        job_id=job_id,
        job_timeout=_TIMEOUT_SECONDS,
        result_ttl=24 * 3600,
    )


def refresh_job(job_id: str) -> Job | None:
    """Return the job of that id, or None when there is none (any more)."""
    queue = django_rq.get_queue()
    try:
        return Job.fetch(job_id, connection=queue.connection, serializer=queue.serializer)
    except NoSuchJobError:
        return None


def candles_refresh(
    symbol: str | None,
    is_forced: bool,  # noqa: FBT001 - rq passes it on.
    interval: str | None = None,
) -> dict[str, object]:
    """Fill gaps of the last 30 days of live instruments from the venue, and mend longer candles that do not add up.

    With an interval only that: minutes are filled, or longer candles mended up to that one. `is_forced` takes every minute anew.
    Replayed and simulated instruments get no history of the real market: their charts would jump to it.
    """
    now_ms = now_us() // 1000
    until_ms = (now_ms - _YOUNG_MS) // MINUTE_MS * MINUTE_MS
    since_ms = until_ms - _DAYS * DAY_MS
    infos = [info for info in instruments_read() if symbol in (None, info.symbol)]
    told: dict[str, object] = {"missing": 0, "written": 0, "mended": 0, "reason": ""}
    if interval in (None, MINUTES.name):
        told |= _fill(infos, since_ms, until_ms, is_forced=is_forced)
    if interval != MINUTES.name:
        told["mended"] = _mend(since_ms, until_ms, symbol, interval)
    return {"instruments": len(infos), **told}


def _fill(
    infos: list[InstrumentInfo], since_ms: int, until_ms: int, *, is_forced: bool
) -> dict[str, object]:
    """Fill minutes of those with live prices; an answer that cannot be had is told, and the gaps stay in the diagnostics."""
    live = [info for info in infos if info.source_class is SourceClass.LIVE]
    if not live:
        return {"reason": "no instrument with live prices was meant, so the venue was not asked"}
    filled: list[Filled] = []
    reason = ""
    store = CandleStore.connect()
    try:
        filled = backfill(
            store,
            binance_history(settings.FEEDS),
            live,
            since_ms,
            until_ms,
            is_replacing=is_forced,
            progress=_progress_tell,
        )
    except HistoryError as error:
        reason = str(error)
    finally:
        store.close()
    return {
        "missing": sum(one.missing for one in filled),
        "written": sum(one.written for one in filled),
        "reason": reason,
    }


def candles_check() -> dict[str, object]:
    """Hold every longer candle of the last days against the aggregate of its lower ones; a difference is an error in the log.

    Nothing is mended here, since a fault that mends itself each night is never found: `POST /candles/refresh` does that.
    """
    until_ms = now_us() // 1000
    store = CandleStore.connect()
    try:
        found = differences(store, until_ms - _CHECKED_DAYS * DAY_MS, until_ms)
    finally:
        store.close()
    for one in found[:_SHOWN]:
        logger.error(
            "a longer candle is not the aggregate of its lower ones",
            extra={"symbol": one.symbol, "interval": one.interval, "open_ms": one.open_ms},
        )
    check_record(until_ms, len(found))
    return {"checkedMs": until_ms, "differences": len(found)}


def candles_retain() -> dict[str, object]:
    """Drop minutes that are older than the platform keeps them; with TimescaleDB its own policy does."""
    store = CandleStore.connect()
    try:
        dropped = store.retain(now_us() // 1000 - MINUTES_KEPT_DAYS * DAY_MS)
    finally:
        store.close()
    return {"droppedMonths": dropped}


def _mend(since_ms: int, until_ms: int, symbol: str | None, interval: str | None) -> int:
    """Bring longer candles that are not the aggregate of their minutes up to date; return how many there were.

    Up to an interval, or all of them: each is made of the next shorter, so the shorter ones are mended first.
    """
    names = [name for name in INTERVALS if name != MINUTES.name]
    if interval is not None:
        names = names[: names.index(interval) + 1]
    store = CandleStore.connect()
    mended = 0
    try:
        store.refresh(since_ms, until_ms)
        for name in names:
            for one in differences(store, since_ms, until_ms, symbol=symbol):
                if one.interval == name:
                    logger.warning(
                        "a candle was mended", extra={"symbol": one.symbol, "interval": name}
                    )
                    store.aggregate_again(one.symbol, name, one.open_ms)
                    mended += 1
    finally:
        store.close()
    return mended


def _progress_tell(done: int, total: int) -> None:
    job = get_current_job()
    if job is not None:
        job.meta["progress"] = {"done": done, "total": total}
        job.save_meta()
