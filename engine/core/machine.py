"""The state machine behind one interface: decide new entries, evolve recorded ones, answer queries.

Nothing here knows streams, files or clocks; the runtime feeds entries in order and publishes what comes out.
"""

from collections.abc import Iterator

import msgspec

from engine.core import image
from engine.core.decide.entry import (
    advance,
    decide_command,
    decide_quotes,
    decide_tick,
)
from engine.core.decide.plain_order import plain_order
from engine.core.decide.quotes import note_sequence
from engine.core.decide.work import Work
from engine.core.evolve import evolve, write_quote
from engine.core.invariants import verify, verifying
from engine.core.rearm import guard, rearm, spent_bands
from engine.core.request_table import RequestRecord
from engine.core.requests import keep, remember, request_key
from engine.core.state import State
from engine.core.views import account_view, preview_view
from engine.messages.commands import (
    UNANSWERED,
    AnyMessage,
    PlaceOrder,
    Tick,
    UpdateQuotes,
)
from engine.messages.events import AccountEvent, AnyEvent, EntrySkipped, QuoteRefused, Receipt
from engine.messages.rejects import RejectCode
from engine.messages.replies import Accepted, AnyReply, Rejected
from engine.messages.views import AccountQuery, AnyQuery, AnyView
from engine.values import SEQUENCE_BITS, check, text_from_entry_id


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What one entry brought: the body of its output."""

    # Account and request id of the command; 0 and "" for quotes, ticks and undecodable entries.
    account: int
    request_id: str
    # The terminal answer; None for quotes, ticks and skipped entries.
    reply: AnyReply | None
    # In order of happening.
    events: tuple[AnyEvent, ...]


_NO_OUTCOME = Outcome(0, "", None, ())


class Machine:
    """One shard's state machine. Single-threaded; one entry after the other."""

    def __init__(self, *, shard: int = 0, shards: int = 1, state: State | None = None) -> None:
        """Create the machine of a shard, empty or over a state."""
        self.shard = shard
        self.shards = shards
        self.state = state or State()

    @property
    def entry_id(self) -> int:
        """Return the packed id of the last applied entry; 0 at genesis."""
        return self.state.entry_id

    @property
    def now_us(self) -> int:
        """Return the logical time, microseconds UTC."""
        return self.state.now_us

    def decide(
        self,
        entry_id: int,
        message: AnyMessage | None,
        digest: bytes = b"",
        decided_at_us: int = 0,
    ) -> Outcome | None:
        """Apply one new entry and return what must be published; None: nothing.

        ``message`` None is an undecodable entry. ``digest`` is codec.content_digest of a command. ``decided_at_us`` is the
        engine's wall clock (0: the entry's own time), used for deadlines and the clock check only.
        Errors: InvariantError and anything else is a bug; the caller halts and publishes nothing.
        """
        state = self.state
        if entry_id <= state.entry_id:
            check(False, "entry ids must rise")  # noqa: FBT003 - always wrong.
        # advance(), written out.
        state.entry_id = entry_id
        state.entry_count += 1
        time_us = (entry_id >> SEQUENCE_BITS) * 1000
        if time_us > state.now_us:
            state.now_us = time_us
        decided_at_us = decided_at_us or time_us
        if type(message) is UpdateQuotes:
            quoted = decide_quotes(state, message, time_us, decided_at_us)
            if quoted is None or not quoted.events:
                return None
            return Outcome(0, "", None, tuple(quoted.events))
        key = ""
        if type(message) is PlaceOrder:
            key = f"a{message.account}:{message.request_id}"
            filled = plain_order(state, message, key, time_us, decided_at_us)
            if filled is not None:
                position_id, events = filled
                keep(state, RequestRecord(key, digest, entry_id, None))
                accepted = Accepted(created=(position_id,))
                return Outcome(message.account, message.request_id, accepted, events)
        work = Work(state, state.now_us, time_us, decided_at_us)
        if message is None or type(message) is Tick:
            decide_tick(work)
            if message is None:
                return Outcome(0, "", Rejected(code=RejectCode.MALFORMED), tuple(work.events))
            return Outcome(0, "", None, tuple(work.events)) if work.events else None
        key = key or request_key(message)
        reply = decide_command(work, message, key, digest)
        remember(state, key, digest, entry_id, reply)
        account = getattr(message, "account", 0)
        return Outcome(account, message.request_id, reply, tuple(work.events))

    def skip(self, entry_id: int) -> Outcome:
        """Pass over an entry that an operator's SkipEntry names; only the position and time advance."""
        check(entry_id > self.state.entry_id, "entry ids must rise")
        advance(self.state, entry_id)
        return Outcome(0, "", None, (EntrySkipped(entry_id=text_from_entry_id(entry_id)),))

    def evolve_recorded(
        self,
        entry_id: int,
        message: AnyMessage | None,
        outcome: Outcome | None,
        digest: bytes = b"",
    ) -> None:
        """Apply an entry as it was recorded, without deciding anything again.

        Errors: InvariantError when an entry without output is not one that may have none, or an event contradicts the state.
        """
        check(entry_id > self.state.entry_id, "entry ids must rise")
        advance(self.state, entry_id)
        if outcome is None:
            check(type(message) in UNANSWERED, "an entry that must have an output has none")
            outcome = _NO_OUTCOME
        elif EntrySkipped in map(type, outcome.events):
            return
        if type(message) is UpdateQuotes:
            self._write_recorded_quotes(message, outcome.events)
        for event in outcome.events:
            evolve(self.state, event)
            if isinstance(event, AccountEvent):
                self.state.marked[event.account] = None
                self._take_quote_of_receipt(event)
        if (
            outcome.reply is not None
            and message is not None
            and type(message) is not UpdateQuotes
            and type(message) is not Tick
        ):
            remember(self.state, request_key(message), digest, entry_id, outcome.reply)

    def _write_recorded_quotes(self, entry: UpdateQuotes, events: tuple[AnyEvent, ...]) -> None:
        note_sequence(self.state, entry)
        instruments = self.state.instrument_by_symbol
        if not events:
            for quote in entry.quotes:
                write_quote(instruments[quote.symbol], quote, entry)
            return
        refused = [
            (event.symbol, event.bid_ticks, event.ask_ticks, event.ts_us)
            for event in events
            if isinstance(event, QuoteRefused)
        ]
        for quote in entry.quotes:
            named = (quote.symbol, quote.bid_ticks, quote.ask_ticks, quote.ts_us)
            if named not in refused:
                write_quote(instruments[quote.symbol], quote, entry)

    def _take_quote_of_receipt(self, event: AccountEvent) -> None:
        """Value by the quote of a symbol's last receipt where only outputs are left (rule Q4).

        With the whole input at hand the receipt names the very quote that was just written, and nothing changes.
        """
        receipt: Receipt | None = getattr(event, "receipt", None)
        if receipt is None or receipt.quote is None:
            return
        instrument = self.state.instrument_by_symbol[receipt.quote.symbol]
        if instrument.quote != receipt.quote:
            instrument.previous = receipt.previous_quote
            instrument.quote = receipt.quote
            instrument.bid = receipt.quote.bid_ticks
            instrument.ask = receipt.quote.ask_ticks
            instrument.ts_us = receipt.quote.ts_us

    def finish_recovery(self) -> None:
        """Arm anew the accounts that recorded events touched and those whose bands the current prices have crossed.

        No event can result: every crossing that mattered was recorded.
        """
        state = self.state
        for account_id in spent_bands(state):
            state.marked[account_id] = None
        for account_id in state.marked:
            account = state.accounts.by_id[account_id]
            if not guard(state, account):
                rearm(state, account)
        state.marked = {}

    def state_hash(self) -> bytes:
        """Return BLAKE2b over what outputs alone determine."""
        return image.state_hash(self.state)

    def market_hash(self) -> bytes:
        """Return BLAKE2b over last quotes, logical time, entry count and feed sequences."""
        return image.market_hash(self.state)

    def dump(self) -> bytes:
        """Return the whole machine as msgpack, derived queues included."""
        return image.dump(self.state, self.shard, self.shards)

    def copy(self) -> tuple[bytes, bytes]:
        """Return dump() and state_hash() of this moment, encoding what is hashed only once."""
        raw = self.dump()
        return raw, image.state_hash_in(raw)

    @classmethod
    def load(cls, raw: bytes, *, shard: int, shards: int) -> "Machine":
        """Restore a machine from its dump.

        Errors: InvariantError for another format or shard layout; msgspec.DecodeError for a torn one.
        """
        return cls(shard=shard, shards=shards, state=image.load(raw, shard, shards))

    def verify(self) -> None:
        """Check every invariant over the whole state; InvariantError names the first that fails."""
        verify(self.state)

    def verifying(self) -> Iterator[None]:
        """Do the same part by part; entries may be decided between two parts."""
        return verifying(self.state)

    def answer(self, query: AnyQuery) -> AnyView:
        """Answer a query; the state stays as it is."""
        if isinstance(query, AccountQuery):
            return account_view(self.state, query.account)
        return preview_view(self.state, query.order)
