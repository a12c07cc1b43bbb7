"""Shapes of accounts and balances in the public contract, in and out."""

# ruff: noqa: N815 - field names are those of the contract.

from rest_framework import serializers

from apps.common.serializers import NumberField, StrictSerializer
from apps.profile.choices import CashState, KycState


class AccountQuerySerializer(StrictSerializer):
    """Which account is meant."""

    accountId = serializers.IntegerField(
        required=False,
        min_value=1,
        max_value=2**40 - 1,
        help_text="Absent: the default account; for a key, its own.",
    )


class AccountSerializer(StrictSerializer):
    """One trading account."""

    accountId = serializers.IntegerField(source="id")
    kind = serializers.ChoiceField(choices=["demo", "live"])
    name = serializers.CharField(allow_blank=True)
    group = serializers.CharField()
    isDefault = serializers.BooleanField(source="is_default")
    isOpen = serializers.BooleanField(
        source="is_open", help_text="Whether it can trade; a live account waits for approval."
    )


class AccountOpenSerializer(StrictSerializer):
    """One more demo account."""

    kind = serializers.ChoiceField(
        choices=["demo"], default="demo", help_text="Live accounts: POST /accounts/live."
    )
    name = serializers.CharField(max_length=40, required=False, default="", allow_blank=True)


class AccountChangeSerializer(StrictSerializer):
    """What the owner may change about an account."""

    name = serializers.CharField(max_length=40, required=False, allow_blank=True)
    isDefault = serializers.BooleanField(required=False, help_text="True makes it the default one.")


class TopUpSerializer(StrictSerializer):
    """How much play money to add."""

    amount = NumberField(required=False, help_text="USD; the demo balance if absent.")


class ToppedUpSerializer(StrictSerializer):
    """The play money on its way; the balance has it as soon as the engine has answered."""

    accountId = serializers.IntegerField()
    amount = serializers.DecimalField(max_digits=22, decimal_places=6)


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
    marginCallLevel = serializers.DecimalField(
        max_digits=7, decimal_places=2, help_text="Margin level of the warning, per cent."
    )
    stopOutLevel = serializers.DecimalField(
        max_digits=7,
        decimal_places=2,
        help_text="Margin level at which positions are closed, per cent.",
    )
    unrealisedPnl = serializers.DecimalField(max_digits=22, decimal_places=6)
    withdrawable = serializers.DecimalField(max_digits=22, decimal_places=6)
    asOf = serializers.CharField(help_text="Log entry that the figures include.")


class LiveWishSerializer(StrictSerializer):
    """A live account."""

    name = serializers.CharField(max_length=40, required=False, default="", allow_blank=True)


class KycWishSerializer(StrictSerializer):
    """Who the user is."""

    fullName = serializers.CharField(max_length=120)
    birthDate = serializers.DateField()
    country = serializers.RegexField(
        r"\A[A-Za-z]{2}\Z", help_text="ISO 3166-1, two letters, such as DE."
    )
    address = serializers.CharField(max_length=240)
    documentKind = serializers.ChoiceField(choices=["passport", "identityCard", "drivingLicence"])
    documentNumber = serializers.CharField(max_length=40)


class KycDocumentSerializer(StrictSerializer):
    """A document that was handed in."""

    name = serializers.CharField()
    size = serializers.IntegerField(help_text="Bytes.")
    uploadedAt = serializers.DateTimeField()


class KycStateSerializer(StrictSerializer):
    """What is known about the user, and what may move with it within 24 hours."""

    state = serializers.ChoiceField(choices=KycState.choices)
    reason = serializers.CharField(allow_blank=True)
    submittedAt = serializers.DateTimeField(allow_null=True)
    expiresAt = serializers.DateTimeField(allow_null=True)
    depositPerDay = serializers.DecimalField(max_digits=22, decimal_places=6)
    withdrawalPerDay = serializers.DecimalField(max_digits=22, decimal_places=6)
    documents = KycDocumentSerializer(many=True)


class DepositWishSerializer(StrictSerializer):
    """Money to pay in."""

    amount = NumberField(help_text="USD, whole cents.")
    method = serializers.CharField(max_length=32)


class WithdrawalWishSerializer(DepositWishSerializer):
    """Money to be paid out."""

    destination = serializers.CharField(max_length=140, help_text="An IBAN for the method bank.")
    pin = serializers.CharField(max_length=6, required=False, default="", allow_blank=True)


class CashRequestSerializer(StrictSerializer):
    """A deposit or a withdrawal and what became of it."""

    id = serializers.IntegerField()
    accountId = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=["deposit", "withdrawal"])
    amount = serializers.DecimalField(max_digits=22, decimal_places=6)
    method = serializers.CharField()
    reference = serializers.CharField(allow_blank=True)
    destination = serializers.CharField(allow_blank=True)
    state = serializers.ChoiceField(choices=CashState.choices)
    code = serializers.CharField(allow_blank=True, help_text="Why it was refused.")
    createdAt = serializers.DateTimeField()
    decidedAt = serializers.DateTimeField(allow_null=True)


class DepositMadeSerializer(CashRequestSerializer):
    """A new deposit, and what to do for it."""

    instructions = serializers.DictField(child=serializers.CharField())
