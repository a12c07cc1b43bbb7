"""Shapes of trading answers in the public contract; the page of the schema is made from them."""

# ruff: noqa: N815 - field names are those of the contract.

from typing import Any

from drf_spectacular.utils import inline_serializer
from rest_framework import serializers

from apps.common.serializers import StrictSerializer
from apps.trade.serializers.inputs import MARGIN_MODES, ORDER_TYPES, SIDES, TIMES_IN_FORCE

IS_CURRENT = "Whether everything that was decided before this request is among it."
MISSING_FROM_SEQ = (
    "The account's first event that this may lack, by its seq; null when isCurrent. While the engine cannot be asked, nobody knows "
    "whether there is such an event."
)


def number_field(**options: Any) -> serializers.DecimalField:
    """Return the field of an exact number."""
    return serializers.DecimalField(max_digits=28, decimal_places=6, **options)


class FilledOrderSerializer(StrictSerializer):
    """An order that was filled, or waits for its price; what only a fill brings is null until then."""

    orderId = serializers.CharField()
    status = serializers.ChoiceField(choices=["filled", "pending"])
    accountId = serializers.IntegerField()
    symbol = serializers.CharField()
    type = serializers.ChoiceField(choices=SIDES)
    orderType = serializers.ChoiceField(choices=ORDER_TYPES)
    quantity = number_field()
    price = number_field(
        allow_null=True, help_text="Of the fill; the limit price of a pending order."
    )
    stopPrice = number_field(allow_null=True)
    leverage = serializers.IntegerField()
    marginMode = serializers.ChoiceField(choices=MARGIN_MODES)
    margin = number_field(allow_null=True)
    commission = number_field(allow_null=True)
    stopLoss = number_field(allow_null=True)
    takeProfit = number_field(allow_null=True)
    trailingDistance = number_field(allow_null=True)
    timeInForce = serializers.ChoiceField(choices=TIMES_IN_FORCE, allow_null=True)
    expiresAt = serializers.DateTimeField(allow_null=True)
    liquidationPrice = number_field(allow_null=True)
    balance = number_field(allow_null=True)
    createdAt = serializers.DateTimeField()
    asOf = serializers.CharField()


class CreatedOrderSerializer(FilledOrderSerializer):
    """The answer to a new order."""

    message = serializers.CharField()
    requestId = serializers.CharField()


class OpenOrderSerializer(StrictSerializer):
    """An open order with live figures."""

    orderId = serializers.CharField()
    accountId = serializers.IntegerField()
    symbol = serializers.CharField()
    type = serializers.ChoiceField(choices=SIDES)
    quantity = number_field()
    price = number_field()
    currentPrice = number_field(allow_null=True)
    leverage = serializers.IntegerField()
    marginMode = serializers.ChoiceField(choices=MARGIN_MODES)
    margin = number_field()
    notional = number_field()
    pnl = number_field()
    commission = number_field()
    swap = number_field()
    stopLoss = number_field(allow_null=True)
    takeProfit = number_field(allow_null=True)
    trailingDistance = number_field(allow_null=True)
    liquidationPrice = number_field(allow_null=True)
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
    type = serializers.ChoiceField(choices=SIDES)
    quantity = number_field()
    entryPrice = number_field()
    closePrice = number_field()
    pnl = number_field()
    commission = number_field()
    closeReason = serializers.CharField()
    openedAt = serializers.DateTimeField()
    closedAt = serializers.DateTimeField()


class ClosedOrdersSerializer(StrictSerializer):
    """Closed orders, newest first."""

    message = ClosedOrderSerializer(many=True)
    total = serializers.IntegerField()
    isCurrent = serializers.BooleanField(help_text=IS_CURRENT)
    missingFromSeq = serializers.IntegerField(allow_null=True, help_text=MISSING_FROM_SEQ)


