"""The log on Valkey: input and output stream, checkpoint and epoch of one shard.

Two connections: the read of what comes next waits on the server all the time, so that entries are here when a batch is
decided, and the batch before is committed meanwhile on the other one.
"""

import hashlib
from collections import deque
from collections.abc import Sequence
from typing import Final, cast

from engine.adapters.redis_script import PUBLISH, publish_arguments, published_from
from engine.adapters.resp import Argument, Connection, ConnectionLostError, ServerError
from engine.config import EngineConfig
from engine.messages import streams
from engine.messages.output_entry import read
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
    output_of,
)
from engine.values import entry_id_from_text, text_from_entry_id

# A server that does not answer within this time counts as lost.
_TIMEOUT_MS: Final = 5_000
# How long the server holds a read without an entry before it answers "none"; no answer at all long after that means
# that the connection is dead.
_BLOCK_MS: Final = 1_000
_SILENCE_US: Final = (_BLOCK_MS + _TIMEOUT_MS) * 1_000

# Pages of history under way before anybody has asked for them: one of each stream.
_PAGES_AHEAD_MAX: Final = 2

_SCRIPT_ID: Final = hashlib.sha1(PUBLISH.encode(), usedforsecurity=False).hexdigest()


class RedisLog:
    """The log of one shard on a Valkey server."""

    def __init__(self, config: EngineConfig, clock: Clock) -> None:
        prefix, shard, shards = config.prefix, config.shard, config.shards
        self._connection = Connection(config.log_redis_url, timeout_ms=_TIMEOUT_MS)
        self._reading = Connection(config.log_redis_url, timeout_ms=_TIMEOUT_MS)
        self._clock = clock
        self._input = streams.input_stream(prefix, shard, shards)
        self._output = streams.output_stream(prefix, shard, shards)
        self._checkpoint = streams.checkpoint_key(prefix, shard)
        self._epoch = streams.epoch_key(prefix, shard)
        self._limit = config.batch_entries_max
        # Pages of history that were asked for on the reading connection, in order, and those that came out of turn.
        self._owed: deque[_Range] = deque()
        self._pages: dict[_Range, list[_RawEntry]] = {}
        # Entries that were read before anybody took them.
        self._ahead: list[InputEntry] = []
        # The position whose successors were asked for; None: no read is on its way.
        self._asked_after: int | None = None
        self._asked_us = 0
        # Whether the answer to a batch is owed.
        self._is_publishing = False

    def close(self) -> None:
        """Give up the connections."""
        self._connection.close()
        self._reading.close()

    def filenos(self) -> tuple[int, ...]:
        """Return the descriptors of which one becomes readable when entries or the answer to a batch are there."""
        if self._is_publishing:
            return (self._reading.fileno(), self._connection.fileno())
        return (self._reading.fileno(),)

    # --- single calls -----------------------------------------------------------------------------------------------

    def reconnect(self) -> None:
        """Drop the connections, whatever they were doing, and make new ones; nothing is sent again."""
        self._owed.clear()
        self._pages.clear()
        self._ahead.clear()
        self._asked_after = None
        self._is_publishing = False
        try:
            self._reading.connect()
            self._connection.connect()
            self._connection.call("SCRIPT", "LOAD", PUBLISH)
        except (ConnectionLostError, ServerError) as error:
            raise LogUnavailableError(str(error)) from error

    def _call(self, *command: Argument) -> object:
        if self._is_publishing:
            # Replies come in order: the one that is owed would be taken for the answer to this call.
            self.reconnect()
        try:
            return self._connection.call(*command)
        except (ConnectionLostError, ServerError) as error:
            raise LogUnavailableError(str(error)) from error

    def raise_epoch(self) -> int:
        """Raise the fence and return the new epoch; every engine with an older one can publish no more."""
        return cast("int", self._call("INCR", self._epoch))

    def epoch(self) -> int:
        """Return where the fence stands now; 0 before the first engine."""
        return int(cast("bytes | None", self._call("GET", self._epoch)) or 0)

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
        """Return one page; the server gathers the next one while the caller works on this."""
        wanted = (stream, after, upto, limit)
        try:
            if wanted in self._owed or wanted in self._pages:
                page = self._page(wanted)
            else:
                page = cast("list[_RawEntry]", self._call(*_range_command(wanted)))
            if upto is not None and len(page) == limit:
                last = entry_id_from_text(page[-1][0].decode())
                # One page a stream: what a caller does not come for stays where it is.
                if last < upto and len(self._owed) + len(self._pages) < _PAGES_AHEAD_MAX:
                    self._expect((stream, last, upto, limit))
        except (ConnectionLostError, ServerError) as error:
            raise LogUnavailableError(str(error)) from error
        return page

    def _expect(self, wanted: "_Range") -> None:
        # The connection that waits for entries later has nothing to do while history is read.
        self._reading.send(_range_command(wanted))
        self._owed.append(wanted)

    def _page(self, wanted: "_Range") -> "list[_RawEntry]":
        while wanted not in self._pages:
            self._pages[self._owed[0]] = cast("list[_RawEntry]", self._reading.receive())
            self._owed.popleft()
        return self._pages.pop(wanted)

    # --- the loop ---------------------------------------------------------------------------------------------------

    def publish(self, batch: Batch) -> None:
        """Send a batch on its way."""
        if self._is_publishing:
            self.reconnect()
        keys = (self._output, self._checkpoint, self._epoch, self._input)
        try:
            self._connection.send(
                ("EVALSHA", _SCRIPT_ID, len(keys), *keys, *publish_arguments(batch))
            )
        except ConnectionLostError as error:
            raise LogUnavailableError(str(error)) from error
        self._is_publishing = True

    def has_answer(self) -> bool:
        """Return whether the answer to the batch under way, which is short, has begun to arrive."""
        return not self._is_publishing or self._connection.is_readable()

    def published(self) -> Published:
        """Wait for the answer to the batch that is under way.

        An error reply (script forgotten, memory or disk full) means "not done", a lost one "unknown". Both end with a
        fresh connection, which loads the script, and a look at the checkpoint, which tells the truth.
        """
        try:
            return published_from(self._connection.receive())
        except (ConnectionLostError, ServerError) as error:
            raise LogUnavailableError(str(error)) from error
        finally:
            self._is_publishing = False

    def read_on(self, after: int) -> None:
        """Let the server look for entries after a position, and after those that were read ahead of it."""
        if self._asked_after is None:
            self._ask(self._ahead[-1].entry_id if self._ahead else after)

    def _ask(self, after: int) -> None:
        # Until the question has left nothing is asked: whoever reads on after a failure asks anew, and hears of the loss again.
        self._asked_after = None
        try:
            if self._owed:
                # Replies come in order, and nobody wants those pages any more.
                self._owed.clear()
                self._reading.connect()
            self._reading.send(
                (
                    *("XREAD", "COUNT", self._limit, "BLOCK", _BLOCK_MS),
                    *("STREAMS", self._input, text_from_entry_id(after)),
                )
            )
        except (ConnectionLostError, ServerError) as error:
            raise LogUnavailableError(str(error)) from error
        self._asked_after = after
        self._asked_us = self._clock.monotonic_us()

    def look(self) -> None:
        """Take in what has arrived, without waiting, and let the server look for what follows."""
        after = self._asked_after
        if after is None or len(self._ahead) >= self._limit:
            return
        try:
            is_there, reply = self._reading.receive_now()
        except (ConnectionLostError, ServerError) as error:
            self._asked_after = None
            raise LogUnavailableError(str(error)) from error
        if not is_there:
            return
        if reply is not None:
            ((_, entries),) = cast("list[tuple[bytes, list[_RawEntry]]]", reply)
            self._ahead += [_input_entry(raw) for raw in entries]
            after = self._ahead[-1].entry_id
        self._ask(after)

    def take(self) -> Sequence[InputEntry]:
        """Return at most a batch of the entries that were read."""
        taken, self._ahead = self._ahead[: self._limit], self._ahead[self._limit :]
        return taken

    def require_life(self) -> None:
        """Return unless the server owes an answer for so long that it must be dead; call it when nothing has come."""
        if self._clock.monotonic_us() - self._asked_us > _SILENCE_US:
            raise LogUnavailableError("the log does not answer")

    def has_news(self) -> bool:
        """Return whether entries, or bytes of a reply, were read already, so that the descriptors do not show them."""
        return bool(self._ahead) or self._reading.has_reply() or self._connection.has_reply()


