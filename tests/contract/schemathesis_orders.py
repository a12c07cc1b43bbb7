"""Lends schemathesis orders that are open at the moment: what it names by chance, or remembers, hardly ever is."""

from collections.abc import Callable
from typing import Any, Final
from uuid import uuid4

import httpx

Row = dict[str, Any]

# Small, so that the account bears many.
_OPENED: Final = {"symbol": "BTC", "type": "buy", "quantity": "0.01", "leverage": 10}
_PENDING: Final = _OPENED | {"orderType": "limit", "price": "1000"}
_ISOLATED: Final = _OPENED | {"marginMode": "isolated"}
_OPPOSITE: Final = {"buy": "sell", "sell": "buy"}
# Orders that are taken, with something for each of the links that lead on from them.
TAKEN: Final[tuple[Row, ...]] = (_OPENED, _OPENED | {"type": "sell"}, _PENDING, _ISOLATED)
# What only a pending order can change.
_TERMS: Final = frozenset({"quantity", "price", "stopPrice", "timeInForce", "expiresAt"})
# Margin that was moved into an isolated order can be moved out again.
_SPARE: Final = "20"


class OpenOrders:
    """The orders of an account that are open or pending now, and a fresh one wherever none fits."""

    def __init__(self, address: str, account_id: int) -> None:
        self._http = httpx.Client(base_url=f"{address}/api/v1/trade", timeout=60)
        self._account_id = account_id
        self._fits: dict[str, Callable[[Row], Row | None]] = {
            "/api/v1/trade/close": self._open,
            "/api/v1/trade/reverse": self._open,
            "/api/v1/trade/modify": self._changeable,
            "/api/v1/trade/cancel": self._pending,
            "/api/v1/trade/margin": self._isolated,
            "/api/v1/trade/closeBy": self._pair,
        }

    def fit(self, path: str, body: Row, token: str) -> Row | None:
        """Return what a body must say to name an order that its operation takes, its own if that is one.

        None for an operation that takes none, and where the account bears no more.
        """
        if path not in self._fits:
            return None
        self._http.headers["Authorization"] = f"Bearer {token}"
        return self._fits[path](body)

    def _open(self, body: Row) -> Row | None:
        return _named(body, self._listed("open")) or self._made(_OPENED)

    def _pending(self, body: Row) -> Row | None:
        return _named(body, self._listed("pending")) or self._made(_PENDING)

    def _changeable(self, body: Row) -> Row | None:
        return self._pending(body) if _TERMS & body.keys() else self._open(body)

    def _isolated(self, body: Row) -> Row | None:
        rows = [row for row in self._listed("open") if row["marginMode"] == "isolated"]
        found = _named(body, rows) or self._made(_ISOLATED)
        if found and body.get("action") == "remove":
            self._ask("POST", "margin", json=found | {"amount": _SPARE})
        return found

    def _pair(self, body: Row) -> Row | None:
        rows = [row for row in self._listed("open") if row["marginMode"] == "cross"]
        found = _named(body, rows)
        if found is None:
            made, other = self._made(_OPENED), self._made(_OPENED | {"type": "sell"})
        else:
            (row,) = [row for row in rows if row["orderId"] == found["orderId"]]
            wanted = {"symbol": row["symbol"], "type": _OPPOSITE[row["type"]]}
            others = [row for row in rows if wanted.items() <= row.items()]
            made, other = found, _named({}, others) or self._made(_OPENED | wanted)
        return made | {"otherOrderId": other["orderId"]} if made and other else None

    def _listed(self, which: str) -> list[Row]:
        answer = self._ask("GET", which, params={"limit": 100, "accountId": self._account_id})
        rows: list[Row] = answer["message"] if answer else []
        return rows

    def _made(self, order: Row) -> Row | None:
        answer = self._ask("POST", "create", json=order | {"accountId": self._account_id})
        return {"orderId": answer["orderId"]} if answer else None

    def _ask(self, method: str, path: str, **sent: Any) -> Row | None:
        answer = self._http.request(method, path, headers={"Idempotency-Key": uuid4().hex}, **sent)
        data: Row = answer.json()["data"]
        return data if answer.is_success else None


def _named(body: Row, rows: list[Row]) -> Row | None:
    """Return the order that a body names, if it is among these, else the oldest of them."""
    ids = [row["orderId"] for row in rows]
    named = body.get("orderId")
    return {"orderId": named if named in ids else ids[-1]} if ids else None
