"""How answers of the REST contract are described: the envelope around a shape, and the failures beside it."""

import functools
from typing import Any

from drf_spectacular.utils import inline_serializer
from rest_framework import serializers


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
