"""Numbers of requests -> the engine's integers, and back: every conversion of this app stands here.

Units of what comes in: decimal text in the instrument's own price and quantity, leverage whole, slippage in per cent.
"""

from decimal import Decimal

from msgspec import UnsetType

from apps.common.errors import ServiceError
from apps.common.money import MICRO_DECIMALS, PERCENT_DECIMALS_OF_PPM, number_from_scaled
from apps.common.refusals import Decimals
from apps.market.facade import InstrumentInfo
from engine.messages.rejects import RejectCode
from engine.values import SAFE_INTEGER_MAX, scaled_from_text

_SLIPPAGE_PPM_MAX = 1_000_000


def decimals_of(instrument: InstrumentInfo) -> Decimals:
    """Return how an instrument's numbers are scaled."""
    return Decimals(price=instrument.price_decimals, quantity=instrument.quantity_decimals)


def quantity_units(instrument: InstrumentInfo, text: str) -> int:
    """Convert a quantity; errors: ServiceError QUANTITY_INVALID."""
    return _positive("quantity", text, instrument.quantity_decimals, RejectCode.QUANTITY_INVALID)


def price_ticks(instrument: InstrumentInfo, name: str, text: str | None) -> int | None:
    """Convert the price of that field; None stays None. Errors: ServiceError PRICE_INVALID."""
    if text is None:
        return None
    return _positive(name, text, instrument.price_decimals, RejectCode.PRICE_INVALID)


def stop_ticks(instrument: InstrumentInfo, name: str, text: str | None) -> int | None:
    """Convert a stop loss, take profit or trailing distance. Errors: ServiceError STOPS_INVALID."""
    if text is None:
        return None
    return _positive(name, text, instrument.price_decimals, RejectCode.STOPS_INVALID)


def leverage_whole(text: str) -> int:
    """Convert a leverage; errors: ServiceError LEVERAGE_INVALID."""
    return _positive("leverage", text, 0, RejectCode.LEVERAGE_INVALID)


def slippage_ppm(text: str | None) -> int | None:
    """Convert per cent to ppm; errors: ServiceError PRICE_INVALID."""
    if text is None:
        return None
    ppm = _scaled("slippage", text, PERCENT_DECIMALS_OF_PPM, RejectCode.PRICE_INVALID)
    if not 0 <= ppm <= _SLIPPAGE_PPM_MAX:
        raise _invalid(
            "slippage", text, RejectCode.PRICE_INVALID, f"must be from 0 to 100 %, was {text}"
        )
    return ppm


def change_ticks(
    instrument: InstrumentInfo, name: str, text: str | UnsetType | None
) -> int | UnsetType | None:
    """Convert a stop to set; None (take it away) and UNSET (leave it) stay. Errors: ServiceError STOPS_INVALID."""
    return (
        text if text is None or isinstance(text, UnsetType) else stop_ticks(instrument, name, text)
    )


def amount_micros(text: str) -> int:
    """Convert an amount of USD to micro-USD; errors: ServiceError AMOUNT_INVALID."""
    return _positive("amount", text, MICRO_DECIMALS, RejectCode.AMOUNT_INVALID)


def price_number(instrument: InstrumentInfo, ticks: int | None) -> Decimal | None:
    """Return a price as a number; None and 0, the engine's marks for "none", become None."""
    return number_from_scaled(ticks, instrument.price_decimals) if ticks else None


def quantity_number(instrument: InstrumentInfo, units: int) -> Decimal:
    """Return a quantity as a number."""
    return number_from_scaled(units, instrument.quantity_decimals)


def _positive(name: str, text: str, decimals: int, code: RejectCode) -> int:
    value = _scaled(name, text, decimals, code)
    if not 1 <= value <= SAFE_INTEGER_MAX:
        size = "above 0" if value < 1 else "smaller"
        raise _invalid(name, text, code, f"must be {size}, was {text}")
    return value


def _scaled(name: str, text: str, decimals: int, code: RejectCode) -> int:
    try:
        return scaled_from_text(text, decimals)
    except ValueError as error:
        why = f"is not valid: {error}" if decimals else f"must be a whole number, was {text}"
        raise _invalid(name, text, code, why, decimalsMax=decimals) from error


def _invalid(name: str, text: str, code: RejectCode, why: str, **bounds: int) -> ServiceError:
    # As it was sent: a number of many decimals would get an exponent on its way out.
    return ServiceError(code.value, f"{name} {why}", data={"field": name, "found": text, **bounds})
