"""What this installation can say of itself, measured here and now: the figures of the landing page.

Everything is counted from this installation's own rows, log and clocks; nothing is a target or an estimate.
"""

import logging
import time
from dataclasses import asdict, dataclass
from typing import Any, Final

import redis
from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from apps.common.clock import now_us
from apps.common.envelope import success
from apps.common.exact_json import json_encode
from apps.common.money import number_from_micros
from apps.market.facade import InstrumentInfo, instruments, instruments_by_symbol
from apps.profile.facade import accounts_count
from apps.trade.facade import turnover_since
from cryptocfd.order_latency import LatencyFigures, latency_figures, minute_keys

logger = logging.getLogger(__name__)

_STARTED_S = time.monotonic()
_DAY_US: Final = 24 * 3600 * 1_000_000
# How long the answer is believed: it costs some reads, and anybody may ask.
_BELIEVED_SECONDS: Final = 5
_CACHE_KEY: Final = "figures"
_TIMEOUT_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Figures:
    """The installation in numbers."""

    pairs: int
    # Trading accounts that the engine has opened, and those that traded in the last 24 hours.
    accounts: int
    accounts_active: int
    # Value of everything that was filled in the last 24 hours, micro-USD.
    turnover_micros: int
    # Client commands of the last hour, and how long their answers took, microseconds.
    orders: int
    order_median_us: int | None
    order_p99_us: int | None
    # Since this server process started, seconds.
    uptime_s: int


def figures() -> Figures:
    """Return the figures, at most some seconds old."""
    known = cache.get(_CACHE_KEY)
    if known is None:
        known = asdict(_figures_measure())
        cache.set(_CACHE_KEY, known, _BELIEVED_SECONDS)
    return Figures(**{**known, "uptime_s": int(time.monotonic() - _STARTED_S)})


def _figures_measure() -> Figures:
    turnover, active = turnover_since(at_us=now_us() - _DAY_US)
    by_symbol = instruments_by_symbol()
    latency = _latency()
    return Figures(
        pairs=len(instruments()),
        accounts=accounts_count(),
        accounts_active=active,
        turnover_micros=sum(
            row.ticks_units * _micros_per_tick_unit(by_symbol[row.symbol])
            for row in turnover
            if row.symbol in by_symbol
        ),
        orders=latency.count,
        order_median_us=latency.median_us,
        order_p99_us=latency.p99_us,
        uptime_s=0,
    )


def _micros_per_tick_unit(instrument: InstrumentInfo) -> int:
    return 10 ** int(6 - instrument.price_decimals - instrument.quantity_decimals)


def _latency() -> LatencyFigures:
    client = redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=_TIMEOUT_SECONDS,
        socket_connect_timeout=_TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
    try:
        with client, client.pipeline(transaction=False) as pipeline:
            for key in minute_keys(settings.STREAM_PREFIX, now_us()):
                pipeline.hgetall(key)
            minutes: list[dict[bytes, bytes]] = pipeline.execute()
    except RedisError as error:
        # The page does without the figure rather than without an answer.
        logger.warning("order latency cannot be read", extra={"error": repr(error)})
        minutes = []
    return latency_figures(
        {int(bucket): int(count) for bucket, count in minute.items()} for minute in minutes
    )


def figures_shape(measured: Figures) -> dict[str, Any]:
    """Return the figures in the words of the interface."""
    return {
        "pairs": measured.pairs,
        "accounts": measured.accounts,
        "activeAccounts24h": measured.accounts_active,
        "turnover24h": number_from_micros(measured.turnover_micros),
        "orders1h": measured.orders,
        "orderMedianUs1h": measured.order_median_us,
        "orderP99Us1h": measured.order_p99_us,
        "uptimeSeconds": measured.uptime_s,
    }


@require_safe
@cache_control(no_store=True)
def figures_view(_request: HttpRequest) -> HttpResponse:
    """Tell the figures to the landing page and to whoever else wants to know."""
    body = json_encode(success(figures_shape(figures())))
    return HttpResponse(body, content_type="application/json")


urlpatterns = [path("figures", figures_view, name="figures")]
