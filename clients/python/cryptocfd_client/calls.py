"""The calls that both clients have: each builds its request, and the client sends it."""

from typing import Generic, TypeVar

from cryptocfd_client.requests import (
    Day,
    Number,
    Remove,
    Request,
    ask,
    once,
    part,
    read,
    write,
)

R = TypeVar("R")


class Calls(Generic[R]):
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
        order_type: str | None = None,
        price: Number | None = None,
        stop_price: Number | None = None,
        stop_loss: Number | None = None,
        take_profit: Number | None = None,
        trailing_distance: Number | None = None,
        margin_mode: str | None = None,
        account_id: int | None = None,
    ) -> R:
        """Ask what an order would cost; nothing is placed."""
        body = {
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
            "marginMode": margin_mode,
            "accountId": account_id,
        }
        return self._send(ask("/trade/preview", body))

    def close_order(
        self,
        order_id: str,
        *,
        quantity: Number | None = None,
        slippage: Number | None = None,
        expected_price: Number | None = None,
        request_id: str | None = None,
    ) -> R:
        """Close an open order, whole or in part."""
        body = {
            "orderId": order_id,
            "quantity": quantity,
            "slippage": slippage,
            "expectedPrice": expected_price,
        }
        return self._send(write("/trade/close", body, request_id))

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
        time_in_force: str | None = None,
        expires_at: int | str | None = None,
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
            "timeInForce": time_in_force,
            "expiresAt": expires_at,
        }
        return self._send(write("/trade/modify", body, request_id))

    def cancel_order(self, order_id: str, *, request_id: str | None = None) -> R:
        """Cancel a pending order."""
        return self._send(write("/trade/cancel", {"orderId": order_id}, request_id))

    def cancel_all(
        self,
        *,
        symbol: str | None = None,
        type: str | None = None,  # noqa: A002 - the contract's name.
        account_id: int | None = None,
        request_id: str | None = None,
    ) -> R:
        """Cancel pending orders: all, or those of a symbol or side."""
        body = {"symbol": symbol, "type": type, "accountId": account_id}
        return self._send(write("/trade/cancelAll", body, request_id))

    def close_all(
        self,
        *,
        symbol: str | None = None,
        type: str | None = None,  # noqa: A002 - the contract's name.
        profit: str | None = None,
        account_id: int | None = None,
        request_id: str | None = None,
    ) -> R:
        """Close open orders: all, or those of a symbol or side, winners or losers."""
        body = {"symbol": symbol, "type": type, "profit": profit, "accountId": account_id}
        return self._send(write("/trade/closeAll", body, request_id))

    def close_by(self, order_id: str, other_order_id: str, *, request_id: str | None = None) -> R:
        """Close two opposite orders against each other."""
        body = {"orderId": order_id, "otherOrderId": other_order_id}
        return self._send(write("/trade/closeBy", body, request_id))

    def reverse_order(self, order_id: str, *, request_id: str | None = None) -> R:
        """Close an order and open its opposite."""
        return self._send(write("/trade/reverse", {"orderId": order_id}, request_id))

    def move_margin(
        self,
        order_id: str,
        amount: Number,
        *,
        action: str = "add",
        request_id: str | None = None,
    ) -> R:
        """Add margin to an isolated order, or remove it."""
        body = {"orderId": order_id, "amount": amount, "action": action}
        return self._send(write("/trade/margin", body, request_id))

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

    def orders(
        self,
        *,
        state: str | None = None,
        symbol: str | None = None,
        limit: int = 100,
        offset: int = 0,
        account_id: int | None = None,
    ) -> R:
        """List all orders, whatever became of them, newest first; state is pending, filled, cancelled, expired or rejected."""
        query = {"state": state, "symbol": symbol, "accountId": account_id}
        return self._send(read("/trade/orders", limit=limit, offset=offset, **query))

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

    def accounts(self) -> R:
        """List the accounts of the sender, oldest first; a key's is the one that it is bound to."""
        return self._send(read("/accounts"))

    def events(self, account_id: int, *, after: int = 0, limit: int = 100) -> R:
        """Return the events of an account after one that was seen, oldest first; go on from lastSeq while hasMore.

        `reset` says that the account has never had that event: read it anew.
        """
        return self._send(read(f"/accounts/{account_id}/events", after=after, limit=limit))

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

    def instruments(self) -> R:
        """List what is traded here, with decimals, steps, limits, tiers and whether it is open now."""
        return self._send(read("/supportedAssets"))

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