# Id, then names and values of the fields in turn; None where the entry was deleted under a range.
_RawEntry = tuple[bytes, list[bytes]]
# Stream, after, upto, limit.
_Range = tuple[str, int, int | None, int]


def _range_command(wanted: _Range) -> tuple[Argument, ...]:
    stream, after, upto, limit = wanted
    end = "+" if upto is None else text_from_entry_id(upto)
    return ("XRANGE", stream, f"({text_from_entry_id(after)}", end, "COUNT", limit)


def _named(flat: object) -> dict[bytes, bytes]:
    """Return a flat list of names and values as a mapping."""
    items = cast("list[bytes]", flat)
    return dict(zip(items[::2], items[1::2], strict=True))


# In the order in which gateways and feeds write them. Usually nothing is looked up name by name: what is read here is
# every entry of the log, at work and in recovery.
_IN_FIELDS: Final = [streams.IN_VERSION, streams.IN_MESSAGE, streams.IN_GATEWAY]


def _input_entry(raw: _RawEntry) -> InputEntry:
    entry_id, fields = raw
    values = fields[1::2]
    if fields[::2] != _IN_FIELDS:
        # An entry without our fields was not written by us: it has no message, and is refused as MALFORMED.
        named = dict(zip(fields[::2], values, strict=True))
        values = [named.get(name, b"") for name in _IN_FIELDS]
    version, message, gateway = values
    return InputEntry(entry_id_from_text(entry_id.decode()), version, message, gateway)


def _output(raw: _RawEntry) -> Output:
    entry_id, fields = raw
    return output_of(entry_id_from_text(entry_id.decode()), read(fields))
