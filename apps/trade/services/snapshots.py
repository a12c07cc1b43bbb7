"""An account as sockets show it: the whole of it at one moment, and each event after that, in the contract's words."""

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

import msgspec

from apps.common.clock import datetime_from_us
from apps.common.money import number_from_micros, number_from_scaled, percent_from_bps
from apps.common.names import camel_case
from apps.common.refusals import Decimals, refusal_data
from apps.market import facade as market
from apps.market.facade import InstrumentInfo
from apps.trade.services.shapes import open_shape, pending_shape
from engine.messages.events import AccountEvent
from engine.messages.views import AccountView

# Not for the screen: the posting group is the ledger's, the receipt is asked for on its own.
_LEFT_OUT: Final = frozenset({"account", "seq", "postings", "receipt", "terms", "liquidations"})


def account_snapshot(view: AccountView) -> dict[str, object]:
    """Return the whole of an account, with its open orders, newest first."""
    level_bps = view.margin_level_bps
    return {
        "balance": number_from_micros(view.balance_micros),
        "equity": number_from_micros(view.equity_micros),
        "usedMargin": number_from_micros(view.used_margin_micros),
        "freeMargin": number_from_micros(view.free_margin_micros),
        "marginLevel": None if level_bps is None else percent_from_bps(level_bps),
        "marginCallLevel": percent_from_bps(view.margin_call_level_bps),
        "stopOutLevel": percent_from_bps(view.stop_out_level_bps),
        "unrealisedPnl": number_from_micros(view.pnl_unrealised_micros),
        "status": view.status.value,
        "isMarginCall": view.is_margin_call,
        "positions": [open_shape(view, position) for position in reversed(view.positions)],
        "orders": [pending_shape(view.account, order) for order in reversed(view.orders)],
        "asOf": view.as_of,
    }


def event_shape(event: AccountEvent, symbols: Mapping[str, str]) -> dict[str, object]:
    """Return an event in the contract's words.

    `symbols` tells the symbol of an order or position, which not every event repeats. Numbers of an instrument that is not known
    are left out rather than shown wrong.
    """
    fields: dict[str, Any] = {
        name: getattr(event, name) for name in event.__struct_fields__ if name not in _LEFT_OUT
    }
    entity = fields.get("position_id") or fields.get("order_id") or ""
    symbol = fields.get("symbol") or symbols.get(entity, "")
    instrument = market.instruments_by_symbol().get(symbol)
    shape: dict[str, object] = {"type": type(event).__name__}
    if symbol:
        shape["symbol"] = symbol
    for name, value in fields.items():
        # In the contract an open position is the order that opened it.
        parts = name.replace("position_id", "order_id").split("_")
        if name == "data":
            # Of a refusal: numbers as the refusals of orders have them.
            shape[name] = refusal_data(value, _decimals(instrument))
            continue
        shown = _shown(parts[-1], value, instrument)
        if shown is not msgspec.UNSET:
            word = "_".join(_without_unit(parts))
            shape[camel_case(_WORDS.get(word, word))] = shown
    return shape


def _decimals(instrument: InstrumentInfo | None) -> Decimals | None:
    if instrument is None:
        return None
    return Decimals(price=instrument.price_decimals, quantity=instrument.quantity_decimals)


# Where the contract says more than our own name without its unit.
_WORDS: Final = {"trailing": "trailing_distance", "liquidation": "liquidation_price"}
_UNITS: Final = frozenset({"micros", "ticks", "units", "bps", "us"})


def _without_unit(parts: list[str]) -> list[str]:
    if parts[-1] == "us":
        # Instants keep a word that says so: opened_at_us -> openedAt.
        return parts[:-1]
    return parts[:-1] if parts[-1] in _UNITS and len(parts) > 1 else parts


def _shown(unit: str, value: Any, instrument: InstrumentInfo | None) -> object:
    if isinstance(value, Enum):
        return value.value
    if unit == "micros":
        return number_from_micros(value)
    if unit == "bps":
        return percent_from_bps(value)
    if unit == "us":
        return datetime_from_us(value) if value else None
    if unit in ("ticks", "units"):
        if instrument is None:
            return msgspec.UNSET
        decimals = instrument.price_decimals if unit == "ticks" else instrument.quantity_decimals
        is_none = value is None or (unit == "ticks" and not value)
        return None if is_none else number_from_scaled(value, decimals)
    return value
