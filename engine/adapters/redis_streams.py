"""The log on Valkey: input and output stream, checkpoint and epoch of one shard.

One connection carries both publishing and reading on: a publish call is followed, in the same write, by the read of
what comes next, which saves a round trip in every batch.
"""

import hashlib
from collections.abc import Sequence
from typing import Final, cast

from engine.adapters.redis_script import PUBLISH, publish_arguments, published_from
from engine.adapters.resp import Argument, Connection, ConnectionLostError, ServerError
from engine.config import EngineConfig
from engine.messages import streams
from engine.runtime.errors import LogUnavailableError
from engine.runtime.ports import (
    Batch,
    Checkpoint,
    Clock,
    InputEntry,
    Output,
    Position,
    Published,
    StreamState,
)
from engine.values import entry_id_from_text, text_from_entry_id

# A server that does not answer within this time counts as lost.
_TIMEOUT_MS: Final = 5_000
# How long the server holds a read without an entry before it answers "none"; no answer at all long after that means
# that the connection is dead.
_BLOCK_MS: Final = 1_000
_SILENCE_US: Final = (_BLOCK_MS + _TIMEOUT_MS) * 1_000

_SCRIPT_ID: Final = hashlib.sha1(PUBLISH.encode(), usedforsecurity=False).hexdigest()


