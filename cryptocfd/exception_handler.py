"""Turns every exception of a REST view into the envelope of the contract, with a stable code.

Use cases raise ServiceError; DRF and Django raise their own; anything else is our bug and becomes a plain 500 whose
details are in the log only.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import connections
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response

from apps.common.envelope import failure, service_failure
from apps.common.errors import STORE_AWAY, ServiceError, StoreAwayError

logger = logging.getLogger(__name__)

# DRF's own words for what went wrong, where they are not already a good code.
_CODES = {
    "not_authenticated": "NOT_AUTHENTICATED",
    "authentication_failed": "AUTHENTICATION_FAILED",
    "permission_denied": "PERMISSION_DENIED",
    "not_found": "NOT_FOUND",
    "method_not_allowed": "METHOD_NOT_ALLOWED",
    "not_acceptable": "NOT_ACCEPTABLE",
    "unsupported_media_type": "UNSUPPORTED_MEDIA_TYPE",
    "throttled": "RATE_LIMITED",
    "parse_error": "MALFORMED",
    "invalid": "INVALID",
}


def exception_handler(error: Exception, context: Mapping[str, Any]) -> Response:
    """Return the envelope for an exception; DRF calls this for whatever a view raises."""
    _roll_back()
    if isinstance(error, STORE_AWAY):
        # Which request it was: a statement that waited too long for a lock ends here too, while nothing is down.
        view, request = context.get("view"), context.get("request")
        where = {"view": type(view).__name__, "method": getattr(request, "method", "")}
        logger.warning("a store cannot be reached", extra={"error": repr(error), **where})
        error = StoreAwayError()
    if isinstance(error, ServiceError):
        retry = {} if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
        return Response(service_failure(error), status=error.http_status, headers=retry)
    if isinstance(error, Http404):
        error = exceptions.NotFound()
    elif isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied()
    if isinstance(error, RequestDataTooBig):
        message = f"the body must have at most {settings.DATA_UPLOAD_MAX_MEMORY_SIZE} bytes"
        return Response(failure(status=413, message=message, code="TOO_LARGE"), status=413)
    if isinstance(error, SuspiciousOperation):
        return Response(
            failure(status=400, message="the request is not well formed", code="MALFORMED"),
            status=400,
        )
    if isinstance(error, exceptions.ValidationError):
        return _from_validation(error)
    if isinstance(error, exceptions.APIException):
        return _from_api(error)
    view = context.get("view")
    logger.error("a view failed", exc_info=error, extra={"view": type(view).__name__})
    message = "something failed on our side; nothing is known about the outcome of this request"
    return Response(failure(status=500, message=message, code="INTERNAL"), status=500)


def _from_validation(error: exceptions.ValidationError) -> Response:
    fields = _sentences(error.detail)
    first = next(iter(fields.items()), ("", "the request is not valid"))
    message = f"{first[0]}: {first[1]}" if first[0] else first[1]
    body = failure(status=400, message=message, code="INVALID", data={"fields": fields})
    return Response(body, status=400)


def _from_api(error: exceptions.APIException) -> Response:
    codes = error.get_codes()
    word = codes if isinstance(codes, str) else error.default_code
    headers = {}
    if scheme := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = scheme
    message = str(error.detail if isinstance(error.detail, str) else error.default_detail)
    data: dict[str, object] = {}
    wait = getattr(error, "wait", None)
    if wait is not None:
        # Whole seconds, as the sentence says them.
        wait_s = max(1, math.ceil(wait))
        headers["Retry-After"] = str(wait_s)
        message, data = f"too many requests: try again in {wait_s} s", {"retryAfter": wait_s}
    body = failure(
        status=error.status_code,
        message=message,
        code=_CODES.get(word, word.upper()),
        data=data,
    )
    return Response(body, status=error.status_code, headers=headers)


def _sentences(detail: Any, path: str = "") -> dict[str, str]:
    """Flatten DRF's nested details to one sentence per field; a field inside a field is `outer.inner`."""
    if isinstance(detail, Mapping):
        found: dict[str, str] = {}
        for name, inner in detail.items():
            own = "" if name == "non_field_errors" else str(name)
            found |= _sentences(inner, ".".join(part for part in (path, own) if part))
        return found
    if isinstance(detail, Sequence) and not isinstance(detail, str):
        if all(isinstance(inner, str) for inner in detail):
            return {path: " ".join(map(str, detail))}
        found = {}
        for index, inner in enumerate(detail):
            found |= _sentences(inner, f"{path}.{index}" if path else str(index))
        return found
    return {path: str(detail)}


def _roll_back() -> None:
    """Let nothing of a failed request be written, where requests run inside a transaction."""
    for connection in connections.all(initialized_only=True):
        if connection.settings_dict["ATOMIC_REQUESTS"] and connection.in_atomic_block:
            connection.set_rollback(True)
