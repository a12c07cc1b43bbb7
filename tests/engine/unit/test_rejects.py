"""Refusal codes are a contract: their names, their order, and which are worth another try."""

import pytest

from engine.messages.rejects import RejectCode, is_retryable

RETRYABLE = {
    "CASH_GAP",
    "CLOCK_AHEAD",
    "EXPIRED",
    "EXPOSURE_HOUSE",
    "INSTRUMENT_CLOSE_ONLY",
    "INSTRUMENT_HALTED",
    "PRICE_MOVED",
    "PRICE_SOURCE_MISMATCH",
    "QUOTE_CROSSED",
    "QUOTE_INVALID",
    "QUOTE_OUT_OF_ORDER",
    "QUOTE_STALE",
    "STOP_OUT_PENDING",
}


@pytest.mark.parametrize("code", list(RejectCode))
def test_every_code_says_whether_it_is_worth_another_try(code: RejectCode) -> None:
    assert code.value == code.name
    assert is_retryable(code) == (code.name in RETRYABLE)


def test_who_you_are_comes_before_what_you_ask_and_that_before_what_it_costs() -> None:
    order = list(RejectCode)
    told = [
        RejectCode.MALFORMED,
        RejectCode.EXPIRED,
        RejectCode.ACCOUNT_UNKNOWN,
        RejectCode.NOT_OWNER,
        RejectCode.ACCOUNT_SUSPENDED,
        RejectCode.INSTRUMENT_HALTED,
        RejectCode.QUANTITY_INVALID,
        RejectCode.QUOTE_STALE,
        RejectCode.PRICE_MOVED,
        RejectCode.STOPS_INVALID,
        # Beyond the last tier there is none whose leverage could be asked for.
        RejectCode.NOTIONAL_ABOVE_TIERS,
        RejectCode.LEVERAGE_ABOVE_TIER,
        RejectCode.FREE_MARGIN_INSUFFICIENT,
        RejectCode.WOULD_LIQUIDATE,
    ]

    assert sorted(told, key=order.index) == told
