"""Tells every process that sessions of a person have ended, so that nothing there goes on believing in them.

Without the server of the channel they are believed for two seconds at most (identities.py); with it they are read anew at once,
and sockets, which ask again every second, close within two seconds.
"""

import functools
import logging
from typing import Final

import redis
from django.conf import settings
from django.db import transaction
from redis.asyncio import Redis as AsyncRedis
from redis.backoff import NoBackoff
from redis.retry import Retry

from apps.auth.services.identities import session_cache, sessions_of_user_forget
from apps.common.channel_reader import ChannelReader

logger = logging.getLogger(__name__)

_CHANNEL: Final = "sessions:ended"


def sessions_forget(*, user_id: int) -> None:
    """Let every process read a person's sessions anew, once the caller's transaction is durable."""
    transaction.on_commit(lambda: _tell(user_id))


def revocations_reader() -> ChannelReader:
    """Return what hears of ended sessions in this process; the composition root starts and stops it."""
    return ChannelReader(
        settings.REDIS_URL, {_channel(): _heard}, on_connected=_connected, name="sessions"
    )


def _channel() -> str:
    return f"{settings.STREAM_PREFIX}{_CHANNEL}"


@functools.lru_cache(maxsize=1)
def _client(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, socket_timeout=2, retry=Retry(NoBackoff(), 0))


def _tell(user_id: int) -> None:
    sessions_of_user_forget(user_id)
    try:
        _client(settings.REDIS_URL).publish(_channel(), str(user_id))
    except redis.RedisError as error:
        logger.warning(
            "other processes believe in ended sessions for up to two seconds",
            extra={"error": type(error).__name__},
        )


def _heard(message: bytes) -> None:
    sessions_of_user_forget(int(message))


async def _connected(client: AsyncRedis) -> None:
    del client
    # What was told while nobody listened is not known.
    session_cache.clear()
