"""One shard in memory: the state machine, its position in the log, and the way from entries to outputs.

Nothing is read or written here. A live entry is decided and encoded, a recorded one is evolved and proved.
"""

from collections.abc import Sequence
from typing import Any

from engine.core.machine import Outcome
from engine.messages import codec
from engine.messages.chain import chain_hash
from engine.messages.commands import UNANSWERED, AnyMessage, SkipEntry
from engine.messages.events import EntrySkipped
from engine.messages.rejects import RejectCode
from engine.messages.replies import Rejected
from engine.runtime.errors import HaltCode, HaltError
from engine.runtime.ports import InputEntry, Output, Position, StateMachine
from engine.values import check, entry_id_from_text, text_from_entry_id


def message_of(entry: InputEntry) -> AnyMessage | None:
    """Decode an entry's message; None when it is not exactly one message of a version that we know."""
    if entry.version not in codec.READABLE_VERSIONS:
        return None
    try:
        return codec.decode_message(entry.message)
    except codec.MalformedError:
        return None


def _digest_of(message: AnyMessage | None) -> bytes:
    if message is None or type(message) in UNANSWERED:
        return b""
    command: Any = message
    return codec.content_digest(command)


def skipped_id_of(entry: InputEntry) -> int | None:
    """Return the entry that this one tells to pass over; None when it is no SkipEntry."""
    # Most entries are quotes and orders: looking for the name is far cheaper than decoding each of them.
    if b"SkipEntry" not in entry.message:
        return None
    message = message_of(entry)
    if not isinstance(message, SkipEntry):
        return None
    try:
        return entry_id_from_text(message.entry_id)
    except ValueError:
        return None


