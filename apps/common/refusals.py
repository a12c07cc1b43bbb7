"""The engine's refusals as every interface reports them: HTTP status, a sentence with the numbers, camelCase data.

The engine speaks in integers; here they become the numbers that people know: prices and quantities with the instrument's
decimals, money in USD, rates in per cent, ages in seconds. Sentences are in the active language: English for programs, that of
the person on pages.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from string import Formatter
from typing import Final

from django.conf import settings
from django.utils import formats, translation
from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _

from apps.common.clock import datetime_from_us
from apps.common.errors import ServiceError
from apps.common.money import PERCENT_DECIMALS_OF_PPM, number_from_micros, number_from_scaled
from apps.common.names import camel_case
from engine.messages.rejects import RejectCode
from engine.messages.replies import Rejected

_SECONDS_DECIMALS: Final = 6

# For each code, sentences from the most to the least telling; the first whose numbers are all known is used. Names are those of
# the engine without their unit.
_SENTENCES: Final[Mapping[RejectCode, tuple[str, ...]]] = {
    RejectCode.MALFORMED: (_("the command could not be read"),),
    RejectCode.EXISTS_WITH_DIFFERENT_CONTENT: (
        _("the request id {request_id} was used before for other content: send a new id"),
        _("the request id was used before for other content: send a new id"),
    ),
    RejectCode.EXPIRED: (
        _("the command reached the engine after its deadline, so nothing was done"),
    ),
    RejectCode.ACCOUNT_UNKNOWN: (
        _("there is no account {account} of yours"),
        _("there is no such account"),
    ),
    RejectCode.NOT_OWNER: (
        _("there is no account {account} of yours"),
        _("there is no such account"),
    ),
    RejectCode.ACCOUNT_EXISTS: (
        _("account {account} exists already"),
        _("the account exists already"),
    ),
    RejectCode.CASH_GAP: (_("cash command {cash_seq} came before {cash_seq_expected}"),),
    RejectCode.CASH_ALREADY_DECIDED: (_("cash command {cash_seq} was decided before"),),
    RejectCode.AMOUNT_INVALID: (_("the amount {amount} USD cannot be posted"),),
    RejectCode.WITHDRAWABLE_INSUFFICIENT: (
        _("at most {withdrawable} USD can be withdrawn, wanted {amount} USD"),
    ),
    RejectCode.PENDING_CASH_INSUFFICIENT: (
        _("{pending} USD wait for settlement, wanted {amount} USD"),
    ),
    RejectCode.GROUP_UNKNOWN: (_("there is no account group {group}"),),
    RejectCode.SYMBOL_UNKNOWN: (_("the symbol {symbol} is not traded here"),),
    RejectCode.DEFINITION_INVALID: (_("the definition is not valid: {fault}"),),
    RejectCode.ACCOUNT_SUSPENDED: (_("account {account} is suspended"),),
    RejectCode.ACCOUNT_CLOSE_ONLY: (_("account {account} may only close positions"),),
    RejectCode.STOP_OUT_PENDING: (
        _("account {account} is being stopped out and opens nothing until that has ended"),
    ),
    RejectCode.CLOCK_AHEAD: (
        _("the log's clock is {ahead} s ahead (at most {ahead_max} s), so nothing is opened now"),
    ),
    RejectCode.ORDER_UNKNOWN: (_("there is no order {order_id} of yours, or it no longer waits"),),
    RejectCode.POSITION_UNKNOWN: (_("there is no open order {position_id} of yours"),),
    RejectCode.POSITION_NOT_ISOLATED: (_("position {position_id} has no margin of its own"),),
    RejectCode.CLOSE_BY_INVALID: (
        _("{position_id} and {other_position_id} are no opposite cross positions of one symbol"),
    ),
    RejectCode.INSTRUMENT_HALTED: (_("trading in {symbol} is halted"),),
    RejectCode.INSTRUMENT_CLOSE_ONLY: (_("positions in {symbol} may only be closed"),),
    RejectCode.QUANTITY_INVALID: (
        _(
            "quantity must be from {quantity_min} to {quantity_max} in steps of {quantity_step}, was {quantity}"
        ),
        _(
            "quantity must be at most {open} and leave nothing or at least {quantity_min}, "
            "in steps of {quantity_step}, was {quantity}"
        ),
        _("the quantity is not valid, was {quantity}"),
    ),
    RejectCode.LEVERAGE_INVALID: (_("leverage must be from 1 to {leverage_max}, was {leverage}"),),
    RejectCode.ORDERS_LIMIT: (_("an account holds at most {orders_max} pending orders"),),
    RejectCode.POSITIONS_LIMIT: (_("an account holds at most {positions_max} positions"),),
    RejectCode.EXPIRY_INVALID: (
        _("a {order_type} order takes no time in force {time_in_force}"),
        _(
            "the end of the order does not fit: a gtd order needs one in the future, others take none"
        ),
    ),
    RejectCode.PRICE_SOURCE_MISMATCH: (_("{symbol} takes {expected} prices, found {found} ones"),),
    RejectCode.QUOTE_INVALID: (_("the quote is not valid"),),
    RejectCode.QUOTE_CROSSED: (_("the quote is crossed"),),
    RejectCode.QUOTE_OUT_OF_ORDER: (_("the quote is older than one before"),),
    RejectCode.QUOTE_STALE: (
        _("the last price of {symbol} is {quote_age} s old, at most {quote_age_max} s are allowed"),
        _("{symbol} has no price yet"),
    ),
    RejectCode.PRICE_INVALID: (
        _("the stop price {stop_price} has been passed already (bid {bid}, ask {ask})"),
        _(
            "a {order_type} order takes other prices than these: market none, limit a price, stop a "
            "stop price, stopLimit both"
        ),
    ),
    RejectCode.PRICE_MOVED: (
        _(
            "the price is {price} now, expected {expected_price}: {slippage} % worse, allowed are {slippage_max} %"
        ),
    ),
    RejectCode.STOPS_INVALID: (
        _(
            "stop loss and take profit must stand on the right side of {reference}, at least {stop_distance_min} away"
        ),
    ),
    RejectCode.LEVERAGE_ABOVE_TIER: (
        _(
            "leverage must be at most {leverage_max} for {notional} USD in this symbol, was {leverage}"
        ),
    ),
    RejectCode.NOTIONAL_ABOVE_TIERS: (
        _(
            "open notional in this symbol must be at most {notional_max} USD, would be {notional} USD"
        ),
    ),
    RejectCode.EXPOSURE_ACCOUNT: (
        _(
            "open notional of an account in this symbol must be at most {notional_max} USD, would be {notional} USD"
        ),
    ),
    RejectCode.EXPOSURE_HOUSE: (_("this symbol takes no larger position at the moment"),),
    RejectCode.FREE_MARGIN_INSUFFICIENT: (
        _("free margin must be at least {required} USD, was {free_margin} USD"),
    ),
    RejectCode.WOULD_LIQUIDATE: (
        _(
            "the position would be liquidated at once: its liquidation price is {liquidation}, the price {price}"
        ),
    ),
    RejectCode.MARGIN_NOT_RELEASABLE: (
        _("at most {available} USD of margin can be taken out, wanted {amount} USD"),
    ),
}
_REFUSED: Final = _("refused")
# Moments and not lengths of time.
_INSTANTS: Final = frozenset({"deadline_us", "decided_at_us", "expires_at_us", "now_us"})
# Marks that stand for "none" in the engine's integers.
_NONE_MARKS: Final[Mapping[str, int]] = {"quote_age_us": -1}

_NOT_FOUND: Final = frozenset(
    {
        RejectCode.ACCOUNT_UNKNOWN,
        # The same as for an unknown one, so that nobody learns which ids exist.
        RejectCode.NOT_OWNER,
        RejectCode.ORDER_UNKNOWN,
        RejectCode.POSITION_UNKNOWN,
    }
)
_CONFLICTS: Final = frozenset({RejectCode.EXISTS_WITH_DIFFERENT_CONTENT, RejectCode.ACCOUNT_EXISTS})


@dataclass(frozen=True, slots=True)
class Decimals:
    """The decimals of the instrument that a refusal is about."""

    price: int
    quantity: int


def refusal_error(
    rejected: Rejected, *, request_id: str, decimals: Decimals | None = None
) -> ServiceError:
    """Return a refusal as an error of the contract; without decimals, prices and quantities are left out."""
    code = rejected.code
    numbers = exact_numbers(rejected.data, decimals)
    message = next(
        (
            gettext(sentence).format_map({name: _text(value) for name, value in numbers.items()})
            for sentence in _SENTENCES[code]
            if _fields(sentence) <= numbers.keys()
        ),
        # The code stands behind it for whoever writes to our support.
        f"{gettext(_REFUSED)}: {code.value}",
    )
    # A foreign account is reported as an unknown one, in the code too.
    shown = RejectCode.ACCOUNT_UNKNOWN if code is RejectCode.NOT_OWNER else code
    return ServiceError(
        shown.value,
        message,
        http_status=http_status(code),
        data=refusal_data(rejected.data, decimals),
        request_id=request_id,
    )


def refusal_data(
    data: Mapping[str, int | str], decimals: Decimals | None
) -> dict[str, Decimal | int | str]:
    """Return the numbers of a refusal by the contract's names; without decimals, prices and quantities are left out."""
    return {_camel(name): value for name, value in exact_numbers(data, decimals).items()}


