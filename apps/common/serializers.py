"""What serializers of all apps share: unknown fields are refused, numbers keep their digits."""

import re
from collections.abc import Collection, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from django.core.validators import (
    BaseValidator,
    MaxLengthValidator,
    MaxValueValidator,
    MinLengthValidator,
    MinValueValidator,
    RegexValidator,
)
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.utils import html
from typing_extensions import override

from apps.common.clock import us_from_datetime
from apps.common.money import plain_text
from engine.values import scaled_from_text

# Parameters that belong to content negotiation and to HTML forms and not to a view.
_OF_THE_FRAMEWORK = frozenset({"format", "csrfmiddlewaretoken"})
_ANY_SCALE = 18
_WHOLE = re.compile(r"\A\s*-?[0-9]+(\.0*)?\s*\Z", re.ASCII)
_DIGITS = re.compile(r"\A[0-9]{1,40}\Z", re.ASCII)
# In the year 2255 end the microseconds that the engine's messages can hold (2^53 - 1).
_EPOCH_US_MAX = 2**53 - 1
EPOCH_MS_MAX = _EPOCH_US_MAX // 1000


# What the framework's own refusals say here: what was expected, and what was found.
_SENTENCES: Final = {
    "required": "expected a value, found none",
    "null": "expected a value, found null",
    "blank": "expected a value, found blank text",
}
_BOUNDS: Final[dict[type[BaseValidator], str]] = {
    MinValueValidator: "expected at least %(limit_value)s, found %(value)s",
    MaxValueValidator: "expected at most %(limit_value)s, found %(value)s",
    MinLengthValidator: "expected at least %(limit_value)s characters, found %(show_value)s",
    MaxLengthValidator: "expected at most %(limit_value)s characters, found %(show_value)s",
}


_LIST_BOUNDS: Final[dict[type[BaseValidator], str]] = {
    MinLengthValidator: "expected at least %(limit_value)s entries, found %(show_value)s",
    MaxLengthValidator: "expected at most %(limit_value)s entries, found %(show_value)s",
}


def _words_give(field: serializers.Field[Any, Any, Any, Any]) -> None:
    field.error_messages |= _SENTENCES
    bounds = _BOUNDS
    if isinstance(field, serializers.IntegerField):
        field.error_messages["invalid"] = "expected a whole number"
    elif isinstance(field, serializers.ChoiceField):
        choices = ", ".join(map(str, field.choices))
        field.error_messages["invalid_choice"] = f"expected one of {choices}, found {{input!r:.42}}"
    elif isinstance(field, serializers.DateTimeField):
        field.error_messages["invalid"] = "expected a time such as 2030-01-31T12:00:00Z"
    elif isinstance(field, serializers.ListField):
        bounds = _LIST_BOUNDS
        field.error_messages["not_a_list"] = "expected a list"
        _words_give(field.child)
    for validator in field.validators:
        if isinstance(validator, BaseValidator) and type(validator) in bounds:
            validator.message = bounds[type(validator)]


class TypedSerializer(serializers.Serializer[Any]):
    """Takes text as text and truth as truth: a number where a name stands is a mistake of its sender, and no name."""

    @override
    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """Return the fields, which refuse in the words of this contract."""
        fields = super().get_fields()
        for field in fields.values():
            _words_give(field)
        return fields

    @override
    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            # All that comes from an HTML form is text.
            fault_of = _text_fault if html.is_html_input(data) else _type_fault
            wrong = {
                name: [text]
                for name, field in self.fields.items()
                if (text := fault_of(field, data.get(name)))
            }
            if wrong:
                raise serializers.ValidationError(wrong)
        return super().to_internal_value(data)


def _text_fault(field: serializers.Field[Any, Any, Any, Any], value: Any) -> str:
    # Of a form, what is blank is a field that nobody has filled in.
    return "" if value == "" else _whole_fault(field, value)


def _whole_fault(field: serializers.Field[Any, Any, Any, Any], value: Any) -> str:
    # Python's own int() would read the digits of every script, and underscores between them.
    is_odd = isinstance(value, str) and _WHOLE.fullmatch(value) is None
    if not (isinstance(field, serializers.IntegerField) and is_odd):
        return ""
    return f"expected a whole number, found {value!r:.42}"


