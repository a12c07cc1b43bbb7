"""Exact rate limits shared by all processes: a sliding window per key, decided in one atomic script.

A request counts as one, or as many as it costs: what takes a hundred times the work must not be had as often as what takes little.

Which limits hold for what is decided by the caller; the counts live on REDIS_URL, never on the log.
"""

import asyncio
import functools
import logging
from dataclasses import dataclass

import redis
from django.conf import settings
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript, Script
from redis.retry import Retry

from apps.common.errors import ServiceError

logger = logging.getLogger(__name__)

_WINDOW_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

# The sorted set holds the times of the passed requests, newest last; one that costs more is there as often.
#  1. A limit of `count` per `window` refuses while less than the cost of it is free: while the newest but (count - cost) is younger
#     than the window. A request that costs more than a whole window may have it alone.
#  2. If any limit refuses, nothing is written: a refused request does not lengthen the wait.
#  3. Otherwise this request is added, and what no window reaches any more is dropped.
_SCRIPT = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local cost = tonumber(ARGV[1])
local wait, longest = 0, 0
for i = 2, #ARGV, 2 do
  local count, window = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
  longest = math.max(longest, window)
  local last = count - math.min(cost, count)
  local nth = redis.call('ZREVRANGE', KEYS[1], last, last, 'WITHSCORES')
  if nth[2] then
    wait = math.max(wait, tonumber(nth[2]) + window - now)
  end
end
if wait > 0 then
  return string.format('%.0f', wait)
end
local score = string.format('%.0f', now)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - longest))
for _ = 1, cost do
  redis.call('ZADD', KEYS[1], score, score .. '-' .. redis.call('ZCARD', KEYS[1]))
end
redis.call('PEXPIRE', KEYS[1], math.ceil(longest / 1000))
return '0'
"""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `count` requests within any `window_s` seconds."""

    count: int
    # Seconds.
    window_s: int


def rate_limits_parse(texts: list[str]) -> tuple[RateLimit, ...]:
    """Return the limits written as `<count>/<s|m|h|d>`, such as 5/h.

    Errors: ValueError naming the text that is none.
    """
    limits = []
    for text in texts:
        count, _, unit = text.strip().partition("/")
        if not (count.isascii() and count.isdigit() and int(count) and unit in _WINDOW_SECONDS):
            raise ValueError(f"a rate limit looks like 5/h (s, m, h or d), was {text!r}")
        limits.append(RateLimit(count=int(count), window_s=_WINDOW_SECONDS[unit]))
    return tuple(limits)


@functools.cache
def _script() -> Script:
    # A blind retry of the client could count one request twice.
    client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2, retry=Retry(NoBackoff(), 0))
    return client.register_script(_SCRIPT)


# Clients of event loops; each belongs to its loop and is closed with it.
_clients: dict[asyncio.AbstractEventLoop, AsyncScript] = {}


async def rate_limit_wait_us_async(
    *, key: str, limits: tuple[RateLimit, ...], cost: int = 1
) -> int:
    """Do the same as rate_limit_wait_us on an event loop, which calls rate_limits_close at its end."""
    if not limits:
        return 0
    loop = asyncio.get_running_loop()
    script = _clients.get(loop)
    if script is None:
        client = AsyncRedis.from_url(
            settings.REDIS_URL, socket_timeout=2, retry=AsyncRetry(NoBackoff(), 0)
        )
        script = _clients[loop] = client.register_script(_SCRIPT)
    return int(await script(keys=[_key(key)], args=_arguments(limits, cost)))


async def rate_limits_close() -> None:
    """Close what rate_limit_wait_us_async has opened on this loop."""
    script = _clients.pop(asyncio.get_running_loop(), None)
    if script is not None:
        await script.registered_client.aclose()


def _key(key: str) -> str:
    return f"{settings.STREAM_PREFIX}rate:{key}"


def _arguments(limits: tuple[RateLimit, ...], cost: int) -> list[int]:
    return [cost] + [
        number for limit in limits for number in (limit.count, limit.window_s * 1_000_000)
    ]


def rate_limit_wait_us(*, key: str, limits: tuple[RateLimit, ...], cost: int = 1) -> int:
    """Count one request of `key` as many as it costs; return 0 if it passes, else how long to wait.

    Units: microseconds.
    Errors: redis.RedisError; the caller decides what an unknown count means, for money it is "no".
    """
    if not limits:
        return 0
    return int(_script()(keys=[_key(key)], args=_arguments(limits, cost)))


def rate_limit_require(*, key: str, limits: tuple[RateLimit, ...], what: str) -> None:
    """Count one request of `key`, and refuse it beyond its limits; `what` says too many of what there were.

    Errors: ServiceError RATE_LIMITED (429) with the wait; UNAVAILABLE (503) if nothing can be counted, since an unknown
    count is a no.
    """
    try:
        wait_us = rate_limit_wait_us(key=key, limits=limits)
    except redis.RedisError as error:
        raise _unavailable(error) from error
    if wait_us:
        wait_s = -(-wait_us // 1_000_000)
        raise ServiceError(
            "RATE_LIMITED",
            f"too many {what}: wait {wait_s} seconds",
            http_status=429,
            data={"retryAfterSeconds": wait_s},
            retry_after_s=wait_s,
        )


def once_for(*, key: str, milliseconds: int) -> bool:
    """Return whether this is the first time that `key` is named within the time.

    Errors: ServiceError UNAVAILABLE if nothing can be noted, since a request that may be a repeated one must not pass.
    """
    try:
        noted = _script().registered_client.set(
            f"{settings.STREAM_PREFIX}once:{key}", "1", nx=True, px=milliseconds
        )
    except redis.RedisError as error:
        raise _unavailable(error) from error
    return bool(noted)


def bound_to(*, key: str, value: str, milliseconds: int) -> bool:
    """Bind `key` to the first value that is named within the time; return whether this one is it.

    Errors: ServiceError UNAVAILABLE if nothing can be noted.
    """
    try:
        known = _script().registered_client.set(
            f"{settings.STREAM_PREFIX}bound:{key}", value, nx=True, get=True, px=milliseconds
        )
    except redis.RedisError as error:
        raise _unavailable(error) from error
    return known is None or known == value.encode()


def _unavailable(error: redis.RedisError) -> ServiceError:
    logger.warning("the counters cannot be reached", extra={"error": repr(error)})
    return ServiceError(
        "UNAVAILABLE",
        "the counters of this platform cannot be reached: try again in a few seconds",
        http_status=503,
        retry_after_s=2,
    )
