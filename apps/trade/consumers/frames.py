"""What the frames of one request have in common: its echo, its data, and what is wrong with them."""

from collections.abc import Mapping
from typing import Any, Final

from rest_framework.exceptions import ValidationError

from apps.common.errors import ServiceError
from apps.common.quick_validation import validated
from apps.common.serializers import StrictSerializer

Message = dict[str, Any]
_IDENTITIES: Final = frozenset({str, int})


def reply_to(request: Message | None) -> dict[str, object]:
    """Return the beginning of an answer to a request; None for one that could not be read."""
    frame: dict[str, object] = {"ch": "reply"}
    if request is None:
        return frame
    # Echoed so that clients can match answers; anything else than a short name, or as id a number, is not.
    identity, op = request.get("id"), request.get("op")
    if type(identity) in _IDENTITIES and len(str(identity)) <= 64:
        frame["id"] = identity
    if type(op) is str and len(op) <= 64:
        frame["op"] = op
    return frame


# What the messages that are no operations may say beside `op`; those of operations are told by their shapes.
_FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "auth": frozenset({"op", "id", "token"}),
    "subscribe": frozenset({"op", "id", "channels", "after"}),
    "unsubscribe": frozenset({"op", "id", "channels"}),
    "ack": frozenset({"op", "id", "frame"}),
    "ping": frozenset({"op", "id", "t"}),
}


def form_require(request: Message) -> None:
    """Refuse an id that could not come back with the answer, and fields that nothing reads.

    Errors: ServiceError INVALID.
    """
    identity = request.get("id")
    if identity is not None and "id" not in reply_to(request):
        text = f"expected a whole number or text of at most 64 characters, found {identity!r:.70}"
        raise ServiceError("INVALID", f"id: {text}", data={"fields": {"id": text}})
    known = _FIELDS.get(request["op"])
    if known is not None and (unknown := sorted(request.keys() - known)):
        text = f"unknown field; the fields are: {', '.join(sorted(known))}"
        fields = {name[:64]: text for name in unknown[:10]}
        raise ServiceError("INVALID", f"{unknown[0][:64]}: {text}", data={"fields": fields})


def request_validated(shape: type[StrictSerializer], request: Message) -> dict[str, Any]:
    """Return what a request asks for, checked by its shape.

    Errors: ValidationError.
    """
    data = request.copy()
    data.pop("op", None)
    data.pop("id", None)
    return validated(shape, data)


def invalid_error(error: ValidationError) -> ServiceError:
    """Return what is wrong with a request as the error that it is answered with."""
    detail: Any = error.detail
    fields = {
        str(name): " ".join(map(str, texts if isinstance(texts, list) else [texts]))
        for name, texts in detail.items()
    }
    name, text = next(iter(fields.items()))
    return ServiceError("INVALID", f"{name}: {text}", data={"fields": fields})
