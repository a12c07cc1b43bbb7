"""Words with a fixed meaning in this app; they are stored, so they never change their spelling."""

from typing import Final

from django.db import models
from django.utils.translation import gettext_lazy as _

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

    DEPOSIT = EngineCashKind.DEPOSIT.value, _("Deposit")
    WITHDRAWAL = EngineCashKind.WITHDRAWAL.value, _("Withdrawal")
    SETTLE = EngineCashKind.SETTLE.value, _("Settlement of a withdrawal")
    RETURN = EngineCashKind.RETURN.value, _("Return of a withdrawal")
    ADJUSTMENT = EngineCashKind.ADJUSTMENT.value, _("Adjustment")
    BONUS = EngineCashKind.BONUS.value, _("Bonus")


class CashState(models.TextChoices):
    """What became of a cash request; docs/ACCOUNTS.md draws how one leads to the next."""

    # A deposit that staff has not confirmed; nothing was sent to the engine.
    REQUESTED = "requested", _("Requested")
    # On its way to the engine.
    PENDING = "pending", _("Pending")
    # A withdrawal whose money the engine has set aside; it waits for staff.
    RESERVED = "reserved", _("Waits for approval")
    # Approved or rejected by staff, on its way to the engine.
    SETTLING = "settling", _("Being paid out")
    RETURNING = "returning", _("Being returned")
    REFUSED = "refused", _("Refused")
    CANCELLED = "cancelled", _("Cancelled")
    SETTLED = "settled", _("Settled")
    RETURNED = "returned", _("Returned")


class KycState(models.TextChoices):
    """How far the platform knows who a person is."""

    NONE = "none", _("Not submitted")
    SUBMITTED = "submitted", _("Submitted")
    APPROVED = "approved", _("Approved")
    REJECTED = "rejected", _("Rejected")
    EXPIRED = "expired", _("Expired")
