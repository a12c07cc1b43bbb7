"""The REST clients, sync and async: the same calls, the same retries.

A request is sent again only where that cannot do anything twice: reads always, writes under their request id, which the engine
answers once and for all. Refusals are never repeated.
"""

import asyncio
import random
import time
from collections.abc import Awaitable
from types import TracebackType
from typing import Any, Self

import httpx

from cryptocfd_client.calls import Calls
from cryptocfd_client.errors import ApiError, OutcomeUnknownError
from cryptocfd_client.requests import Request, decoded
from cryptocfd_client.signing import Proof

Answer = dict[str, Any]

_ATTEMPTS = 5
_PAUSE_S = 0.2
_PAUSE_S_MAX = 5.0
# Longest Retry-After that a call waits for by itself.
_RETRY_AFTER_S_MAX = 30
# Statuses after which the same request may be sent again: outcome unknown, too fast, not now.
_AGAIN = frozenset({408, 429, 502, 503, 504})


def _retry_after_s(response: httpx.Response | None) -> int | None:
    """Return how long the server wants to be left alone; None when it does not say."""
    text = "" if response is None else response.headers.get("Retry-After", "")
    # A day has five digits; a number without end would not even be one.
    return int(text[:6]) if text.isascii() and text.isdigit() else None


def _pause_s(attempt: int, response: httpx.Response | None) -> float | None:
    """Return how long to wait: what the server says, else longer each time, spread so that clients do not come together.

    None when the server wants more than a call may wait: then the caller decides.
    """
    after_s = _retry_after_s(response)
    if after_s is not None:
        return float(after_s) if after_s <= _RETRY_AFTER_S_MAX else None
    longest_s = min(_PAUSE_S_MAX, _PAUSE_S * float(2**attempt))
    return longest_s * random.uniform(0.5, 1.0)  # noqa: S311 - no secret.


def _data(response: httpx.Response) -> Any:
    try:
        envelope = decoded(response.content)
    except ValueError:
        envelope = {"code": "UNKNOWN", "message": response.text[:200]}
    if response.status_code < 300 and envelope.get("success") is True:
        return envelope["data"]
    raise ApiError(response.status_code, envelope, _retry_after_s(response))


class Client(Calls[Answer]):
    """The sync client."""

    def __init__(
        self, base_url: str, proof: Proof | None = None, *, timeout_s: float = 10.0
    ) -> None:
        self._proof = proof
        self._http = httpx.Client(base_url=base_url, timeout=timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _send(self, request: Request) -> Answer:
        is_unknown = False
        attempts = _ATTEMPTS if request.is_repeatable else 1
        for attempt in range(attempts):
            response = None
            try:
                response = self._http.request(**_arguments(self._proof, request))
            except httpx.TransportError:
                is_unknown = True
            if response is not None and response.status_code not in _AGAIN:
                answer: Answer = _data(response)
                return answer
            is_unknown |= response is not None and response.status_code == 408
            pause_s = _pause_s(attempt, response)
            if attempt + 1 < attempts and pause_s is not None:
                time.sleep(pause_s)
                continue
            if response is not None and not is_unknown:
                _data(response)
            break
        raise OutcomeUnknownError(request.request_id)


class AsyncClient(Calls[Awaitable[Answer]]):
    """The async client: the same calls, awaited."""

    def __init__(
        self, base_url: str, proof: Proof | None = None, *, timeout_s: float = 10.0
    ) -> None:
        self._proof = proof
        self._http = httpx.AsyncClient(base_url=base_url, timeout=timeout_s)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _send(self, request: Request) -> Answer:
        is_unknown = False
        attempts = _ATTEMPTS if request.is_repeatable else 1
        for attempt in range(attempts):
            response = None
            try:
                response = await self._http.request(**_arguments(self._proof, request))
            except httpx.TransportError:
                is_unknown = True
            if response is not None and response.status_code not in _AGAIN:
                answer: Answer = _data(response)
                return answer
            is_unknown |= response is not None and response.status_code == 408
            pause_s = _pause_s(attempt, response)
            if attempt + 1 < attempts and pause_s is not None:
                await asyncio.sleep(pause_s)
                continue
            if response is not None and not is_unknown:
                _data(response)
            break
        raise OutcomeUnknownError(request.request_id)


def _arguments(proof: Proof | None, request: Request) -> dict[str, Any]:
    headers = {"Accept": "application/json"}
    if request.body:
        headers["Content-Type"] = "application/json"
    if proof is not None:
        headers |= proof.headers(request.method, request.target, request.body)
    return {
        "method": request.method,
        "url": request.target,
        "content": request.body,
        "headers": headers,
    }
