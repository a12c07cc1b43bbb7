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
_LIST = "limit offset symbol type startTime endTime sort"
_CASH = "id accountId kind amount method reference destination state code createdAt decidedAt"
# How far what is read from the history reaches.
_REACH = "isCurrent missingFromSeq"

CONTRACT = (
    Route("GET", "/", False),
    Route("POST", "/auth/login", False, "email!"),
    Route("GET", "/auth/verify", False, "token! factor"),
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
        "symbol! interval limit startTime endTime price",
        "symbol dbSymbol interval from to count data",
    ),
    Route("GET", "/candles/diagnostics", False, "symbol interval"),
    Route("POST", "/candles/refresh", True, "symbol interval force", "jobId status progress"),
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
        f"{_LIST} accountId",
        "message[] orderId symbol type quantity price leverage createdAt",
    ),
    Route(
        "POST",
        "/trade/close",
        True,
        "orderId! quantity slippage expectedPrice clientOrderId accountId",
        "message order.orderId order.symbol order.type order.quantity order.entryPrice order.closePrice order.pnl "
        "order.closedAt",
    ),
    Route(
        "GET",
        "/trade/close",
        True,
        f"{_LIST} closeReason accountId",
        "message[] orderId symbol type quantity entryPrice closePrice pnl closedAt",
    ),
    Route("POST", "/trade/preview", True, _ORDER, "margin commission spreadCost maxQuantity"),
    Route(
        "POST",
        "/trade/modify",
        True,
        "orderId! stopLoss takeProfit trailingDistance quantity price stopPrice timeInForce expiresAt "
        "clientOrderId accountId",
        "message order.orderId",
    ),
    Route("POST", "/trade/reverse", True, "orderId! clientOrderId accountId", "message orderId"),
    Route(
        "POST", "/trade/cancel", True, "orderId! clientOrderId accountId", "message order.orderId"
    ),
    Route(
        "POST", "/trade/cancelAll", True, "symbol type clientOrderId accountId", "message orderIds"
    ),
    Route(
        "POST",
        "/trade/closeAll",
        True,
        "symbol type profit clientOrderId accountId",
        "message orders",
    ),
    Route(
        "POST",
        "/trade/closeBy",
        True,
        "orderId! otherOrderId! clientOrderId accountId",
        "message orders",
    ),
    Route(
        "POST",
        "/trade/margin",
        True,
        "orderId! amount! action clientOrderId accountId",
        "message order.margin",
    ),
    Route("GET", "/trade/pending", True, f"{_LIST} accountId", "message total"),
    Route("GET", "/trade/orders/{order_id}", True, "accountId", f"order fills receipts {_REACH}"),
    Route("GET", "/trade/requests/{request_id}", True, "accountId", "requestId status"),
    Route("GET", "/accounts", True, "", "[] accountId kind name isDefault"),
    Route("POST", "/accounts", True, "kind name", "accountId kind name"),
    Route("POST", "/accounts/{account_id}/topUp", True, "amount", "accountId amount"),
    Route(
        "GET",
        "/accounts/{account_id}/ledger",
        True,
        "limit cursor kind symbol startTime endTime",
        f"entries nextCursor {_REACH}",
    ),
    Route("GET", "/accounts/{account_id}/events", True, "after limit", f"events lastSeq {_REACH}"),
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
        f"openingBalance closingBalance figures symbols days balances {_REACH}",
    ),
    Route("GET", "/accounts/live", True, "", "[] accountId kind isOpen"),
    Route("POST", "/accounts/live", True, "name", "accountId kind isOpen"),
    Route("GET", "/kyc", True, "", "state reason submittedAt expiresAt documents"),
    Route(
        "POST",
        "/kyc",
        True,
        "fullName! birthDate! country! address! documentKind! documentNumber!",
        "state submittedAt",
    ),
    Route("GET", "/accounts/{account_id}/deposits", True, "", f"[] {_CASH}"),
    Route(
        "POST", "/accounts/{account_id}/deposits", True, "amount! method!", f"{_CASH} instructions"
    ),
    Route("DELETE", "/accounts/{account_id}/deposits/{cash_id}", True, "", _CASH),
    Route("GET", "/accounts/{account_id}/withdrawals", True, "", f"[] {_CASH}"),
    Route(
        "POST",
        "/accounts/{account_id}/withdrawals",
        True,
        "amount! method! destination! pin",
        _CASH,
    ),
    Route("DELETE", "/accounts/{account_id}/withdrawals/{cash_id}", True, "", _CASH),
    Route("GET", "/keys", True, "", "[] keyId name algorithm scopes accountId"),
    Route(
        "POST",
        "/keys",
        True,
        "name! algorithm! scopes! accountId publicKey ipAddresses expiresAt pin",
        "keyId name algorithm scopes accountId secret",
    ),
)
