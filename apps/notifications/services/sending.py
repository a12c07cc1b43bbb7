"""Sends one message: renders it in the receiver's language and hands it to the channel's backend.

Run by the outbox only. A backend that says it is repeatable gets the message under the delivery's own name and may get it
again; any other gets it once (apps/common/outbox.py).
"""

import smtplib
from email.utils import parseaddr
from typing import Any, Final
from zoneinfo import ZoneInfo

import sms
from anymail.exceptions import AnymailError
from django.conf import settings
from django.core import mail
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.utils import timezone, translation
from django.utils.module_loading import import_string

from apps.common.outbox import NotSentError, outbox_task_once
from apps.notifications import selectors
from apps.notifications.choices import Channel
from apps.notifications.models import Delivery, Reach

_SMS_CHARACTERS_MAX: Final = 300
_NOT_SENT: Final = (smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused)


def delivery_is_repeatable(*, delivery_id: int) -> bool:
    """Return whether a message may be sent again under its name without arriving twice."""
    channel = selectors.delivery_get(delivery_id=delivery_id).channel
    name = settings.EMAIL_BACKEND if channel == Channel.MAIL else settings.SMS_BACKEND
    return bool(getattr(import_string(name), "is_repeatable", False))


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
            _mail_send(delivery, reach)
        else:
            _sms_send(delivery, reach)
        delivery.sent_at = timezone.now()
    delivery.save(update_fields=["sent_at", "dropped"])


def _obstacle(delivery: Delivery, reach: Reach) -> str:
    if delivery.channel == Channel.SMS and reach.phone_confirmed_at is None:
        return "no_phone"
    address = delivery.address or delivery.user.email
    # Guests have an address in this domain, and so have people who deleted their account.
    if delivery.channel == Channel.MAIL and address.endswith(".invalid"):
        return "no_address"
    return ""


def _mail_send(delivery: Delivery, reach: Reach) -> None:
    domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].partition("@")[2] or "localhost"
    message = EmailMultiAlternatives(
        subject=render(delivery, reach, "subject.txt"),
        body=render(delivery, reach, "mail.txt"),
        to=[delivery.address or delivery.user.email],
        # The same at each attempt: what takes a mail twice can see that it is the same one.
        headers={"Message-ID": f"<message-{delivery.pk}@{domain}>"},
    )
    message.attach_alternative(render(delivery, reach, "mail.html"), "text/html")
    connection = mail.get_connection()
    try:
        # Apart from the sending: nothing has left while no server could be reached.
        connection.open()
    except OSError as error:
        raise NotSentError(f"no mail server: {error}") from error
    try:
        connection.send_messages([message])
    except _NOT_SENT as error:
        raise NotSentError(f"the mail server refused: {error}") from error
    except AnymailError as error:
        if getattr(error, "status_code", None) is None:
            raise
        raise NotSentError(f"the mail service refused: {error}") from error
    finally:
        connection.close()


def _sms_send(delivery: Delivery, reach: Reach) -> None:
    message = sms.Message(
        body=render(delivery, reach, "sms.txt")[:_SMS_CHARACTERS_MAX],
        originator=settings.DEFAULT_FROM_SMS,
        recipients=[reach.phone],
    )
    # What the file backend names the file after, and a service's backend may send as its idempotency key.
    message.message_id = f"message-{delivery.pk}"
    sms.get_connection().send_messages([message])


def render(delivery: Delivery, reach: Reach, form: str) -> str:
    """Return one form of a message: the event's template says what, the layout named by the form says how."""
    context: dict[str, Any] = {
        **delivery.facts,
        "layout": f"notifications/layout_{form}",
        "site": settings.PUBLIC_URL,
        "at": delivery.created_at,
        "name": delivery.user.get_short_name(),
    }
    with translation.override(reach.language), timezone.override(ZoneInfo(reach.time_zone)):
        text = render_to_string(f"notifications/events/{delivery.event}.html", context)
    if form == "mail.html":
        return text
    # Blocks leave empty lines where another layout shows something.
    lines = [" ".join(line.split()) for line in text.strip().splitlines()]
    if form in {"subject.txt", "sms.txt"}:
        return " ".join(filter(None, lines))
    paragraphs = "\n".join(lines).split("\n\n")
    return "\n\n".join(filter(None, (paragraph.strip("\n") for paragraph in paragraphs))) + "\n"
