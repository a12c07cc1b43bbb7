"""What a call may raise."""

from typing import Any


class ApiError(Exception):
    """The platform refused a request; branch on `code`, show `message` to people."""

    def __init__(
        self, status: int, envelope: dict[str, Any], retry_after_s: int | None = None
    ) -> None:
        self.status = status
        # How long the platform wants to be left alone, seconds; None when it did not say.
        self.retry_after_s = retry_after_s
        # Stable; docs/ERRORS.md of the platform lists them all.
        self.code = str(envelope.get("code", "UNKNOWN"))
        self.message = str(envelope.get("message", ""))
        # The numbers behind the sentence.
        self.data: dict[str, Any] = envelope.get("data") or {}
        self.request_id = str(envelope.get("requestId", ""))
        super().__init__(f"{self.code}: {self.message}")


class OutcomeUnknownError(Exception):
    """Nobody has answered in time, again and again: ask `request(request_id)` what became of it, or send it again under that id.

    What changes nothing has no id: then it is just not known.
    """

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        super().__init__(
            f"the outcome of request {request_id!r} is unknown"
            if request_id
            else "nobody has answered; nothing was to be changed"
        )
