"""GET /candles in words: reads the parameters, and writes the envelope around the rows, text around text.

The bodies of both ways in, the lean one (lean.py) and the browsable API's, come from here.
"""

import hashlib
from collections.abc import Mapping
from typing import Final

from apps.common.errors import ServiceError
from apps.common.exact_json import json_encode
from apps.common.serializers import parameters_unknown
from apps.market.candles.candle import PriceSide
from apps.market.candles.intervals import INTERVALS, Interval
from apps.market.candles.reader import CandleQuestion, CandleReader
from apps.market.candles.windows import Answer
from apps.market.selectors import instrument_resolve

LIMIT_MAX: Final = 1_000
LIMIT_DEFAULT: Final = 100
# The year 9999.
TIME_MS_MAX: Final = 253_370_764_799_999
_DIGITS_MAX: Final = 15
_PARAMETERS: Final = ("symbol", "interval", "limit", "startTime", "endTime", "price")


def question_from(parameters: Mapping[str, str]) -> CandleQuestion:
    """Return what the parameters ask for.

    Errors: ServiceError INVALID, SymbolUnknownError; both say what was expected and what was found.
    """
    for name, text in parameters_unknown(parameters, _PARAMETERS).items():
        raise _invalid(name, text)
    if "symbol" not in parameters:
        raise _invalid("symbol", "expected a symbol such as BTCUSDT, found none")
    instrument = instrument_resolve(parameters["symbol"])
    start_ms = _whole(parameters, "startTime", 0, TIME_MS_MAX)
    end_ms = _whole(parameters, "endTime", 0, TIME_MS_MAX)
    if start_ms is not None and end_ms is not None and end_ms < start_ms:
        raise _invalid("endTime", f"expected at least startTime {start_ms}, found {end_ms}")
    limit = _whole(parameters, "limit", 1, LIMIT_MAX)
    return CandleQuestion(
        instrument=instrument,
        interval=interval_from(parameters.get("interval", "1m")),
        side=_side(parameters.get("price", "bid")),
        limit=LIMIT_DEFAULT if limit is None else limit,
        start_ms=start_ms,
        end_ms=end_ms,
    )


def interval_from(text: str) -> Interval:
    """Return the interval of that name. Errors: ServiceError INVALID."""
    interval = INTERVALS.get(text)
    if interval is None:
        raise _invalid("interval", f"expected one of {', '.join(INTERVALS)}, found {text[:16]!r}")
    return interval


async def answer(reader: CandleReader, question: CandleQuestion) -> Answer:
    """Return the answer to a question; what nobody has changed since it was last asked is not written again.

    Errors: CandlesUnavailableError.
    """
    window = reader.window_now(question)
    if window is not None and window.kept is not None and window.kept[0] == question.limit:
        return window.kept[1]
    made = await _answer(reader, question)
    # Nothing has been waited for when the window was there before: it still holds what the answer says.
    if window is not None and window is reader.window_now(question):
        window.kept = (question.limit, made)
    return made


async def _answer(reader: CandleReader, question: CandleQuestion) -> Answer:
    rows = await reader.rows(question)
    symbol = question.instrument.symbol
    first = rows[0][0] if rows else question.start_ms
    last = rows[-1][0] if rows else question.end_ms
    # Nothing here needs escaping: names are ours, the rest are digits.
    body = (
        f'{{"success":true,"data":{{"symbol":"{symbol}","dbSymbol":"{symbol}",'
        f'"interval":"{question.interval.name}","price":"{question.side}",'
        f'"from":{"null" if first is None else first},"to":{"null" if last is None else last},'
        f'"count":{len(rows)},"data":[{",".join([text for _, text in rows])}]}},"message":"Success"}}'
    ).encode()
    return Answer(body, f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"')


def is_known(etag: str, if_none_match: str) -> bool:
    """Return whether the client has this body already, by the If-None-Match header."""
    return any(one.strip().removeprefix("W/") in (etag, "*") for one in if_none_match.split(","))


def _whole(parameters: Mapping[str, str], name: str, low: int, high: int) -> int | None:
    text = parameters.get(name)
    if text is None:
        return None
    is_number = text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX
    if not (is_number and low <= int(text) <= high):
        found = text[:24]
        raise _invalid(name, f"expected a whole number from {low} to {high}, found {found!r}")
    return int(text)


def _side(text: str) -> PriceSide:
    if text == "bid":
        return "bid"
    if text == "mid":
        return "mid"
    raise _invalid("price", f"expected bid or mid, found {text[:16]!r}")


def _invalid(name: str, text: str) -> ServiceError:
    return ServiceError("INVALID", f"{name}: {text}", data={"fields": {name: text}})


def failure_body(envelope: Mapping[str, object]) -> bytes:
    """Return the body of a failure."""
    return json_encode(envelope)
