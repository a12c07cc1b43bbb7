"""Shapes of accounts and balances in the public contract, in and out."""

# ruff: noqa: N815 - field names are those of the contract.

from rest_framework import serializers

from apps.common.serializers import StrictSerializer


class AccountQuerySerializer(StrictSerializer):
    """Which account is meant."""

    accountId = serializers.IntegerField(required=False, min_value=1, max_value=2**40 - 1)


class AccountSerializer(StrictSerializer):
    """One trading account."""

    accountId = serializers.IntegerField(source="id")
    kind = serializers.ChoiceField(choices=["demo", "live"])
    group = serializers.CharField()
    isDefault = serializers.BooleanField(source="is_default")


class EnsuredUserSerializer(StrictSerializer):
    """What ensure-user answers."""

    userId = serializers.IntegerField()
    accountId = serializers.IntegerField()
    accounts = AccountSerializer(many=True)


class BalanceSerializer(StrictSerializer):
    """The money of an account; all amounts in its currency."""

    status = serializers.ChoiceField(choices=["success"])
    message = serializers.DecimalField(max_digits=22, decimal_places=6, help_text="The balance.")
    accountId = serializers.IntegerField()
    currency = serializers.CharField()
    balance = serializers.DecimalField(max_digits=22, decimal_places=6)
    equity = serializers.DecimalField(max_digits=22, decimal_places=6)
    usedMargin = serializers.DecimalField(max_digits=22, decimal_places=6)
    freeMargin = serializers.DecimalField(max_digits=22, decimal_places=6)
    marginLevel = serializers.DecimalField(
        max_digits=22, decimal_places=2, allow_null=True, help_text="Per cent; null without margin."
    )
    unrealisedPnl = serializers.DecimalField(max_digits=22, decimal_places=6)
    withdrawable = serializers.DecimalField(max_digits=22, decimal_places=6)
    asOf = serializers.CharField(help_text="Log entry that the figures include.")
