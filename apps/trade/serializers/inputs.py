"""Shapes of trading requests in the public contract; numbers come in as their digits and stay exact.

Where null means something else than absent (a stop loss that shall go), the field is a ChangeField.
"""

# ruff: noqa: N815 - field names are those of the contract.

import re
from collections.abc import Mapping
from typing import Any

from rest_framework import serializers
from rest_framework.fields import empty
from rest_framework.utils import html
from typing_extensions import override

from apps.common.requests import REQUEST_ID, REQUEST_ID_WORDS
from apps.common.serializers import InstantField, NumberField, PatternField, StrictSerializer
from apps.trade.selectors import MONEY_KINDS
from engine.values import CloseReason, OrderType, ProfitFilter, TimeInForce

ORDER_ID = re.compile(r"\A[0-9]{1,13}-[0-9]{1,19}\Z", re.ASCII)
SIDES = ("buy", "sell")
MARGIN_MODES = ("cross", "isolated")
ORDER_TYPES = tuple(kind.value for kind in OrderType)
TIMES_IN_FORCE = tuple(kind.value for kind in TimeInForce)
_SLIPPAGE_HELP = (
    "How much worse than expectedPrice (absent: than the newest price) it may become, per cent; "
    "absent, any price is taken."
)
_EXPECTED_HELP = "The price you saw; counts with slippage only."
_PAGE_MAX = 100
_OFFSET_MAX = 1_000_000


class AccountField(serializers.IntegerField):
    """The trading account that is meant; absent, it is the user's default."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("help_text", "Absent: the default account; for a key, its own.")
        super().__init__(required=False, min_value=1, max_value=2**40 - 1, **options)


class RequestIdField(PatternField):
    """The client's own id of a request; the same id and content is answered once and for all."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("required", False)
        super().__init__(REQUEST_ID, expected=f"expected {REQUEST_ID_WORDS}", **options)


class OrderIdField(PatternField):
    """The id of an order."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            ORDER_ID, max_length=40, expected="expected an order id such as 1001-1", **options
        )


class SymbolField(serializers.CharField):
    """An instrument, in any of its spellings."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("help_text", "BTC, BTCUSDT and BTC_USDT mean the same.")
        super().__init__(max_length=32, **options)


class ChangeField(NumberField):
    """A price to set; null takes it away, absent leaves it as it is."""

    def __init__(self, **options: Any) -> None:
        super().__init__(required=False, allow_null=True, **options)

    @override
    def get_value(self, dictionary: Mapping[str, Any]) -> Any:
        # A blank field of an HTML form is one that nobody has filled in, and not a wish to take the stop away.
        if html.is_html_input(dictionary) and dictionary.get(str(self.field_name)) == "":
            return empty
        return super().get_value(dictionary)


class OrderPreviewSerializer(StrictSerializer):
    """An order as it would be placed."""

    symbol = SymbolField()
    type = serializers.ChoiceField(choices=SIDES)
    quantity = NumberField(help_text="In units of the coin.")
    leverage = NumberField(help_text="Whole number from 1 to 100.")
    orderType = serializers.ChoiceField(choices=ORDER_TYPES, required=False, allow_null=True)
    price = NumberField(
        required=False, allow_null=True, help_text="Limit price of limit and stopLimit orders."
    )
    stopPrice = NumberField(
        required=False, allow_null=True, help_text="Stop price of stop and stopLimit orders."
    )
    slippage = NumberField(
        required=False,
        allow_null=True,
        help_text=_SLIPPAGE_HELP,
    )
    takeProfit = NumberField(required=False, allow_null=True)
    stopLoss = NumberField(required=False, allow_null=True)
    trailingDistance = NumberField(required=False, allow_null=True)
    expectedPrice = NumberField(required=False, allow_null=True, help_text=_EXPECTED_HELP)
    timeInForce = serializers.ChoiceField(
        choices=TIMES_IN_FORCE,
        required=False,
        allow_null=True,
        help_text="gtc without one; gtd ends at expiresAt, day at 00:00 UTC.",
    )
    expiresAt = InstantField(required=False, allow_null=True)
    marginMode = serializers.ChoiceField(choices=MARGIN_MODES, required=False, allow_null=True)
    accountId = AccountField()


class OrderCreateSerializer(OrderPreviewSerializer):
    """An order."""

    clientOrderId = RequestIdField()


class OrderCloseSerializer(StrictSerializer):
    """Which order to close, and how much of it."""

    orderId = OrderIdField()
    quantity = NumberField(required=False, allow_null=True, help_text="Absent: all of it.")
    slippage = NumberField(
        required=False,
        allow_null=True,
        help_text=_SLIPPAGE_HELP,
    )
    expectedPrice = NumberField(required=False, allow_null=True, help_text=_EXPECTED_HELP)
    clientOrderId = RequestIdField()
    accountId = AccountField()


class OrderModifySerializer(StrictSerializer):
    """New terms of a pending order, or new stops of an open one; what is absent stays as it is."""

    orderId = OrderIdField()
    stopLoss = ChangeField(help_text="Null takes it away.")
    takeProfit = ChangeField(help_text="Null takes it away.")
    trailingDistance = ChangeField(help_text="Null takes it away.")
    quantity = NumberField(required=False, help_text="Pending orders only.")
    price = NumberField(required=False, help_text="Pending orders only.")
    stopPrice = NumberField(required=False, help_text="Pending orders only.")
    timeInForce = serializers.ChoiceField(
        choices=TIMES_IN_FORCE, required=False, help_text="Pending orders only."
    )
    expiresAt = InstantField(required=False, help_text="Pending orders only.")
    clientOrderId = RequestIdField()
    accountId = AccountField()


