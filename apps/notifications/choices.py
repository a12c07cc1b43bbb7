"""Words with a fixed meaning in this app; they are stored, so they never change their spelling.

What each event is by default, and whether it may be switched off or wait for the morning, stands beside it.
"""

from dataclasses import dataclass
from typing import Final

from django.db import models


class Channel(models.TextChoices):
    """By which way a message travels."""

    MAIL = "mail", "E-mail"
    SMS = "sms", "SMS"


class NoticeEvent(models.TextChoices):
    """What people are told about; the templates have these names."""

    NEW_DEVICE = "new_device", "Sign-in from a new device"
    KEY_MADE = "key_made", "API key made"
    PIN_LOCKED = "pin_locked", "PIN locked"
    TOKEN_REUSED = "token_reused", "Stolen session ended"
    FACTOR_CHANGED = "factor_changed", "Second factor changed"
    EMAIL_CHANGED = "email_changed", "E-mail address changed"
    ORDER_FILLED = "order_filled", "Order filled"
    STOP_LOSS_HIT = "stop_loss_hit", "Stop loss hit"
    TAKE_PROFIT_HIT = "take_profit_hit", "Take profit hit"
    MARGIN_CALL = "margin_call", "Margin call"
    STOP_OUT = "stop_out", "Stop-out"
    LIQUIDATED = "liquidated", "Isolated position liquidated"
    DEPOSIT = "deposit", "Deposit"
    WITHDRAWAL = "withdrawal", "Withdrawal"
    KYC = "kyc", "Identity check"
    STATEMENT_READY = "statement_ready", "Statement ready"


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
    # Somebody who trades all day would get hundreds; the terminal tells each of them anyway.
    NoticeEvent.ORDER_FILLED: EventRule(_NONE),
    NoticeEvent.STOP_LOSS_HIT: EventRule(_MAIL),
    NoticeEvent.TAKE_PROFIT_HIT: EventRule(_MAIL),
    NoticeEvent.MARGIN_CALL: EventRule(_BOTH, is_urgent=True),
    NoticeEvent.STOP_OUT: EventRule(_BOTH, is_urgent=True),
    NoticeEvent.LIQUIDATED: EventRule(_BOTH, is_urgent=True),
    NoticeEvent.DEPOSIT: EventRule(_MAIL),
    NoticeEvent.WITHDRAWAL: EventRule(_MAIL, forced=_MAIL),
    NoticeEvent.KYC: EventRule(_MAIL),
    NoticeEvent.STATEMENT_READY: EventRule(_MAIL),
}
