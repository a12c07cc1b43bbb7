"""From one shard layout to another: states are merged into one and split by account, and nothing else changes (rule H4).

An account is the unit of sharding: it moves as a whole. What belongs to no account is the same in every shard (definitions,
quotes) and is copied, or is a sum over the shards (the house's money) and stays with the first. A shard's books must
sum to zero by themselves, so each shard has a clearing account ``<book>:house:layout``; over all shards it is zero.
"""

import hashlib
from collections.abc import Callable, Sequence
from heapq import heapify
from typing import Any

import msgspec

from engine.core.arming import arm_order, arm_position
from engine.core.expiries import expiry_key
from engine.core.rearm import rearm
from engine.core.request_table import RequestRecord
from engine.core.state import (
    REQUESTS_MAX,
    Account,
    Instrument,
    PendingOrder,
    Position,
    State,
)
from engine.messages.streams import shard_of
from engine.values import check, entry_time_us

_BOOKS = ("demo", "live")
_DIGEST_BYTES = 32
_encode = msgspec.msgpack.Encoder().encode


def resharded(states: Sequence[State], shards: int, entry_id: int) -> list[State]:
    """Return the states of another number of shards, each standing at an entry of its own new log.

    Errors: InvariantError when the shards contradict each other: a definition has reached some of them only.
    """
    whole = _merged(states)
    return [_part(whole, shard, shards, entry_id) for shard in range(shards)]


def layout_digest(states: Sequence[State]) -> bytes:
    """Return BLAKE2b-256 over all that the shards know together; equal before and after a reshard (rule H4).

    Accounts with everything in them, ledger, definitions, exposures, answered requests and last quotes; in an order that
    does not depend on the layout. Errors: InvariantError as resharded().
    """
    whole = _merged(states)
    order = sorted(whole.instruments, key=_symbol)
    new_index = {instrument.index: index for index, instrument in enumerate(order)}
    content = (
        [_moved(whole.accounts[a], new_index.__getitem__) for a in whole.account_ids],
        [
            (i.spec, i.trading_mode, i.source_class, i.net_units, i.open_count, i.quote, i.previous)
            for i in order
        ],
        [whole.groups[name] for name in sorted(whole.groups)],
        sorted((name, amount) for name, amount in whole.house.items() if amount),
        list(whole.requests),
        sorted(whole.feed_sequences.items()),
    )
    return hashlib.blake2b(_encode(content), digest_size=_DIGEST_BYTES).digest()


# --- merging ----------------------------------------------------------------------------------------------------------


def _merged(states: Sequence[State]) -> State:
    """Return one state that knows what all of them know; queues and bands are left out."""
    whole = State()
    whole.groups = dict(states[0].groups)
    for state in states:
        check(state.groups == whole.groups, "the shards know different groups")
        _merge_instruments(whole, state)
        for name, amount in state.house.items():
            whole.house[name] = whole.house.get(name, 0) + amount
        for source, sequence in state.feed_sequences.items():
            whole.feed_sequences[source] = max(whole.feed_sequences.get(source, (0, 0)), sequence)
        whole.now_us = max(whole.now_us, state.now_us)
    for book in _BOOKS:
        clearing = whole.house.pop(_clearing(book), 0)
        check(clearing == 0, f"the {book} book is not cleared between the shards")
    accounts = {}
    for state in states:
        check(len(state.instruments) == len(whole.instruments), "a shard lacks an instrument")
        indexes = [
            whole.instrument_by_symbol[instrument.spec.symbol].index
            for instrument in state.instruments
        ]
        for account in state.accounts.values():
            check(account.account not in accounts, f"two shards have account {account.account}")
            accounts[account.account] = _moved(account, indexes.__getitem__)
    for account_id in sorted(accounts):
        whole.accounts[account_id] = accounts[account_id]
        whole.account_ids.append(account_id)
    _count_open(whole)
    _merge_requests(whole, states)
    return whole


def _merge_instruments(whole: State, state: State) -> None:
    for theirs in state.instruments:
        ours = whole.instrument_by_symbol.get(theirs.spec.symbol)
        if ours is None:
            ours = _copied(theirs, len(whole.instruments))
            whole.add_instrument(ours)
        is_same = (ours.spec, ours.trading_mode, ours.source_class) == (
            theirs.spec,
            theirs.trading_mode,
            theirs.source_class,
        )
        check(is_same, f"the shards know {theirs.spec.symbol} differently: define it again first")
        # Each shard has the feed's entries; the one that has seen most of them knows the last quote.
        if _age(theirs) > _age(ours):
            _take_quotes(ours, theirs)


