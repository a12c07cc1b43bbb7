"""The envelope around every answer of the REST contract; views and the exception handler build answers here only."""

from collections.abc import Mapping

from apps.common.errors import ServiceError


def success(data: object) -> dict[str, object]:
    """Return the envelope of an answer."""
    return {"success": True, "data": data, "message": "Success"}


def failure(
    *,
    status: int,
    message: str,
    code: str,
    data: Mapping[str, object] | None = None,
    request_id: str = "",
) -> dict[str, object]:
    """Return the envelope of a failure; the first three keys are the contract."""
    envelope: dict[str, object] = {
        "success": False,
        "statusCode": status,
        "message": message,
        "code": code,
        "data": dict(data or {}),
    }
    if request_id:
        envelope["requestId"] = request_id
    return envelope


def service_failure(error: ServiceError) -> dict[str, object]:
    """Return the envelope of a use case's failure."""
    return failure(
        status=error.http_status,
        message=error.message,
        code=error.code,
        data=error.data,
        request_id=error.request_id,
    )
