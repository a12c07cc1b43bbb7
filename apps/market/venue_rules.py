"""What the venue says of its instruments, held against ours: the differences, to be looked at before they are taken over.

Only quantities are taken over. Decimals never change (docs/INSTRUMENTS.md, I1); that a coin is not traded any more is shown, and halting
it stays an operator's decision.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from apps.market.feed.base import VENUE_DECIMALS_MAX
from apps.market.feed.binance_wire import UNREADABLE
from apps.market.selectors import InstrumentInfo
from apps.market.services import instrument_update
from engine.values import scaled_from_text, text_from_scaled

_THOUSAND: Final = "1000"
_TRADING: Final = "TRADING"


class _Filter(msgspec.Struct, frozen=True, rename="camel"):
    """One of the venue's rules; of other kinds only the name is read."""

    filter_type: str
    step_size: str = ""
    min_qty: str = ""
    max_qty: str = ""


class _Symbol(msgspec.Struct, frozen=True):
    """One symbol of the venue."""

    symbol: str
    status: str
    filters: list[_Filter] = []


class _Info(msgspec.Struct, frozen=True):
    """The venue's exchange information."""

    symbols: list[_Symbol]


_decoder: Final = msgspec.json.Decoder(_Info)


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that the venue says otherwise."""

    symbol: str
    # Column of the specification; empty for what is only shown.
    field: str
    ours: str
    theirs: str
    # In the instrument's units.
    value: int = 0


def differences(raw: bytes, infos: Iterable[InstrumentInfo]) -> Iterator[Difference]:
    """Yield what the venue's exchange information says otherwise than our specifications.

    Rounding: smallest quantity and step up, largest quantity down to a multiple of the step, so every order of ours would be one of theirs.
    Errors: ValueError when it is no exchange information.
    """
    try:
        stated = {one.symbol: one for one in _decoder.decode(raw).symbols}
    except UNREADABLE as error:
        message = f"expected the venue's exchange information: {error}"
        raise ValueError(message) from error
    for info in infos:
        name, factor = info.symbol, 1
        if name not in stated and info.base.startswith(_THOUSAND):
            name, factor = name.removeprefix(_THOUSAND), 1_000
        symbol = stated.get(name)
        if symbol is None:
            yield Difference(info.symbol, "", info.trading_mode.value, "not listed")
            continue
        if symbol.status != _TRADING:
            yield Difference(info.symbol, "", info.trading_mode.value, symbol.status.lower())
        lot = next((one for one in symbol.filters if one.filter_type == "LOT_SIZE"), None)
        if lot is not None:
            yield from _of_lot(info, lot, factor)


def differences_apply(found: Iterable[Difference]) -> int:
    """Take over what can be; return how many instruments have changed. The engine learns it by new versions."""
    changes: dict[str, dict[str, object]] = {}
    for one in found:
        if one.field:
            changes.setdefault(one.symbol, {})[one.field] = one.value
    for symbol, fields in changes.items():
        instrument_update(symbol=symbol, **fields)
    return len(changes)


def _of_lot(info: InstrumentInfo, lot: _Filter, factor: int) -> Iterator[Difference]:
    step = max(1, _units(lot.step_size, info, factor, round_up=True))
    # Ours may be stricter for reasons of our own (I2), never looser.
    smallest = max(_units(lot.min_qty, info, factor, round_up=True), info.quantity_min_units)
    smallest += -smallest % step
    largest = min(_units(lot.max_qty, info, factor, round_up=False), info.quantity_max_units)
    largest -= largest % step
    if largest < smallest:
        # Nothing that both would take: for people to look at.
        least = text_from_scaled(info.quantity_min_units, info.quantity_decimals)
        yield Difference(info.symbol, "", f"at least {least}", f"at most {lot.max_qty}")
        return
    pairs = (
        ("quantity_step_units", info.quantity_step_units, step),
        ("quantity_min_units", info.quantity_min_units, smallest),
        ("quantity_max_units", info.quantity_max_units, largest),
    )
    for field, ours, theirs in pairs:
        if ours != theirs:
            decimals = info.quantity_decimals
            texts = text_from_scaled(ours, decimals), text_from_scaled(theirs, decimals)
            yield Difference(info.symbol, field, *texts, value=theirs)


def _units(text: str, info: InstrumentInfo, factor: int, *, round_up: bool) -> int:
    scaled = scaled_from_text(text, VENUE_DECIMALS_MAX)
    surplus = 10 ** (VENUE_DECIMALS_MAX - info.quantity_decimals) * factor
    return -(-scaled // surplus) if round_up else scaled // surplus
