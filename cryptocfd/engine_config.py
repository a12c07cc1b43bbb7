"""What the settings say to an engine: the one place where environment becomes EngineConfig."""

from functools import cache

from django.conf import settings

from cryptocfd.embedded.errors import SetupError
from engine.adapters.compose import source_build
from engine.config import EngineConfig, SnapshotKey, snapshot_keys_from_text


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


@cache
def _build() -> str:
    return source_build()


def _snapshot_keys() -> tuple[SnapshotKey, ...]:
    try:
        return snapshot_keys_from_text(settings.SNAPSHOT_KEYS)
    except ValueError as error:
        raise SetupError(f"SNAPSHOT_KEYS cannot be read: {error}.") from error
