"""Histories for the simulation: entries with their times, for the tiny machine and for the real one."""

import random
from typing import NamedTuple

import msgspec

from engine.messages.commands import (
    AnyMessage,
    OpenAccount,
    PlaceOrder,
    PostCash,
    Quote,
    Tick,
    UpdateQuotes,
)
from engine.values import AccountKind, CashKind, OrderType, Side, SourceClass
from tests.engine.properties.comparing import tell
from tests.engine.properties.histories import Seeded

START_MS = 1_700_000_000_000
SYMBOLS = ("BTCUSDT", "ETHUSDT")


class Entry(NamedTuple):
    """What stands in the log: a time, and a message or bytes that are none."""

    at_ms: int
    message: AnyMessage | bytes


def seeded(seed: int) -> random.Random:
    """Return a generator that repeats itself by its seed."""
    return random.Random(seed)  # noqa: S311 - repeatable, not secret.


def tiny_history(chooser: random.Random, length: int) -> list[Entry]:
    """Return entries for the tiny machine: cash, orders, quotes, ticks, nonsense, and what senders repeat."""
    entries: list[Entry] = []
    sent: list[AnyMessage] = []
    at_ms = START_MS
    for number in range(length):
        at_ms += chooser.choice((0, 1, 3, 250, 900))
        kind = chooser.randrange(100)
        account = chooser.randrange(1, 4)
        if kind < 20 and sent:
            entries.append(Entry(at_ms, _again(chooser, chooser.choice(sent))))
            continue
        if kind < 30:
            message: AnyMessage | bytes = Tick()
        elif kind < 35:
            message = chooser.choice((b"", b"{", b'{"type":"Unknown"}', b"\xff\x00", b"[]"))
        elif kind < 60:
            message = _quotes(chooser, number, at_ms)
        elif kind < 80:
            message = _cash(chooser, number, account)
        elif kind < 95:
            message = _order(chooser, number, account, at_ms)
        else:
            message = OpenAccount(
                request_id=f"r{number}",
                account=account,
                owner_id=account,
                kind=AccountKind.DEMO,
                group="standard",
            )
        if not isinstance(message, bytes | Tick | UpdateQuotes):
            sent.append(message)
        entries.append(Entry(at_ms, message))
    return entries


def _again(chooser: random.Random, message: AnyMessage) -> AnyMessage:
    """Return a command as a sender repeats it: the same, or by mistake with other content."""
    if chooser.randrange(4):
        return message
    return msgspec.structs.replace(message, reason="other content")


def _quotes(chooser: random.Random, number: int, at_ms: int) -> UpdateQuotes:
    quotes = tuple(
        Quote(symbol, chooser.choice((0, 90, 95)), chooser.randrange(96, 130), at_ms * 1000)
        for symbol in SYMBOLS
        if chooser.randrange(2)
    )
    return UpdateQuotes(
        source="tape",
        source_class=SourceClass.SIMULATED,
        feed_epoch=1,
        sequence=number + 1,
        quotes=quotes,
    )


def _cash(chooser: random.Random, number: int, account: int) -> PostCash:
    return PostCash(
        request_id=f"r{number}",
        account=account,
        cash_seq=1,
        kind=CashKind.DEPOSIT,
        amount_micros=chooser.choice((-5, 7, 1_000_000)),
        method="card",
    )


def _order(chooser: random.Random, number: int, account: int, at_ms: int) -> PlaceOrder:
    return PlaceOrder(
        request_id=f"r{number}",
        account=account,
        symbol=chooser.choice(SYMBOLS),
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        quantity_units=1,
        leverage=1,
        price_ticks=chooser.randrange(90, 115),
        expires_at_us=(at_ms + 2_000) * 1000 if chooser.randrange(2) else None,
    )


def real_history(seed: int, length: int) -> list[Entry]:
    """Return entries for the real machine, from the generator of the property tests.

    Deadlines are taken off: when a batch is decided must not matter, else no two runs could be compared.
    """
    *_, (comparison, _) = tell(Seeded(seed), length)
    entries = []
    for entry_id, message, _, _ in comparison.entries:
        if getattr(message, "deadline_us", 0):
            message = msgspec.structs.replace(message, deadline_us=0)
        entries.append(Entry(entry_id >> 21, b"{" if message is None else message))
    return entries
