"""How answers of the REST contract are described: the envelope around a shape, and the failures beside it."""

import functools
from typing import Any

from drf_spectacular.extensions import OpenApiSerializerExtension
from drf_spectacular.utils import inline_serializer
from rest_framework import serializers
from typing_extensions import override


@functools.cache
def _failure() -> serializers.Serializer[Any]:
    # Inline, since a class cannot have a field named `data`; once, since the schema takes one shape per name.
    return inline_serializer(
        name="Failure",
        fields={
            "success": serializers.BooleanField(default=False),
            "statusCode": serializers.IntegerField(),
            "message": serializers.CharField(help_text="A sentence for people; it may change."),
            "code": serializers.CharField(help_text="Stable; branch on this."),
            "data": serializers.DictField(help_text="The numbers behind it."),
            "requestId": serializers.CharField(required=False),
        },
    )


def whole_type(least: int, most: int) -> dict[str, Any]:
    """Return the shape of a whole number between bounds, for parameters that no serializer describes."""
    return {"type": "integer", "minimum": least, "maximum": most}


def failures(*statuses: int) -> dict[Any, Any]:
    """Return the responses of failures, for operations whose success is no JSON."""
    return dict.fromkeys(statuses, _failure())


def enveloped(
    shape: serializers.Field[Any, Any, Any, Any] | type[serializers.Serializer[Any]],
    *,
    name: str = "",
    status: int = 200,
    failures: tuple[int, ...] = (400, 401, 404, 503),
) -> dict[Any, Any]:
    """Return the responses of an operation: `shape` in the envelope, and the failures that it may have."""
    data = shape() if isinstance(shape, type) else shape
    title = name or type(data).__name__.removesuffix("Serializer")
    envelope = inline_serializer(
        name=f"{title}Envelope",
        fields={
            "success": serializers.BooleanField(default=True),
            "data": data,
            "message": serializers.CharField(default="Success"),
        },
    )
    return {status: envelope, **dict.fromkeys(failures, _failure())}


class StrictShape(OpenApiSerializerExtension):
    """Says of requests what strict serializers do: a field that they do not name is refused, and so is what breaks their `schema_rule`.

    Answers stay open, since the contract may add to them.
    """

    target_class = "apps.common.serializers.StrictSerializer"
    match_subclasses = True

    @override
    def map_serializer(self, auto_schema: Any, direction: str) -> Any:
        shape = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)  # noqa: SLF001 - the library's own way for extensions.
        if direction != "request":
            return shape
        return {**shape, "additionalProperties": False, **getattr(self.target, "schema_rule", {})}
