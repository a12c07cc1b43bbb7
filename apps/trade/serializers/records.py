"""Shapes of what is on record: one order with its receipts, a request's outcome, ledger and events of an account."""

# ruff: noqa: N815 - field names are those of the contract.

from typing import Any

from drf_spectacular.utils import inline_serializer
from rest_framework import serializers

from apps.common.serializers import StrictSerializer
from apps.trade.serializers.answers import (
    IS_CURRENT,
    MISSING_FROM_SEQ,
    ClosedOrderSerializer,
    OrderSerializer,
    number_field,
)
from apps.trade.serializers.inputs import MARGIN_MODES, SIDES
from engine.values import CashKind


class PositionRecordSerializer(StrictSerializer):
    """The position that an order opened; sums are over its life so far."""

    type = serializers.ChoiceField(choices=SIDES)
    isOpen = serializers.BooleanField()
    quantity = number_field()
    openQuantity = number_field()
    entryPrice = number_field()
    leverage = serializers.IntegerField()
    marginMode = serializers.ChoiceField(choices=MARGIN_MODES)
    margin = number_field()
    pnl = number_field()
    commission = number_field()
    swap = number_field()
    stopLoss = number_field(allow_null=True)
    takeProfit = number_field(allow_null=True)
    trailingDistance = number_field(allow_null=True)
    liquidationPrice = number_field(allow_null=True)
    openedAt = serializers.DateTimeField()
    closedAt = serializers.DateTimeField(allow_null=True)


class FillSerializer(StrictSerializer):
    """One execution."""

    fillId = serializers.CharField()
    type = serializers.ChoiceField(choices=SIDES)
    isClosing = serializers.BooleanField()
    quantity = number_field()
    price = number_field()
    commission = number_field()
    time = serializers.DateTimeField()


class ReceiptQuoteSerializer(StrictSerializer):
    """A quote as a receipt keeps it."""

    symbol = serializers.CharField()
    bid = number_field(allow_null=True)
    ask = number_field(allow_null=True)
    time = serializers.DateTimeField()
    source = serializers.CharField()  # type: ignore[assignment] # fields are taken out of the class before it is made.
    sourceClass = serializers.ChoiceField(choices=["live", "replay", "simulated"])
    sequence = serializers.CharField()


class JournalPlaceSerializer(StrictSerializer):
    """Where an output stands in the journal, and the hash by which it stands in its chain."""

    layout = serializers.IntegerField()
    shard = serializers.IntegerField()
    number = serializers.IntegerField()
    chainHash = serializers.CharField()
    build = serializers.CharField()
    decidedAt = serializers.DateTimeField()


class ReceiptSerializer(StrictSerializer):
    """One step of an order and why it happened; `rule` is null for what a client simply wished."""

    seq = serializers.IntegerField()
    event = serializers.DictField()
    time = serializers.DateTimeField()
    rule = serializers.CharField(allow_null=True)
    ruleText = serializers.CharField(allow_null=True)
    inputs = serializers.DictField()
    quote = ReceiptQuoteSerializer(allow_null=True)
    previousQuote = ReceiptQuoteSerializer(allow_null=True)
    requestId = serializers.CharField(allow_null=True)
    asOf = serializers.CharField()
    journal = JournalPlaceSerializer()


class OrderDetailAnswerSerializer(StrictSerializer):
    """One order with everything on record."""

    order = OrderSerializer()
    position = PositionRecordSerializer(allow_null=True)
    fills = FillSerializer(many=True)
    closings = ClosedOrderSerializer(many=True)
    receipts = ReceiptSerializer(many=True)
    isCurrent = serializers.BooleanField(help_text=IS_CURRENT)
    missingFromSeq = serializers.IntegerField(allow_null=True, help_text=MISSING_FROM_SEQ)


class RequestOutcomeSerializer(StrictSerializer):
    """What became of a request."""

    requestId = serializers.CharField()
    accountId = serializers.IntegerField()
    status = serializers.ChoiceField(choices=["pending", "accepted", "rejected"])
    command = serializers.CharField(required=False)
    decidedAt = serializers.DateTimeField(required=False)
    asOf = serializers.CharField(required=False)
    answer = serializers.DictField(
        required=False, allow_null=True, help_text="The data of the answer that it got."
    )
    error = serializers.DictField(required=False, help_text="The failure that it got.")


class PostingSerializer(StrictSerializer):
    """One debit or credit; those of an entry sum to zero."""

    ledger = serializers.CharField()
    amount = number_field()


class LedgerEntrySerializer(StrictSerializer):
    """One event that moved money."""

    seq = serializers.IntegerField()
    kind = serializers.CharField()
    cashKind = serializers.ChoiceField(
        choices=[kind.value for kind in CashKind],
        allow_null=True,
        help_text="Why cash was posted; null for everything else.",
    )
    orderId = serializers.CharField(allow_null=True)
    symbol = serializers.CharField(allow_null=True)
    amount = number_field(help_text="What it added to the balance.")
    balance = number_field(help_text="After it.")
    time = serializers.DateTimeField()
    journalEntry = serializers.CharField(help_text="Layout, shard and number in the journal.")
    postings = PostingSerializer(many=True)


class LedgerSerializer(StrictSerializer):
    """A page of an account's ledger, newest first."""

    accountId = serializers.IntegerField()
    entries = LedgerEntrySerializer(many=True)
    nextCursor = serializers.CharField(allow_null=True)
    isCurrent = serializers.BooleanField(help_text=IS_CURRENT)
    missingFromSeq = serializers.IntegerField(allow_null=True, help_text=MISSING_FROM_SEQ)


def _event() -> serializers.Serializer[Any]:
    return inline_serializer(
        name="AccountEvent",
        fields={"seq": serializers.IntegerField(), "d": serializers.DictField()},
        many=True,
    )


class EventsAnswerSerializer(StrictSerializer):
    """An account's events, oldest first."""

    accountId = serializers.IntegerField()
    events = _event()
    lastSeq = serializers.IntegerField()
    hasMore = serializers.BooleanField()
    isCurrent = serializers.BooleanField(help_text=IS_CURRENT)
    missingFromSeq = serializers.IntegerField(allow_null=True, help_text=MISSING_FROM_SEQ)
    reset = serializers.BooleanField(
        help_text="The account has never had an event `after`: read it anew, and go on from lastSeq."
    )
