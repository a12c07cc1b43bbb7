"""The registers beside the log, and its trimming, on a connection of their own."""

import hashlib
import os
import socket
from collections.abc import Mapping
from typing import Final, cast

import msgspec

from engine.adapters.resp import Argument, Connection, ConnectionLostError, ServerError
from engine.config import EngineConfig
from engine.messages import streams
from engine.runtime.errors import LogUnavailableError
from engine.runtime.retention import LogMemory, Registration
from engine.values import entry_id_from_text, text_from_entry_id

# All of this runs in the heartbeat, whose lease lives for a second.
_TIMEOUT_MS: Final = 300
# One XTRIM removes at most this many entries, else the server would stand still for everybody; the rest goes with the
# next calls, and what these leave with the next beat.
_ENTRIES_A_CALL: Final = 10_000
_CALLS_A_BEAT: Final = 20
_HOST_DIGEST_BYTES: Final = 4
# A time that no clock calls silence, so that an hour of looking decides.
_NEVER_LATE_US: Final = (1 << 63) - 1

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Registration).decode


def _registration(raw: bytes) -> Registration:
    """Return what a host has said; what nobody can read holds the log as one without snapshots does, until it is struck off."""
    try:
        return _decode(raw)
    except msgspec.DecodeError:
        return Registration(entry_ids=(), state_hash="", registered_at_us=_NEVER_LATE_US)


def _position(raw: bytes) -> int:
    """Return a consumer's position; one that nobody can read holds everything, and is named by TRIM_BLOCKED."""
    try:
        return entry_id_from_text(raw.decode())
    except ValueError:
        return 0


class RedisRetention:
    """Registers and streams of one shard."""

    def __init__(self, config: EngineConfig) -> None:
        self._connection = Connection(config.log_redis_url, timeout_ms=_TIMEOUT_MS)
        self._snapshots = streams.snapshots_key(config.prefix, config.shard)
        self._consumers = streams.consumers_key(config.prefix, config.shard)
        self._input = streams.input_stream(config.prefix, config.shard, config.shards)
        self._output = streams.output_stream(config.prefix, config.shard, config.shards)
        self._folder = config.snapshot_dir.absolute()
        digest = hashlib.blake2b(
            str(self._folder).encode(), digest_size=_HOST_DIGEST_BYTES
        ).hexdigest()
        self._host = f"{socket.gethostname()}:{digest}"

    @property
    def host(self) -> str:
        """Return the name of this host's store: two engines on one folder have the same snapshots."""
        return self._host

    def _call(self, *command: Argument) -> object:
        try:
            if not self._connection.is_connected:
                self._connection.connect()
            return self._connection.call(*command)
        except (ConnectionLostError, ServerError) as error:
            raise LogUnavailableError(str(error)) from error

    def _table(self, key: str) -> dict[str, bytes]:
        flat = cast("list[bytes]", self._call("HGETALL", key))
        return {name.decode(): value for name, value in zip(flat[::2], flat[1::2], strict=True)}

    def register(self, registration: Registration) -> None:
        """Say which snapshots this host has."""
        self._call("HSET", self._snapshots, self._host, _encode(registration))

    def registrations(self) -> Mapping[str, Registration]:
        """Return what every host has said last."""
        return {host: _registration(raw) for host, raw in self._table(self._snapshots).items()}

    def strike_off(self, host: str) -> None:
        """Forget a host."""
        self._call("HDEL", self._snapshots, host)

    def consumers(self) -> Mapping[str, int]:
        """Return the packed ids up to which durable consumers have kept the outputs."""
        return {
            name: _position(position) for name, position in self._table(self._consumers).items()
        }

    def newest_output(self) -> int:
        """Return the packed id of the newest output that there has been; 0 before the first."""
        # XINFO of an absent stream is an error.
        if not self._call("EXISTS", self._output):
            return 0
        flat = cast("list[bytes]", self._call("XINFO", "STREAM", self._output))
        facts = dict(zip(flat[::2], flat[1::2], strict=True))
        return entry_id_from_text(facts[b"last-generated-id"].decode())

    def trim_input(self, below: int) -> int:
        """Remove input entries below an id, whole nodes of the stream at a time."""
        return self._trim(self._input, below)

    def trim_outputs(self, below: int) -> int:
        """Remove output entries below an id, whole nodes of the stream at a time."""
        return self._trim(self._output, below)

    def _trim(self, stream: str, below: int) -> int:
        removed = 0
        for _ in range(_CALLS_A_BEAT):
            count = cast(
                "int",
                self._call(
                    "XTRIM", stream, "MINID", "~", text_from_entry_id(below), "LIMIT", _ENTRIES_A_CALL
                ),
            )  # fmt: skip
            removed += count
            if not count:
                break
        return removed

    def memory(self) -> LogMemory:
        """Return what the log's server uses; without a limit of its own the machine's memory is one."""
        facts = dict(
            line.split(b":", 1)
            for line in cast("bytes", self._call("INFO", "memory")).split()
            if b":" in line
        )
        limit = int(facts[b"maxmemory"]) or int(facts[b"total_system_memory"])
        return LogMemory(used=int(facts[b"used_memory"]), limit=limit)

    def disk_percent(self) -> int:
        """Return how full the disk of this host's snapshots is, by what an ordinary user may still write."""
        # The folder is made with the first snapshot; until then the one that it will stand in tells.
        try:
            place = next((p for p in (self._folder, *self._folder.parents) if p.is_dir()), None)
            if place is None:
                return 0
            facts = os.statvfs(place)
        except OSError:
            # A disk that fails; writing the next snapshot says so.
            return 0
        used = facts.f_blocks - facts.f_bfree
        usable = used + facts.f_bavail
        return -(-used * 100 // usable) if usable else 0

    def close(self) -> None:
        """Give up the connection."""
        self._connection.close()