class OrderCancelSerializer(StrictSerializer):
    """Which pending order to cancel."""

    orderId = OrderIdField()
    clientOrderId = RequestIdField()
    accountId = AccountField()


class OrderReverseSerializer(OrderCancelSerializer):
    """Which open order to turn round."""


class CancelAllSerializer(StrictSerializer):
    """Which pending orders to cancel: all, or those of a symbol or side."""

    symbol = SymbolField(required=False, allow_null=True)
    type = serializers.ChoiceField(choices=SIDES, required=False, allow_null=True)
    clientOrderId = RequestIdField()
    accountId = AccountField()


class CloseAllSerializer(StrictSerializer):
    """Which open orders to close: all, or those of a symbol, side, or sign of profit."""

    symbol = SymbolField(required=False, allow_null=True)
    type = serializers.ChoiceField(choices=SIDES, required=False, allow_null=True)
    profit = serializers.ChoiceField(
        choices=tuple(kind.value for kind in ProfitFilter), required=False, allow_null=True
    )
    clientOrderId = RequestIdField()
    accountId = AccountField()


class CloseBySerializer(StrictSerializer):
    """Two opposite orders of one symbol to close against each other."""

    orderId = OrderIdField()
    otherOrderId = OrderIdField()
    clientOrderId = RequestIdField()
    accountId = AccountField()


class MarginSerializer(StrictSerializer):
    """Margin to move into or out of an isolated order."""

    orderId = OrderIdField()
    amount = NumberField(help_text="USD, above 0.")
    action = serializers.ChoiceField(choices=("add", "remove"), required=False, allow_null=True)
    clientOrderId = RequestIdField()
    accountId = AccountField()


class PageSerializer(StrictSerializer):
    """A page of a list, and what of the list is meant."""

    limit = serializers.IntegerField(default=10, min_value=1, max_value=_PAGE_MAX)
    offset = serializers.IntegerField(default=0, min_value=0, max_value=_OFFSET_MAX)
    symbol = SymbolField(required=False)
    type = serializers.ChoiceField(choices=SIDES, required=False)
    startTime = InstantField(required=False, help_text="Earliest, epoch milliseconds or RFC 3339.")
    endTime = InstantField(required=False, help_text="Before this, epoch milliseconds or RFC 3339.")
    accountId = AccountField()


class OpenPageSerializer(PageSerializer):
    """A page of open orders."""

    sort = serializers.ChoiceField(
        choices=("-createdAt", "createdAt", "-pnl", "pnl", "-margin", "margin", "symbol"),
        default="-createdAt",
    )


class PendingPageSerializer(PageSerializer):
    """A page of pending orders."""

    sort = serializers.ChoiceField(
        choices=("-createdAt", "createdAt", "symbol"), default="-createdAt"
    )


class ClosedPageSerializer(PageSerializer):
    """A page of closed orders."""

    closeReason = serializers.ChoiceField(
        choices=tuple(reason.value for reason in CloseReason), required=False
    )
    sort = serializers.ChoiceField(
        choices=("-closedAt", "closedAt", "-pnl", "pnl"), default="-closedAt"
    )


class OrderPageSerializer(PageSerializer):
    """A page of all orders, whatever became of them."""

    state = serializers.ChoiceField(
        choices=("pending", "filled", "cancelled", "expired", "rejected"), required=False
    )
    sort = serializers.ChoiceField(choices=("-createdAt", "createdAt"), default="-createdAt")


class OrderDetailSerializer(StrictSerializer):
    """Which order."""

    orderId = OrderIdField()
    accountId = AccountField(help_text="Absent: the account that the order names.")


class RequestDetailSerializer(StrictSerializer):
    """Which request."""

    requestId = RequestIdField(required=True)
    accountId = AccountField()


class LedgerPageSerializer(StrictSerializer):
    """A page of an account's ledger, newest first; `cursor` comes from the page before."""

    accountId = serializers.IntegerField(min_value=1, max_value=2**40 - 1)
    limit = serializers.IntegerField(default=50, min_value=1, max_value=500)
    cursor = PatternField(
        re.compile(r"\A[0-9]{1,19}\Z", re.ASCII),
        required=False,
        expected="expected the nextCursor of the page before",
        help_text="The nextCursor of the page before.",
    )
    kind = serializers.ChoiceField(choices=MONEY_KINDS, required=False)
    symbol = SymbolField(required=False)
    startTime = InstantField(required=False, help_text="Earliest, epoch milliseconds or RFC 3339.")
    endTime = InstantField(required=False, help_text="Before this, epoch milliseconds or RFC 3339.")


class EventsSerializer(StrictSerializer):
    """Events of an account after the last one that was seen."""

    accountId = serializers.IntegerField(min_value=1, max_value=2**40 - 1)
    after = serializers.IntegerField(
        default=0, min_value=0, max_value=2**53 - 1, help_text="The seq of the last event you have."
    )
    limit = serializers.IntegerField(default=100, min_value=1, max_value=500)
