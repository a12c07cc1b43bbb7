"""Hands one mail or one SMS to the backend of its way, so that the outbox can tell whether anything has left.

A backend that says it is repeatable (`is_repeatable`) gets a message under its own name and may get it again; any other gets it
once (apps/common/outbox.py).
"""

import smtplib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parseaddr
from typing import Any, Final, TypeVar

import sms
from anymail.exceptions import AnymailError
from django.conf import settings
from django.core import mail
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.module_loading import import_string

from apps.common.outbox import NotSentError, outbox_task_once

Task = TypeVar("Task", bound=Callable[..., None])

_SMS_CHARACTERS_MAX: Final = 300
_NOT_SENT: Final = (smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused)


@dataclass(frozen=True, slots=True)
class Letter:
    """One mail, ready to leave."""

    # What makes it the same mail at each attempt; becomes its Message-ID.
    name: str
    to: str
    subject: str
    text: str
    html: str


def _is_repeatable(backend: str) -> bool:
    return bool(getattr(import_string(backend), "is_repeatable", False))


def mail_is_repeatable(**_: Any) -> bool:
    """Return whether a mail may be sent again under its name without arriving twice."""
    return _is_repeatable(settings.EMAIL_BACKEND)


def sms_is_repeatable(**_: Any) -> bool:
    """Return whether an SMS may be sent again under its name without arriving twice."""
    return _is_repeatable(settings.SMS_BACKEND)


def mail_task(function: Task) -> Task:
    """Declare a function that the outbox may call and that sends one mail, last of all."""
    return outbox_task_once(mail_is_repeatable)(function)


def sms_task(function: Task) -> Task:
    """Declare a function that the outbox may call and that sends one SMS, last of all."""
    return outbox_task_once(sms_is_repeatable)(function)


def letter_send(letter: Letter) -> None:
    """Send a mail.

    Errors: NotSentError if nothing has left; whatever else the backend raises.
    """
    domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].partition("@")[2] or "localhost"
    message = EmailMultiAlternatives(
        subject=letter.subject,
        body=letter.text,
        to=[letter.to],
        # The same at each attempt: what takes a mail twice can see that it is the same one.
        headers={"Message-ID": f"<{letter.name}@{domain}>"},
    )
    message.attach_alternative(letter.html, "text/html")
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


def letter_write(
    *, template: str, context: Mapping[str, Any], to: str, name: str, language: str
) -> None:
    """Send a mail whose words carry a secret, such as a sign-in link; in a function marked ``@mail_task`` only.

    ``template`` names three files: with _subject.txt, .txt and .html. ``name`` makes it the same mail at each attempt.
    Errors: NotSentError if nothing has left; whatever else the backend raises.
    """
    with translation.override(language):
        letter = Letter(
            name=name,
            to=to,
            subject=render_to_string(f"{template}_subject.txt", dict(context)).strip(),
            text=render_to_string(f"{template}.txt", dict(context)),
            html=render_to_string(f"{template}.html", dict(context)),
        )
    letter_send(letter)


def sms_send(*, name: str, to: str, text: str) -> None:
    """Send an SMS, cut to three parts.

    Errors: whatever the backend raises.
    """
    message = sms.Message(
        body=text[:_SMS_CHARACTERS_MAX], originator=settings.DEFAULT_FROM_SMS, recipients=[to]
    )
    # What the file backend names the file after, and a service's backend may send as its idempotency key.
    message.message_id = name
    sms.get_connection().send_messages([message])