def _type_fault(field: serializers.Field[Any, Any, Any, Any], value: Any) -> str:
    if isinstance(field, serializers.IntegerField):
        return _whole_fault(field, value)
    if isinstance(field, serializers.BooleanField):
        is_truth = value is None or isinstance(value, bool)
        return "" if is_truth else f"expected true or false, found {_shown(value)}"
    is_text = isinstance(field, serializers.CharField) and not getattr(
        field, "takes_numbers", False
    )
    is_number = isinstance(value, int | Decimal)
    return f"expected text, found {_shown(value)}" if is_text and is_number else ""


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"{value!r:.42}"
    return f"{Decimal(value):f}"[:42] if isinstance(value, int | Decimal) else type(value).__name__


def _unknown(given: Collection[str], known: Collection[str]) -> list[str]:
    return [name[:64] for name in sorted(set(given) - set(known) - _OF_THE_FRAMEWORK)[:10]]


def parameters_unknown(given: Collection[str], known: Collection[str]) -> dict[str, str]:
    """Return what to say of those parameters of an address that are not among the known ones, by name."""
    words = f"the parameters are: {', '.join(known)}" if known else "none is taken here"
    return dict.fromkeys(_unknown(given, known), f"unknown parameter; {words}")


def parameters_require(given: Collection[str], known: Collection[str]) -> None:
    """Refuse parameters of an address that are not among the known ones.

    Errors: ValidationError (400 INVALID), as for an unknown field.
    """
    if unknown := parameters_unknown(given, known):
        raise serializers.ValidationError({name: [text] for name, text in unknown.items()})


class PatternField(serializers.RegexField):
    """Text of one form; what does not have it is told what was expected and what was found. Not for secrets."""

    def __init__(self, regex: Any, *, expected: str, **options: Any) -> None:
        super().__init__(regex, error_messages={"invalid": expected}, **options)
        for validator in self.validators:
            if isinstance(validator, RegexValidator):
                validator.message = f"{expected}, found %(value).42r"


class StrictSerializer(TypedSerializer):
    """Refuses fields that it does not know: a misspelt stop loss must not be an order without one."""

    @override
    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping) and (unknown := _unknown(data, self.fields)):
            text = f"unknown field; the fields are: {', '.join(self.fields)}"
            raise serializers.ValidationError({name: [text] for name in unknown})
        return super().to_internal_value(data)


@extend_schema_field(
    {
        "oneOf": [
            {"type": "number"},
            {"type": "string", "pattern": r"^-?[0-9]{1,19}(\.[0-9]{1,18})?$"},
        ]
    }
)
class NumberField(serializers.Field[str, Any, Any, Any]):
    """A JSON number or plain decimal text; becomes its digits as text, which services convert exactly."""

    @override
    def to_internal_value(self, data: Any) -> str:
        try:
            text = plain_text(data)
            # Only the form is checked here; which scale holds depends on the instrument.
            scaled_from_text(text, _ANY_SCALE)
        except ValueError as error:
            raise serializers.ValidationError(str(error)) from error
        return text

    @override
    def to_representation(self, value: Any) -> Any:
        return value


@extend_schema_field(
    {
        "oneOf": [
            {
                "type": "integer",
                "minimum": 0,
                "maximum": EPOCH_MS_MAX,
                "description": "Milliseconds since 1970.",
            },
            {"type": "string", "format": "date-time"},
        ]
    }
)
class InstantField(serializers.Field[int, Any, Any, Any]):
    """Milliseconds since 1970, or RFC 3339 text with its zone; becomes microseconds since 1970."""

    @override
    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, str) and _DIGITS.fullmatch(data):
            data = int(data)
        if isinstance(data, int) and not isinstance(data, bool):
            if not 0 <= data <= EPOCH_MS_MAX:
                raise serializers.ValidationError(
                    f"expected milliseconds since 1970, at most {EPOCH_MS_MAX}, found {data}"
                )
            return data * 1000
        try:
            instant = datetime.fromisoformat(data.upper()) if isinstance(data, str) else None
        except ValueError:
            instant = None
        if instant is None or instant.tzinfo is None:
            raise serializers.ValidationError(
                f"expected milliseconds since 1970 or a time with its zone, such as 2030-01-31T12:00:00Z, found {data!r:.42}"
            )
        us = us_from_datetime(instant)
        if not 0 <= us <= _EPOCH_US_MAX:
            raise serializers.ValidationError(
                f"expected a time from 1970 to 2255, found {data!r:.42}"
            )
        return us

    @override
    def to_representation(self, value: Any) -> Any:
        return value
