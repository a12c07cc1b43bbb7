"""The lease of the active engine, ticks of time, and health, each on a connection of its own."""

import os
import socket
import threading
import time
from typing import Final

import msgspec

from engine.adapters.resp import Argument, Connection, ConnectionLostError, ServerError
from engine.config import EngineConfig
from engine.messages import codec, streams
from engine.messages.commands import Tick
from engine.messages.health import EngineHealth, EngineState
from engine.runtime.errors import LogUnavailableError

# All of this runs in the heartbeat, and the lease lives for a second: nothing may take longer than a part of it.
_TIMEOUT_MS: Final = 300
# A server of reports that let us wait is left alone for some reports.
_REPORTS_LEFT_OUT: Final = 5
_SLOW_S: Final = _TIMEOUT_MS / 2_000
# A report vanishes this long after its engine.
_HEALTH_MS: Final = 5_000

# Takes a free lease, prolongs our own, leaves a foreign one. A lease that lapsed while we were slow is free.
_HOLD: Final = """
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
# Gives back our own only: a foreign one stays.
RELEASE: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
"""


def lease_owner_new() -> str:
    """Return a name that no other engine has."""
    return f"{socket.gethostname()}:{os.getpid()}:{os.urandom(8).hex()}"


class RedisLease:
    """The lease of one shard, held under a name that no other engine has."""

    def __init__(self, config: EngineConfig) -> None:
        self._connection = Connection(config.log_redis_url, timeout_ms=_TIMEOUT_MS)
        self._key = streams.lease_key(config.prefix, config.shard)
        self._input = streams.input_stream(config.prefix, config.shard, config.shards)
        self._lease_ms = config.lease_us // 1_000
        self._owner = config.lease_owner or lease_owner_new()
        self._tick = codec.encode(Tick())
        # The runner acquires and releases, its heartbeat renews; a recovery may do so at the same time.
        self._lock = threading.Lock()

    def _call(self, *command: Argument) -> object:
        with self._lock:
            try:
                if not self._connection.is_connected:
                    self._connection.connect()
                return self._connection.call(*command)
            except (ConnectionLostError, ServerError) as error:
                raise LogUnavailableError(str(error)) from error

    def acquire(self) -> bool:
        """Take the lease if it is free or ours; return whether it is ours."""
        return self._call("EVAL", _HOLD, 1, self._key, self._owner, self._lease_ms) == 1

    def renew(self) -> bool:
        """Prolong the lease; return False when another engine holds it."""
        return self.acquire()

    def release(self) -> None:
        """Give the lease back if it is ours."""
        self._call("EVAL", RELEASE, 1, self._key, self._owner)

    def append_tick(self) -> None:
        """Append one tick of time to the input stream."""
        self._call(
            "XADD", self._input, "*",
            streams.IN_VERSION, codec.WIRE_VERSION,
            streams.IN_MESSAGE, self._tick,
            streams.IN_GATEWAY, b"",
        )  # fmt: skip

    def input_added(self) -> int:
        """Return how many entries were ever added to the input stream."""
        if not self._call("EXISTS", self._input):
            return 0
        facts = self._call("XINFO", "STREAM", self._input)
        if not isinstance(facts, list):
            raise LogUnavailableError(f"expected facts about the stream, found {facts!r}")
        return int(facts[facts.index(b"entries-added") + 1])

    def close(self) -> None:
        """Give up the connection."""
        with self._lock:
            self._connection.close()


class RedisMonitor:
    """Reports health to the other server; a report that cannot be delivered is dropped."""

    def __init__(self, config: EngineConfig) -> None:
        self._connection = Connection(config.redis_url, timeout_ms=_TIMEOUT_MS)
        self._active_key = streams.health_key(config.prefix, config.shard)
        self._standby_key = streams.standby_health_key(config.prefix, config.shard)
        self._encode = msgspec.json.Encoder().encode
        self._left_out = 0

    def report(self, health: EngineHealth) -> None:
        """Publish one report; a halt stays readable until the next start."""
        is_last = health.state in {EngineState.HALTED, EngineState.STOPPED}
        if self._left_out and not is_last:
            self._left_out -= 1
            return
        key = self._standby_key if health.is_standby else self._active_key
        command: list[Argument] = ["SET", key, self._encode(health)]
        if health.state is not EngineState.HALTED:
            command += ["PX", _HEALTH_MS]
        began_s = time.monotonic()
        try:
            if not self._connection.is_connected:
                self._connection.connect()
            self._connection.call(*command)
        except (ConnectionLostError, ServerError):
            # One that is away says so at once, and may be asked again with the next report.
            if time.monotonic() - began_s >= _SLOW_S:
                self._left_out = _REPORTS_LEFT_OUT
            self._connection.close()

    def close(self) -> None:
        """Give up the connection."""
        self._connection.close()
