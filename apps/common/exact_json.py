"""JSON of the REST interface: numbers are read as Decimal and written as their exact digits, never through a float.

The parser refuses what the contract refuses: exponents, NaN, bodies that are too large, and a name that stands twice in one object,
of which every reader takes another.
"""

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import IO, Any

import msgspec
from django.utils.functional import Promise
from rest_framework.exceptions import ErrorDetail, ParseError
from rest_framework.parsers import JSONParser
from rest_framework.renderers import JSONRenderer
from typing_extensions import override

BODY_BYTES_MAX = 64 * 1024
# Objects and lists within each other; the deepest request of the contract has three.
DEPTH_MAX = 10


def _decimal(text: str) -> Decimal:
    if "e" in text or "E" in text:
        message = f"numbers are written without an exponent, found {text[:40]}"
        raise ValueError(message)
    return Decimal(text)


_decoder = msgspec.json.Decoder(float_hook=_decimal)


def _foreign(value: object) -> object:
    # What Django and DRF put into answers beside plain data: translated text, error details.
    if isinstance(value, Promise | ErrorDetail):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    message = f"{type(value).__name__} has no JSON form"
    raise TypeError(message)


_encoder = msgspec.json.Encoder(decimal_format="number", enc_hook=_foreign)


def json_decode(raw: bytes | str) -> Any:
    """Decode JSON; whole numbers become int, others Decimal with the digits that were sent.

    Errors: ValueError with a sentence.
    """
    try:
        value = _decoder.decode(raw)
        signs: Any = _SIGNS if isinstance(raw, str) else _SIGNS_RAW
        colon, bracket, brace = signs
        # Nearly always false: what opens fewer brackets than that cannot nest them deeper.
        if raw.count(bracket) + raw.count(brace) > DEPTH_MAX:
            _depth_require(value, DEPTH_MAX)
        # A name stands twice, or a text holds a colon: only then is it worth a slower look.
        if raw.count(colon) != _names(value):
            _twice_refuse(raw)
    except RecursionError:
        message = _TOO_DEEP
    except _DeepError:
        message = _TOO_DEEP
    except msgspec.DecodeError as error:
        # Behind it stands the library's own path into the value.
        message = str(error).partition(" - at `")[0] if raw else "found nothing"
    except UnicodeDecodeError:
        message = "JSON is text in UTF-8"
    else:
        return value
    raise ValueError(message)


_SIGNS = (":", "[", "{")
_SIGNS_RAW = (b":", b"[", b"{")
_TOO_DEEP = f"the JSON is nested too deep: at most {DEPTH_MAX} objects and lists within each other"


class _DeepError(Exception):
    """More is nested than may be."""


def _depth_require(value: object, left: int) -> None:
    if not isinstance(value, dict | list):
        return
    if not left:
        raise _DeepError
    for inner in value.values() if isinstance(value, dict) else value:
        _depth_require(inner, left - 1)


def _names(value: object) -> int:
    """Return how many names of objects a value holds."""
    inners: Iterable[object] = ()
    names = 0
    if isinstance(value, dict):
        inners, names = value.values(), len(value)
    elif isinstance(value, list):
        inners = value
    for inner in inners:
        if type(inner) in _NESTS:
            names += _names(inner)
    return names


_NESTS = frozenset({dict, list})


def _twice_refuse(raw: bytes | str) -> None:
    # Numbers stay text: their digits are as many as the sender likes.
    json.loads(raw, object_pairs_hook=_object, parse_int=str, parse_float=str)


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        message = f"{twice[:40]!r} stands twice in one object"
        raise ValueError(message)
    return found


def json_encode(value: object) -> bytes:
    """Encode plain data; a Decimal becomes a number with exactly its digits."""
    return _encoder.encode(value)


class ExactJSONRenderer(JSONRenderer):
    """Renders `application/json` without losing a digit; indented where a person reads it."""

    @override
    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        if data is None:
            return b""
        raw = json_encode(data)
        indent = self.get_indent(accepted_media_type or "", dict(renderer_context or {}))
        return msgspec.json.format(raw, indent=indent) if indent else raw


class ExactJSONParser(JSONParser):
    """Parses `application/json` without losing a digit."""

    renderer_class = ExactJSONRenderer

    @override
    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        raw = stream.read(BODY_BYTES_MAX + 1)
        if len(raw) > BODY_BYTES_MAX:
            raise ParseError(f"the body must have at most {BODY_BYTES_MAX} bytes")
        try:
            return json_decode(raw)
        except ValueError as error:
            raise ParseError(f"the body must be JSON: {error}") from error
