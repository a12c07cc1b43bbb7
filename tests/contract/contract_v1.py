"""The public contract, version 1, as a table: what old clients and ours rely on, to the letter.

`in_` are the names that an operation takes, required ones with an exclamation mark; `out` is where its data stands and which names it
has there. A path may only be added to.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path."""

    method: str
    path: str
    # Whether somebody must be signed in.
    is_private: bool
    in_: str = ""
    # Names of `data`; "message[]" means the rows of the list under `message`.
    out: str = ""

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


_ORDER = (
    "symbol! type! quantity! leverage! slippage takeProfit stopLoss orderType price stopPrice expectedPrice "
    "trailingDistance timeInForce expiresAt marginMode accountId"
)

CONTRACT = (
    Route("GET", "/", False),
    Route("POST", "/auth/login", False, "email!"),
    Route("GET", "/auth/verify", False, "token"),
    Route("GET", "/auth/mobile/session-token", True),
    Route("POST", "/auth/mobile/refresh-token", False, "refreshToken!"),
    Route("POST", "/auth/mobile/pin", True, "pin!"),
    Route("POST", "/auth/verify-user", True),
    Route("POST", "/auth/ensure-user", True, "", "userId accountId accounts"),
    Route("GET", "/supportedAssets", False, "", "[] symbol name imageUrl"),
    Route("GET", "/prices/latest", False, "symbols", "[] asset price bid ask decimal"),
    Route(
        "GET",
        "/candles",
        False,
        "symbol! interval limit startTime endTime",
        "symbol dbSymbol interval from to count data",
    ),
    Route("GET", "/candles/diagnostics", False),
    Route("POST", "/candles/refresh", True, "symbol interval force"),
    Route(
        "GET",
        "/balance",
        True,
        "accountId",
        "status message equity usedMargin freeMargin marginLevel unrealisedPnl currency",
    ),
    Route("GET", "/trade", False),
    Route("POST", "/trade/create", True, f"{_ORDER} clientOrderId", "message orderId"),
    Route(
        "GET",
        "/trade/open",
        True,
        "limit offset accountId",
        "message[] orderId symbol type quantity price leverage createdAt",
    ),
    Route(
        "POST",
        "/trade/close",
        True,
        "orderId! quantity clientOrderId accountId",
        "message order.orderId order.symbol order.type order.quantity order.entryPrice order.closePrice order.pnl "
        "order.closedAt",
    ),
    Route(
        "GET",
        "/trade/close",
        True,
        "limit offset accountId",
        "message[] orderId symbol type quantity entryPrice closePrice pnl closedAt",
    ),
    Route("POST", "/trade/preview", True, _ORDER, "margin commission spreadCost maxQuantity"),
    Route(
        "POST", "/trade/modify", True, "orderId! stopLoss takeProfit price", "message order.orderId"
    ),
    Route("POST", "/trade/reverse", True, "orderId!", "message orderId"),
    Route("POST", "/trade/cancel", True, "orderId!", "message order.orderId"),
    Route("POST", "/trade/cancelAll", True, "symbol type", "message orderIds"),
    Route("POST", "/trade/closeAll", True, "symbol type profit", "message orders"),
    Route("POST", "/trade/closeBy", True, "orderId! otherOrderId!", "message orders"),
    Route("POST", "/trade/margin", True, "orderId! amount!", "message order.margin"),
    Route("GET", "/trade/pending", True, "limit offset accountId", "message total"),
    Route("GET", "/trade/orders/{order_id}", True, "", "order fills receipts"),
    Route("GET", "/trade/requests/{request_id}", True, "", "requestId status"),
    Route("GET", "/accounts", True),
    Route("POST", "/accounts", True),
    Route("POST", "/accounts/{account_id}/topUp", True),
    Route("GET", "/accounts/{account_id}/ledger", True, "limit cursor", "entries nextCursor"),
    Route("GET", "/accounts/{account_id}/events", True, "after", "events lastSeq"),
    Route(
        "GET",
        "/accounts/{account_id}/statement",
        True,
        "day month from to fileFormat",
        "openingBalance closingBalance entries",
    ),
    Route(
        "GET",
        "/accounts/{account_id}/performance",
        True,
        "day month from to",
        "openingBalance closingBalance figures symbols days balances isCurrent",
    ),
    Route("GET", "/accounts/live", True),
    Route("POST", "/accounts/live", True),
    Route("GET", "/kyc", True),
    Route("POST", "/kyc", True),
    Route("GET", "/accounts/{account_id}/deposits", True),
    Route("POST", "/accounts/{account_id}/deposits", True),
    Route("GET", "/accounts/{account_id}/withdrawals", True),
    Route("POST", "/accounts/{account_id}/withdrawals", True),
    Route("GET", "/keys", True),
    Route("POST", "/keys", True),
)