def sentences(code: RejectCode) -> tuple[str, ...]:
    """Return the sentences in which a refusal may be told, with the names of their numbers in braces."""
    return _SENTENCES[code]


def sentences_in(language: str) -> dict[str, list[str]]:
    """Return the sentences of every code in a language, with the names of their numbers as the contract spells them.

    For pages that tell refusals of the API, which speaks English, in the words of who reads them.
    """
    with translation.override(language):
        return {
            code.value: [_NAME.sub(lambda m: f"{{{_camel(m[1])}}}", gettext(one)) for one in texts]
            for code, texts in _SENTENCES.items()
        }


_NAME: Final = re.compile(r"\{(\w+)\}")


def http_status(code: RejectCode) -> int:
    """Return the status that a refusal travels with."""
    if code in _NOT_FOUND:
        return 404
    return 409 if code in _CONFLICTS else 400


def exact_numbers(
    data: Mapping[str, int | str], decimals: Decimals | None
) -> dict[str, Decimal | int | str]:
    """Return the engine's named integers as the numbers that people know, by their names without the unit.

    Without decimals, prices and quantities are left out, and so are the engine's marks for "none".
    """
    numbers: dict[str, Decimal | int | str] = {}
    for name, value in data.items():
        if isinstance(value, str):
            numbers[name] = value
            continue
        if _NONE_MARKS.get(name) == value:
            continue
        parts = name.split("_")
        if "micros" in parts:
            number: Decimal | int = number_from_micros(value)
        elif "ppm" in parts:
            number = number_from_scaled(value, PERCENT_DECIMALS_OF_PPM)
        elif name in _INSTANTS:
            if value:
                text = datetime_from_us(value).isoformat().replace("+00:00", "Z")
                numbers[name.removesuffix("_us")] = text
            continue
        elif "us" in parts:
            number = number_from_scaled(value, _SECONDS_DECIMALS)
        elif "ticks" in parts or "units" in parts:
            # No price and no quantity is 0: the engine says "none" by it.
            if decimals is None or not value:
                continue
            scale = decimals.price if "ticks" in parts else decimals.quantity
            number = number_from_scaled(value, scale)
        else:
            number = value
        numbers["_".join(part for part in parts if part not in _UNITS)] = number
    return numbers


_UNITS: Final = frozenset({"micros", "ppm", "us", "ticks", "units"})


def _fields(sentence: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(sentence) if name}


def _text(value: Decimal | int | str) -> str:
    # People read 10 and not 10.000000; the data keeps all digits.
    text = str(value)
    if isinstance(value, Decimal) and "." in text:
        text = text.rstrip("0").rstrip(".")
    if isinstance(value, Decimal) and translation.get_language() != settings.LANGUAGE_CODE:
        return formats.number_format(Decimal(text), use_l10n=True)
    return text


def _camel(name: str) -> str:
    # In the contract an open position is the order that opened it.
    return camel_case(name.replace("position_id", "order_id"))
