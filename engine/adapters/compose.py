"""Puts one engine together from its configuration; the one place where ports meet their adapters."""

import gc
import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

from engine.adapters.forked_snapshots import ForkedSnapshots
from engine.adapters.journalled_log import JournalledLog, RecordedOutputs
from engine.adapters.redis_inbox import RedisInbox
from engine.adapters.redis_lease import RedisLease, RedisMonitor
from engine.adapters.redis_retention import RedisRetention
from engine.adapters.redis_streams import RedisLog
from engine.adapters.snapshot_files import SnapshotFiles
from engine.adapters.system_clock import SystemClock
from engine.config import EngineConfig
from engine.core import image
from engine.core.machine import Machine
from engine.runtime.heartbeat import Heartbeat
from engine.runtime.ports import (
    MachineFactory,
    Probe,
    SnapshotStore,
    StateMachine,
    probe_nothing,
)
from engine.runtime.retention import Trimmer
from engine.runtime.runner import Runner
from engine.runtime.status import Status

# In the web process other code makes garbage too, so its collector stays on, but looks at old objects seldom.
_OLD_GENERATION_THRESHOLD: Final = 1_000


class CoreMachines:
    """Makes the state machines of service."""

    def __init__(self, *, shard: int, shards: int) -> None:
        self._shard = shard
        self._shards = shards

    def new(self) -> StateMachine:
        """Return an empty state."""
        return Machine(shard=self._shard, shards=self._shards)

    def load(self, raw: bytes) -> StateMachine:
        """Return a state from its dump; errors as Machine.load."""
        return Machine.load(raw, shard=self._shard, shards=self._shards)

    def state_hash_in(self, raw: bytes) -> bytes:
        """Return the hash of the state in a dump."""
        return image.state_hash_in(raw)


def build_runner(
    config: EngineConfig,
    *,
    machines: MachineFactory | None = None,
    recorded: RecordedOutputs | None = None,
    probe: Probe = probe_nothing,
) -> Runner:
    """Return the engine of one shard, ready to run(); nothing is connected or started yet.

    ``recorded`` is where outputs stand that the stream has lost; without it a recovery that lacks some refuses.
    """
    clock = SystemClock()
    status = Status(shard=config.shard, shards=config.shards, build=config.build)
    log = RedisLog(config, clock) if recorded is None else JournalledLog(config, clock, recorded)
    lease = RedisLease(config)
    return Runner(
        config=config,
        log=log,
        inbox=RedisInbox(config, log, clock),
        lease=lease,
        heartbeat=Heartbeat(
            config=config,
            lease=lease,
            monitor=RedisMonitor(config),
            trimmer=Trimmer(retention=RedisRetention(config), clock=clock, status=status),
            clock=clock,
            status=status,
        ),
        snapshots=_snapshots(config, probe),
        clock=clock,
        machines=machines or CoreMachines(shard=config.shard, shards=config.shards),
        status=status,
        loading=_loading(is_dedicated=config.is_dedicated),
        probe=probe,
    )


def _snapshots(config: EngineConfig, probe: Probe) -> SnapshotStore:
    files = SnapshotFiles(config, probe=probe)
    # Beside a web server's threads a fork could copy a lock that somebody holds.
    return ForkedSnapshots(files) if config.is_dedicated else files


def _loading(*, is_dedicated: bool) -> Callable[[], AbstractContextManager[None]]:
    """Return what keeps the garbage collector from a state while and after it is loaded.

    While millions of objects come to life it would look at all of them again and again; a full pass over a million
    positions takes 1.3 s afterwards.
    """

    @contextmanager
    def loading() -> Iterator[None]:
        gc.disable()
        try:
            yield
        finally:
            gc.freeze()
            # The loop of a dedicated engine makes no cycles; reference counts free everything that it makes.
            if not is_dedicated:
                young, middle, _ = gc.get_threshold()
                gc.set_threshold(young, middle, _OLD_GENERATION_THRESHOLD)
                gc.enable()

    return loading


def source_build() -> str:
    """Return a name of the code that decides: a digest of the engine's sources, equal wherever these are equal."""
    root = Path(__file__).resolve().parent.parent
    digest = hashlib.blake2b(digest_size=6)
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