def _age(instrument: Instrument) -> tuple[int, int, int]:
    quote = instrument.quote
    return (0, 0, 0) if quote is None else (quote.ts_us, quote.feed_epoch, quote.sequence)


def _copied(instrument: Instrument, index: int) -> Instrument:
    """Return the instrument under another index, without queues and counts."""
    copy = Instrument(index, instrument.spec, instrument.trading_mode, instrument.source_class)
    _take_quotes(copy, instrument)
    return copy


def _take_quotes(to: Instrument, source: Instrument) -> None:
    to.bid, to.ask, to.ts_us = source.bid, source.ask, source.ts_us
    to.quote, to.previous = source.quote, source.previous


def _moved(account: Account, new_index: Callable[[int], int]) -> Account:
    """Return a copy of the account whose positions and orders name instruments by another index."""

    def moved(item: Any) -> Any:
        return msgspec.structs.replace(item, instrument=new_index(item.instrument))

    positions: dict[int, Position] = {k: moved(item) for k, item in account.positions.items()}
    orders: dict[int, PendingOrder] = {k: moved(item) for k, item in account.orders.items()}
    return msgspec.structs.replace(account, positions=positions, orders=orders)


def _merge_requests(whole: State, states: Sequence[State]) -> None:
    """Keep the newest answered requests of all shards, in the order of their outputs.

    A command without an account was answered by every shard; one answer is kept, the earliest.
    """
    records: dict[str, RequestRecord] = {}
    for state in states:
        for record in state.requests:
            known = records.get(record.key)
            if known is None or record.entry_id < known.entry_id:
                records[record.key] = record
    ordered = sorted(records.values(), key=lambda record: (record.entry_id, record.key))
    for record in ordered[-REQUESTS_MAX:]:
        whole.requests.add(record)


# --- splitting --------------------------------------------------------------------------------------------------------


def _part(whole: State, shard: int, shards: int, entry_id: int) -> State:
    part = State()
    part.entry_id = entry_id
    part.entry_count = 1
    part.now_us = max(whole.now_us, entry_time_us(entry_id))
    part.groups = dict(whole.groups)
    part.feed_sequences = dict(whole.feed_sequences)
    for instrument in whole.instruments:
        part.add_instrument(_copied(instrument, instrument.index))
    for account_id in whole.account_ids:
        if shard_of(account_id, shards) == shard:
            part.accounts[account_id] = _moved(whole.accounts[account_id], int)
            part.account_ids.append(account_id)
    _count_open(part)
    _share_house(whole, part, is_first=shard == 0)
    for record in whole.requests:
        if _is_kept_by(record.key, shard, shards):
            part.requests.add(record)
    _derive(part)
    return part


def _is_kept_by(key: str, shard: int, shards: int) -> bool:
    """Return whether a shard answers for a request: its account's shard does, every shard for one without account."""
    if key.startswith("s"):
        return True
    return shard_of(int(key[1 : key.index(":")]), shards) == shard


def _count_open(state: State) -> None:
    for account in state.accounts.values():
        for position in account.positions.values():
            instrument = state.instruments[position.instrument]
            instrument.open_count += 1
            signed = position.quantity_units if position.is_long else -position.quantity_units
            instrument.net_units += signed
        for order in account.orders.values():
            state.instruments[order.instrument].open_count += 1


def _share_house(whole: State, part: State, *, is_first: bool) -> None:
    """Leave the house's money with the first shard, money on its way with its account, and clear the difference."""
    if is_first:
        part.house = dict(whole.house)
    for book in _BOOKS:
        own = [a for a in part.accounts.values() if a.kind.value == book]
        pending = f"{book}:cash:pending"
        pending_micros = sum(account.cash_pending_micros for account in own)
        if pending_micros or pending in part.house:
            part.house[pending] = pending_micros
        total = sum(account.balance_micros for account in own)
        total += sum(v for name, v in part.house.items() if name.startswith(book + ":"))
        if total:
            part.house[_clearing(book)] = -total


def _clearing(book: str) -> str:
    return f"{book}:house:layout"


def _derive(part: State) -> None:
    """Queue every trigger, expiry and band: no output depends on when that happens (rule B4)."""
    for account in part.accounts.values():
        for position in account.positions.values():
            arm_position(part, part.instruments[position.instrument], position)
        for order in account.orders.values():
            arm_order(part, part.instruments[order.instrument], order)
            if order.expires_at_us:
                part.expiries.append(expiry_key(order))
        rearm(part, account)
    heapify(part.expiries)


def _symbol(instrument: Instrument) -> str:
    return instrument.spec.symbol
