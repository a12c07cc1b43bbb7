"""Where to go from an answer: the links of the OpenAPI document, from what an operation returns to those that take it.

The values of a link are runtime expressions: pointers into the answer, or names of what was asked with. A body that needs more than its
link knows (an amount, the other order) says so in the link's description. A contract test follows each link through the examples.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

Json = dict[str, Any]

_BODY: Final = "body."


@dataclass(frozen=True, slots=True)
class _Step:
    """An operation that takes what an answer names."""

    # Its id in the document.
    operation: str
    # What it does, and what the caller adds.
    text: str
    # What it is told, and which part of the answer that is: "body.orderId" -> "orderId".
    told: Mapping[str, str]

    def link(self, pointer: str) -> Json:
        """Return the link from an answer that has those parts at a pointer."""
        values = {
            name: part if part.startswith("$") else f"$response.body#{pointer}/{part}"
            for name, part in self.told.items()
        }
        parameters = {name: value for name, value in values.items() if not name.startswith(_BODY)}
        body = {n.removeprefix(_BODY): v for n, v in values.items() if n.startswith(_BODY)}
        return (
            {"operationId": self.operation, "description": self.text}
            | ({"parameters": parameters} if parameters else {})
            | ({"requestBody": body} if body else {})
        )


_THE_ORDER: Final = {"body.orderId": "orderId"}
_ORDER_OF_ADDRESS: Final = {"path.order_id": "orderId"}
_ACCOUNT_OF_ADDRESS: Final = {"path.account_id": "accountId"}
_CASH: Final = _ACCOUNT_OF_ADDRESS | {"path.cash_id": "id"}
_STATEMENT: Final = _ACCOUNT_OF_ADDRESS | {"path.statement_id": "statementId"}

_CLOSE: Final = _Step(
    "trade_close", "Closes it while it is open; add a quantity for a part.", _THE_ORDER
)
_REVERSE: Final = _Step(
    "trade_reverse", "Closes it while it is open, and opens its opposite.", _THE_ORDER
)
_MODIFY: Final = _Step("trade_modify", "Changes it; add its new terms or stops.", _THE_ORDER)
_CANCEL: Final = _Step("trade_cancel", "Cancels it while it waits for its price.", _THE_ORDER)
_MARGIN: Final = _Step(
    "trade_margin",
    "Moves margin into it, or out of it, while it is open and isolated; add an amount.",
    _THE_ORDER,
)
_CLOSE_BY: Final = _Step(
    "trade_close_by",
    "Closes it against an opposite order of its symbol; add that one as otherOrderId.",
    _THE_ORDER,
)
_ORDER: Final = _Step("trade_order", "All that is on record of it.", _ORDER_OF_ADDRESS)
_RECEIPT: Final = _Step("trade_order_receipt", "Its receipt, as a PDF.", _ORDER_OF_ADDRESS)
_RECORDS: Final = (_ORDER, _RECEIPT)
_OF_OPEN: Final = (_CLOSE, _REVERSE, _MODIFY, _MARGIN, _CLOSE_BY, *_RECORDS)
_OF_PENDING: Final = (_MODIFY, _CANCEL, *_RECORDS)
_REQUEST: Final = _Step(
    "trade_request",
    "What became of this request, by its id.",
    {"path.request_id": "requestId", "query.accountId": "accountId"},
)

_LEDGER: Final = _Step("account_ledger", "What moved its money.", _ACCOUNT_OF_ADDRESS)
_EVENTS: Final = _Step("account_events", "What has happened to it.", _ACCOUNT_OF_ADDRESS)
_BALANCE: Final = _Step("balance_retrieve", "Its balance.", {"query.accountId": "accountId"})
_OF_ACCOUNT: Final = (_BALANCE, _LEDGER, _EVENTS)
_TOP_UP: Final = _Step(
    "accounts_top_up", "Gives it play money; add an amount.", _ACCOUNT_OF_ADDRESS
)

# By operation: what its answer leads to, and where in the answer that is named.
LINKS: Final[Mapping[str, Mapping[str, tuple[_Step, ...]]]] = {
    "trade_create": {"/data": (*_OF_OPEN, _CANCEL, _REQUEST)},
    "trade_open": {"/data/message/0": _OF_OPEN},
    "trade_pending": {"/data/message/0": _OF_PENDING},
    "trade_orders": {"/data/message/0": _RECORDS},
    "trade_closed": {"/data/message/0": _RECORDS},
    "trade_modify": {"/data/order": (_ORDER,)},
    "trade_cancel": {"/data/order": (_ORDER,)},
    "trade_close": {"/data/order": _RECORDS},
    "trade_margin": {"/data/order": (_CLOSE, _MARGIN, _ORDER)},
    "trade_reverse": {"/data/opened": _OF_OPEN},
    "accounts_list": {"/data/0": _OF_ACCOUNT},
    "accounts_open": {"/data": (*_OF_ACCOUNT, _TOP_UP)},
    "accounts_live": {
        "/data": (
            _Step("deposits_request", "Pays in; add an amount.", _ACCOUNT_OF_ADDRESS),
            _Step("withdrawals_request", "Pays out; add an amount.", _ACCOUNT_OF_ADDRESS),
        )
    },
    "deposits_request": {"/data": (_Step("deposits_cancel", "Takes it back.", _CASH),)},
    "withdrawals_request": {"/data": (_Step("withdrawals_cancel", "Takes it back.", _CASH),)},
    "account_ledger": {
        "/data": (
            _Step(
                "account_ledger",
                "The page after this one.",
                {"path.account_id": "$request.path.account_id", "query.cursor": "nextCursor"},
            ),
        )
    },
    "account_events": {
        "/data": (
            _Step(
                "account_events",
                "The events after these.",
                {"path.account_id": "$request.path.account_id", "query.after": "lastSeq"},
            ),
        )
    },
    "account_statement_request": {
        "/data": (
            _Step("account_statement_state", "How far it is.", _STATEMENT),
            _Step("account_statement_file", "The file, when it is ready.", _STATEMENT),
        )
    },
    "candles_refresh": {
        "/data": (_Step("candles_refresh_progress", "How far it is.", {"query.jobId": "jobId"}),)
    },
    "keys_make": {"/data": (_Step("keys_revoke", "Ends it.", {"path.public_id": "keyId"}),)},
}


def links_of(operation_id: str) -> Json:
    """Return the links of an operation's success, by the id of where they lead."""
    return {
        step.operation: step.link(pointer)
        for pointer, steps in LINKS.get(operation_id, {}).items()
        for step in steps
    }
