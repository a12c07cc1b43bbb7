"""Words with a fixed meaning in this app; they are stored, so they never change their spelling."""

from django.db import models

from engine.values import AccountKind as EngineAccountKind
from engine.values import CashKind as EngineCashKind


class AccountKind(models.TextChoices):
    """Whose money an account holds."""

    DEMO = EngineAccountKind.DEMO.value, "Demo"
    LIVE = EngineAccountKind.LIVE.value, "Live"


class CashKind(models.TextChoices):
    """What a cash command does to the balance."""

    DEPOSIT = EngineCashKind.DEPOSIT.value, "Deposit"
    WITHDRAWAL = EngineCashKind.WITHDRAWAL.value, "Withdrawal"
    SETTLE = EngineCashKind.SETTLE.value, "Settlement of a withdrawal"
    RETURN = EngineCashKind.RETURN.value, "Return of a withdrawal"
    ADJUSTMENT = EngineCashKind.ADJUSTMENT.value, "Adjustment"
    BONUS = EngineCashKind.BONUS.value, "Bonus"


class CashState(models.TextChoices):
    """What became of a cash request."""

    PENDING = "pending", "Pending"
    REFUSED = "refused", "Refused"
    SETTLED = "settled", "Settled"
    RETURNED = "returned", "Returned"
