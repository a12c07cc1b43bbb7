"""The engine's vocabulary of small values: enumerations, limits, and exact text <-> integer conversion.

Units everywhere: prices in ticks of 10^-price_decimals, quantities in units of 10^-quantity_decimals, money in
micro-USD, time in microseconds UTC, rates in ppm, levels in basis points. No float, no Decimal (rule N1).
"""

import re
from enum import StrEnum
from typing import Final

MICROS_PER_USD: Final = 1_000_000
# Sum of the price and quantity decimals of every instrument; makes notional and P&L exact in micro-USD.
DECIMALS_MAX: Final = 6
# Largest integer that a JSON number carries exactly in every client.
SAFE_INTEGER_MAX: Final = 2**53 - 1
LEVERAGE_MAX: Final = 100
POSITIONS_MAX: Final = 200
ORDERS_MAX: Final = 200

# An entry id "<ms>-<seq>" packed into 63 bits keeps its order as an integer: 42 bits of ms, 21 bits of seq.
SEQUENCE_BITS: Final = 21
_SEQUENCE_MASK: Final = (1 << SEQUENCE_BITS) - 1

_PLAIN_DECIMAL: Final = re.compile(r"-?[0-9]{1,19}(?:\.[0-9]{1,18})?", re.ASCII)


class Side(StrEnum):
    """Side of an order."""

    BUY = "buy"
    SELL = "sell"


class Direction(StrEnum):
    """Direction of a position: a long is valued and closed at the bid, a short at the ask."""

    LONG = "long"
    SHORT = "short"


class OrderType(StrEnum):
    """How an order reaches its fill."""

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LIMIT = "stopLimit"


class TimeInForce(StrEnum):
    """How long a pending order lives: until cancelled, until a time, until 00:00 UTC."""

    GTC = "gtc"
    GTD = "gtd"
    DAY = "day"


class MarginMode(StrEnum):
    """Whether a position shares the account's margin or stands on its own."""

    CROSS = "cross"
    ISOLATED = "isolated"


class TradingMode(StrEnum):
    """What an instrument allows: everything, closing only, nothing."""

    OPEN = "open"
    CLOSE_ONLY = "close_only"
    HALTED = "halted"


class SourceClass(StrEnum):
    """Where prices come from; positions opened on one class never meet prices of another."""

    LIVE = "live"
    REPLAY = "replay"
    SIMULATED = "simulated"


class AccountKind(StrEnum):
    """The book that an account belongs to; postings never mix the two."""

    DEMO = "demo"
    LIVE = "live"


class AccountStatus(StrEnum):
    """What an account may do: trade, only reduce, nothing."""

    ACTIVE = "active"
    CLOSE_ONLY = "close_only"
    SUSPENDED = "suspended"


class StopOutStrategy(StrEnum):
    """Which positions a stop-out closes first (docs/ENGINE.md, rule L3)."""

    LARGEST_LOSS = "largest_loss"
    SMALLEST_SLICE = "smallest_slice"
    CLOSE_ALL = "close_all"


class Actor(StrEnum):
    """Who speaks: clients are owner-checked and their commands expire; operators and the system are not."""

    CLIENT = "client"
    OPERATOR = "operator"
    SYSTEM = "system"


class CashKind(StrEnum):
    """What a cash command does to the balance."""

    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    SETTLE = "settle"
    RETURN = "return"
    ADJUSTMENT = "adjustment"
    BONUS = "bonus"


class CloseReason(StrEnum):
    """Why a position or a part of it was closed."""

    CLIENT = "client"
    OPERATOR = "operator"
    STOP_LOSS = "stop_loss"
    TAKE_PROFIT = "take_profit"
    LIQUIDATION = "liquidation"
    STOP_OUT = "stop_out"
    CLOSE_BY = "close_by"
    REVERSE = "reverse"


class CancelReason(StrEnum):
    """Why a pending order was cancelled."""

    CLIENT = "client"
    OPERATOR = "operator"
    STOP_OUT = "stop_out"


class ProfitFilter(StrEnum):
    """Which positions a CloseAll takes."""

    ALL = "all"
    WINNERS = "winners"
    LOSERS = "losers"


class InvariantError(Exception):
    """The engine contradicts itself; the shard stops before anything is published."""


def check(condition: bool, message: str) -> None:  # noqa: FBT001 - reads as a sentence
    """Raise InvariantError unless the condition holds.

    Always on: ``python -O`` strips ``assert``, and a broken invariant must never be published.
    """
    if not condition:
        raise InvariantError(message)


def scaled_from_text(text: str, decimals: int) -> int:
    """Convert plain decimal text to an integer of 10^-decimals.

    Rounding: none; text with more decimals than the scale holds is an error unless they are zeros.
    Errors: ValueError with a sentence for signs other than "-", exponents, NaN, blanks, non-ASCII digits, length.
    """
    if not _PLAIN_DECIMAL.fullmatch(text):
        message = f"expected a plain decimal number (at most 19 digits before a point, 18 after it), found {text[:40]!r}"
        raise ValueError(message)
    whole, _, fraction = text.lstrip("-").partition(".")
    fraction = fraction.rstrip("0")
    if len(fraction) > decimals:
        message = f"expected at most {decimals} decimals, found {len(fraction)} in {text[:40]!r}"
        raise ValueError(message)
    value = int(whole + fraction.ljust(decimals, "0"))
    return -value if text.startswith("-") else value


def text_from_scaled(value: int, decimals: int) -> str:
    """Convert an integer of 10^-decimals to exact decimal text with all its decimals."""
    digits = str(value)
    if decimals == 0:
        return digits
    if value < 0 or len(digits) <= decimals:
        sign = "-" if value < 0 else ""
        digits = sign + str(abs(value)).rjust(decimals + 1, "0")
    return f"{digits[:-decimals]}.{digits[-decimals:]}"


def micros_from_text(text: str) -> int:
    """Convert a decimal USD amount to micro-USD, exactly; errors as scaled_from_text."""
    return scaled_from_text(text, 6)


def entry_id_from_text(text: str) -> int:
    """Pack a stream id "<ms>-<seq>" into one ordered integer; ValueError when it does not fit."""
    ms, _, sequence = text.partition("-")
    packed_sequence = int(sequence or "0")
    if not 0 <= packed_sequence <= _SEQUENCE_MASK:
        message = f"entry id {text!r} has a sequence above {_SEQUENCE_MASK}"
        raise ValueError(message)
    return int(ms) << SEQUENCE_BITS | packed_sequence


def text_from_entry_id(entry_id: int) -> str:
    """Unpack an entry id to the stream's own text."""
    return f"{entry_id >> SEQUENCE_BITS}-{entry_id & _SEQUENCE_MASK}"


def entry_time_us(entry_id: int) -> int:
    """Return the time that an entry id carries, in microseconds."""
    return (entry_id >> SEQUENCE_BITS) * 1000


def entry_id_before(entry_id: int, age_us: int) -> int:
    """Return the first id of the millisecond that lies whole milliseconds of an age before an entry's."""
    return (entry_id >> SEQUENCE_BITS) - age_us // 1000 << SEQUENCE_BITS
