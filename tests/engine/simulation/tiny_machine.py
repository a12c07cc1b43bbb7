"""A state machine of some hundred lines with the shape of the real one: it lets the runtime be tried very often.

It knows accounts with cash, limit orders that fire on quotes and expire with time, answered request ids, and derived
data (the book by symbol) that recovery must re-arm: without that, fired orders would be forgotten.
"""

import hashlib
from collections.abc import Iterator
from typing import Self

import msgspec

from engine.core.machine import Outcome
from engine.messages.commands import (
    AnyMessage,
    OpenAccount,
    PlaceOrder,
    PostCash,
    Quote,
    SkipEntry,
    Tick,
    UpdateQuotes,
)
from engine.messages.events import (
    AnyEvent,
    CashPosted,
    EntrySkipped,
    OrderCancelled,
    OrderExpired,
    OrderPlaced,
    QuoteRefused,
)
from engine.messages.rejects import RejectCode
from engine.messages.replies import Accepted, Duplicate, Rejected
from engine.messages.views import AnyQuery, AnyView, NotFound
from engine.values import (
    CancelReason,
    MarginMode,
    check,
    entry_time_us,
    text_from_entry_id,
)

POISON_REASON = "poison"


class PoisonError(Exception):
    """The bug that a message with POISON_REASON sets off."""


class _State(msgspec.Struct):
    entry_id: int = 0
    now_us: int = 0
    balances: dict[int, int] = {}
    seqs: dict[int, int] = {}
    # Order id -> account, symbol, limit price, expiry.
    orders: dict[str, tuple[int, str, int, int]] = {}
    answered: dict[str, tuple[str, str]] = {}
    # Market part.
    asks: dict[str, int] = {}
    # Derived: symbol -> order ids.
    book: dict[str, list[str]] = {}
    marked: list[int] = []


