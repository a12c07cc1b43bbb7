"""What the attempts of one request have brought: an answer, a refusal, another attempt, or that nobody knows.

A refusal is told only where the order was certainly refused: whoever takes a lost answer for one sends the order a second time.
"""

import random
from typing import Any

import httpx

from cryptocfd_client.errors import ApiError, OutcomeUnknownError
from cryptocfd_client.requests import Request, decoded

_ATTEMPTS = 5
_PAUSE_S = 0.2
_PAUSE_S_MAX = 5.0
# Longest Retry-After that a call waits for by itself.
_RETRY_AFTER_S_MAX = 30
# Statuses after which the same request may be sent again, beside those that leave its outcome unknown: too fast, not now.
_AGAIN = frozenset({429, 502, 503, 504})
# The one code of a failing platform that says that nothing was sent to the engine. UNAVAILABLE and QUERY_REFUSED do not: they may
# come at any moment of a request's work, also after its command has left.
_NOTHING_SENT = "ENGINE_BUSY"
# What else is answered is about who asks, how often, or where.
_ABOUT_THE_REQUEST = frozenset({400, 404, 409, 422})
# Before a request has reached anybody.
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
# Of an answer that is none of the platform, such as a proxy's page.
_FOREIGN = "UNKNOWN"


class Attempts:
    """The attempts of one request. After each one: how long to wait for the next, or None once `answer` is there."""

    def __init__(self, request: Request) -> None:
        self.answer: Any = None
        self._request = request
        self._left = _ATTEMPTS if request.is_repeatable else 1
        self._pause_s = _PAUSE_S
        # Whether an attempt may have been carried out without our hearing of it.
        self._is_unknown = False

    def lost(self, error: httpx.RequestError) -> float:
        """Note an attempt without an answer.

        Errors: OutcomeUnknownError after the last one.
        """
        self._is_unknown |= not isinstance(error, _NOT_SENT)
        pause_s = self._next_pause_s(None)
        if pause_s is None:
            raise OutcomeUnknownError(self._request.request_id) from error
        return pause_s

    def heard(self, response: httpx.Response) -> float | None:
        """Note the answer of an attempt.

        Errors: ApiError after a refusal of the request; OutcomeUnknownError after anything else that ends the attempts while one
        of them may have been carried out.
        """
        envelope = _envelope(response)
        status, may_change = response.status_code, self._request.may_change
        if status < 300 and envelope.get("success") is True and "data" in envelope:
            self.answer = envelope["data"]
            return None
        after_s = _retry_after_s(response)
        refusal = ApiError(status, envelope, after_s, request_id=self._request.request_id)
        is_unknown = status == 408 or (may_change and _leaves_unknown(refusal))
        self._is_unknown |= is_unknown
        if is_unknown or status in _AGAIN:
            pause_s = self._next_pause_s(after_s)
            if pause_s is not None:
                return pause_s
        is_settled = not self._is_unknown or self._is_settled_by(refusal, envelope)
        if is_unknown or (may_change and not is_settled):
            raise OutcomeUnknownError(self._request.request_id) from refusal
        raise refusal

    def _is_settled_by(self, refusal: ApiError, envelope: dict[str, Any]) -> bool:
        """Return whether a refusal also tells what became of the attempts before it."""
        if refusal.status not in _ABOUT_THE_REQUEST:
            return False
        # The engine's own word, which is the same for every attempt under one id. Its "other content" (409) is no exception: what
        # an attempt of ours had brought in would be the same content, so the id belongs to another request and this one is not done.
        if envelope.get("requestId") == self._request.request_id:
            return True
        # Refused before the engine. A fault of the content was there from the first attempt on. What is not known here and now says
        # nothing: the order may be gone because an attempt has closed it, and a web process that starts may lack a symbol.
        return refusal.status != 404 and refusal.code not in {_FOREIGN, "SYMBOL_UNKNOWN"}

    def _next_pause_s(self, after_s: int | None) -> float | None:
        """Return how long to wait: what the server says, else longer each time, spread so that clients do not come together.

        None after the last attempt, and when the server wants more than a call may wait: then the caller decides.
        """
        self._left -= 1
        longest_s, self._pause_s = self._pause_s, min(_PAUSE_S_MAX, self._pause_s * 2)
        if not self._left:
            return None
        if after_s is not None:
            return float(after_s) if after_s <= _RETRY_AFTER_S_MAX else None
        return longest_s * random.uniform(0.5, 1.0)  # noqa: S311 - no secret.


def _leaves_unknown(refusal: ApiError) -> bool:
    """Return whether a write that was answered so may have been carried out."""
    # A success that cannot be read is one of them.
    return refusal.status < 300 or (refusal.status >= 500 and refusal.code != _NOTHING_SENT)


def _retry_after_s(response: httpx.Response) -> int | None:
    """Return how long the server wants to be left alone; None when it does not say."""
    text = response.headers.get("Retry-After", "")
    # A day has five digits; a number without end would not even be one.
    return int(text[:6]) if text.isascii() and text.isdigit() else None


def _envelope(response: httpx.Response) -> dict[str, Any]:
    try:
        envelope = decoded(response.content)
    except (ValueError, ArithmeticError, RecursionError):
        # No JSON, or numbers and nesting that nobody means.
        envelope = None
    if isinstance(envelope, dict):
        return envelope
    return {"code": _FOREIGN, "message": response.text[:200]}