class RedisLog:
    """The log of one shard on a Valkey server."""

    def __init__(self, config: EngineConfig, clock: Clock) -> None:
        prefix, shard, shards = config.prefix, config.shard, config.shards
        self._connection = Connection(config.log_redis_url, timeout_ms=_TIMEOUT_MS)
        self._clock = clock
        self._input = streams.input_stream(prefix, shard, shards)
        self._output = streams.output_stream(prefix, shard, shards)
        self._checkpoint = streams.checkpoint_key(prefix, shard)
        self._epoch = streams.epoch_key(prefix, shard)
        self._limit = config.batch_entries_max
        # The position whose successors were asked for; None: no read is on its way.
        self._awaited: int | None = None
        self._asked_us = 0

    def close(self) -> None:
        """Give up the connection."""
        self._connection.close()

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when an awaited read is answered."""
        return self._connection.fileno()

    # --- single calls -----------------------------------------------------------------------------------------------

    def reconnect(self) -> None:
        """Drop the connection, whatever it was doing, and make a new one; nothing is sent again."""
        self._awaited = None
        try:
            self._connection.connect()
            self._connection.call("SCRIPT", "LOAD", PUBLISH)
        except (ConnectionLostError, ServerError) as error:
            raise LogUnavailableError(str(error)) from error

    def _call(self, *command: Argument) -> object:
        if self._awaited is not None:
            # Replies come in order: a read on its way would hold this one back for as long as no entry comes.
            self.reconnect()
        try:
            return self._connection.call(*command)
        except (ConnectionLostError, ServerError) as error:
            raise LogUnavailableError(str(error)) from error

    def raise_epoch(self) -> int:
        """Raise the fence and return the new epoch; every engine with an older one can publish no more."""
        return cast("int", self._call("INCR", self._epoch))

    def checkpoint(self) -> Checkpoint | None:
        """Return the checkpoint, None before the first."""
        fields = _named(self._call("HGETALL", self._checkpoint))
        if not fields:
            return None
        return Checkpoint(
            Position(
                entry_id=entry_id_from_text(fields[streams.CHECKPOINT_IN].decode()),
                number=int(fields[streams.CHECKPOINT_NUMBER]),
                chain=fields[streams.CHECKPOINT_HASH],
                applied=int(fields[streams.CHECKPOINT_COUNT]),
            ),
            epoch=int(fields[streams.CHECKPOINT_EPOCH]),
            build=fields[streams.CHECKPOINT_BUILD].decode(),
        )

    def input_state(self) -> StreamState:
        """Return what the input stream tells about itself."""
        return self._state(self._input)

    def output_state(self) -> StreamState:
        """Return what the output stream tells about itself."""
        return self._state(self._output)

    def _state(self, stream: str) -> StreamState:
        # XINFO of an absent stream is an error, which would look like a server that refuses to work.
        if not self._call("EXISTS", stream):
            return StreamState(first_id=0, last_id=0, length=0, added=0)
        facts = _named(self._call("XINFO", "STREAM", stream))
        first = cast("list[bytes] | None", facts[b"first-entry"])
        return StreamState(
            first_id=entry_id_from_text(first[0].decode()) if first else 0,
            last_id=entry_id_from_text(facts[b"last-generated-id"].decode()),
            length=int(facts[b"length"]),
            added=int(facts[b"entries-added"]),
        )

    def read_input(self, after: int, upto: int | None, limit: int) -> Sequence[InputEntry]:
        """Return at most ``limit`` input entries with after < id <= upto, in order; upto None: to the end."""
        return [_input_entry(raw) for raw in self._range(self._input, after, upto, limit)]

    def read_outputs(self, after: int, upto: int | None, limit: int) -> Sequence[Output]:
        """Return at most ``limit`` output entries with after < id <= upto, in order; upto None: to the end."""
        return [_output(raw) for raw in self._range(self._output, after, upto, limit)]

    def _range(self, stream: str, after: int, upto: int | None, limit: int) -> "list[_RawEntry]":
        start = f"({text_from_entry_id(after)}"
        end = "+" if upto is None else text_from_entry_id(upto)
        return cast("list[_RawEntry]", self._call("XRANGE", stream, start, end, "COUNT", limit))

    # --- the loop ---------------------------------------------------------------------------------------------------

    def publish(self, batch: Batch) -> None:
        """Send a batch on its way; with the last one, ask for what follows in the same write."""
        if self._awaited is not None:
            self.reconnect()
        keys = (self._output, self._checkpoint, self._epoch, self._input)
        commands = [("EVALSHA", _SCRIPT_ID, len(keys), *keys, *publish_arguments(batch))]
        if batch.is_last:
            commands.append(self._read_command(batch.after.entry_id))
        try:
            self._connection.send(*commands)
        except ConnectionLostError as error:
            raise LogUnavailableError(str(error)) from error
        if batch.is_last:
            self._note_asked(batch.after.entry_id)

    def published(self) -> Published:
        """Wait for the answer to the batch that is under way.

        An error reply (script forgotten, memory or disk full) means "not done", a lost one "unknown". Both end with a
        fresh connection, which loads the script, and a look at the checkpoint, which tells the truth.
        """
        try:
            return published_from(self._connection.receive())
        except (ConnectionLostError, ServerError) as error:
            raise LogUnavailableError(str(error)) from error

    def ask(self, after: int) -> None:
        """Ask for the entries after a position, unless that is on its way."""
        if self._awaited == after:
            if self._clock.monotonic_us() - self._asked_us > _SILENCE_US:
                raise LogUnavailableError("the log does not answer")
            return
        if self._awaited is not None:
            self.reconnect()
        try:
            self._connection.send(self._read_command(after))
        except ConnectionLostError as error:
            raise LogUnavailableError(str(error)) from error
        self._note_asked(after)

    def take(self) -> Sequence[InputEntry]:
        """Return the entries that were asked for, as far as they are there without waiting."""
        try:
            is_there, reply = self._connection.receive_now()
        except (ConnectionLostError, ServerError) as error:
            raise LogUnavailableError(str(error)) from error
        if not is_there:
            return []
        self._awaited = None
        if reply is None:
            return []
        ((_, entries),) = cast("list[tuple[bytes, list[_RawEntry]]]", reply)
        return [_input_entry(raw) for raw in entries]

    def has_reply(self) -> bool:
        """Return whether an answer was read already, so that the descriptor no longer shows it."""
        return self._connection.has_reply()

    def _read_command(self, after: int) -> tuple[Argument, ...]:
        position = text_from_entry_id(after)
        return (
            "XREAD", "COUNT", self._limit, "BLOCK", _BLOCK_MS, "STREAMS", self._input, position,
        )  # fmt: skip

    def _note_asked(self, after: int) -> None:
        self._awaited = after
        self._asked_us = self._clock.monotonic_us()


# Id, then names and values of the fields in turn; None where the entry was deleted under a range.
_RawEntry = tuple[bytes, list[bytes]]


def _named(flat: object) -> dict[bytes, bytes]:
    """Return a flat list of names and values as a mapping."""
    items = cast("list[bytes]", flat)
    return dict(zip(items[::2], items[1::2], strict=True))


def _input_entry(raw: _RawEntry) -> InputEntry:
    entry_id, fields = raw
    named = _named(fields)
    # An entry without our fields was not written by us: it has no message, and is refused as MALFORMED.
    return InputEntry(
        entry_id_from_text(entry_id.decode()),
        named.get(streams.IN_VERSION, b""),
        named.get(streams.IN_MESSAGE, b""),
        named.get(streams.IN_GATEWAY, b""),
    )


def _output(raw: _RawEntry) -> Output:
    entry_id, fields = raw
    named = _named(fields)
    return Output(
        entry_id_from_text(entry_id.decode()),
        int(named[streams.OUT_NUMBER]),
        named[streams.OUT_GATEWAY],
        int(named[streams.OUT_ACCOUNT]),
        named[streams.OUT_REQUEST].decode(),
        named[streams.OUT_REPLY],
        named[streams.OUT_EVENTS],
        named[streams.OUT_COMMAND],
        int(named[streams.OUT_DECIDED_AT]),
        int(named[streams.OUT_EPOCH]),
        named[streams.OUT_BUILD].decode(),
        named[streams.OUT_HASH],
    )
