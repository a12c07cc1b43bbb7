"""Jobs of the market, run by rq: the refresh of candles."""

import logging

import django_rq
from rq import get_current_job
from rq.exceptions import NoSuchJobError
from rq.job import Job, JobStatus

from apps.common.clock import now_us
from apps.market.backfill.service import backfill
from apps.market.backfill.sources import BinanceHistory, HistoryError
from apps.market.candles.check import higher_differ
from apps.market.candles.intervals import DAY_MS, MINUTE_MS
from apps.market.candles.store import CandleStore
from apps.market.selectors import instrument_resolve, instruments_read
from engine.values import SourceClass

logger = logging.getLogger(__name__)

_DAYS = 30
_TIMEOUT_SECONDS = 3600
# Minutes that the writer may still be making.
_YOUNG_MS = 3 * MINUTE_MS


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


def candles_refresh(symbol: str | None, is_forced: bool) -> dict[str, object]:  # noqa: FBT001 - rq passes it on.
    """Fill gaps of the last 30 days of live instruments from the venue, and mend longer candles that do not add up.

    Replayed and simulated instruments get no history of the real market: their charts would jump to it.
    """
    now_ms = now_us() // 1000
    until_ms = (now_ms - _YOUNG_MS) // MINUTE_MS * MINUTE_MS
    since_ms = until_ms - _DAYS * DAY_MS
    infos = [info for info in instruments_read() if symbol in (None, info.symbol)]
    live = [info for info in infos if info.source_class is SourceClass.LIVE]
    store = CandleStore.connect()
    reason = "" if live else "no instrument with live prices was meant, so the venue was not asked"
    try:
        filled = backfill(
            store,
            BinanceHistory(),
            live,
            since_ms,
            until_ms,
            is_replacing=is_forced,
            progress=_progress_tell,
        )
    except HistoryError as error:
        # The rest is still worth doing; the gaps stay visible in the diagnostics.
        filled, reason = [], str(error)
    finally:
        store.close()
    mended = _mend(since_ms, until_ms, symbol)
    return {
        "instruments": len(infos),
        "missing": sum(one.missing for one in filled),
        "written": sum(one.written for one in filled),
        "mended": mended,
        "reason": reason,
    }


def _mend(since_ms: int, until_ms: int, symbol: str | None) -> int:
    """Bring longer candles that are not the aggregate of their minutes up to date; return how many there were."""
    store = CandleStore.connect()
    try:
        store.refresh(since_ms, until_ms)
        differences = list(higher_differ(store, since_ms, until_ms, symbol=symbol))
        for one in differences:
            logger.warning(
                "a candle was mended", extra={"symbol": one.symbol, "interval": one.interval}
            )
            store.aggregate_again(one.symbol, one.interval, one.open_ms)
    finally:
        store.close()
    return len(differences)


def _progress_tell(done: int, total: int) -> None:
    job = get_current_job()
    if job is not None:
        job.meta["progress"] = {"done": done, "total": total}
        job.save_meta()
