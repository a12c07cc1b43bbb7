"""Refusals: stable codes in order of precedence. The first code that applies is the one returned."""

from enum import StrEnum
from typing import assert_never


class RejectCode(StrEnum):
    """Why a command, order or quote was refused. Append-only names; the order of the members is the precedence."""

    MALFORMED = "MALFORMED"
    EXISTS_WITH_DIFFERENT_CONTENT = "EXISTS_WITH_DIFFERENT_CONTENT"
    EXPIRED = "EXPIRED"
    ACCOUNT_UNKNOWN = "ACCOUNT_UNKNOWN"
    NOT_OWNER = "NOT_OWNER"
    ACCOUNT_EXISTS = "ACCOUNT_EXISTS"
    CASH_GAP = "CASH_GAP"
    CASH_ALREADY_DECIDED = "CASH_ALREADY_DECIDED"
    AMOUNT_INVALID = "AMOUNT_INVALID"
    WITHDRAWABLE_INSUFFICIENT = "WITHDRAWABLE_INSUFFICIENT"
    PENDING_CASH_INSUFFICIENT = "PENDING_CASH_INSUFFICIENT"
    GROUP_UNKNOWN = "GROUP_UNKNOWN"
    SYMBOL_UNKNOWN = "SYMBOL_UNKNOWN"
    DEFINITION_INVALID = "DEFINITION_INVALID"
    ACCOUNT_SUSPENDED = "ACCOUNT_SUSPENDED"
    ACCOUNT_CLOSE_ONLY = "ACCOUNT_CLOSE_ONLY"
    STOP_OUT_PENDING = "STOP_OUT_PENDING"
    CLOCK_AHEAD = "CLOCK_AHEAD"
    ORDER_UNKNOWN = "ORDER_UNKNOWN"
    POSITION_UNKNOWN = "POSITION_UNKNOWN"
    POSITION_NOT_ISOLATED = "POSITION_NOT_ISOLATED"
    CLOSE_BY_INVALID = "CLOSE_BY_INVALID"
    INSTRUMENT_HALTED = "INSTRUMENT_HALTED"
    INSTRUMENT_CLOSE_ONLY = "INSTRUMENT_CLOSE_ONLY"
    QUANTITY_INVALID = "QUANTITY_INVALID"
    LEVERAGE_INVALID = "LEVERAGE_INVALID"
    ORDERS_LIMIT = "ORDERS_LIMIT"
    POSITIONS_LIMIT = "POSITIONS_LIMIT"
    EXPIRY_INVALID = "EXPIRY_INVALID"
    PRICE_SOURCE_MISMATCH = "PRICE_SOURCE_MISMATCH"
    QUOTE_INVALID = "QUOTE_INVALID"
    QUOTE_CROSSED = "QUOTE_CROSSED"
    QUOTE_OUT_OF_ORDER = "QUOTE_OUT_OF_ORDER"
    QUOTE_STALE = "QUOTE_STALE"
    PRICE_INVALID = "PRICE_INVALID"
    PRICE_MOVED = "PRICE_MOVED"
    STOPS_INVALID = "STOPS_INVALID"
    NOTIONAL_ABOVE_TIERS = "NOTIONAL_ABOVE_TIERS"
    LEVERAGE_ABOVE_TIER = "LEVERAGE_ABOVE_TIER"
    EXPOSURE_ACCOUNT = "EXPOSURE_ACCOUNT"
    EXPOSURE_HOUSE = "EXPOSURE_HOUSE"
    FREE_MARGIN_INSUFFICIENT = "FREE_MARGIN_INSUFFICIENT"
    WOULD_LIQUIDATE = "WOULD_LIQUIDATE"
    MARGIN_NOT_RELEASABLE = "MARGIN_NOT_RELEASABLE"


def is_retryable(code: RejectCode) -> bool:
    """Return whether the same wish may succeed later, under a new request id, without the client changing it."""
    match code:
        case (
            RejectCode.EXPIRED
            | RejectCode.STOP_OUT_PENDING
            | RejectCode.CLOCK_AHEAD
            | RejectCode.INSTRUMENT_HALTED
            | RejectCode.INSTRUMENT_CLOSE_ONLY
            | RejectCode.PRICE_SOURCE_MISMATCH
            | RejectCode.QUOTE_INVALID
            | RejectCode.QUOTE_CROSSED
            | RejectCode.QUOTE_OUT_OF_ORDER
            | RejectCode.QUOTE_STALE
            | RejectCode.PRICE_MOVED
            | RejectCode.EXPOSURE_HOUSE
            | RejectCode.CASH_GAP
        ):
            return True
        case (
            RejectCode.MALFORMED
            | RejectCode.EXISTS_WITH_DIFFERENT_CONTENT
            | RejectCode.ACCOUNT_UNKNOWN
            | RejectCode.NOT_OWNER
            | RejectCode.ACCOUNT_EXISTS
            | RejectCode.CASH_ALREADY_DECIDED
            | RejectCode.AMOUNT_INVALID
            | RejectCode.WITHDRAWABLE_INSUFFICIENT
            | RejectCode.PENDING_CASH_INSUFFICIENT
            | RejectCode.GROUP_UNKNOWN
            | RejectCode.SYMBOL_UNKNOWN
            | RejectCode.DEFINITION_INVALID
            | RejectCode.ACCOUNT_SUSPENDED
            | RejectCode.ACCOUNT_CLOSE_ONLY
            | RejectCode.ORDER_UNKNOWN
            | RejectCode.POSITION_UNKNOWN
            | RejectCode.POSITION_NOT_ISOLATED
            | RejectCode.CLOSE_BY_INVALID
            | RejectCode.QUANTITY_INVALID
            | RejectCode.LEVERAGE_INVALID
            | RejectCode.ORDERS_LIMIT
            | RejectCode.POSITIONS_LIMIT
            | RejectCode.EXPIRY_INVALID
            | RejectCode.PRICE_INVALID
            | RejectCode.STOPS_INVALID
            | RejectCode.LEVERAGE_ABOVE_TIER
            | RejectCode.NOTIONAL_ABOVE_TIERS
            | RejectCode.EXPOSURE_ACCOUNT
            | RejectCode.FREE_MARGIN_INSUFFICIENT
            | RejectCode.WOULD_LIQUIDATE
            | RejectCode.MARGIN_NOT_RELEASABLE
        ):
            return False
        case _:
            assert_never(code)
