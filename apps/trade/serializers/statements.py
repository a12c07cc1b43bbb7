"""Shapes of statements in the public contract."""

# ruff: noqa: N815 - field names are those of the contract.

from typing import Any

from rest_framework import serializers
from typing_extensions import override

from apps.common.serializers import StrictSerializer
from apps.trade.choices import StatementFormat
from apps.trade.serializers.answers import number_field


class PeriodSerializer(StrictSerializer):
    """A day, a month, or a range of days (both included), in UTC."""

    day = serializers.CharField(required=False, max_length=10, help_text="Such as 2026-11-26.")
    month = serializers.CharField(required=False, max_length=7, help_text="Such as 2026-11.")
    to = serializers.CharField(required=False, max_length=10, help_text="With from.")
    fileFormat = serializers.ChoiceField(choices=StatementFormat.choices, default="json")

    @override
    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """Return the fields, with the one whose name is a word of Python."""
        start = serializers.CharField(required=False, max_length=10, help_text="With to.")
        return {**super().get_fields(), "from": start}


class StatementEntrySerializer(StrictSerializer):
    """One event that moved money."""

    seq = serializers.IntegerField()
    time = serializers.DateTimeField()
    kind = serializers.CharField()
    orderId = serializers.CharField(allow_null=True)
    symbol = serializers.CharField(allow_null=True)
    amount = number_field()
    balance = number_field()


class StatementDaySerializer(StrictSerializer):
    """What one day brought; other is cash and what the insurance paid."""

    date = serializers.DateField()
    openingBalance = number_field()
    closingBalance = number_field()
    pnl = number_field()
    commission = number_field()
    swap = number_field()
    other = number_field()
    trades = serializers.IntegerField()


class StatementSerializer(StrictSerializer):
    """A statement; opening balance and entries sum to the closing balance."""

    accountId = serializers.IntegerField()
    to = serializers.DateTimeField()
    currency = serializers.CharField()
    openingBalance = number_field()
    closingBalance = number_field()
    totals = serializers.DictField()
    days = StatementDaySerializer(many=True)
    entries = StatementEntrySerializer(many=True)
    isCurrent = serializers.BooleanField()

    @override
    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """Return the fields, with the one whose name is a word of Python."""
        return {**super().get_fields(), "from": serializers.DateTimeField()}


class StatementStateSerializer(StrictSerializer):
    """Where the making of a statement's file stands."""

    statementId = serializers.UUIDField()
    accountId = serializers.IntegerField()
    period = serializers.CharField()
    fileFormat = serializers.ChoiceField(choices=StatementFormat.choices)
    state = serializers.ChoiceField(choices=["waiting", "ready", "failed"])
    progress = serializers.IntegerField(help_text="Entries that have been read so far.")
    createdAt = serializers.DateTimeField()
