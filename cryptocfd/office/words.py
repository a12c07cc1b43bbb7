"""Figures as people in the back office read them, in their language; files take exact decimals instead."""

from decimal import ROUND_FLOOR, Decimal
from typing import Final

from django.utils import formats
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from apps.common.clock import datetime_from_us
from apps.common.money import MICRO_DECIMALS, number_from_micros, number_from_scaled
from engine.values import text_from_scaled

NOTHING: Final = "\u2013"
_MINUS: Final = "\u2212"
_CENT: Final = Decimal("0.01")
_SECOND_US: Final = 1_000_000
_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_DAY_S: Final = 86_400


def number(value: Decimal | int) -> str:
    """Return a number with its digits grouped."""
    text = str(formats.number_format(value, use_l10n=True, force_grouping=True))
    return text.replace("-", _MINUS)


def usd(micros: int | None) -> str:
    """Return an amount in cents. Rounding: down, as on the site's other pages."""
    if micros is None:
        return NOTHING
    return number(number_from_micros(micros).quantize(_CENT, rounding=ROUND_FLOOR))


def exact_usd(micros: int | None) -> str:
    """Return an amount for files: to the last digit, and empty where there is none."""
    return "" if micros is None else text_from_scaled(micros, MICRO_DECIMALS)


def whole_usd(micros: int | None) -> str:
    """Return an amount without cents, for what is too wide otherwise. Rounding: down."""
    if micros is None:
        return NOTHING
    return number(number_from_micros(micros).to_integral_value(rounding=ROUND_FLOOR))


def gain(micros: int | None) -> str | SafeString:
    """Return a result in cents with its sign, marked so that gains and losses differ in more than colour."""
    if not micros:
        return usd(micros)
    kind, sign = ("gain", "+") if micros > 0 else ("loss", "")
    return format_html('<span class="office-{}">{}{}</span>', kind, sign, usd(micros))


def quantity(units: int, decimals: int | None) -> str:
    """Return a quantity with all its decimals; one of an instrument that is not known stays in units."""
    return number(units if decimals is None else number_from_scaled(units, decimals))


def price(ticks: int, decimals: int | None) -> str:
    """Return a price with all its decimals."""
    return quantity(ticks, decimals)


def percent(share_bps: int | None) -> str:
    """Return basis points as per cent with one decimal. Rounding: down."""
    if share_bps is None:
        return NOTHING
    tenths = number_from_scaled(share_bps // 10, 1)
    return f"{number(tenths)}\u00a0%"


def age(us: int | None) -> str:
    """Return how long something is ago, roughly as people say it."""
    if us is None:
        return NOTHING
    seconds = max(0, us) // _SECOND_US
    if seconds < _MINUTE_S:
        tenths = number_from_scaled(max(0, us) // (_SECOND_US // 10), 1)
        return _("%(count)s s") % {"count": number(tenths)}
    if seconds < _HOUR_S:
        return _("%(count)s min") % {"count": seconds // _MINUTE_S}
    if seconds < 2 * _DAY_S:
        return _("%(count)s h") % {"count": seconds // _HOUR_S}
    return _("%(count)s days") % {"count": seconds // _DAY_S}


def instant(us: int) -> str:
    """Return a moment in UTC, to the second."""
    return f"{datetime_from_us(us):%Y-%m-%d %H:%M:%S} UTC"


def clock(us: int) -> str:
    """Return the time of day in UTC."""
    return f"{datetime_from_us(us):%H:%M:%S} UTC"


def late_none() -> str:
    """Say that every trade is in the figures."""
    return _("every trade is in")


def late_unknown() -> str:
    """Say that nobody knows how late the figures are."""
    return _("no engine reports, so it is not known how late they are")


def late_by(outputs: int, until: str) -> str:
    """Say how far behind the figures are."""
    return _("%(count)s outputs behind, as of %(time)s") % {
        "count": number(outputs),
        "time": until,
    }


def prices_age(least_us: int, most_us: int) -> str:
    """Say how old the prices are that the figures were valued at."""
    if age(least_us) == age(most_us):
        return _("%(age)s old") % {"age": age(least_us)}
    return _("%(least)s to %(most)s old") % {"least": age(least_us), "most": age(most_us)}