class JustClosedOrderSerializer(StrictSerializer):
    """What a close brought; P&L before commission."""

    orderId = serializers.CharField()
    accountId = serializers.IntegerField()
    symbol = serializers.CharField()
    type = serializers.ChoiceField(choices=SIDES)
    quantity = number_field()
    remainingQuantity = number_field()
    entryPrice = number_field()
    closePrice = number_field()
    pnl = number_field()
    commission = number_field()
    closeReason = serializers.CharField()
    balance = number_field()
    closedAt = serializers.DateTimeField()
    asOf = serializers.CharField()


class CloseResultSerializer(StrictSerializer):
    """The answer to a close."""

    message = serializers.CharField()
    requestId = serializers.CharField()
    order = JustClosedOrderSerializer()


class _WriteAnswerSerializer(StrictSerializer):
    """What every answer to a write has."""

    message = serializers.CharField()
    requestId = serializers.CharField()
    asOf = serializers.CharField(help_text="Log entry that decided it.")


class ModifiedOrderSerializer(StrictSerializer):
    """An order after a change; terms are there if something changed."""

    orderId = serializers.CharField()
    accountId = serializers.IntegerField()
    symbol = serializers.CharField()
    status = serializers.ChoiceField(choices=["filled", "pending"])
    isChanged = serializers.BooleanField()
    quantity = number_field(required=False)
    price = number_field(required=False, allow_null=True)
    stopPrice = number_field(required=False, allow_null=True)
    timeInForce = serializers.ChoiceField(choices=TIMES_IN_FORCE, required=False, allow_null=True)
    expiresAt = serializers.DateTimeField(required=False, allow_null=True)
    stopLoss = number_field(required=False, allow_null=True)
    takeProfit = number_field(required=False, allow_null=True)
    trailingDistance = number_field(required=False, allow_null=True)
    type = serializers.ChoiceField(choices=SIDES, required=False)
    orderType = serializers.ChoiceField(choices=ORDER_TYPES, required=False)
    leverage = serializers.IntegerField(required=False)
    marginMode = serializers.ChoiceField(choices=MARGIN_MODES, required=False)
    margin = number_field(required=False, allow_null=True)
    commission = number_field(required=False, allow_null=True)
    liquidationPrice = number_field(required=False, allow_null=True)
    balance = number_field(required=False, allow_null=True)
    createdAt = serializers.DateTimeField(required=False)
    asOf = serializers.CharField(required=False)


class ModifiedSerializer(_WriteAnswerSerializer):
    """The answer to a modification."""

    order = ModifiedOrderSerializer()


class CancelledOrderSerializer(StrictSerializer):
    """An order that is cancelled."""

    orderId = serializers.CharField()
    accountId = serializers.IntegerField()
    symbol = serializers.CharField()
    status = serializers.ChoiceField(choices=["cancelled"])
    cancelReason = serializers.CharField()


class CancelledSerializer(_WriteAnswerSerializer):
    """The answer to a cancellation."""

    order = CancelledOrderSerializer()


class AllCancelledSerializer(_WriteAnswerSerializer):
    """The answer to the cancellation of many."""

    accountId = serializers.IntegerField()
    orderIds = serializers.ListField(child=serializers.CharField())
    count = serializers.IntegerField()


class AllClosedSerializer(_WriteAnswerSerializer):
    """The answer to the closing of many."""

    accountId = serializers.IntegerField()
    orders = JustClosedOrderSerializer(many=True)
    count = serializers.IntegerField()
    passedOver = serializers.ListField(
        child=serializers.CharField(), help_text="Orders that cannot be filled now and stay open."
    )


class ClosedBySerializer(_WriteAnswerSerializer):
    """The answer to a close-by: both orders, the older first."""

    accountId = serializers.IntegerField()
    orders = JustClosedOrderSerializer(many=True)


class ReversedSerializer(_WriteAnswerSerializer):
    """The answer to a reversal."""

    orderId = serializers.CharField(help_text="Of the new order.")
    closed = JustClosedOrderSerializer()
    opened = FilledOrderSerializer()


class MarginOfOrderSerializer(StrictSerializer):
    """An isolated order's margin after it was moved."""

    orderId = serializers.CharField()
    accountId = serializers.IntegerField()
    symbol = serializers.CharField()
    amount = number_field(help_text="Negative when it was taken out.")
    margin = number_field()
    liquidationPrice = number_field(allow_null=True)


