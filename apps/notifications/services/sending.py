"""Sends one message about an event: renders it in the receiver's language and hands it to the channel; run by the outbox only."""

import re
from decimal import ROUND_FLOOR, Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.conf import settings
from django.template.loader import render_to_string
from django.utils import formats, timezone, translation
from django.utils.translation import gettext

from apps.common.outbox import outbox_task_once
from apps.notifications import selectors
from apps.notifications.choices import Channel
from apps.notifications.models import Delivery, Reach
from apps.notifications.services.letters import (
    Letter,
    letter_send,
    mail_is_repeatable,
    sms_is_repeatable,
    sms_send,
)

# Facts that are words and no names or figures; whoever tells them has marked them for translation.
_WORDS: Final = frozenset({"side", "state", "reason", "scopes", "until", "what"})
# Amounts of money, exact to the micro-USD where they are stored; people read cents, and statements have the rest.
_MONEY: Final = frozenset({"pnl", "equity", "margin", "amount"})
_NUMBERS: Final = frozenset({"price", "quantity", "level"})
_NUMBER: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?", re.ASCII)
_CENT: Final = Decimal("0.01")


def delivery_is_repeatable(*, delivery_id: int) -> bool:
    """Return whether a message may be sent again under its name without arriving twice."""
    channel = selectors.delivery_get(delivery_id=delivery_id).channel
    return mail_is_repeatable() if channel == Channel.MAIL else sms_is_repeatable()


@outbox_task_once(delivery_is_repeatable)
def delivery_send(*, delivery_id: int) -> None:
    """Send a message and note when; one that nobody can receive is dropped, with the reason.

    Errors: NotSentError if nothing has left; whatever else the backend raises.
    """
    delivery = selectors.delivery_get(delivery_id=delivery_id)
    reach = selectors.reach_get(user_id=delivery.user_id)
    delivery.dropped = _obstacle(delivery, reach)
    if not delivery.dropped:
        if delivery.channel == Channel.MAIL:
            letter_send(_letter(delivery, reach))
        else:
            text = render(delivery, reach, "sms.txt")
            sms_send(name=_name(delivery), to=reach.phone, text=text)
        delivery.sent_at = timezone.now()
    delivery.save(update_fields=["sent_at", "dropped"])


def _name(delivery: Delivery) -> str:
    return f"message-{delivery.pk}"


def _obstacle(delivery: Delivery, reach: Reach) -> str:
    if delivery.channel == Channel.SMS and reach.phone_confirmed_at is None:
        return "no_phone"
    address = delivery.address or delivery.user.email
    # Guests have an address in this domain, and so have people who deleted their account.
    if delivery.channel == Channel.MAIL and address.endswith(".invalid"):
        return "no_address"
    return ""


def _letter(delivery: Delivery, reach: Reach) -> Letter:
    return Letter(
        name=_name(delivery),
        to=delivery.address or delivery.user.email,
        subject=render(delivery, reach, "subject.txt"),
        text=render(delivery, reach, "mail.txt"),
        html=render(delivery, reach, "mail.html"),
    )


def _shown(name: str, value: str) -> str:
    """Return a fact as people of the active language read it.

    Rounding: money down to the cent, so that nothing looks better than it is; the terminal does the same.
    """
    if name in _WORDS:
        # The empty text stands for the catalogue's own header.
        return gettext(value) if value else value
    if name not in _MONEY | _NUMBERS or _NUMBER.fullmatch(value) is None:
        return value
    number = Decimal(value)
    if name in _MONEY:
        number = number.quantize(_CENT, rounding=ROUND_FLOOR)
    return formats.number_format(number, use_l10n=True, force_grouping=True)


def render(delivery: Delivery, reach: Reach, form: str) -> str:
    """Return one form of a message: the event's template says what, the layout named by the form says how."""
    with translation.override(reach.language), timezone.override(ZoneInfo(reach.time_zone)):
        context: dict[str, Any] = {
            **{name: _shown(name, value) for name, value in delivery.facts.items()},
            "layout": f"notifications/layout_{form}",
            "site": settings.PUBLIC_URL,
            "at": delivery.created_at,
            "name": delivery.user.get_short_name(),
        }
        text = render_to_string(f"notifications/events/{delivery.event}.html", context)
    if form == "mail.html":
        return text
    # Blocks leave empty lines where another layout shows something.
    lines = [" ".join(line.split()) for line in text.strip().splitlines()]
    if form in {"subject.txt", "sms.txt"}:
        return " ".join(filter(None, lines))
    paragraphs = "\n".join(lines).split("\n\n")
    return "\n\n".join(filter(None, (paragraph.strip("\n") for paragraph in paragraphs))) + "\n"
