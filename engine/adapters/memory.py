"""The ports in memory, with faults on demand: for simulations that try every crash in every order, thousands of times.

`World` is what survives a crash: streams, checkpoint, epoch, lease, snapshots. The ports around it belong to one
process and die with it. A plan is asked at every named point what goes wrong there.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum, auto
from threading import Event

from engine.config import EngineConfig
from engine.messages import codec
from engine.messages.commands import AnyMessage
from engine.messages.health import EngineHealth
from engine.messages.streams import QueryRefusal
from engine.messages.views import AnyView
from engine.runtime.errors import LogUnavailableError
from engine.runtime.ports import (
    Arrivals,
    Batch,
    Checkpoint,
    InputEntry,
    MachineFactory,
    Output,
    Position,
    Published,
    Query,
    RefusedSnapshot,
    Snapshot,
    SnapshotStatus,
    StateCopy,
    StreamState,
)
from engine.runtime.retention import LogMemory, Registration, Trimmer
from engine.runtime.runner import Runner
from engine.runtime.status import Status
from engine.values import entry_id_from_text

_VERSION = str(codec.WIRE_VERSION).encode()
_SNAPSHOTS_KEPT = 3


class Fault(Enum):
    """What goes wrong at a point."""

    NONE = auto()
    # The process is killed there.
    CRASH = auto()
    # The connection breaks before the call was carried out, or after it.
    LOST_CALL = auto()
    LOST_REPLY = auto()
    # A snapshot is damaged on its way.
    TORN = auto()
    # A snapshot's file disappears, or a call that was sent never arrives.
    VANISHED = auto()
    # It takes its time.
    DELAYED = auto()


# Asked with the name of each point.
FaultPlan = Callable[[str], Fault]


class SimulatedCrashError(BaseException):
    """A kill: nothing in the process may catch it, so it is no Exception."""


def no_faults(point: str) -> Fault:
    """Let everything go well."""
    del point
    return Fault.NONE


class World:
    """What outlives a process."""

    def __init__(self) -> None:
        self.inputs: list[InputEntry] = []
        self.outputs: list[Output] = []
        self.checkpoint: Checkpoint | None = None
        self.epoch = 0
        self.lease_owner = ""
        # Packed ids below which the streams were trimmed; what is below is kept for the judgement, but nobody sees it.
        self.input_below = 0
        self.outputs_below = 0
        # What hosts and consumers have registered.
        self.registrations: dict[str, Registration] = {}
        self.consumers: dict[str, int] = {}
        # By host and entry id; None: torn.
        self.snapshots: dict[str, dict[int, Snapshot | None]] = {}

    def append(self, message: AnyMessage | bytes, *, at_ms: int, gateway: bytes = b"") -> int:
        """Append an entry at a time, as a gateway or feed does, and return its id."""
        raw = message if isinstance(message, bytes) else codec.encode(message)
        last_id = self.inputs[-1].entry_id if self.inputs else 0
        entry_id = max(entry_id_from_text(f"{at_ms}-0"), last_id + 1)
        self.inputs.append(InputEntry(entry_id, _VERSION, raw, gateway))
        return entry_id


def _state_of(entries: Sequence[InputEntry | Output], below: int) -> StreamState:
    first = bisect_left(entries, below, key=lambda entry: entry.entry_id)
    return StreamState(
        first_id=entries[first].entry_id if first < len(entries) else 0,
        last_id=entries[-1].entry_id if entries else 0,
        length=len(entries) - first,
        added=len(entries),
    )


class MemoryClock:
    """Clocks that stand still until they are moved; waiting moves them at once."""

    def __init__(self, now_us: int = 0) -> None:
        self.wall_us = now_us
        self.running_us = 1

    def now_us(self) -> int:
        """Return the wall clock, microseconds UTC."""
        return self.wall_us

    def monotonic_us(self) -> int:
        """Return the monotonic clock, microseconds."""
        return self.running_us

    def wait(self, event: Event, timeout_us: int) -> bool:
        """Let the time pass without waiting."""
        self.running_us += timeout_us
        return event.is_set()


class MemoryLog:
    """The log of a world, as one process sees it."""

    def __init__(self, world: World, plan: FaultPlan) -> None:
        self._world = world
        self._plan = plan
        # The answer to the last batch; None: it will never come.
        self._published: Published | None = None
        # Whether nobody has looked at that answer yet.
        self.owes_answer = False

    def _meet(self, point: str) -> Fault:
        fault = self._plan(point)
        if fault is Fault.CRASH:
            raise SimulatedCrashError(point)
        if fault is Fault.LOST_CALL:
            raise LogUnavailableError(f"the connection broke before {point}")
        return fault

    def reconnect(self) -> None:
        """Make a new connection."""
        self.owes_answer = False
        self._meet("reconnect")

    def raise_epoch(self) -> int:
        """Raise the fence."""
        fault = self._meet("raise_epoch")
        self._world.epoch += 1
        if fault is Fault.LOST_REPLY:
            raise LogUnavailableError("the reply to raise_epoch was lost")
        return self._world.epoch

    def epoch(self) -> int:
        """Return where the fence stands."""
        return self._world.epoch

    def checkpoint(self) -> Checkpoint | None:
        """Return the checkpoint."""
        self._meet("checkpoint")
        return self._world.checkpoint

    def input_state(self) -> StreamState:
        """Return what the input stream tells about itself."""
        return _state_of(self._world.inputs, self._world.input_below)

    def output_state(self) -> StreamState:
        """Return what the output stream tells about itself."""
        return _state_of(self._world.outputs, self._world.outputs_below)

    def read_input(self, after: int, upto: int | None, limit: int) -> Sequence[InputEntry]:
        """Return input entries of a range."""
        self._meet("read_input")
        start = max(after, self._world.input_below - 1)
        return [
            entry
            for entry in self._world.inputs
            if start < entry.entry_id and (upto is None or entry.entry_id <= upto)
        ][:limit]

    def read_outputs(self, after: int, upto: int | None, limit: int) -> Sequence[Output]:
        """Return output entries of a range."""
        self._meet("read_outputs")
        start = max(after, self._world.outputs_below - 1)
        return [
            output
            for output in self._world.outputs
            if start < output.entry_id and (upto is None or output.entry_id <= upto)
        ][:limit]

    def publish(self, batch: Batch) -> None:
        """Commit a batch, by the rules of the script on the server, unless the call is lost on its way."""
        fault = self._meet("publish")
        self.owes_answer = True
        self._published = None
        if fault is Fault.VANISHED:
            return
        published = self._commit(batch)
        self._published = None if fault is Fault.LOST_REPLY else published

    def has_answer(self) -> bool:
        """Return whether the answer has come."""
        fault = self._plan("has_answer")
        if fault is Fault.CRASH:
            raise SimulatedCrashError("has_answer")
        return fault is Fault.NONE

    def published(self) -> Published:
        """Return what became of the batch."""
        self._meet("published")
        self.owes_answer = False
        if self._published is None:
            raise LogUnavailableError("the answer to publish was lost")
        return self._published

    def _commit(self, batch: Batch) -> Published:
        world, before, after = self._world, batch.before, batch.after
        position = world.checkpoint.position if world.checkpoint else Position()
        if world.epoch != batch.epoch:
            return Published.FENCED
        if position.entry_id != before.entry_id:
            return Published.MOVED
        inputs = self.input_state()
        if (
            inputs.added - inputs.length > before.applied
            or inputs.added < after.applied
            or (inputs.last_id == after.entry_id and inputs.added != after.applied)
        ):
            return Published.INPUT_GAP
        if batch.outputs and self.output_state().last_id >= batch.outputs[0].entry_id:
            return Published.OUTPUT_AHEAD
        world.outputs.extend(batch.outputs)
        world.checkpoint = Checkpoint(after, batch.epoch, batch.build)
        return Published.DONE


class MemoryInbox:
    """Entries of a world, and queries that a test puts in."""

    def __init__(self, log: MemoryLog, clock: MemoryClock, plan: FaultPlan) -> None:
        self._log = log
        self._clock = clock
        self._plan = plan
        self.asked: list[Query] = []
        self.answered: list[tuple[Query, AnyView]] = []
        self.refused: list[tuple[Query, QueryRefusal, str]] = []

    def wait(self, after: int, limit: int, timeout_us: int) -> Arrivals:
        """Return what is there; without anything the time passes."""
        fault = self._plan("wait")
        if fault is Fault.CRASH:
            raise SimulatedCrashError("wait")
        if fault is not Fault.NONE:
            raise LogUnavailableError("the connection broke while waiting")
        entries = self._log.read_input(after, None, limit)
        queries, self.asked = self.asked, []
        if not entries and not queries and not self._log.owes_answer:
            self._clock.running_us += timeout_us
        return Arrivals(entries, queries)

    def look_ahead(self) -> None:
        """Do nothing: what is there is read by the next wait()."""

    def answer(self, query: Query, view: AnyView) -> None:
        """Keep an answer."""
        self.answered.append((query, view))

    def refuse(self, query: Query, refusal: QueryRefusal, reason: str) -> None:
        """Keep a refusal for the test."""
        self.refused.append((query, refusal, reason))

    def flush(self) -> None:
        """Do nothing: answers are there already."""

    def wake(self) -> None:
        """Do nothing: no wait lasts."""

    def close(self) -> None:
        """Do nothing: there is no connection."""


class MemoryLease:
    """The lease of a world under an owner's name; a crash leaves it, and it lapses by the test's will."""

    def __init__(self, world: World, owner: str) -> None:
        self._world = world
        self._owner = owner
        self.ticks = 0

    def acquire(self) -> bool:
        """Take the lease if it is free or ours."""
        if self._world.lease_owner not in {"", self._owner}:
            return False
        self._world.lease_owner = self._owner
        return True

    def renew(self) -> bool:
        """Prolong the lease."""
        return self.acquire()

    def release(self) -> None:
        """Give the lease back."""
        if self._world.lease_owner == self._owner:
            self._world.lease_owner = ""

    def append_tick(self) -> None:
        """Count a tick; the test decides when time passes."""
        self.ticks += 1

    def input_added(self) -> int:
        """Return how many entries were ever added."""
        return len(self._world.inputs)

    def close(self) -> None:
        """Do nothing: there is no connection."""


class MemorySnapshots:
    """Snapshots of a world."""

    def __init__(self, world: World, plan: FaultPlan, host: str) -> None:
        self._snapshots = world.snapshots.setdefault(host, {})
        self._plan = plan
        self._status = SnapshotStatus(None, "")

    def is_busy(self) -> bool:
        """Return False: saving takes no time."""
        return False

    def save(self, copy: StateCopy) -> None:
        """Keep a snapshot, whole or torn, or lose it."""
        header, body = copy()
        fault = self._plan("save")
        if fault is Fault.CRASH:
            raise SimulatedCrashError("save")
        if fault is Fault.VANISHED:
            return
        entry_id = entry_id_from_text(header.entry_id)
        snapshot = Snapshot(header.entry_id, header, body)
        # Torn after it was read back: before that a tear is noticed, and nobody relies on the file. One at a time, as
        # the log is kept for two.
        is_torn = fault is Fault.TORN and None not in self._snapshots.values()
        self._snapshots[entry_id] = None if is_torn else snapshot
        for old in sorted(self._snapshots)[:-_SNAPSHOTS_KEPT]:
            del self._snapshots[old]
        self._status = SnapshotStatus(header, "")

    def flush(self, timeout_us: int) -> None:
        """Do nothing: saving takes no time."""

    def newest_first(self) -> Iterator[Snapshot | RefusedSnapshot]:
        """Yield the snapshots, newest first."""
        for entry_id, snapshot in sorted(self._snapshots.items(), reverse=True):
            yield snapshot or RefusedSnapshot(str(entry_id), "it is torn")

    def status(self) -> SnapshotStatus:
        """Return what the last saves came to."""
        return self._status


class MemoryMonitor:
    """Keeps the reports."""

    def __init__(self) -> None:
        self.reports: list[EngineHealth] = []

    def report(self, health: EngineHealth) -> None:
        """Keep a report."""
        self.reports.append(health)

    def close(self) -> None:
        """Do nothing: there is no connection."""


class MemoryRetention:
    """The registers of a world, and its trimming."""

    def __init__(self, world: World, plan: FaultPlan, host: str) -> None:
        self._world = world
        self._plan = plan
        self._host = host

    @property
    def host(self) -> str:
        """Return the name of the store."""
        return self._host

    def _meet(self, point: str) -> None:
        fault = self._plan(point)
        if fault is Fault.CRASH:
            raise SimulatedCrashError(point)
        if fault is not Fault.NONE:
            raise LogUnavailableError(f"the connection broke before {point}")

    def register(self, registration: Registration) -> None:
        """Keep what a host says."""
        self._meet("register")
        self._world.registrations[self._host] = registration

    def registrations(self) -> Mapping[str, Registration]:
        """Return what every host has said last."""
        return self._world.registrations

    def strike_off(self, host: str) -> None:
        """Forget a host."""
        del self._world.registrations[host]

    def consumers(self) -> Mapping[str, int]:
        """Return the positions of durable consumers."""
        return self._world.consumers

    def newest_output(self) -> int:
        """Return the id of the newest output."""
        return _state_of(self._world.outputs, 0).last_id

    def trim_input(self, below: int) -> int:
        """Hide input entries below an id."""
        self._meet("trim")
        before, self._world.input_below = (
            self._world.input_below,
            max(below, self._world.input_below),
        )
        return int(below > before)

    def trim_outputs(self, below: int) -> int:
        """Hide output entries below an id."""
        self._meet("trim")
        before, self._world.outputs_below = (
            self._world.outputs_below,
            max(below, self._world.outputs_below),
        )
        return int(below > before)

    def memory(self) -> LogMemory:
        """Return that nothing is used."""
        return LogMemory(used=0, limit=1)

    def disk_percent(self) -> int:
        """Return that nothing is used."""
        return 0

    def close(self) -> None:
        """Do nothing: there is no connection."""


class NoHeartbeat:
    """A heart that never beats: the simulation moves time itself, and lets the trimmer work when it likes."""

    def start(self) -> None:
        """Do nothing."""

    def stop(self) -> None:
        """Do nothing."""


class Process:
    """One engine process in a world; drive it by runner.start() and runner.step()."""

    def __init__(
        self,
        world: World,
        *,
        config: EngineConfig,
        machines: MachineFactory,
        plan: FaultPlan = no_faults,
        clock: MemoryClock | None = None,
        owner: str = "only",
        host: str = "host",
    ) -> None:
        self.clock = clock or MemoryClock()
        self.log = MemoryLog(world, plan)
        self.inbox = MemoryInbox(self.log, self.clock, plan)
        self.status = Status(shard=config.shard, shards=config.shards, build=config.build)
        self.trimmer = Trimmer(
            retention=MemoryRetention(world, plan, host), clock=self.clock, status=self.status
        )

        def probe(point: str) -> None:
            if plan(point) is Fault.CRASH:
                raise SimulatedCrashError(point)

        self.runner = Runner(
            config=config,
            log=self.log,
            inbox=self.inbox,
            lease=MemoryLease(world, owner),
            heartbeat=NoHeartbeat(),
            snapshots=MemorySnapshots(world, plan, host),
            clock=self.clock,
            machines=machines,
            status=self.status,
            probe=probe,
        )