class MarginMovedSerializer(_WriteAnswerSerializer):
    """The answer to a move of margin."""

    order = MarginOfOrderSerializer()


def _refusal() -> serializers.Serializer[Any]:
    # Inline, since a class cannot have a field named `data`.
    return inline_serializer(
        name="Refusal",
        fields={
            "code": serializers.CharField(),
            "message": serializers.CharField(),
            "data": serializers.DictField(),
        },
        allow_null=True,
    )


class PreviewSerializer(StrictSerializer):
    """What an order would cost; null where nobody can tell."""

    accountId = serializers.IntegerField()
    symbol = serializers.CharField()
    isAccepted = serializers.BooleanField()
    refusal = _refusal()
    price = number_field(allow_null=True)
    notional = number_field(allow_null=True)
    margin = number_field(allow_null=True)
    commission = number_field(allow_null=True)
    spreadCost = number_field(allow_null=True)
    swapNight = number_field(allow_null=True, help_text="Of one night; positive is paid to you.")
    freeMarginAfter = number_field(allow_null=True)
    liquidationPrice = number_field(allow_null=True)
    stopOutPrice = number_field(allow_null=True)
    maxQuantity = number_field(allow_null=True)
    maxLeverage = serializers.IntegerField(allow_null=True)
    asOf = serializers.CharField()


class PendingOrderSerializer(StrictSerializer):
    """A pending order."""

    orderId = serializers.CharField()
    accountId = serializers.IntegerField()
    status = serializers.ChoiceField(choices=["pending"])
    symbol = serializers.CharField()
    type = serializers.ChoiceField(choices=SIDES)
    orderType = serializers.ChoiceField(choices=ORDER_TYPES)
    quantity = number_field()
    price = number_field(allow_null=True)
    stopPrice = number_field(allow_null=True)
    leverage = serializers.IntegerField()
    marginMode = serializers.ChoiceField(choices=MARGIN_MODES)
    timeInForce = serializers.ChoiceField(choices=TIMES_IN_FORCE)
    expiresAt = serializers.DateTimeField(allow_null=True)
    stopLoss = number_field(allow_null=True)
    takeProfit = number_field(allow_null=True)
    trailingDistance = number_field(allow_null=True)
    isActivated = serializers.BooleanField(
        help_text="Whether a stopLimit order's stop was reached."
    )
    createdAt = serializers.DateTimeField()


class PendingOrdersSerializer(StrictSerializer):
    """Pending orders, newest first."""

    message = PendingOrderSerializer(many=True)
    total = serializers.IntegerField()
    asOf = serializers.CharField()


class OrderSerializer(StrictSerializer):
    """An order as the history knows it."""

    orderId = serializers.CharField()
    accountId = serializers.IntegerField()
    status = serializers.ChoiceField(
        choices=["pending", "filled", "cancelled", "expired", "rejected"]
    )
    endReason = serializers.CharField(allow_null=True)
    symbol = serializers.CharField()
    type = serializers.ChoiceField(choices=SIDES)
    orderType = serializers.ChoiceField(choices=ORDER_TYPES)
    quantity = number_field()
    price = number_field(allow_null=True)
    stopPrice = number_field(allow_null=True)
    leverage = serializers.IntegerField()
    marginMode = serializers.ChoiceField(choices=MARGIN_MODES)
    timeInForce = serializers.ChoiceField(choices=TIMES_IN_FORCE)
    expiresAt = serializers.DateTimeField(allow_null=True)
    stopLoss = number_field(allow_null=True)
    takeProfit = number_field(allow_null=True)
    trailingDistance = number_field(allow_null=True)
    createdAt = serializers.DateTimeField()


class OrdersSerializer(StrictSerializer):
    """Orders, newest first."""

    message = OrderSerializer(many=True)
    total = serializers.IntegerField()
    isCurrent = serializers.BooleanField(help_text=IS_CURRENT)
    missingFromSeq = serializers.IntegerField(allow_null=True, help_text=MISSING_FROM_SEQ)
