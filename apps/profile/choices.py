"""Words with a fixed meaning in this app; they are stored, so they never change their spelling."""

from typing import Final

from django.db import models

from engine.values import AccountKind as EngineAccountKind
from engine.values import CashKind as EngineCashKind

# How play money comes: the method of cash requests that no person has asked for.
DEMO_METHOD: Final = "demo"


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
    """What became of a cash request; docs/ACCOUNTS.md draws how one leads to the next."""

    # A deposit that staff has not confirmed; nothing was sent to the engine.
    REQUESTED = "requested", "Requested"
    # On its way to the engine.
    PENDING = "pending", "Pending"
    # A withdrawal whose money the engine has set aside; it waits for staff.
    RESERVED = "reserved", "Waits for approval"
    # Approved or rejected by staff, on its way to the engine.
    SETTLING = "settling", "Being paid out"
    RETURNING = "returning", "Being returned"
    REFUSED = "refused", "Refused"
    CANCELLED = "cancelled", "Cancelled"
    SETTLED = "settled", "Settled"
    RETURNED = "returned", "Returned"


class KycState(models.TextChoices):
    """How far the platform knows who a person is."""

    NONE = "none", "Not submitted"
    SUBMITTED = "submitted", "Submitted"
    APPROVED = "approved", "Approved"
    REJECTED = "rejected", "Rejected"
    EXPIRED = "expired", "Expired"
