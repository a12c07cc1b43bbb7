"""The ports of the engine: what it needs from the outside, and nothing about how that is done.

Adapters implement them (engine/adapters); in tests an in-memory set with injected faults does.
"""

from collections.abc import Callable, Iterator, Sequence
from enum import Enum, auto
from threading import Event
from typing import NamedTuple, Protocol

import msgspec

from engine.core.machine import Outcome
from engine.messages import codec
from engine.messages.chain import CHAIN_GENESIS
from engine.messages.commands import AnyMessage
from engine.messages.health import EngineHealth
from engine.messages.output_entry import OutputEntry
from engine.messages.streams import QueryRefusal
from engine.messages.views import AnyQuery, AnyView


class InputEntry(NamedTuple):
    """One entry of the input stream, undecoded."""

    # Packed stream id (engine.values).
    entry_id: int
    version: bytes
    message: bytes
    # Tag of the gateway that waits for the answer; empty for feeds and ticks.
    gateway: bytes


class Output(NamedTuple):
    """One entry of the output stream, encoded; its id is the id of the input entry that caused it."""

    entry_id: int
    # Gapless number of the output, from 1.
    number: int
    gateway: bytes
    account: int
    request_id: str
    # JSON; empty without a reply.
    reply: bytes
    # JSON array, possibly empty.
    events: bytes
    # The command's bytes as they stood in the input; empty for quotes and ticks.
    command: bytes
    # Wall clock at the start of the batch, microseconds.
    decided_at_us: int
    epoch: int
    build: str
    chain: bytes

    def entry(self) -> OutputEntry:
        """Return what stands in the stream under the id."""
        return OutputEntry(codec.WIRE_VERSION, *self[1:])


def output_of(entry_id: int, entry: OutputEntry) -> Output:
    """Return the output that stands in the stream under an id."""
    return Output(
        entry_id, entry.number, entry.gateway, entry.account, entry.request_id, entry.reply, entry.events,
        entry.command, entry.decided_at_us, entry.epoch, entry.build, entry.chain,
    )  # fmt: skip


class Position(NamedTuple):
    """How far an engine has come: written with its outputs, kept with its snapshots."""

    # Last applied input entry, packed; 0 before the first.
    entry_id: int = 0
    # Number of the last output.
    number: int = 0
    # Chain hash of the last output.
    chain: bytes = CHAIN_GENESIS
    # Input entries applied since the first, by which missing ones are noticed.
    applied: int = 0


class Checkpoint(NamedTuple):
    """The position that the log itself holds, and who wrote it."""

    position: Position
    epoch: int
    build: str

    @classmethod
    def nowhere(cls) -> "Checkpoint":
        """Return where a log stands that has no checkpoint yet."""
        return cls(Position(), 0, "")


class Batch(NamedTuple):
    """What one publish call commits, or nothing of it."""

    epoch: int
    build: str
    # Where the checkpoint must stand, and where it stands afterwards.
    before: Position
    after: Position
    outputs: Sequence[Output]


class StreamState(NamedTuple):
    """What a stream tells about itself; all zero when it does not exist."""

    first_id: int
    # Highest id ever given, also when its entry is gone.
    last_id: int
    length: int
    # Entries ever added.
    added: int


class Published(Enum):
    """What became of a publish call that was answered."""

    DONE = auto()
    # Another engine raised the epoch.
    FENCED = auto()
    # The checkpoint is not where the batch says that it was.
    MOVED = auto()
    # Input entries vanished before they were applied.
    INPUT_GAP = auto()
    # The output stream holds an id that this batch wants to write.
    OUTPUT_AHEAD = auto()


