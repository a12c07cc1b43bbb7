"""Exact numbers at the edges: decimal numbers and text from outside <-> the engine's scaled integers.

No float passes here. The conversion of text is engine/values.py.
"""

from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Final

from engine.values import scaled_from_text

MICRO_DECIMALS = 6
# Decimals of a per cent figure held in ppm (1 % = 10,000 ppm) and in basis points (1 % = 100).
PERCENT_DECIMALS_OF_PPM = 4
PERCENT_DECIMALS_OF_BPS = 2
# Longest number that is looked at; what is longer is no price of anything.
NUMBER_CHARACTERS_MAX = 40
# Moves the point without rounding, or raises; takes a quarter of the time of the way through text.
_point_move: Final = Context(prec=1_000, traps=[Inexact, InvalidOperation]).scaleb


def scaled_from_number(value: object, decimals: int) -> int:
    """Convert a JSON number (int or Decimal) or plain decimal text to an integer of 10^-decimals.

    Rounding: none; more decimals than the scale holds are an error unless they are zeros.
    Errors: ValueError with a sentence, for everything that is not a plain decimal number.
    """
    return scaled_from_text(plain_text(value), decimals)


def plain_text(value: object) -> str:
    """Return the digits of a JSON number or of text, as they were sent.

    Errors: ValueError for other types (bool and float among them), exponents, NaN, and more than 40 characters.
    """
    if isinstance(value, str):
        text = value
    elif isinstance(value, Decimal):
        # str() writes small ones, and zeros with many decimals, with an exponent that nobody has sent.
        text = f"{value:f}"
    elif isinstance(value, int) and not isinstance(value, bool):
        # Longer integers are refused before they are turned into text, which would take quadratic time.
        text = str(value) if abs(value) < 10**NUMBER_CHARACTERS_MAX else "9" * 99
    else:
        found = "true or false" if isinstance(value, bool) else type(value).__name__
        message = f"expected a number, found {found}"
        raise ValueError(message)  # noqa: TRY004 - one error type for everything that is not a number.
    if len(text) > NUMBER_CHARACTERS_MAX:
        message = f"expected a number of at most {NUMBER_CHARACTERS_MAX} characters, found more"
        raise ValueError(message)
    return text


def number_from_scaled(value: int, decimals: int) -> Decimal:
    """Convert an integer of 10^-decimals to the exact number with all its decimals."""
    return _point_move(value, -decimals)


def number_from_micros(micros: int) -> Decimal:
    """Convert micro-USD to the exact number of USD."""
    return number_from_scaled(micros, MICRO_DECIMALS)


def percent_from_bps(bps: int) -> Decimal:
    """Convert basis points to per cent (10000 -> 100.00)."""
    return number_from_scaled(bps, PERCENT_DECIMALS_OF_BPS)
