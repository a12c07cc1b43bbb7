"""Why good data may be refused: rules between fields, or about what is there, which no schema can tell.

Each 400 for data that fits the document must be explained by a rule that this very data breaks, or, for what the engine decides, by a code
of the engine. A refusal without one is a fault: of the document, which lets through too much, or of the platform.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from engine.messages.rejects import RejectCode

Values = Mapping[str, Any]

_ENGINE: Final = frozenset(RejectCode) - {RejectCode.MALFORMED, RejectCode.SYMBOL_UNKNOWN}
# What operations whose words are checked by the engine may be refused with; the others carry out whatever fits their shape.
DECIDED: Final[Mapping[str, frozenset[str]]] = {
    "POST /api/v1/trade/create": _ENGINE,
    "POST /api/v1/trade/preview": _ENGINE,
    "POST /api/v1/trade/modify": _ENGINE,
    "POST /api/v1/trade/close": _ENGINE,
    "POST /api/v1/trade/closeBy": _ENGINE,
    "POST /api/v1/trade/reverse": _ENGINE,
    "POST /api/v1/trade/margin": _ENGINE,
    "POST /api/v1/accounts/{account_id}/topUp": frozenset({"AMOUNT_INVALID"}),
    "POST /api/v1/accounts/{account_id}/deposits": frozenset({"AMOUNT_INVALID"}),
    "POST /api/v1/accounts/{account_id}/withdrawals": frozenset(
        {"AMOUNT_INVALID", "WITHDRAWABLE_INSUFFICIENT", "DESTINATION_INVALID"}
    ),
}
_METHODS: Final = ("bank", "test")
_TIMES: Final = ("startTime", "endTime", "expiresAt")
_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2255, 1, 1, tzinfo=UTC)
_DAYS_MAX: Final = 3_660
_DECIMALS_MAX: Final = 6
_PLAIN: Final = re.compile(r"-?[0-9]{1,19}(\.[0-9]{1,18})?")


def _has_exponent(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_exponent, value.values()))
    if isinstance(value, list):
        return any(map(_has_exponent, value))
    return isinstance(value, float) and "e" in repr(value)


def _has_odd_value(values: Values) -> bool:
    """Return whether a text is blank, or a number has more digits than any that is taken."""
    return any(
        (isinstance(value, str) and not value.strip())
        or (isinstance(value, int | float) and not _PLAIN.fullmatch(str(value)))
        for value in values.values()
        if not isinstance(value, bool)
    )


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text.upper())
    except ValueError:
        # Such as a leap second, which RFC 3339 knows.
        return None


def _has_time_outside(values: Values) -> bool:
    texts = [str(values[name]) for name in _TIMES if values.get(name) is not None]
    moments = [_moment(text) for text in texts if not re.fullmatch(r"[0-9]+(\.0)?", text)]
    return any(moment is None or not _FIRST <= moment < _LAST for moment in moments)


def _instant_us(value: Any) -> int | None:
    if re.fullmatch(r"[0-9]+(\.0)?", str(value)):
        return int(Decimal(str(value))) * 1000
    moment = _moment(str(value))
    is_told = moment is not None and moment.tzinfo is not None
    return (moment - _FIRST) // timedelta(microseconds=1) if moment and is_told else None


def _is_backwards(values: Values) -> bool:
    start, end = (_instant_us(values.get(name, "")) for name in ("startTime", "endTime"))
    return start is not None and end is not None and end < start


def _day(text: Any) -> date | None:
    is_day = re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", str(text)) is not None
    try:
        return date.fromisoformat(str(text)) if is_day else None
    except ValueError:
        return None


def _is_no_period(values: Values) -> bool:
    named = frozenset(values) & {"day", "month", "from", "to"}
    if named == {"month"}:
        return False
    if named not in ({"day"}, {"from", "to"}):
        return True
    first, last = (_day(values.get(name, values.get("day"))) for name in ("from", "to"))
    if first is None or last is None or not _FIRST.date() <= first <= last < _LAST.date():
        return True
    return (last - first).days >= _DAYS_MAX


def _changes_nothing(values: Values) -> bool:
    return not values.keys() - {"orderId", "accountId", "clientOrderId"}


def _is_no_key(values: Values) -> bool:
    end = _moment(values["expiresAt"]) if values.get("expiresAt") else _LAST
    return bool(
        values.get("algorithm") == "ed25519"
        or values.get("ipAddresses")
        or end is None
        or end <= datetime.now(UTC)  # noqa: TID251 - of the test's own machine.
    )


def _has_many_decimals(values: Values) -> bool:
    exponent = Decimal(str(values.get("amount", 0))).as_tuple().exponent
    return isinstance(exponent, int) and -exponent > _DECIMALS_MAX


# By operation: rules that data of its shape may still break, which is INVALID.
_RULES: Final[Mapping[str, tuple[Callable[[Values], bool], ...]]] = {
    "GET /api/v1/candles": (_is_backwards,),
    "GET /api/v1/trade/open": (_is_backwards,),
    "GET /api/v1/trade/pending": (_is_backwards,),
    "GET /api/v1/trade/close": (_is_backwards,),
    "GET /api/v1/trade/orders": (_is_backwards,),
    "GET /api/v1/accounts/{account_id}/ledger": (_is_backwards,),
    "GET /api/v1/accounts/{account_id}/statement": (_is_no_period,),
    "GET /api/v1/accounts/{account_id}/performance": (_is_no_period,),
    # That only one period is named is in its schema.
    "POST /api/v1/accounts/{account_id}/statements": (_is_no_period,),
    "POST /api/v1/trade/modify": (_changes_nothing,),
    "POST /api/v1/keys": (_is_no_key,),
    "POST /api/v1/accounts/{account_id}/topUp": (_has_many_decimals,),
    "POST /api/v1/accounts/{account_id}/deposits": (_has_many_decimals,),
    "POST /api/v1/accounts/{account_id}/withdrawals": (_has_many_decimals,),
}


class Rules:
    """Knows which symbols there are."""

    def __init__(self, assets: list[dict[str, str]]) -> None:
        self._symbols = {asset[name] for asset in assets for name in ("symbol", "base")}

    def explain(self, name: str, case: Any, code: str) -> bool:
        """Return whether what a case sent breaks a rule whose code this is."""
        body = case.body if isinstance(case.body, Mapping) else {}
        values = dict(case.query or {}) | dict(body)
        if code == "INVALID":
            own = any(rule(values) for rule in _RULES.get(name, ()))
            odd = _has_odd_value(values) or _has_time_outside(values)
            return own or odd or _differs(case.headers or {}, body)
        if code == "MALFORMED":
            return _has_exponent(body)
        if code == "SYMBOL_UNKNOWN":
            return not self._knows(values)
        if code == "METHOD_UNKNOWN":
            return values.get("method") not in _METHODS
        return code in DECIDED.get(name.removesuffix(" add").removesuffix(" remove"), ())

    def _knows(self, values: Values) -> bool:
        texts = [values["symbol"]] if values.get("symbol") else []
        texts += str(values["symbols"]).split(",") if values.get("symbols") else []
        return {re.sub(r"[_/-]", "", text.strip().upper()) for text in texts} <= self._symbols


def _differs(headers: Mapping[str, str], body: Values) -> bool:
    key, own = headers.get("Idempotency-Key"), body.get("clientOrderId")
    return bool(key and own and key != own)
