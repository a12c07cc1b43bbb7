"""What a call may raise."""

from typing import Any


class ApiError(Exception):
    """The platform refused a request; branch on `code`, show `message` to people."""

    def __init__(
        self,
        status: int,
        envelope: dict[str, Any],
        retry_after_s: int | None = None,
        *,
        request_id: str = "",
    ) -> None:
        self.status = status
        # How long the platform wants to be left alone, seconds; None when it did not say.
        self.retry_after_s = retry_after_s
        # Stable; docs/ERRORS.md of the platform lists them all.
        self.code = str(envelope.get("code") or "UNKNOWN")
        self.message = str(envelope.get("message", ""))
        # The numbers behind the sentence.
        data = envelope.get("data")
        self.data: dict[str, Any] = data if isinstance(data, dict) else {}
        # Under which a write was sent; of what changes nothing, empty.
        self.request_id = str(envelope.get("requestId") or request_id)
        super().__init__(f"{self.code}: {self.message}")


class OutcomeUnknownError(Exception):
    """Nobody has said what became of it, again and again: ask `request(request_id)`, or send it again under that id.

    What was heard last, if anything, is the `__cause__`. What changes nothing, and `refresh`, has no id: then it is just not known.
    """

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        super().__init__(
            f"the outcome of request {request_id!r} is unknown"
            if request_id
            else "nobody has answered, and there is no request id to ask by"
        )
