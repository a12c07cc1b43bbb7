"""The REST clients, sync and async: the same calls, the same retries.

A request is sent again only where that cannot do anything twice: reads always, writes under their request id, which the engine
answers once and for all. Refusals are never repeated.
"""

import asyncio
import time
from collections.abc import Awaitable
from types import TracebackType
from typing import Any, Self

import httpx

from cryptocfd_client.attempts import Attempts
from cryptocfd_client.calls import Calls
from cryptocfd_client.requests import Request
from cryptocfd_client.signing import Proof

Answer = dict[str, Any]


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
        attempts = Attempts(request)
        pause_s: float | None
        while True:
            try:
                response = self._http.request(**_arguments(self._proof, request))
            except httpx.RequestError as error:
                pause_s = attempts.lost(error)
            else:
                pause_s = attempts.heard(response)
            if pause_s is None:
                answer: Answer = attempts.answer
                return answer
            time.sleep(pause_s)


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
        attempts = Attempts(request)
        pause_s: float | None
        while True:
            try:
                response = await self._http.request(**_arguments(self._proof, request))
            except httpx.RequestError as error:
                pause_s = attempts.lost(error)
            else:
                pause_s = attempts.heard(response)
            if pause_s is None:
                answer: Answer = attempts.answer
                return answer
            await asyncio.sleep(pause_s)


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