class Log(Protocol):
    """Input stream, output stream, checkpoint and epoch of one shard.

    Errors: every method raises LogUnavailableError when the log is out of reach.
    """

    def reconnect(self) -> None:
        """Drop the connection, whatever it was doing, and make a new one; nothing is sent again."""
        ...

    def raise_epoch(self) -> int:
        """Raise the fence and return the new epoch; every engine with an older one can publish no more."""
        ...

    def epoch(self) -> int:
        """Return where the fence stands now; 0 before the first engine."""
        ...

    def checkpoint(self) -> Checkpoint | None:
        """Return the checkpoint, None before the first."""
        ...

    def input_state(self) -> StreamState:
        """Return what the input stream tells about itself."""
        ...

    def output_state(self) -> StreamState:
        """Return what the output stream tells about itself."""
        ...

    def read_input(self, after: int, upto: int | None, limit: int) -> Sequence[InputEntry]:
        """Return at most ``limit`` input entries with after < id <= upto, in order; upto None: to the end."""
        ...

    def read_outputs(self, after: int, upto: int | None, limit: int) -> Sequence[Output]:
        """Return at most ``limit`` output entries with after < id <= upto, in order; upto None: to the end."""
        ...

    def publish(self, batch: Batch) -> None:
        """Send a batch, which commits outputs and checkpoint in one step, or nothing; published() tells which.

        At most one batch is under way; the caller may decide further entries meanwhile.
        """
        ...

    def has_answer(self) -> bool:
        """Return whether published() would return at once, or fail; only while a batch is under way."""
        ...

    def published(self) -> Published:
        """Wait for the answer to the batch that is under way."""
        ...


class Query(NamedTuple):
    """A question that waits for its answer."""

    gateway: str
    query_id: int
    # Packed entry id that must be applied first; 0: none.
    after: int
    query: AnyQuery
    # Monotonic time of arrival, microseconds.
    arrived_us: int


class Arrivals(NamedTuple):
    """What one wait brought; both empty after a time-out or a wake-up."""

    entries: Sequence[InputEntry]
    queries: Sequence[Query]


class Inbox(Protocol):
    """Where an engine waits for entries and queries at once, and answers the latter."""

    def wait(self, after: int, limit: int, timeout_us: int) -> Arrivals:
        """Return as soon as entries with id > after, queries or the answer to a batch are there, or the time is over.

        wake() ends it too. Errors: LogUnavailableError. Queries are no part of the promise: without their server none
        arrive.
        """
        ...

    def look_ahead(self) -> None:
        """Take in entries that have arrived meanwhile, for the next wait(); cheap, called in the middle of a batch."""
        ...

    def refuse(self, query: Query, refusal: QueryRefusal, reason: str) -> None:
        """Gather the refusal of a query that cannot be answered."""
        ...

    def answer(self, query: Query, view: AnyView) -> None:
        """Send an answer; a lost one is asked again."""
        ...

    def flush(self) -> None:
        """Send what answer() has gathered."""
        ...

    def wake(self) -> None:
        """End a wait() in another thread; safe in a signal handler."""
        ...

    def close(self) -> None:
        """Give up the connections."""
        ...


class Lease(Protocol):
    """The liveness of the active engine, on a connection of its own; runner and heartbeat both use it.

    Errors: LogUnavailableError.
    """

    def acquire(self) -> bool:
        """Take the lease if it is free or ours; return whether it is ours."""
        ...

    def renew(self) -> bool:
        """Prolong the lease; return False when another engine holds it."""
        ...

    def release(self) -> None:
        """Give the lease back if it is ours."""
        ...

    def append_tick(self) -> None:
        """Append one tick of time to the input stream."""
        ...

    def input_added(self) -> int:
        """Return how many entries were ever added to the input stream."""
        ...

    def close(self) -> None:
        """Give up the connection."""
        ...


class Monitor(Protocol):
    """Where health is reported; a report that cannot be delivered is dropped."""

    def report(self, health: EngineHealth) -> None:
        """Publish one report; it vanishes by itself a few seconds after the engine, unless that halted."""
        ...

    def close(self) -> None:
        """Give up the connection."""
        ...


