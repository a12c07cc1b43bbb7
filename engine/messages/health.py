"""What an engine tells of itself each second under streams.health_key; read by /readyz, admission and the operator."""

from enum import StrEnum

import msgspec


class EngineState(StrEnum):
    """Where an engine is in its life."""

    STARTING = "starting"
    RECOVERING = "recovering"
    LIVE = "live"
    # Follows the active engine of its shard, ready to take over.
    STANDBY = "standby"
    # The log is out of reach and tried again.
    RECONNECTING = "reconnecting"
    STOPPING = "stopping"
    STOPPED = "stopped"
    # Another engine has taken over.
    FENCED = "fenced"
    # It contradicts itself or its log; an operator has to look. `reason` says why.
    HALTED = "halted"


class EngineHealth(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One report of one engine."""

    state: EngineState
    # Why it halted, or what it waits for; empty while all is well.
    reason: str
    shard: int
    shards: int
    build: str
    # The fence that this engine holds; 0 before it raised one.
    epoch: int
    # Last applied entry, number of its last output, input entries applied since the first.
    entry_id: str
    number: int
    count: int
    # Entries that wait in the log, and how long the engine is behind the newest one, milliseconds.
    lag_entries: int
    lag_ms: int
    # Newest snapshot that is safely on the disk ("" is none), when it was taken (microseconds UTC), the pause that
    # taking it cost (microseconds), and why the last try failed ("" is none did).
    snapshot_id: str
    snapshot_at_us: int
    snapshot_pause_us: int
    snapshot_failure: str
    # When this report was made, microseconds UTC.
    reported_at_us: int
    # Whether the engine follows another one; its reports stand under streams.standby_health_key.
    is_standby: bool = False
    # Share of its memory that the log's server uses; 0 when that is unknown.
    log_memory_percent: int = 0
    # What a person should look at, each "CODE: sentence".
    alarms: tuple[str, ...] = ()
