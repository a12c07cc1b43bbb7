"""Shapes of trading requests and answers in the public contract; numbers come in as their digits and stay exact."""

# ruff: noqa: N815 - field names are those of the contract.

import re
from typing import Any

from rest_framework import serializers

from apps.common.serializers import NumberField, StrictSerializer

# Longer ids than the engine takes, or with other signs than these, are refused here.
REQUEST_ID = re.compile(r"\A[A-Za-z0-9._:-]{1,64}\Z", re.ASCII)
REQUEST_ID_WORDS = "1 to 64 letters, digits, dots, colons, hyphens or underscores"
_SIDES = ("buy", "sell")


class AccountField(serializers.IntegerField):
    """The trading account that is meant; absent, it is the user's default."""

    def __init__(self, **options: Any) -> None:
        super().__init__(required=False, min_value=1, max_value=2**40 - 1, **options)


class RequestIdField(serializers.RegexField):
    """The client's own id of a request; the same id and content is answered once and for all."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            REQUEST_ID,
            required=False,
            error_messages={"invalid": f"expected {REQUEST_ID_WORDS}"},
            **options,
        )


class OrderCreateSerializer(StrictSerializer):
    """An order."""

    symbol = serializers.CharField(
        max_length=32, help_text="BTC, BTCUSDT and BTC_USDT mean the same."
    )
    type = serializers.ChoiceField(choices=_SIDES)
    quantity = NumberField(help_text="In units of the coin.")
    leverage = NumberField(help_text="Whole number from 1 to 100.")
    slippage = NumberField(
        required=False,
        allow_null=True,
        help_text="Largest difference to the expected price, per cent.",
    )
    takeProfit = NumberField(required=False, allow_null=True)
    stopLoss = NumberField(required=False, allow_null=True)
    trailingDistance = NumberField(required=False, allow_null=True)
    expectedPrice = NumberField(required=False, allow_null=True, help_text="The price you saw.")
    marginMode = serializers.ChoiceField(
        choices=("cross", "isolated"), required=False, allow_null=True
    )
    clientOrderId = RequestIdField()
    accountId = AccountField()


class OrderCloseSerializer(StrictSerializer):
    """Which order to close, and how much of it."""

    orderId = serializers.RegexField(
        re.compile(r"\A[0-9]{1,13}-[0-9]{1,19}\Z", re.ASCII),
        max_length=40,
        error_messages={"invalid": "expected an order id such as 1001-1"},
    )
    quantity = NumberField(required=False, allow_null=True, help_text="Absent: all of it.")
    clientOrderId = RequestIdField()
    accountId = AccountField()


class PageSerializer(StrictSerializer):
    """A page of a list."""

    limit = serializers.IntegerField(default=10, min_value=1, max_value=100)
    offset = serializers.IntegerField(default=0, min_value=0, max_value=1_000_000)
    accountId = AccountField()


def _number(**options: Any) -> serializers.DecimalField:
    return serializers.DecimalField(max_digits=28, decimal_places=6, **options)


class CreatedOrderSerializer(StrictSerializer):
    """An order that was filled."""

    message = serializers.CharField()
    orderId = serializers.CharField()
    requestId = serializers.CharField()
    status = serializers.ChoiceField(choices=["filled"])
    accountId = serializers.IntegerField()
    symbol = serializers.CharField()
    type = serializers.ChoiceField(choices=_SIDES)
    quantity = _number()
    price = _number()
    leverage = serializers.IntegerField()
    marginMode = serializers.ChoiceField(choices=["cross", "isolated"])
    margin = _number()
    commission = _number()
    stopLoss = _number(allow_null=True)
    takeProfit = _number(allow_null=True)
    trailingDistance = _number(allow_null=True)
    liquidationPrice = _number(allow_null=True)
    balance = _number()
    createdAt = serializers.DateTimeField()
    asOf = serializers.CharField()


class OpenOrderSerializer(StrictSerializer):
    """An open order with live figures."""

    orderId = serializers.CharField()
    accountId = serializers.IntegerField()
    symbol = serializers.CharField()
    type = serializers.ChoiceField(choices=_SIDES)
    quantity = _number()
    price = _number()
    currentPrice = _number(allow_null=True)
    leverage = serializers.IntegerField()
    marginMode = serializers.ChoiceField(choices=["cross", "isolated"])
    margin = _number()
    notional = _number()
    pnl = _number()
    commission = _number()
    swap = _number()
    stopLoss = _number(allow_null=True)
    takeProfit = _number(allow_null=True)
    trailingDistance = _number(allow_null=True)
    liquidationPrice = _number(allow_null=True)
    createdAt = serializers.DateTimeField()


class OpenOrdersSerializer(StrictSerializer):
    """Open orders, newest first."""

    message = OpenOrderSerializer(many=True)
    total = serializers.IntegerField()
    asOf = serializers.CharField()


class ClosedOrderSerializer(StrictSerializer):
    """A closing, of a whole order or a part of it; P&L before commission."""

    orderId = serializers.CharField()
    accountId = serializers.IntegerField()
    symbol = serializers.CharField()
    type = serializers.ChoiceField(choices=_SIDES)
    quantity = _number()
    entryPrice = _number()
    closePrice = _number()
    pnl = _number()
    commission = _number()
    closeReason = serializers.CharField()
    openedAt = serializers.DateTimeField()
    closedAt = serializers.DateTimeField()


class ClosedOrdersSerializer(StrictSerializer):
    """Closed orders, newest first."""

    message = ClosedOrderSerializer(many=True)
    isCurrent = serializers.BooleanField()


class JustClosedOrderSerializer(StrictSerializer):
    """What a close brought; P&L before commission."""

    orderId = serializers.CharField()
    accountId = serializers.IntegerField()
    symbol = serializers.CharField()
    type = serializers.ChoiceField(choices=_SIDES)
    quantity = _number()
    remainingQuantity = _number()
    entryPrice = _number()
    closePrice = _number()
    pnl = _number()
    commission = _number()
    closeReason = serializers.CharField()
    balance = _number()
    closedAt = serializers.DateTimeField()
    asOf = serializers.CharField()


class CloseResultSerializer(StrictSerializer):
    """The answer to a close."""

    message = serializers.CharField()
    requestId = serializers.CharField()
    order = JustClosedOrderSerializer()


def order_arguments(data: dict[str, Any]) -> dict[str, Any]:
    """Return what order_create takes, by its own names, from validated request data."""
    return {
        "symbol": data["symbol"],
        "quantity": data["quantity"],
        "leverage": data["leverage"],
        "slippage": data.get("slippage"),
        "expected_price": data.get("expectedPrice"),
        "stop_loss": data.get("stopLoss"),
        "take_profit": data.get("takeProfit"),
        "trailing_distance": data.get("trailingDistance"),
    }