class SnapshotHeader(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a snapshot says of itself in clear; authenticated together with the sealed body."""

    # Version of the file's form.
    format: int
    build: str
    # Input stream, shard and number of shards that the state belongs to.
    stream: str
    shard: int
    shards: int
    # The position of the state; hashes as hexadecimal text.
    entry_id: str
    number: int
    count: int
    chain: str
    state_hash: str
    # Wall clock, microseconds.
    taken_at_us: int


class Snapshot(NamedTuple):
    """A state at rest: authenticated, not yet decoded."""

    name: str
    header: SnapshotHeader
    # What Machine.dump() returned.
    body: bytes


class RefusedSnapshot(NamedTuple):
    """A file that cannot be used, and why, in one sentence."""

    name: str
    reason: str


class SnapshotStatus(NamedTuple):
    """What a store tells about its work."""

    # Header of the last snapshot that this store wrote; None before the first.
    newest: SnapshotHeader | None
    # Why the last save failed; empty when it did not.
    failure: str
    # How the state was found to contradict itself while it was copied; the engine must halt. Empty when it was sound.
    contradiction: str = ""


# Copies a state: the header and what Machine.dump() returned. Errors: InvariantError where the copy checks it too.
StateCopy = Callable[[], tuple[SnapshotHeader, bytes]]


class SnapshotStore(Protocol):
    """Snapshots of one shard on this host."""

    def is_busy(self) -> bool:
        """Return whether the snapshot before is still being written."""
        ...

    def save(self, copy: StateCopy) -> None:
        """Begin to write a snapshot of the state as it is now.

        A failure to write never reaches the caller, who must go on trading: it shows in status(). A state that
        contradicts itself does, at once or through status().
        """
        ...

    def flush(self, timeout_us: int) -> None:
        """Wait until a save in work has ended."""
        ...

    def newest_first(self) -> Iterator[Snapshot | RefusedSnapshot]:
        """Yield every file, newest first, opened and authenticated only when it is asked for."""
        ...

    def status(self) -> SnapshotStatus:
        """Return what the last saves came to."""
        ...


class Clock(Protocol):
    """Wall clock, monotonic clock and waiting."""

    def now_us(self) -> int:
        """Return the wall clock, microseconds UTC."""
        ...

    def monotonic_us(self) -> int:
        """Return a clock that never goes back, microseconds."""
        ...

    def wait(self, event: Event, timeout_us: int) -> bool:
        """Wait until the event is set or the time is over; return whether it is set."""
        ...


class StateMachine(Protocol):
    """The pure core as the runtime drives it; engine.core.machine.Machine in service."""

    @property
    def entry_id(self) -> int:
        """Return the last applied entry, packed."""
        ...

    def decide(
        self,
        entry_id: int,
        message: AnyMessage | None,
        digest: bytes = b"",
        decided_at_us: int = 0,
    ) -> Outcome | None:
        """Apply one new entry; None: nothing is to be published."""
        ...

    def skip(self, entry_id: int) -> Outcome:
        """Pass over one entry."""
        ...

    def evolve_recorded(
        self,
        entry_id: int,
        message: AnyMessage | None,
        outcome: Outcome | None,
        digest: bytes = b"",
    ) -> None:
        """Apply one entry whose outcome is history."""
        ...

    def finish_recovery(self) -> None:
        """Re-arm what the evolved history has touched."""
        ...

    def state_hash(self) -> bytes:
        """Return the hash over what outputs alone determine."""
        ...

    def dump(self) -> bytes:
        """Return everything as bytes."""
        ...

    def copy(self) -> tuple[bytes, bytes]:
        """Return dump() and state_hash() of this moment."""
        ...

    def verifying(self) -> Iterator[None]:
        """Check every invariant part by part; entries may be applied between two parts. InvariantError."""
        ...

    def verify(self) -> None:
        """Check every invariant; InvariantError."""
        ...

    def answer(self, query: AnyQuery) -> AnyView:
        """Answer a query from the state as it is."""
        ...


class MachineFactory(Protocol):
    """Makes state machines: empty ones and restored ones."""

    def new(self) -> StateMachine:
        """Return an empty state."""
        ...

    def load(self, raw: bytes) -> StateMachine:
        """Return a state from its dump; InvariantError, ValueError or MsgspecError when it cannot be read."""
        ...

    def state_hash_in(self, raw: bytes) -> bytes:
        """Return the hash of the state in a dump, without loading it; MsgspecError when it cannot be read."""
        ...


# Called with the name of each point where a crash is tried in tests; does nothing in service.
Probe = Callable[[str], None]


def probe_nothing(point: str) -> None:
    """Pass every point: the probe of service."""
    del point
