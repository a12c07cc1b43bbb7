"""What the settings say to an engine: the one place where environment becomes EngineConfig."""

from collections.abc import Callable
from functools import cache
from time import monotonic, sleep
from typing import TypeVar

from django.conf import settings
from redis import Redis
from redis.exceptions import BusyLoadingError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError

from apps.common.engine_layout import LayoutError, layout_require
from cryptocfd.embedded.errors import SetupError
from engine.adapters.compose import source_build
from engine.config import EngineConfig, SnapshotKey, snapshot_keys_from_text

_LOG_SECONDS = 5.0
# At a start: how long a server that is being started again, and one that loads a long log, is waited for.
_BACK_SECONDS = 2.0
_LOADING_SECONDS = 120.0
_PAUSE_SECONDS = 0.1

Answer = TypeVar("Answer")


def engine_config(shard: int = 0, *, is_dedicated: bool = False) -> EngineConfig:
    """Return the configuration of one shard's engine in this installation.

    Errors: SetupError when the key ring of the snapshots cannot be read.
    """
    return EngineConfig(
        prefix=settings.STREAM_PREFIX,
        shard=shard,
        shards=settings.ENGINE_SHARDS,
        log_redis_url=settings.LOG_REDIS_URL,
        redis_url=settings.REDIS_URL,
        snapshot_dir=settings.DATA_DIR / "snapshots",
        snapshot_keys=_snapshot_keys(),
        build=_build(),
        is_dedicated=is_dedicated,
        snapshot_every_us=settings.SNAPSHOT_SECONDS * 1_000_000,
        # `serve` promises to end within five seconds, servers included.
        drain_us=3_000_000,
    )


def layout_check(*, may_mark: bool = False) -> None:
    """Make sure that the log has as many shards as the settings say; an engine marks a new log.

    Errors: SetupError when it has another number, or cannot be reached.
    """
    prefix, shards = settings.STREAM_PREFIX, settings.ENGINE_SHARDS
    try:
        log_asked(lambda client: layout_require(client, prefix, shards, may_mark=may_mark))
    except LayoutError as error:
        raise SetupError(str(error)) from error


def log_asked(question: Callable[[Redis], Answer]) -> Answer:
    """Ask the log's server something at a start; one that comes back, or still loads what it holds, is waited for.

    Errors: SetupError when it cannot be reached; what the question raises.
    """
    began = monotonic()
    while True:
        try:
            with Redis.from_url(settings.LOG_REDIS_URL, socket_timeout=_LOG_SECONDS) as client:
                return question(client)
        except RedisError as error:
            patience = _LOADING_SECONDS if isinstance(error, BusyLoadingError) else _BACK_SECONDS
            if not isinstance(error, RedisConnectionError) or monotonic() - began > patience:
                raise SetupError(
                    "The log's server cannot be reached: check LOG_REDIS_URL "
                    f"({type(error).__name__})."
                ) from error
        sleep(_PAUSE_SECONDS)


@cache
def _build() -> str:
    return source_build()


def _snapshot_keys() -> tuple[SnapshotKey, ...]:
    try:
        return snapshot_keys_from_text(settings.SNAPSHOT_KEYS)
    except ValueError as error:
        raise SetupError(f"SNAPSHOT_KEYS cannot be read: {error}.") from error
