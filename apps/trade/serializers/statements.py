"""Shapes of statements in the public contract."""

# ruff: noqa: N815 - field names are those of the contract.

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from typing_extensions import override

from apps.common.serializers import PatternField, StrictSerializer
from apps.trade.choices import StatementFormat
from apps.trade.serializers.answers import IS_CURRENT, MISSING_FROM_SEQ, number_field

_MONTH = r"^(19[7-9][0-9]|2[01][0-9]{2}|22[0-4][0-9]|225[0-5])-(0[1-9]|1[0-2])$"


@extend_schema_field({"type": "string", "format": "date"})
class DayField(PatternField):
    """A day in UTC, whose place in the calendar the service looks at."""

    def __init__(self, help_text: str) -> None:
        super().__init__(
            r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}\Z",
            required=False,
            help_text=help_text,
            expected="expected a day such as 2026-11-26",
        )


def _only(*names: str) -> dict[str, Any]:
    others = {"day", "month", "from", "to"} - set(names)
    return {"required": list(names), "properties": {name: {"not": {}} for name in sorted(others)}}


class PerformancePeriodSerializer(StrictSerializer):
    """A day, a month, or a range of days (both included), in UTC."""

    day = DayField("Such as 2026-11-26, from 1970 to 2255.")
    month = PatternField(
        _MONTH,
        required=False,
        help_text="Such as 2026-11.",
        expected="expected a month such as 2026-11, from 1970 to 2255",
    )
    to = DayField("The last day, with from.")

    @override
    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """Return the fields, with the one whose name is a word of Python."""
        return {**super().get_fields(), "from": DayField("The first day, with to.")}


class PeriodSerializer(PerformancePeriodSerializer):
    """A period, named in one of the three ways, and how its statement is written."""

    schema_rule: ClassVar = {"oneOf": [_only("day"), _only("month"), _only("from", "to")]}

    fileFormat = serializers.ChoiceField(choices=StatementFormat.choices, default="json")


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
    """What one day brought, and what the account was worth at its end; other is cash and what the insurance paid."""

    date = serializers.DateField()
    openingBalance = number_field()
    closingBalance = number_field()
    pnl = number_field()
    commission = number_field()
    swap = number_field()
    other = number_field()
    result = number_field()
    equity = number_field(
        help_text="At the end of the day (of today: now), open orders at the last prices of the day."
    )
    trades = serializers.IntegerField()


class FiguresSerializer(StrictSerializer):
    """What the period's closings and entries say; closings count after their own commission, shares are rounded down."""

    result = number_field(help_text="Closing less opening balance, without cash.")
    pnl = number_field()
    commission = number_field()
    swap = number_field()
    covered = number_field(help_text="What the insurance paid for losses beyond the stake.")
    cash = number_field(help_text="Deposits less withdrawals.")
    trades = serializers.IntegerField()
    wins = serializers.IntegerField()
    losses = serializers.IntegerField()
    won = number_field(help_text="Sum of the gains.")
    lost = number_field(help_text="Sum of the losses, without a sign.")
    winRate = number_field(allow_null=True, help_text="wins / trades, per cent.")
    profitFactor = number_field(allow_null=True, help_text="won / lost.")
    expectancy = number_field(allow_null=True, help_text="(won - lost) / trades.")
    best = number_field()
    worst = number_field()
    maxDrawdown = number_field(help_text="Deepest fall of the balance from its highest before.")
    maxDrawdownPercent = number_field(allow_null=True, help_text="Of that highest balance.")


class SymbolFiguresSerializer(StrictSerializer):
    """What one market brought; the results of all markets and what was covered sum to the period's result."""

    symbol = serializers.CharField()
    trades = serializers.IntegerField()
    wins = serializers.IntegerField()
    winRate = number_field(allow_null=True)
    profitFactor = number_field(allow_null=True)
    pnl = number_field()
    commission = number_field()
    swap = number_field()
    result = number_field()


class BalancePointSerializer(StrictSerializer):
    """The balance from an instant on."""

    time = serializers.DateTimeField()
    balance = number_field()


class AccountPeriodSerializer(StrictSerializer):
    """What a statement says of its period as a whole."""

    accountId = serializers.IntegerField()
    to = serializers.DateTimeField()
    currency = serializers.CharField()
    openingBalance = number_field()
    closingBalance = number_field()
    figures = FiguresSerializer()
    symbols = SymbolFiguresSerializer(many=True)
    days = StatementDaySerializer(many=True)
    isCurrent = serializers.BooleanField(help_text=IS_CURRENT)
    missingFromSeq = serializers.IntegerField(allow_null=True, help_text=MISSING_FROM_SEQ)

    @override
    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """Return the fields, with the one whose name is a word of Python."""
        return {**super().get_fields(), "from": serializers.DateTimeField()}


class StatementSerializer(AccountPeriodSerializer):
    """A statement; opening balance and entries sum to the closing balance."""

    totals = serializers.DictField()
    entries = StatementEntrySerializer(many=True)


class PerformanceSerializer(AccountPeriodSerializer):
    """The figures of a statement, and the balance over time."""

    balances = BalancePointSerializer(many=True)


class StatementStateSerializer(StrictSerializer):
    """Where the making of a statement's file stands."""

    statementId = serializers.UUIDField()
    accountId = serializers.IntegerField()
    period = serializers.CharField()
    fileFormat = serializers.ChoiceField(choices=StatementFormat.choices)
    state = serializers.ChoiceField(choices=["waiting", "ready", "failed"])
    reason = serializers.CharField(
        allow_null=True, help_text="Why it has failed; ask for the statement again then."
    )
    progress = serializers.IntegerField(help_text="Entries that have been read so far.")
    createdAt = serializers.DateTimeField()
