"""Feed health and engine health on one page, with projectors and jobs: what an operator looks at first."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.common.clock import now_us
from apps.common.outbox import outbox_figures
from apps.market.facade import FeedStatus
from cryptocfd.office import words
from cryptocfd.office.page import HEALTH, file_answer, is_file, office_page, page_show
from cryptocfd.office.readings import (
    EngineReading,
    QueueReading,
    QuoteReading,
    engines_read,
    feed_read,
    queues_read,
    quotes_read,
)
from engine.messages.health import EngineHealth, EngineState
from engine.values import text_from_scaled

# As /readyz judges (docs/OPERATIONS.md).
_SILENCE_US_MAX: Final = 5_000_000
_LAG_OUTPUTS_MAX: Final = 5_000
_LAG_MS_MAX: Final = 1_000
_SKEW_US_MAX: Final = 2_000_000
_JOB_US_MAX: Final = 60_000_000
_FILE_HEAD: Final = (
    *("symbol", "source", "class", "bid", "ask", "ageUs", "ageUsMax", "stale", "unserved"),
)

Row = dict[str, object]


@office_page(HEALTH)
def health_page(request: HttpRequest) -> HttpResponse:
    """Show how every part is, the worst first where there are many."""
    status, feed_age_us = feed_read()
    quotes = quotes_read(status)
    if is_file(request):
        return file_answer(request, "prices", _FILE_HEAD, map(_file_row, quotes))
    engines = engines_read()
    queues = queues_read()
    feed = _feed(status, feed_age_us)
    stale = sum(quote.is_stale for quote in quotes)
    context = {
        "cards": [
            _card(_("Feed"), is_good=bool(feed["is_good"])),
            _card(_("Prices"), is_good=stale == 0, detail=_stale_text(stale, len(quotes))),
            _card(_("Engine"), is_good=bool(engines) and all(map(_engine_is_good, engines or ()))),
            _card(_("Projector"), is_good=all(map(_is_projected, engines or ())) and bool(engines)),
            _card(_("Jobs"), is_good=bool(queues) and all(map(_queue_is_good, queues or ()))),
        ],
        "feed": feed,
        "sources": [] if status is None else _sources(status),
        "engines": [row for one in engines or () for row in _engine_rows(one)],
        "projectors": [_projector_row(one) for one in engines or ()],
        "quotes": [_quote_row(quote) for quote in quotes],
        "queues": [_queue_row(queue) for queue in queues or ()],
        "outbox": _outbox(),
        "may_see_outbox": request.user.has_perm("common.view_outboxeffect"),
        "may_see_jobs": request.user.is_superuser,
    }
    return page_show(request, "health", title=_("Feed and engine health"), context=context)


def _card(title: str, *, is_good: bool, detail: str = "") -> Row:
    return {"title": title, "is_good": is_good, "detail": detail}


def _stale_text(stale: int, all_of_them: int) -> str:
    return _("%(stale)s of %(count)s too old to fill on") % {
        "stale": words.number(stale),
        "count": words.number(all_of_them),
    }


# --- feed -------------------------------------------------------------------------------------------------------------


def _feed(status: FeedStatus | None, age_us: int | None) -> Row:
    if status is None or age_us is None:
        return {"is_good": False, "facts": []}
    is_skewed = abs(status.clock_skew_us) > _SKEW_US_MAX
    is_silent = age_us > _SILENCE_US_MAX
    facts = [
        (_("Last word"), _ago(age_us), is_silent),
        (_("Epoch"), words.number(status.epoch), False),
        (_("Entries written"), words.number(status.sequence), False),
        (
            _("Log takes entries"),
            _("yes") if status.is_log_reachable else _("no"),
            not status.is_log_reachable,
        ),
        (
            _("Log's clock ahead by"),
            _("%(count)s ms") % {"count": words.number(status.clock_skew_us // 1000)},
            is_skewed,
        ),
        (
            _("Instruments without a source"),
            ", ".join(status.unserved) or words.number(0),
            bool(status.unserved),
        ),
    ]
    return {"is_good": not any(is_bad for _name, _text, is_bad in facts), "facts": facts}


def _sources(status: FeedStatus) -> list[Row]:
    return [
        {
            "name": source.name,
            "class": source.source_class.value,
            "state": source.state,
            "reason": source.reason,
            "is_good": source.state in {"live", "idle"},
            "symbols": words.number(source.symbols),
            "accepted": words.number(source.accepted),
            "refused": words.number(sum(source.refusals.values())),
            "refusals": [
                (reason, words.number(count)) for reason, count in sorted(source.refusals.items())
            ],
        }
        for source in status.sources
    ]


def _quote_row(reading: QuoteReading) -> Row:
    info, quote = reading.instrument, reading.quote
    decimals = info.price_decimals
    return {
        "symbol": info.symbol,
        "source": quote.source if quote else words.NOTHING,
        "class": quote.source_class.value if quote else words.NOTHING,
        "bid": words.price(quote.bid_ticks, decimals) if quote else words.NOTHING,
        "ask": words.price(quote.ask_ticks, decimals) if quote else words.NOTHING,
        "age": words.age(reading.age_us),
        "limit": words.age(info.quote_age_us_max),
        "is_stale": reading.is_stale,
        "is_unserved": reading.is_unserved,
    }


def _file_row(reading: QuoteReading) -> Sequence[object]:
    info, quote = reading.instrument, reading.quote
    decimals = info.price_decimals
    return (
        info.symbol,
        quote.source if quote else "",
        quote.source_class.value if quote else "",
        text_from_scaled(quote.bid_ticks, decimals) if quote else "",
        text_from_scaled(quote.ask_ticks, decimals) if quote else "",
        "" if reading.age_us is None else reading.age_us,
        info.quote_age_us_max,
        "yes" if reading.is_stale else "no",
        "yes" if reading.is_unserved else "no",
    )


# --- engine and projector ---------------------------------------------------------------------------------------------


def _engine_is_good(reading: EngineReading) -> bool:
    health = reading.active
    return (
        health is not None
        and health.state is EngineState.LIVE
        and now_us() - health.reported_at_us < _SILENCE_US_MAX
        and health.lag_ms < _LAG_MS_MAX
        and not health.alarms
    )


def _engine_rows(reading: EngineReading) -> list[Row]:
    if reading.active is None and reading.standby is None:
        return [{"shard": reading.shard, "role": _("active"), "is_silent": True}]
    return [
        _engine_row(health, role)
        for health, role in ((reading.active, _("active")), (reading.standby, _("standby")))
        if health is not None
    ]


def _engine_row(health: EngineHealth, role: str) -> Row:
    now = now_us()
    snapshot_us = now - health.snapshot_at_us if health.snapshot_at_us else None
    return {
        "shard": health.shard,
        "role": role,
        "state": health.state.value,
        "is_good": health.state in {EngineState.LIVE, EngineState.STANDBY},
        "reason": health.reason,
        "epoch": words.number(health.epoch),
        "build": health.build,
        "number": words.number(health.number),
        "lag_entries": words.number(health.lag_entries),
        "lag": _("%(count)s ms") % {"count": words.number(health.lag_ms)},
        "snapshot": words.NOTHING if snapshot_us is None else _ago(snapshot_us),
        "snapshot_id": health.snapshot_id,
        "memory": f"{words.number(health.log_memory_percent)}\u00a0%",
        "alarms": health.alarms,
        "reported": _ago(now - health.reported_at_us),
        "is_late": now - health.reported_at_us > _SILENCE_US_MAX,
    }


def _is_projected(reading: EngineReading) -> bool:
    return reading.lag_outputs is not None and reading.lag_outputs <= _LAG_OUTPUTS_MAX


def _projector_row(reading: EngineReading) -> Row:
    lag = reading.lag_outputs
    return {
        "shard": reading.shard,
        "number": words.number(reading.projected),
        "at": words.instant(reading.projected_at_us) if reading.projected_at_us else words.NOTHING,
        "lag": words.NOTHING if lag is None else words.number(lag),
        # Nothing is late while every output is in, however long ago the last one was.
        "delay": _delay(reading),
        "is_good": _is_projected(reading),
    }


def _delay(reading: EngineReading) -> str:
    if reading.lag_outputs is None:
        return words.NOTHING
    if not reading.lag_outputs or not reading.projected_at_us:
        return words.age(0)
    return words.age(now_us() - reading.projected_at_us)


# --- jobs -------------------------------------------------------------------------------------------------------------


def _queue_is_good(reading: QueueReading) -> bool:
    return reading.oldest_us < _JOB_US_MAX and reading.workers > 0


def _queue_row(reading: QueueReading) -> Row:
    return {
        "name": reading.name,
        "waiting": words.number(reading.waiting),
        "oldest": words.age(reading.oldest_us),
        "running": words.number(reading.running),
        "scheduled": words.number(reading.scheduled),
        "failed": words.number(reading.failed),
        "workers": words.number(reading.workers),
        "is_good": _queue_is_good(reading),
    }


def _outbox() -> Row:
    figures = outbox_figures()
    overdue_us = 0
    if figures.overdue_since is not None:
        overdue_us = (timezone.now() - figures.overdue_since) // timedelta(microseconds=1)
    return {
        "waiting": words.number(figures.waiting),
        "failing": words.number(figures.failing),
        "given_up": words.number(figures.given_up),
        "overdue": words.age(overdue_us),
        "is_good": not figures.given_up and overdue_us < _JOB_US_MAX,
    }


def _ago(us: int) -> str:
    return _("%(age)s ago") % {"age": words.age(us)}
