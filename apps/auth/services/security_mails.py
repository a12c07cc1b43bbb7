"""Mails about the safety of a user's own door: decided in the transaction of their cause, sent by the outbox."""

from typing import Any

from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string

from apps.auth.models import User
from apps.common.outbox import outbox_add, outbox_task


def security_mail_add(*, user_id: int, event: str, key: str, **facts: Any) -> None:
    """Have a mail sent about an event; a second one of the same key is left out."""
    outbox_add(security_mail_send, key=key, user_id=user_id, event=event, facts=facts)


@outbox_task
def security_mail_send(*, user_id: int, event: str, facts: dict[str, Any]) -> None:
    """Send the mail of one event, from the templates of that name."""
    user = User.objects.filter(pk=user_id, is_guest=False).first()
    # Guests have told no address, and deleted people get no mail.
    if user is None or not user.is_active:
        return
    context = {"user": user, **facts}
    message = EmailMultiAlternatives(
        subject=render_to_string(f"auth/mail/{event}_subject.txt", context).strip(),
        body=render_to_string(f"auth/mail/{event}.txt", context),
        to=[user.email],
    )
    message.attach_alternative(render_to_string(f"auth/mail/{event}.html", context), "text/html")
    message.send()
