"""Completes the OpenAPI document: the failures that any operation may have, an example of all that goes in and out, and links.

Examples of requests and answers stand in examples.json; they were taken from a running platform, and a contract test holds that
they fit the shapes. Whatever lacks one is a warning, and `make openapi` takes no warnings.
"""

import functools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from drf_spectacular.drainage import warn

from apps.common.envelope import failure, success
from apps.common.error_catalogue import ErrorCode, error_catalogue
from cryptocfd.openapi.links import links_of

Json = dict[str, Any]

_EXAMPLES: Final = Path(__file__).with_name("examples.json")
_METHODS: Final = ("get", "post", "put", "patch", "delete")
_JSON: Final = "application/json"
_FAILURE: Final = {"$ref": "#/components/schemas/Failure"}
# The code that stands for a status where an operation names no other.
_CODE_OF_STATUS: Final[Mapping[int, str]] = {
    400: "INVALID",
    401: "NOT_AUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "OUTCOME_UNKNOWN",
    409: "EXISTS_WITH_DIFFERENT_CONTENT",
    410: "LINK_USED",
    413: "TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    423: "PIN_LOCKED",
    429: "RATE_LIMITED",
    503: "UNAVAILABLE",
}
# Any operation may be asked too often, and any may meet a part of the platform that is away.
_PASSING: Final = (429, 503)
# None takes a parameter that it does not know.
_OF_ALL: Final = (400, *_PASSING)
_OF_BODIES: Final = (413, 415)
_OF_THE_SIGNED_IN: Final = (401, 403)
_TEXTS: Final[Mapping[int, str]] = {
    400: "Refused: what was sent is not valid, or the engine said no.",
    401: "Nobody is signed in.",
    403: "Not allowed for who is signed in, or for this key.",
    404: "There is no such thing, or it is somebody else's.",
    408: "The outcome is unknown: ask again with the same id.",
    409: "It conflicts with what is there.",
    410: "It was used before, or has ended.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    423: "Locked for a while.",
    429: "Too many requests: wait as long as Retry-After says.",
    503: "A part of the platform cannot be reached.",
}


@functools.cache
def examples() -> Json:
    """Return the examples: of parameters by name, of operations by their id."""
    found: Json = json.loads(_EXAMPLES.read_text())
    return found


@functools.cache
def _codes() -> Mapping[str, ErrorCode]:
    return {entry.code: entry for entry in error_catalogue()}


def complete(result: Json, generator: Any, request: Any, public: bool) -> Json:  # noqa: ARG001, FBT001 - the signature of the library's hooks.
    """Return the document with all failures, examples and links; drf-spectacular calls this last."""
    for operation in _operations(result):
        _failures_add(operation)
        _parameters_complete(operation)
        _request_complete(operation)
        _answers_complete(operation)
    return result


def _operations(document: Json) -> Iterator[Json]:
    for item in document["paths"].values():
        for method in _METHODS:
            if method in item:
                yield item[method]


def _failures_add(operation: Json) -> None:
    responses: Json = operation["responses"]
    statuses = list(_OF_ALL)
    if "requestBody" in operation:
        statuses += _OF_BODIES
    if any(p["in"] == "path" for p in operation.get("parameters", ())):
        statuses.append(404)
    security = operation.get("security", ())
    if security and {} not in security:
        statuses += _OF_THE_SIGNED_IN
    for status in statuses:
        responses.setdefault(str(status), {"content": {_JSON: {"schema": dict(_FAILURE)}}})
    ordered = {name: responses[name] for name in sorted(responses)}
    for name, response in ordered.items():
        if int(name) >= 400:
            _failure_complete(operation["operationId"], int(name), response)
    operation["responses"] = ordered


def _failure_complete(operation_id: str, status: int, response: Json) -> None:
    own = examples()["operations"].get(operation_id, {}).get("failures", {})
    example = own.get(str(status))
    if example is None:
        code = _codes()[_CODE_OF_STATUS[status]]
        example = failure(status=status, message=code.meanings[0], code=code.code)
    response["description"] = _TEXTS[status]
    response["content"][_JSON]["examples"] = {example["code"]: {"value": example}}
    if status in _PASSING:
        response["headers"] = {
            "Retry-After": {
                "description": "Seconds after which trying again makes sense.",
                "schema": {"type": "integer", "minimum": 1},
            }
        }


def _parameters_complete(operation: Json) -> None:
    own = examples()["operations"].get(operation["operationId"], {}).get("parameters", {})
    for parameter in operation.get("parameters", ()):
        name = parameter["name"]
        # One that an operation sets to null would not go with its others: all examples together are a request.
        example = own.get(name, examples()["parameters"].get(name))
        if example is None and name not in own:
            warn(f"{operation['operationId']}: the parameter {name} has no example")
        elif example is not None:
            parameter["example"] = example


def _request_complete(operation: Json) -> None:
    content = operation.get("requestBody", {}).get("content", {})
    # Only the forms of the browsable pages send these; programs send JSON.
    content.pop("application/x-www-form-urlencoded", None)
    if not content:
        return
    own = examples()["operations"].get(operation["operationId"], {})
    # One request, or several by what they are examples of.
    found = own.get("requests") or ({"request": own["request"]} if "request" in own else {})
    if not found:
        warn(f"{operation['operationId']}: the request has no example")
        return
    for media in content.values():
        media["examples"] = {name: {"value": example} for name, example in found.items()}


def _answers_complete(operation: Json) -> None:
    for status, response in operation["responses"].items():
        media = response.get("content", {}).get(_JSON)
        if int(status) >= 400 or media is None:
            continue
        example = examples()["operations"].get(operation["operationId"], {}).get("answer")
        if example is None:
            warn(f"{operation['operationId']}: the answer has no example")
        else:
            links = links_of(operation["operationId"])
            if links:
                response["links"] = links
            is_plain = "$ref" not in media["schema"]
            media["examples"] = {"answer": {"value": example if is_plain else success(example)}}