class Shard:
    """State machine and position, moved together, one entry at a time."""

    def __init__(
        self, machine: StateMachine, position: Position, *, epoch: int, build: str
    ) -> None:
        self.machine = machine
        self.position = position
        # Entries that an operator told us to pass over.
        self.skips: set[int] = set()
        self._epoch = epoch
        self._build = build
        # Whether recorded events have touched accounts that are not armed anew yet.
        self._is_settled = False

    def lead(self, epoch: int) -> None:
        """Decide under an epoch from now on."""
        self._epoch = epoch

    def settle(self) -> None:
        """Arm what the evolved history has touched; without such it does nothing."""
        if not self._is_settled:
            self.machine.finish_recovery()
            self._is_settled = True

    def decide(self, entry: InputEntry, decided_at_us: int) -> Output | None:
        """Apply a new entry and return its output; None when there is nothing to publish.

        Errors: HaltError POISON when our own code cannot apply it; the state is worthless afterwards.
        """
        return self.decide_part((entry,), decided_at_us)[0][0]

    def decide_part(
        self, entries: Sequence[InputEntry], decided_at_us: int
    ) -> list[tuple[Output | None, Position]]:
        """Apply new entries and return the output of each and where the shard stands with it; errors as decide().

        Decoding, deciding and encoding take turns for all of them: each finds its own code in the processor's caches, which is a
        tenth of an order.
        """
        messages = [message_of(entry) for entry in entries]
        digests = [_digest_of(message) for message in messages]
        decided = [
            self._decided(entry, message, digest, decided_at_us)
            for entry, message, digest in zip(entries, messages, digests, strict=True)
        ]
        return [
            self._encoded(entry, message, outcome, decided_at_us)
            for entry, message, outcome in zip(entries, messages, decided, strict=True)
        ]

    def _decided(
        self, entry: InputEntry, message: AnyMessage | None, digest: bytes, decided_at_us: int
    ) -> Outcome | None:
        entry_id = entry.entry_id
        try:
            if entry_id in self.skips:
                return self.machine.skip(entry_id)
            outcome = self.machine.decide(entry_id, message, digest, decided_at_us)
            if outcome is None and type(message) not in UNANSWERED:
                check(False, "a command was left without an answer")  # noqa: FBT003 - always wrong.
        except Exception as error:
            raise HaltError(
                HaltCode.POISON,
                f"entry {text_from_entry_id(entry_id)} cannot be applied "
                f"({type(error).__name__}: {error}); neither it nor anything after it was published. "
                "Repair the engine, or append a SkipEntry command that names the entry.",
            ) from error
        return outcome

    def _encoded(
        self,
        entry: InputEntry,
        message: AnyMessage | None,
        outcome: Outcome | None,
        decided_at_us: int,
    ) -> tuple[Output | None, Position]:
        position = self.position
        if outcome is None:
            self.position = position = Position(
                entry.entry_id, position.number, position.chain, position.applied + 1
            )
            return None, position
        command = b"" if type(message) in UNANSWERED else entry.message
        number = position.number + 1
        reply = b"" if outcome.reply is None else codec.encode(outcome.reply)
        events = codec.encode(outcome.events)
        chain = chain_hash(
            position.chain,
            entry.entry_id,
            number=number,
            account=outcome.account,
            request_id=outcome.request_id,
            reply=reply,
            events=events,
            command=command,
            decided_at_us=decided_at_us,
        )
        self.position = position = Position(entry.entry_id, number, chain, position.applied + 1)
        output = Output(
            entry.entry_id,
            number,
            entry.gateway,
            outcome.account,
            outcome.request_id,
            reply,
            events,
            command,
            decided_at_us,
            self._epoch,
            self._build,
            chain,
        )
        return output, position

    def confirm(self, entry: InputEntry, output: Output | None) -> None:
        """Decide an entry that another engine of the same build has decided, and compare.

        Errors: HaltError DIVERGED when the results differ; the state is worthless afterwards.
        """
        self.settle()
        if output is not None and is_skipped(output):
            self.skips.add(entry.entry_id)
        try:
            own = self.decide(entry, output.decided_at_us if output else 0)
        except HaltError as error:
            raise HaltError(HaltCode.DIVERGED, str(error)) from error
        if own is None or output is None:
            is_same = own is output
        else:
            # What lies outside the chain differs between two engines: tag, epoch.
            is_same = own == output._replace(gateway=own.gateway, epoch=own.epoch)
        if not is_same:
            raise HaltError(
                HaltCode.DIVERGED,
                f"entry {text_from_entry_id(entry.entry_id)} was decided otherwise by the active "
                "engine of the same build: the rules are not deterministic, or one of the two machines "
                "is faulty. Keep both logs and tell the developers.",
            )

    def evolve(self, entry: InputEntry, output: Output | None) -> None:
        """Apply an entry of the past with its recorded output.

        Errors: HaltError OUTPUT_GAP or CHAIN_BROKEN when the record is not whole, HISTORY_REFUSED when it cannot be
        applied.
        """
        position = self.position
        self._is_settled = False
        if output is None:
            self._evolve(entry, message_of(entry), None)
            self.position = Position(
                entry.entry_id, position.number, position.chain, position.applied + 1
            )
            return
        self._prove(entry, output)
        try:
            outcome = _outcome_of(output)
        except codec.MalformedError as error:
            raise HaltError(
                HaltCode.HISTORY_REFUSED,
                f"output {output.number} of build {output.build!r} holds messages that this build "
                f"does not know ({error}); start that build or a newer one.",
            ) from error
        # What was malformed to the build that recorded it, or was skipped, must not act now that it can be read.
        message = None if _is_passed_over(outcome) else message_of(entry)
        self._evolve(entry, message, outcome)
        self.position = Position(entry.entry_id, output.number, output.chain, position.applied + 1)

    def _prove(self, entry: InputEntry, output: Output) -> None:
        position = self.position
        if output.number != position.number + 1:
            raise HaltError(
                HaltCode.OUTPUT_GAP,
                f"output {position.number + 1} is missing: {output.number} follows "
                f"{position.number}. Restore the output stream from a backup of the log.",
            )
        chain = chain_hash(
            position.chain,
            output.entry_id,
            number=output.number,
            account=output.account,
            request_id=output.request_id,
            reply=output.reply,
            events=output.events,
            command=output.command,
            decided_at_us=output.decided_at_us,
        )
        if chain != output.chain or (output.command and output.command != entry.message):
            raise HaltError(
                HaltCode.CHAIN_BROKEN,
                f"output {output.number} at {text_from_entry_id(output.entry_id)} is not what was "
                "recorded: the chain of hashes breaks there. Restore the log from a backup.",
            )

    def _evolve(
        self, entry: InputEntry, message: AnyMessage | None, outcome: Outcome | None
    ) -> None:
        try:
            self.machine.evolve_recorded(entry.entry_id, message, outcome, _digest_of(message))
        except Exception as error:
            raise HaltError(
                HaltCode.HISTORY_REFUSED,
                f"the record of entry {text_from_entry_id(entry.entry_id)} cannot be applied "
                f"({type(error).__name__}: {error}). The engine does not go live on a history that it cannot prove.",
            ) from error


def is_skipped(output: Output) -> bool:
    """Return whether an operator's SkipEntry passed the entry over."""
    # Most outputs are not: the name is looked for before anything is decoded.
    return b"EntrySkipped" in output.events and any(
        isinstance(event, EntrySkipped) for event in codec.decode_events(output.events)
    )


def _outcome_of(output: Output) -> Outcome:
    return Outcome(
        output.account,
        output.request_id,
        codec.decode_reply(output.reply) if output.reply else None,
        codec.decode_events(output.events),
    )


def _is_passed_over(outcome: Outcome) -> bool:
    if EntrySkipped in map(type, outcome.events):
        return True
    return (
        isinstance(outcome.reply, Rejected)
        and outcome.reply.code is RejectCode.MALFORMED
        and not outcome.request_id
    )
