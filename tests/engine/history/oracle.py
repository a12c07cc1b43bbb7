"""What must happen to the crowd, found without the engine: vectorised thresholds, each hit re-checked with exact integers.

All positions are in one symbol with a constant spread, so between two of its events an account's cross equity is a straight
line in the bid, and an isolated position has one price. So its next event is the first quote beyond a threshold: NumPy finds it
for all accounts at once from running extremes; plain integers then confirm it, carry it out, and the next round begins.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray

from tests.engine.history.crowd import (
    COMMISSION_PPM,
    MAINTENANCE_PPM,
    SPREAD_TICKS,
    STOP_OUT_BPS,
    Holder,
)

BPS = 10_000
PPM = 1_000_000
NEVER = 2**62
LIQUIDATION = "liquidation"
STOP_OUT = "stop_out"

# (quote index, account, number of the position within the account, why)
Hit = tuple[int, int, int, str]


def up(value: Fraction | int) -> int:
    return ceil(Fraction(value))


@dataclass
class Held:
    """An open position."""

    number: int
    is_long: bool
    is_cross: bool
    quantity: int
    entry: int
    margin: int
    liquidation: int

    def closing(self, bid: int) -> int:
        return bid if self.is_long else bid + SPREAD_TICKS

    def pnl(self, bid: int) -> int:
        move = self.closing(bid) - self.entry
        return move * self.quantity * (1 if self.is_long else -1)

    def commission(self, bid: int) -> int:
        return up(Fraction(self.closing(bid) * self.quantity * COMMISSION_PPM, PPM))

    def is_liquidated(self, bid: int) -> bool:
        if self.is_cross or self.liquidation <= 0:
            return False
        price = self.closing(bid)
        return price <= self.liquidation if self.is_long else price >= self.liquidation


@dataclass
class Book:
    """One account between two events."""

    account: int
    balance: int
    at: int
    held: list[Held] = field(default_factory=list)

    def cross(self) -> list[Held]:
        return [one for one in self.held if one.is_cross]

    def used(self) -> int:
        return sum(one.margin for one in self.cross())

    def equity(self, bid: int) -> int:
        isolated = sum(one.margin for one in self.held if not one.is_cross)
        return self.balance - isolated + sum(one.pnl(bid) for one in self.cross())

    def is_out(self, bid: int) -> bool:
        return self.used() > 0 and self.equity(bid) * BPS <= STOP_OUT_BPS * self.used()


def liquidation_price(*, is_long: bool, quantity: int, entry: int, margin: int) -> int:
    """LP = (WB - s*Q*EP) / (Q*(MMR + f) - s*Q), in its textbook form."""
    sign = 1 if is_long else -1
    rate = Fraction(MAINTENANCE_PPM + COMMISSION_PPM, PPM)
    price = (margin - sign * quantity * entry) / (quantity * rate - sign * quantity)
    return floor(price) if is_long else ceil(price)


def enter(holder: Holder, bid: int) -> Book:
    """Open what the account wishes at the quote of its entry."""
    book = Book(holder.account, holder.balance_micros, holder.enters_at)
    for number, wish in enumerate(holder.wishes, 1):
        price = bid + SPREAD_TICKS if wish.is_long else bid
        notional = price * wish.quantity_units
        margin = up(Fraction(notional, wish.leverage))
        liquidation = liquidation_price(
            is_long=wish.is_long, quantity=wish.quantity_units, entry=price, margin=margin
        )
        book.balance -= up(Fraction(notional * COMMISSION_PPM, PPM))
        book.held.append(
            Held(
                number, wish.is_long, wish.is_cross, wish.quantity_units, price, margin, liquidation
            )
        )
    return book


def carry_out(book: Book, bid: int) -> list[tuple[int, str]]:
    """Do what this quote does to the account: liquidations, then the stop-out, largest loss first."""
    closed = []
    for one in sorted(book.held, key=lambda held: held.number):
        if one.is_liquidated(bid):
            book.balance += max(one.pnl(bid) - one.commission(bid), -one.margin)
            book.held.remove(one)
            closed.append((one.number, LIQUIDATION))
    while book.is_out(bid):
        worst = min(book.cross(), key=lambda held: (held.pnl(bid), held.number))
        book.balance += worst.pnl(bid) - worst.commission(bid)
        book.held.remove(worst)
        closed.append((worst.number, STOP_OUT))
    if not book.cross():
        isolated = sum(one.margin for one in book.held)
        book.balance = max(book.balance, isolated)
    return closed


def thresholds(book: Book) -> tuple[int, int]:
    """Return (highest bid at or below which, lowest bid at or above which) something happens."""
    low, high = 0, NEVER
    for one in book.held:
        if not one.is_cross and one.liquidation > 0:
            if one.is_long:
                low = max(low, one.liquidation)
            else:
                high = min(high, one.liquidation - SPREAD_TICKS)
    slope = sum(one.quantity if one.is_long else -one.quantity for one in book.cross())
    used = book.used()
    if used and slope:
        # equity(bid) = equity(0) + slope * bid <= stop-out level * used
        border = (Fraction(STOP_OUT_BPS * used, BPS) - book.equity(0)) / slope
        if slope > 0:
            low = max(low, floor(border))
        else:
            high = min(high, ceil(border))
    return low, high


def first_hits(bids: NDArray[np.int64], books: list[Book]) -> NDArray[np.int64]:
    """Return for each book the first quote after its last event that lies beyond a threshold; len(bids) for none.

    Books are taken in blocks by where they stand; within a block running extremes are searched for all at once, and what
    a block's common start finds too early is searched again from the book's own place.
    """
    found = np.full(len(books), len(bids), dtype=np.int64)
    borders = np.array([thresholds(book) for book in books], dtype=np.int64)
    starts = np.array([book.at + 1 for book in books], dtype=np.int64)
    for start in np.unique(starts):
        rows = np.flatnonzero(starts == start)
        tail = bids[start:]
        if not len(tail):
            continue
        falling = -np.minimum.accumulate(tail)
        rising = np.maximum.accumulate(tail)
        below = np.searchsorted(falling, -borders[rows, 0], side="left")
        above = np.searchsorted(rising, borders[rows, 1], side="left")
        found[rows] = start + np.minimum(below, above)
    return found


def foretell(bids: list[int], holders: list[Holder]) -> list[Hit]:
    """Return every stop-out close and liquidation of the whole history, by account and time."""
    quotes = np.array(bids, dtype=np.int64)
    books = [enter(holder, bids[holder.enters_at]) for holder in holders]
    hits: list[Hit] = []
    alive = [book for book in books if book.held]
    while alive:
        found = first_hits(quotes, alive)
        waiting = []
        for book, index in zip(alive, found.tolist(), strict=True):
            if index >= len(bids):
                continue
            before = bids[index - 1]
            assert index - 1 == book.at or not book.is_out(before)
            closed = carry_out(book, bids[index])
            assert closed, "a threshold was crossed and nothing happened"
            hits += [(index, book.account, number, why) for number, why in closed]
            book.at = index
            if book.held:
                waiting.append(book)
        alive = waiting
    return sorted(hits)
