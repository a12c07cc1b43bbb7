"""Validates plain requests against a serializer's fields without the serializer: the same answer in a twentieth of the time.

The serializer stays the one schema. Its fields are compiled to checks once; a value that a check does not know at a glance
(wrong, unusual, or in need of a sentence) is left to the serializer itself, so nothing is ever decided differently.
"""

import functools
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from django.core.validators import (
    MaxLengthValidator,
    ProhibitNullCharactersValidator,
    RegexValidator,
)
from rest_framework import serializers
from rest_framework.fields import empty
from rest_framework.validators import ProhibitSurrogateCharactersValidator

from apps.common.serializers import EPOCH_MS_MAX, InstantField, NumberField, StrictSerializer

_PLAIN: Final = re.compile(r"-?[0-9]{1,19}(?:\.[0-9]{1,18})?", re.ASCII)
_NUMBER_CHARACTERS_MAX: Final = 39
# Text that no serializer would trim or refuse for its signs.
_TEXT: Final = re.compile(r"[!-~](?:[ -~]*[!-~])?", re.ASCII)


# What plain ASCII text of a good length always passes.
_SIMPLE_VALIDATORS: Final = (
    MaxLengthValidator,
    ProhibitNullCharactersValidator,
    ProhibitSurrogateCharactersValidator,
)


class _Unknown:
    """The mark of a value that only the serializer can judge."""


_UNKNOWN: Final = _Unknown()
_Check = Callable[[Any], Any]


def validated(shape: type[StrictSerializer], data: Any) -> dict[str, Any]:
    """Return the validated data of a request.

    Errors: ValidationError of the serializer.
    """
    quick = quick_validated(shape, data)
    if quick is not None:
        return quick
    serializer = shape(data=data)
    serializer.is_valid(raise_exception=True)
    found: dict[str, Any] = serializer.validated_data
    return found


def quick_validated(shape: type[StrictSerializer], data: Any) -> dict[str, Any] | None:
    """Return the validated data of a plain request, None where the serializer has to be asked."""
    fields = _compiled(shape)
    if fields is None or type(data) is not dict:
        return None
    checks = fields.checks
    found = dict(fields.defaults)
    for name, value in data.items():
        check = checks.get(name)
        if check is None or (checked := check(value)) is _UNKNOWN:
            return None
        found[name] = checked
    return found if fields.required <= found.keys() else None


class _Fields:
    """A serializer's fields as checks by name."""

    __slots__ = ("checks", "defaults", "required")

    def __init__(self, fields: Mapping[str, serializers.Field[Any, Any, Any, Any]]) -> None:
        self.checks: dict[str, _Check] = {name: _check(field) for name, field in fields.items()}
        self.defaults = {n: f.default for n, f in fields.items() if f.default is not empty}
        self.required = frozenset(n for n, f in fields.items() if f.required)


@functools.cache
def _compiled(shape: type[StrictSerializer]) -> _Fields | None:
    has_own_rules = shape.validate is not serializers.Serializer.validate or any(
        hasattr(shape, f"validate_{name}") for name in shape().fields
    )
    # Rules between fields are the serializer's to apply.
    return None if has_own_rules else _Fields(shape().fields)


def _check(field: serializers.Field[Any, Any, Any, Any]) -> _Check:
    check = _check_of_type(field)
    if not field.allow_null:
        return check
    return lambda value: None if value is None else check(value)


def _check_of_type(field: serializers.Field[Any, Any, Any, Any]) -> _Check:
    if isinstance(field, NumberField):
        return _number
    if isinstance(field, InstantField):
        return _instant
    if isinstance(field, serializers.ChoiceField):
        choices = frozenset(field.choices)
        return lambda value: value if type(value) is str and value in choices else _UNKNOWN
    if isinstance(field, serializers.IntegerField):
        least, most = field.min_value, field.max_value
        if least is not None and most is not None:
            return lambda value: (
                value if type(value) is int and least <= value <= most else _UNKNOWN
            )
    if isinstance(field, serializers.CharField):
        return _text(field)
    return lambda _value: _UNKNOWN


def _text(field: serializers.CharField) -> _Check:
    patterns = [_search_of(v) for v in field.validators if isinstance(v, RegexValidator)]
    others = [
        v for v in field.validators if not isinstance(v, (RegexValidator, *_SIMPLE_VALIDATORS))
    ]
    is_own = type(field).to_internal_value is not serializers.CharField.to_internal_value
    if others or is_own:
        # An e-mail address or the like.
        return lambda _value: _UNKNOWN
    most = 2**31 if field.max_length is None else field.max_length

    def check(value: Any) -> Any:
        if type(value) is not str or len(value) > most or _TEXT.fullmatch(value) is None:
            return _UNKNOWN
        for search in patterns:
            if not search(value):
                return _UNKNOWN
        return value

    return check


def _search_of(validator: RegexValidator) -> Callable[[str], object]:
    # Its regular expression is compiled by then, whatever its type says.
    search: Callable[[str], object] = re.compile(validator.regex).search
    return (lambda text: search(text) is None) if validator.inverse_match else search


def _number(value: Any) -> Any:
    if type(value) is int:
        return str(value) if -(10**19) < value < 10**19 else _UNKNOWN
    if type(value) is Decimal:
        value = str(value)
    if type(value) is not str or len(value) > _NUMBER_CHARACTERS_MAX:
        return _UNKNOWN
    return value if _PLAIN.fullmatch(value) else _UNKNOWN


def _instant(value: Any) -> Any:
    return value * 1000 if type(value) is int and 0 <= value <= EPOCH_MS_MAX else _UNKNOWN
