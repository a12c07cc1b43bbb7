"""What an engine process is told at its start. Nothing here reads the environment, and nothing here changes a decision.

A limit that changes decisions arrives as a command and is replayed; these values only say where and how often.
"""

import base64
import binascii
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

SNAPSHOT_KEY_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotKey:
    """One AES-256 key of the ring, known by its id in the files that it sealed."""

    key_id: str
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """Where one shard's engine reads and writes, and how often."""

    # Put before every key and channel name; empty in production, random in tests.
    prefix: str
    # This engine's shard, from 0, and the number of shards in the layout.
    shard: int = 0
    shards: int = 1
    # The server of the log, and the one for everything else (queries, health).
    log_redis_url: str
    redis_url: str
    # Folder of the snapshots; made with mode 0700 when it is absent.
    snapshot_dir: Path
    # Key ring, newest first: the first seals, all of them open.
    snapshot_keys: tuple[SnapshotKey, ...] = field(repr=False)
    # Names the code that decides; recorded in every output.
    build: str
    # Whether the process does nothing else: then the garbage collector may rest altogether.
    is_dedicated: bool = False
    # A snapshot is due after this time or number of entries, whichever comes first.
    snapshot_every_us: int = 60_000_000
    snapshot_every_entries: int = 10_000
    # Limits of one read and one publish call.
    batch_entries_max: int = 256
    # In the middle of a batch this many outputs leave, if nothing else is on its way, while the rest is decided. With
    # everything in one call engine and gateway would take turns instead of working at the same time; with many small
    # ones the disk would have to sync too often.
    publish_outputs_min: int = 8
    batch_bytes_max: int = 1_048_576
    # The lease is renewed, and time is appended to a quiet log, this often.
    heartbeat_us: int = 250_000
    # Life of an unrenewed lease, and how long a start waits for another engine's to lapse.
    lease_us: int = 1_000_000
    lease_wait_us: int = 3_000_000
    # A batch older than this counts as stuck, and its lease is given up.
    batch_stuck_us: int = 30_000_000
    # Whether to follow the shard's active engine and take over when it is gone, instead of refusing to start beside it.
    is_standby: bool = False
    # Name under which the lease is held; empty: one that no other engine has. A supervisor that has seen an engine die
    # starts the next under the same name, since nobody then has to wait for that lease to lapse.
    lease_owner: str = ""
    # How long a lost log is tried again before the engine halts.
    reconnect_us: int = 300_000_000
    # How long stop() waits for the batch in work and the last snapshot.
    drain_us: int = 5_000_000


def snapshot_keys_from_text(text: str) -> tuple[SnapshotKey, ...]:
    """Parse a key ring written as ``id:base64`` pairs, comma separated, newest first.

    Errors: ValueError with a sentence that never repeats the secret.
    """
    keys: list[SnapshotKey] = []
    for part in filter(None, (item.strip() for item in text.split(","))):
        key_id, _, encoded = part.partition(":")
        try:
            secret = base64.b64decode(encoded, validate=True)
        except binascii.Error as error:
            raise ValueError(f"snapshot key {key_id[:16]!r} is not valid base64") from error
        if not key_id or len(secret) != SNAPSHOT_KEY_BYTES:
            raise ValueError(
                f"a snapshot key must be <id>:<base64 of {SNAPSHOT_KEY_BYTES} bytes>, "
                f"but {key_id[:16]!r} holds {len(secret)} bytes"
            )
        keys.append(SnapshotKey(key_id=key_id, secret=secret))
    if len({key.key_id for key in keys}) != len(keys) or not keys:
        raise ValueError("the ring of snapshot keys needs at least one key, each under its own id")
    return tuple(keys)
