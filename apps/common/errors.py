"""Failures of use cases, as every interface reports them: a stable code, a sentence, the numbers, an HTTP status.

A refusal of the engine becomes one in refusals.py. Nothing here knows requests or responses.
"""

from collections.abc import Mapping
from typing import Final

from django.db import OperationalError
from psycopg_pool import PoolTimeout
from redis.exceptions import ConnectionError as ValkeyConnectionError
from redis.exceptions import TimeoutError as ValkeyTimeoutError

# What is raised where a server that things are stored on cannot be reached.
STORE_AWAY: Final = (OperationalError, PoolTimeout, ValkeyConnectionError, ValkeyTimeoutError)


class ServiceError(Exception):
    """A use case could not be carried out; clients branch on the code, people read the message."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        http_status: int = 400,
        data: Mapping[str, object] | None = None,
        request_id: str = "",
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        # Stable, upper case with underscores.
        self.code = code
        # One sentence: what was expected and what was found, with units.
        self.message = message
        self.http_status = http_status
        # The numbers behind it, camelCase names.
        self.data: dict[str, object] = dict(data or {})
        # Of the command that failed or whose outcome is unknown; empty where there is none.
        self.request_id = request_id
        # Seconds after which trying again makes sense; None says nothing about it.
        self.retry_after_s = retry_after_s


class EngineTimeoutError(ServiceError):
    """The engine has not answered in time, so the outcome is unknown: ask again with the same request id."""

    def __init__(self, *, request_id: str, timeout_ms: int) -> None:
        super().__init__(
            "OUTCOME_UNKNOWN",
            f"no answer within {timeout_ms} ms, so the outcome is unknown: "
            f"send the same request again with the id {request_id!r} to learn it",
            http_status=408,
            data={"timeoutMs": timeout_ms},
            request_id=request_id,
        )


class DifferentContentError(ServiceError):
    """A request id was used before, with other content; the engine says the same of its own requests."""

    def __init__(self, used_for: str, *, request_id: str) -> None:
        super().__init__(
            "EXISTS_WITH_DIFFERENT_CONTENT",
            f"this request id was used for {used_for}: choose another id",
            http_status=409,
            request_id=request_id,
        )


class EngineQueryRefusedError(ServiceError):
    """The engine does not answer a question: it could not read it, or failed at it."""

    def __init__(self, refusal: str, reason: str) -> None:
        super().__init__(
            "QUERY_REFUSED",
            f"the engine has refused this question ({refusal}): {reason}",
            http_status=503,
        )


class EngineBusyError(ServiceError):
    """The command was not sent at all: too many wait for the engine, or it cannot be reached."""

    def __init__(self, reason: str, *, request_id: str = "") -> None:
        super().__init__(
            "ENGINE_BUSY",
            f"nothing was sent, because {reason}: try again in a second",
            http_status=503,
            request_id=request_id,
            retry_after_s=1,
        )


class StoreAwayError(ServiceError):
    """A server that things are stored on cannot be reached."""

    def __init__(self) -> None:
        super().__init__(
            "UNAVAILABLE",
            "a part of the platform cannot be reached: try again in a few seconds",
            http_status=503,
            retry_after_s=2,
        )
