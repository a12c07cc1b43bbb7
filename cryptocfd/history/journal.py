"""From the journal to the state of every shard: recorded outputs are evolved, from genesis or from a snapshot.

On the way everything that can be proved is proved: numbers without a gap, the chain of hashes, the hash of the state at each
snapshot, and that each layout goes on where the one before has ended.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from apps.common.outputs import Output
from apps.trade import selectors
from apps.trade.models import ProjectorOffset
from apps.trade.services.projection.journal import journal_outputs
from apps.trade.services.projection.offsets import offsets_stray
from cryptocfd.history.errors import HistoryError
from engine.adapters.snapshot_files import SnapshotFiles
from engine.config import EngineConfig
from engine.core.layout import resharded
from engine.core.machine import Machine
from engine.core.state import State
from engine.messages.chain import CHAIN_GENESIS
from engine.messages.events import Resharded
from engine.messages.streams import FIRST_LAYOUT
from engine.runtime.errors import HaltError
from engine.runtime.ports import InputEntry, Position, Snapshot, SnapshotHeader
from engine.runtime.ports import Output as EngineOutput
from engine.runtime.shard import Shard
from engine.values import InvariantError, text_from_entry_id

# Where a reshard leaves the snapshots of the layout that it ends.
ARCHIVE: Final = "layout-{layout}"

# Told how many outputs were read since the last call.
Advance = Callable[[int], None]


def advance_nothing(_count: int) -> None:
    """Report no progress."""


@dataclass(slots=True)
class JournalShard:
    """One chain of the journal, evolved to its end."""

    shard: Shard
    machine: Machine

    @property
    def state(self) -> State:
        """Return what the shard knows."""
        return self.machine.state


@dataclass(frozen=True, slots=True)
class JournalHistory:
    """The newest layout of the journal at its end, and how much of it was proved on the way."""

    layout: int
    shards: list[JournalShard]
    outputs: int
    # Snapshots whose hashes were compared.
    snapshots: int


def journal_length() -> int:
    """Return how many outputs the journal says that it has."""
    return sum(offset.n for layout in selectors.layouts() for offset in layout)


def snapshot_config(config: EngineConfig, layout: int, shard: int, shards: int) -> EngineConfig:
    """Return the configuration under which the archived snapshots of a former layout open."""
    folder = config.snapshot_dir / ARCHIVE.format(layout=layout)
    return replace(config, snapshot_dir=folder, shard=shard, shards=shards)


def replay_from_genesis(config: EngineConfig, advance: Advance = advance_nothing) -> JournalHistory:
    """Evolve the whole journal, every layout of it; ``config`` is that of any shard of the newest.

    Errors: HistoryError with the first thing that cannot be proved.
    """
    layouts = selectors.layouts()
    if not layouts:
        raise HistoryError("The journal is empty: no projector has ever written to this database.")
    require_no_stray(config.shards)
    before: list[JournalShard] = []
    outputs = snapshots = 0
    for rows in layouts:
        number, count = rows[0].layout, len(rows)
        is_newest = rows is layouts[-1]
        _require_whole(rows, before)
        shards: list[JournalShard] = []
        for row in rows:
            chain = _Chain(row, count)
            own = replace(config, shard=row.shard, shards=count)
            chain.known = _headers(
                own if is_newest else snapshot_config(config, number, row.shard, count)
            )
            shard = chain.begin(before)
            chain.evolve(
                shard,
                journal_outputs(number, row.shard, after=shard.shard.position.number),
                advance,
            )
            shards.append(shard)
            outputs += row.n
            snapshots += chain.compared
        before = shards
    return JournalHistory(layouts[-1][0].layout, before, outputs, snapshots)


def require_no_stray(shards: int) -> None:
    """Refuse a journal with offset rows of shards that never were.

    Errors: HistoryError.
    """
    if stray := offsets_stray(shards):
        names = ", ".join(f"shard {row.shard} of layout {row.layout}" for row in stray)
        raise HistoryError(
            f"The projector's offsets name {names}, but that layout has no such shard and nothing was ever written for it: an older "
            "release noted it beside a lost log. `python manage.py repair_offsets` removes it (as the owner of the tables); the "
            f"outputs are not touched. ENGINE_SHARDS is {shards}: if that is wrong, set it right first."
        )


def _require_whole(rows: Sequence[ProjectorOffset], before: Sequence[JournalShard]) -> None:
    layout = rows[0].layout
    expected = FIRST_LAYOUT if not before else None
    if (expected is not None and layout != expected) or [row.shard for row in rows] != list(
        range(len(rows))
    ):
        raise HistoryError(
            f"The journal has no whole layout {layout}: it knows the shards {[r.shard for r in rows]}."
        )


def _headers(config: EngineConfig) -> dict[int, list[SnapshotHeader]]:
    """Return the headers of the snapshots that open, by the number of their last output."""
    headers: dict[int, list[SnapshotHeader]] = {}
    for item in SnapshotFiles(config).newest_first():
        if isinstance(item, Snapshot):
            headers.setdefault(item.header.number, []).append(item.header)
    return headers


class _Chain:
    """One chain of the journal on its way to its end."""

    def __init__(self, row: ProjectorOffset, shards: int) -> None:
        self._row = row
        self._shards = shards
        self.known: dict[int, list[SnapshotHeader]] = {}
        self.compared = 0

    @property
    def _name(self) -> str:
        return f"shard {self._row.shard} of layout {self._row.layout}"

    def begin(self, before: Sequence[JournalShard]) -> JournalShard:
        """Return the state that this chain begins with: the empty one, or what the layout before has left."""
        if not before:
            machine = Machine(shard=self._row.shard, shards=self._shards)
            return JournalShard(Shard(machine, Position(), epoch=0, build=""), machine)
        first = next(journal_outputs(self._row.layout, self._row.shard), None)
        if first is None:
            raise HistoryError(f"The journal of {self._name} lacks its first output.")
        event = first.events[0] if first.events else None
        if not isinstance(event, Resharded) or first.n != 1:
            raise HistoryError(f"The journal of {self._name} does not begin with a reshard.")
        for end, shard in zip(event.ended, before, strict=False):
            position = shard.shard.position
            found = (position.number, position.chain.hex(), shard.machine.state_hash().hex())
            if (end.number, end.chain, end.state_hash) != found:
                raise HistoryError(
                    f"The first output of {self._name} says that shard {end.shard} before it ended at output "
                    f"{end.number} with the hashes {end.chain} and {end.state_hash}; the journal "
                    f"ends at {found[0]} with {found[1]} and {found[2]}."
                )
        if len(event.ended) != len(before) or event.shards != self._shards:
            raise HistoryError(
                f"The first output of {self._name} names other shards than there are."
            )
        states = resharded([item.state for item in before], self._shards, first.entry_id)
        machine = Machine(shard=self._row.shard, shards=self._shards, state=states[self._row.shard])
        if first.chain != first.chain_after(CHAIN_GENESIS):
            raise HistoryError(f"Output 1 of {self._name} was edited: its hash is another one.")
        if machine.state_hash().hex() != event.state_hash:
            raise HistoryError(f"The state that {self._name} began with cannot be made again.")
        position = Position(first.entry_id, 1, first.chain, 1)
        shard = JournalShard(Shard(machine, position, epoch=0, build=""), machine)
        self._compare(shard)
        return shard

    def evolve(
        self, shard: JournalShard, outputs: Iterator[Output], advance: Advance
    ) -> JournalShard:
        """Evolve the rest of the chain, and prove that it ends where the offset says."""
        for output in outputs:
            try:
                shard.shard.evolve(*engine_entry(output))
            except HaltError as error:
                raise HistoryError(f"The journal of {self._name}: {error}") from error
            self._compare(shard)
            advance(1)
        position = shard.shard.position
        if (position.number, position.chain) != (self._row.n, bytes(self._row.chain)):
            raise HistoryError(
                f"The journal of {self._name} ends at output {position.number} with hash "
                f"{position.chain.hex()}; the projector's offset says {self._row.n} with "
                f"{bytes(self._row.chain).hex()}."
            )
        try:
            shard.shard.settle()
            shard.machine.verify()
        except InvariantError as error:
            raise HistoryError(f"The end of {self._name} contradicts itself: {error}.") from error
        return shard

    def _compare(self, shard: JournalShard) -> None:
        position = shard.shard.position
        for header in self.known.get(position.number, ()):
            found = (position.chain.hex(), shard.machine.state_hash().hex())
            if (header.chain, header.state_hash) != found:
                raise HistoryError(
                    f"The snapshot of {self._name} at {header.entry_id} has the chain {header.chain} and the state "
                    f"{header.state_hash} after output {position.number}; the journal gives "
                    f"{found[0]} and {found[1]}."
                )
            self.compared += 1


def engine_entry(output: Output) -> tuple[InputEntry, EngineOutput]:
    """Return a journalled output as the engine knows it, with as much of its input entry as the journal has."""
    entry_id = output.entry_id
    entry = InputEntry(entry_id, str(output.version).encode(), output.command_raw, b"")
    return entry, EngineOutput(
        entry_id,
        output.n,
        b"",
        output.account,
        output.request_id,
        output.reply_raw,
        output.events_raw,
        output.command_raw,
        output.decided_at_us,
        output.epoch,
        output.build,
        output.chain,
    )


def restored_from_snapshots(
    config: EngineConfig, advance: Advance = advance_nothing
) -> JournalHistory | None:
    """Return the newest layout at the journal's end, each shard from its newest snapshot that the journal confirms.

    None where a shard has no such snapshot. Errors: HistoryError as above, and when a snapshot is ahead of the journal.
    """
    rows = selectors.layouts()[-1]
    shards: list[JournalShard] = []
    for row in rows:
        chain = _Chain(row, len(rows))
        own = replace(config, shard=row.shard, shards=len(rows))
        shard = _confirmed(own, row)
        if shard is None:
            return None
        advance(shard.shard.position.number)
        after = shard.shard.position.number
        chain.evolve(shard, journal_outputs(row.layout, row.shard, after=after), advance)
        shards.append(shard)
    return JournalHistory(rows[0].layout, shards, sum(row.n for row in rows), len(rows))


def _confirmed(config: EngineConfig, row: ProjectorOffset) -> JournalShard | None:
    for item in SnapshotFiles(config).newest_first():
        if not isinstance(item, Snapshot):
            continue
        header = item.header
        if header.number > row.n:
            raise HistoryError(
                f"Snapshot {item.name} holds {header.number} outputs of shard {row.shard}, the journal only {row.n}: "
                "the newest were decided but never projected. Restore a newer database; or accept "
                "their loss and move that snapshot to another folder."
            )
        recorded = next(journal_outputs(row.layout, row.shard, after=header.number - 1), None)
        if recorded is None or recorded.chain.hex() != header.chain:
            continue
        try:
            machine = Machine.load(item.body, shard=row.shard, shards=config.shards)
            state_hash = machine.state_hash()
        except (InvariantError, ValueError, msgspec.MsgspecError):
            # Of a build that writes states otherwise: an older file, or the journal alone, serves as well.
            continue
        if state_hash.hex() != header.state_hash:
            continue
        position = Position(
            machine.entry_id, header.number, bytes.fromhex(header.chain), header.count
        )
        return JournalShard(Shard(machine, position, epoch=0, build=""), machine)
    return None


def entry_text(position: Position) -> str:
    """Return the entry id of a position as the streams write it."""
    return text_from_entry_id(position.entry_id)
