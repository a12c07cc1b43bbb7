"""The REST clients, sync and async: the same calls, the same retries.

A request is sent again only where that cannot do anything twice: reads always, writes under their request id, which the engine
answers once and for all. Refusals are never repeated.
"""

import asyncio
import random
import time
from collections.abc import Awaitable
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import httpx

from cryptocfd_client.errors import ApiError, OutcomeUnknownError
from cryptocfd_client.requests import (
    Day,
    Number,
    Remove,
    Request,
    ask,
    decoded,
    once,
    part,
    read,
    write,
)
from cryptocfd_client.signing import Proof

Answer = dict[str, Any]
R = TypeVar("R")

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


class _Calls(Generic[R]):
    """The operations; `_send` is the client's."""

    def _send(self, request: Request) -> R:
        raise NotImplementedError

    # --- orders -------------------------------------------------------------------------------------------------------

    def create_order(
        self,
        symbol: str,
        type: str,  # noqa: A002 - the contract's name.
        quantity: Number,
        leverage: int,
        *,
        order_type: str | None = None,
        price: Number | None = None,
        stop_price: Number | None = None,
        stop_loss: Number | None = None,
        take_profit: Number | None = None,
        trailing_distance: Number | None = None,
        slippage: Number | None = None,
        expected_price: Number | None = None,
        time_in_force: str | None = None,
        expires_at: int | str | None = None,
        margin_mode: str | None = None,
        account_id: int | None = None,
        request_id: str | None = None,
    ) -> R:
        """Place an order; the same request id returns the same answer."""
        return self._send(
            write(
                "/trade/create",
                {
                    "symbol": symbol,
                    "type": type,
                    "quantity": quantity,
                    "leverage": leverage,
                    "orderType": order_type,
                    "price": price,
                    "stopPrice": stop_price,
                    "stopLoss": stop_loss,
                    "takeProfit": take_profit,
                    "trailingDistance": trailing_distance,
                    "slippage": slippage,
                    "expectedPrice": expected_price,
                    "timeInForce": time_in_force,
                    "expiresAt": expires_at,
                    "marginMode": margin_mode,
                    "accountId": account_id,
                },
                request_id,
            )
        )

    def preview(
        self,
        symbol: str,
        type: str,  # noqa: A002 - the contract's name.
        quantity: Number,
        leverage: int,
        *,
        account_id: int | None = None,
    ) -> R:
        """Ask what a market order would cost; nothing is placed."""
        body = {"symbol": symbol, "type": type, "quantity": quantity, "leverage": leverage}
        return self._send(ask("/trade/preview", body | {"accountId": account_id}))

    def close_order(
        self, order_id: str, *, quantity: Number | None = None, request_id: str | None = None
    ) -> R:
        """Close an open order, whole or in part."""
        return self._send(
            write("/trade/close", {"orderId": order_id, "quantity": quantity}, request_id)
        )

    def modify_order(
        self,
        order_id: str,
        *,
        stop_loss: Number | Remove | None = None,
        take_profit: Number | Remove | None = None,
        trailing_distance: Number | Remove | None = None,
        price: Number | None = None,
        stop_price: Number | None = None,
        quantity: Number | None = None,
        request_id: str | None = None,
    ) -> R:
        """Change a pending order, or the stops of an open one; REMOVE takes a stop away."""
        body = {
            "orderId": order_id,
            "stopLoss": stop_loss,
            "takeProfit": take_profit,
            "trailingDistance": trailing_distance,
            "price": price,
            "stopPrice": stop_price,
            "quantity": quantity,
        }
        return self._send(write("/trade/modify", body, request_id))

    def cancel_order(self, order_id: str, *, request_id: str | None = None) -> R:
        """Cancel a pending order."""
        return self._send(write("/trade/cancel", {"orderId": order_id}, request_id))

    def cancel_all(self, *, symbol: str | None = None, account_id: int | None = None) -> R:
        """Cancel pending orders."""
        return self._send(write("/trade/cancelAll", {"symbol": symbol, "accountId": account_id}))

    def close_all(
        self,
        *,
        symbol: str | None = None,
        profit: str | None = None,
        account_id: int | None = None,
    ) -> R:
        """Close open orders: all, or those of a symbol, winners or losers."""
        body = {"symbol": symbol, "profit": profit, "accountId": account_id}
        return self._send(write("/trade/closeAll", body))

    def close_by(self, order_id: str, other_order_id: str) -> R:
        """Close two opposite orders against each other."""
        body = {"orderId": order_id, "otherOrderId": other_order_id}
        return self._send(write("/trade/closeBy", body))

    def reverse_order(self, order_id: str, *, request_id: str | None = None) -> R:
        """Close an order and open its opposite."""
        return self._send(write("/trade/reverse", {"orderId": order_id}, request_id))

    def move_margin(self, order_id: str, amount: Number, *, action: str = "add") -> R:
        """Add margin to an isolated order, or remove it."""
        body = {"orderId": order_id, "amount": amount, "action": action}
        return self._send(write("/trade/margin", body))

    # --- what is there ------------------------------------------------------------------------------------------------

    def open_orders(self, *, limit: int = 100, offset: int = 0, account_id: int | None = None) -> R:
        """List open orders with live figures."""
        return self._send(read("/trade/open", limit=limit, offset=offset, accountId=account_id))

    def pending_orders(
        self, *, limit: int = 100, offset: int = 0, account_id: int | None = None
    ) -> R:
        """List pending orders."""
        return self._send(read("/trade/pending", limit=limit, offset=offset, accountId=account_id))

    def closed_orders(
        self, *, limit: int = 100, offset: int = 0, account_id: int | None = None
    ) -> R:
        """List closed orders, newest first."""
        return self._send(read("/trade/close", limit=limit, offset=offset, accountId=account_id))

    def order(self, order_id: str) -> R:
        """Return an order with its receipts."""
        return self._send(read(f"/trade/orders/{part(order_id)}"))

    def request(self, request_id: str, *, account_id: int | None = None) -> R:
        """Return what became of a request."""
        return self._send(read(f"/trade/requests/{part(request_id)}", accountId=account_id))

    def balance(self, *, account_id: int | None = None) -> R:
        """Return the money of an account."""
        return self._send(read("/balance", accountId=account_id))

    def ledger(self, account_id: int, *, limit: int = 50, cursor: str | None = None) -> R:
        """Return what moved the money of an account, newest first."""
        return self._send(read(f"/accounts/{account_id}/ledger", limit=limit, cursor=cursor))

    def statement(
        self,
        account_id: int,
        *,
        day: Day | None = None,
        month: str | None = None,
        first_day: Day | None = None,
        last_day: Day | None = None,
    ) -> R:
        """Return the statement of a day, of a month such as 2026-11, or of a range of days, both included, all in UTC."""
        period = {"day": day, "month": month, "from": first_day, "to": last_day}
        return self._send(read(f"/accounts/{account_id}/statement", **period))

    def prices(self, *symbols: str) -> R:
        """Return the newest prices."""
        return self._send(read("/prices/latest", symbols=",".join(symbols) or None))

    def candles(self, symbol: str, interval: str = "1m", *, limit: int = 100) -> R:
        """Return candles, oldest first."""
        return self._send(read("/candles", symbol=symbol, interval=interval, limit=limit))

    # --- tokens -------------------------------------------------------------------------------------------------------

    def refresh(self, refresh_token: str) -> R:
        """Return the next pair of tokens of a device: accessToken and refreshToken, which replaces the one that was given.

        Sent once: a token that is shown again after more than ten seconds signs its device out.
        """
        return self._send(once("/auth/mobile/refresh-token", {"refreshToken": refresh_token}))


class Client(_Calls[Answer]):
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


class AsyncClient(_Calls[Awaitable[Answer]]):
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