class TinyMachine:
    """See the module."""

    def __init__(self) -> None:
        self.state = _State()

    @property
    def entry_id(self) -> int:
        return self.state.entry_id

    # --- deciding ---------------------------------------------------------------------------------------------------

    def decide(
        self,
        entry_id: int,
        message: AnyMessage | None,
        digest: bytes = b"",
        decided_at_us: int = 0,
    ) -> Outcome | None:
        self._enter(entry_id)
        if message is None:
            return Outcome(0, "", Rejected(code=RejectCode.MALFORMED), ())
        if isinstance(message, UpdateQuotes):
            return self._quiet(self._quotes(message))
        if isinstance(message, Tick):
            return self._quiet(self._expiries())
        if message.reason == POISON_REASON:
            raise PoisonError
        account = getattr(message, "account", 0)
        if isinstance(message, SkipEntry):
            return Outcome(0, message.request_id, Accepted(), ())
        known = self.state.answered.get(message.request_id)
        if known is not None:
            first_id, first_digest = known
            reply = (
                Duplicate(output_id=first_id)
                if first_digest == digest.hex()
                else Rejected(code=RejectCode.EXISTS_WITH_DIFFERENT_CONTENT)
            )
            return Outcome(account, message.request_id, reply, ())
        if message.deadline_us and decided_at_us > message.deadline_us:
            outcome = Outcome(account, message.request_id, Rejected(code=RejectCode.EXPIRED), ())
        else:
            outcome = self._command(message)
        self._remember(entry_id, message.request_id, digest)
        return outcome

    def skip(self, entry_id: int) -> Outcome:
        self._enter(entry_id)
        event = EntrySkipped(entry_id=text_from_entry_id(entry_id))
        return Outcome(0, "", None, (event,))

    def _command(self, message: AnyMessage) -> Outcome:
        events: list[AnyEvent] = []
        if isinstance(message, PostCash) and message.amount_micros < 0:
            reply = Rejected(code=RejectCode.AMOUNT_INVALID)
            return Outcome(message.account, message.request_id, reply, ())
        if isinstance(message, PostCash):
            balance = self.state.balances.get(message.account, 0) + message.amount_micros
            events.append(
                CashPosted(
                    account=message.account,
                    seq=self.state.seqs.get(message.account, 0) + 1,
                    cash_seq=message.cash_seq,
                    kind=message.kind,
                    amount_micros=message.amount_micros,
                    method=message.method,
                    reference=message.reference,
                    balance_micros=balance,
                    postings=(),
                )
            )
        elif isinstance(message, PlaceOrder):
            seq = self.state.seqs.get(message.account, 0) + 1
            events.append(
                OrderPlaced(
                    account=message.account,
                    seq=seq,
                    order_id=f"{message.account}-{seq}",
                    symbol=message.symbol,
                    side=message.side,
                    order_type=message.order_type,
                    quantity_units=message.quantity_units,
                    leverage=message.leverage,
                    margin_mode=MarginMode.CROSS,
                    price_ticks=message.price_ticks,
                    expires_at_us=message.expires_at_us,
                    placed_at_us=self.state.now_us,
                )
            )
        else:
            check(isinstance(message, OpenAccount), "the tiny machine knows no such command")
        for event in events:
            self._evolve(event)
        return Outcome(message.account, message.request_id, Accepted(), tuple(events))

    def _quotes(self, message: UpdateQuotes) -> list[AnyEvent]:
        events: list[AnyEvent] = []
        for quote in message.quotes:
            if quote.bid_ticks <= 0:
                events.append(_refused(quote))
                continue
            self.state.asks[quote.symbol] = quote.ask_ticks
            for order_id in list(self.state.book.get(quote.symbol, [])):
                account, _, price, _ = self.state.orders[order_id]
                if quote.ask_ticks <= price:
                    event = OrderCancelled(
                        account=account,
                        seq=self.state.seqs[account] + 1,
                        order_id=order_id,
                        cancel_reason=CancelReason.STOP_OUT,
                    )
                    self._evolve(event)
                    events.append(event)
        return events

    def _expiries(self) -> list[AnyEvent]:
        events: list[AnyEvent] = []
        for order_id, (account, _, _, expires_at_us) in list(self.state.orders.items()):
            if expires_at_us and expires_at_us <= self.state.now_us:
                event = OrderExpired(
                    account=account,
                    seq=self.state.seqs[account] + 1,
                    order_id=order_id,
                    expires_at_us=expires_at_us,
                )
                self._evolve(event)
                events.append(event)
        return events

    @staticmethod
    def _quiet(events: list[AnyEvent]) -> Outcome | None:
        return Outcome(0, "", None, tuple(events)) if events else None

    # --- evolving ---------------------------------------------------------------------------------------------------

    def _enter(self, entry_id: int) -> None:
        check(entry_id > self.state.entry_id, "entries come in order and once")
        self.state.entry_id = entry_id
        self.state.now_us = max(self.state.now_us, entry_time_us(entry_id))

    def _remember(self, entry_id: int, request_id: str, digest: bytes) -> None:
        self.state.answered[request_id] = (text_from_entry_id(entry_id), digest.hex())

    def _evolve(self, event: AnyEvent, *, is_derived: bool = True) -> None:
        state = self.state
        if isinstance(event, QuoteRefused | EntrySkipped):
            return
        check(event.seq == state.seqs.get(event.account, 0) + 1, "account events are gapless")
        state.seqs[event.account] = event.seq
        if isinstance(event, CashPosted):
            state.balances[event.account] = event.balance_micros
        elif isinstance(event, OrderPlaced):
            state.orders[event.order_id] = (
                event.account,
                event.symbol,
                event.price_ticks or 0,
                event.expires_at_us or 0,
            )
            if is_derived:
                state.book.setdefault(event.symbol, []).append(event.order_id)
        elif isinstance(event, OrderCancelled | OrderExpired):
            _, symbol, _, _ = state.orders.pop(event.order_id)
            if is_derived:
                state.book[symbol].remove(event.order_id)

    def evolve_recorded(
        self,
        entry_id: int,
        message: AnyMessage | None,
        outcome: Outcome | None,
        digest: bytes = b"",
    ) -> None:
        self._enter(entry_id)
        check(
            outcome is not None or isinstance(message, UpdateQuotes | Tick),
            "an entry without output is quotes or a tick",
        )
        events = outcome.events if outcome else ()
        if isinstance(message, UpdateQuotes):
            refused = {event.symbol for event in events if isinstance(event, QuoteRefused)}
            for quote in message.quotes:
                if quote.symbol not in refused:
                    self.state.asks[quote.symbol] = quote.ask_ticks
        for event in events:
            self._evolve(event, is_derived=False)
            account = getattr(event, "account", 0)
            if account and account not in self.state.marked:
                self.state.marked.append(account)
        is_first = outcome is not None and not (
            isinstance(outcome.reply, Duplicate | None)
            or (
                isinstance(outcome.reply, Rejected)
                and outcome.reply.code is RejectCode.EXISTS_WITH_DIFFERENT_CONTENT
            )
        )
        if (
            outcome is not None
            and is_first
            and outcome.request_id
            and not isinstance(message, SkipEntry)
        ):
            self._remember(entry_id, outcome.request_id, digest)

    def finish_recovery(self) -> None:
        state = self.state
        marked = set(state.marked)
        state.marked = []
        orders = state.orders
        for symbol, order_ids in state.book.items():
            state.book[symbol] = [
                order_id for order_id in order_ids if int(order_id.partition("-")[0]) not in marked
            ]
        for order_id, (account, symbol, _, _) in orders.items():
            if account in marked:
                state.book.setdefault(symbol, []).append(order_id)
        for symbol, order_ids in state.book.items():
            state.book[symbol] = [order_id for order_id in orders if order_id in order_ids]

    # --- proof and rest ---------------------------------------------------------------------------------------------

    def state_hash(self) -> bytes:
        state = self.state
        tables = [state.balances, state.seqs, state.orders, state.answered]
        parts = [sorted(table.items()) for table in tables]
        return hashlib.blake2b(msgspec.json.encode(parts), digest_size=32).digest()

    def dump(self) -> bytes:
        return msgspec.msgpack.encode(self.state)

    @classmethod
    def load(cls, raw: bytes) -> Self:
        machine = cls()
        machine.state = msgspec.msgpack.decode(raw, type=_State)
        return machine

    def copy(self) -> tuple[bytes, bytes]:
        return self.dump(), self.state_hash()

    def verifying(self) -> Iterator[None]:
        self.verify()
        yield

    def verify(self) -> None:
        listed = sorted(order_id for ids in self.state.book.values() for order_id in ids)
        check(listed == sorted(self.state.orders), "the book lists every order once")
        for symbol, order_ids in self.state.book.items():
            # Orders fire in the order of their placing, also after a recovery.
            expected = [order_id for order_id in self.state.orders if order_id in order_ids]
            check(order_ids == expected, f"the book of {symbol} is in order")

    def answer(self, query: AnyQuery) -> AnyView:
        account = getattr(query, "account", 0)
        return NotFound(as_of=text_from_entry_id(self.state.entry_id), account=account)


def _refused(quote: Quote) -> QuoteRefused:
    return QuoteRefused(
        symbol=quote.symbol,
        code=RejectCode.QUOTE_INVALID,
        bid_ticks=quote.bid_ticks,
        ask_ticks=quote.ask_ticks,
        ts_us=quote.ts_us,
    )


class TinyMachines:
    """Makes tiny machines."""

    def new(self) -> TinyMachine:
        return TinyMachine()

    def load(self, raw: bytes) -> TinyMachine:
        return TinyMachine.load(raw)

    def state_hash_in(self, raw: bytes) -> bytes:
        return TinyMachine.load(raw).state_hash()
