"""Accounts and positions of the core's state with defaults, for tests of pure functions."""

from typing import Any

from engine.core.state import Account, Position
from engine.messages.definitions import Terms
from engine.values import AccountKind, AccountStatus, StopOutStrategy

TERMS = Terms("standard", 1, 100, 0, 10_000, 5_000, StopOutStrategy.LARGEST_LOSS, True)


def account() -> Account:
    """Return demo account 17 of user 7, without money."""
    return Account(
        17, 7, AccountKind.DEMO, AccountStatus.ACTIVE, is_cross=True, leverage_cap=100, terms=TERMS
    )


def position(**changes: Any) -> Position:
    """Return a long cross position; keywords replace its fields."""
    fields: dict[str, Any] = {
        "account": 1,
        "k": 1,
        "instrument": 0,
        "is_long": True,
        "is_cross": True,
        "quantity_units": 1,
        "price_ticks": 1,
        "leverage": 1,
        "margin_micros": 1,
        "stop_loss_ticks": 0,
        "take_profit_ticks": 0,
        "trailing_ticks": 0,
        "liquidation_ticks": 0,
        "opened_at_us": 0,
        "fills": 1,
        "swap_day": 0,
        "swap_micros": 0,
        "commission_micros": 0,
    }
    return Position(**(fields | changes))
