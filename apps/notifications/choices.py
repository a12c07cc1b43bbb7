"""Words with a fixed meaning in this app; they are stored, so they never change their spelling.

What each event is by default, and whether it may be switched off or wait for the morning, stands beside it.
"""

from dataclasses import dataclass
from typing import Final

from django.db import models
from django.utils.translation import gettext_lazy as _


class Channel(models.TextChoices):
    """By which way a message travels."""

    MAIL = "mail", _("E-mail")
    SMS = "sms", _("SMS")


class NoticeEvent(models.TextChoices):
    """What people are told about; the templates have these names."""

    NEW_DEVICE = "new_device", _("Sign-in from a new device")
    KEY_MADE = "key_made", _("API key made")
    PIN_LOCKED = "pin_locked", _("PIN locked")
    TOKEN_REUSED = "token_reused", _("Stolen session ended")
    FACTOR_CHANGED = "factor_changed", _("Second factor changed")
    EMAIL_CHANGED = "email_changed", _("E-mail address changed")
    PHONE_CHANGED = "phone_changed", _("Phone number changed")
    ORDER_FILLED = "order_filled", _("Order filled")
    STOP_LOSS_HIT = "stop_loss_hit", _("Stop loss hit")
    TAKE_PROFIT_HIT = "take_profit_hit", _("Take profit hit")
    MARGIN_CALL = "margin_call", _("Margin call")
    STOP_OUT = "stop_out", _("Stop-out")
    LIQUIDATED = "liquidated", _("Isolated position liquidated")
    CLOSED_BY_STAFF = "closed_by_staff", _("Position closed by our staff")
    DEPOSIT = "deposit", _("Deposit")
    WITHDRAWAL = "withdrawal", _("Withdrawal")
    KYC = "kyc", _("Identity check")
    STATEMENT_READY = "statement_ready", _("Statement ready")


@dataclass(frozen=True, slots=True)
class EventRule:
    """How an event is treated unless its receiver has decided otherwise."""

    # Channels that are on by themselves.
    default: frozenset[Channel]
    # Channels that cannot be switched off: what guards an account must reach its owner.
    forced: frozenset[Channel] = frozenset()
    # Whether it goes out in quiet hours too.
    is_urgent: bool = False


_NONE: Final[frozenset[Channel]] = frozenset()
_MAIL: Final = frozenset({Channel.MAIL})
_BOTH: Final = frozenset({Channel.MAIL, Channel.SMS})

EVENT_RULES: Final[dict[NoticeEvent, EventRule]] = {
    NoticeEvent.NEW_DEVICE: EventRule(_BOTH, forced=_MAIL, is_urgent=True),
    NoticeEvent.KEY_MADE: EventRule(_BOTH, forced=_MAIL, is_urgent=True),
    NoticeEvent.PIN_LOCKED: EventRule(_BOTH, forced=_MAIL, is_urgent=True),
    NoticeEvent.TOKEN_REUSED: EventRule(_BOTH, forced=_MAIL, is_urgent=True),
    NoticeEvent.FACTOR_CHANGED: EventRule(_BOTH, forced=_MAIL, is_urgent=True),
    NoticeEvent.EMAIL_CHANGED: EventRule(_BOTH, forced=_MAIL, is_urgent=True),
    NoticeEvent.PHONE_CHANGED: EventRule(_MAIL, forced=_MAIL, is_urgent=True),
    # Somebody who trades all day would get hundreds; the terminal tells each of them anyway.
    NoticeEvent.ORDER_FILLED: EventRule(_NONE),
    NoticeEvent.STOP_LOSS_HIT: EventRule(_MAIL),
    NoticeEvent.TAKE_PROFIT_HIT: EventRule(_MAIL),
    NoticeEvent.MARGIN_CALL: EventRule(_BOTH, is_urgent=True),
    NoticeEvent.STOP_OUT: EventRule(_BOTH, is_urgent=True),
    NoticeEvent.CLOSED_BY_STAFF: EventRule(_BOTH, is_urgent=True),
    NoticeEvent.LIQUIDATED: EventRule(_BOTH, is_urgent=True),
    NoticeEvent.DEPOSIT: EventRule(_MAIL),
    NoticeEvent.WITHDRAWAL: EventRule(_MAIL, forced=_MAIL),
    NoticeEvent.KYC: EventRule(_MAIL),
    NoticeEvent.STATEMENT_READY: EventRule(_MAIL),
}
