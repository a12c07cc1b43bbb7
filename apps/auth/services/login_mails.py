"""The mail with a sign-in link and its code, in two steps of the outbox: the link is made, and when it is durable its mail leaves.

So a mail never arrives before its link works, and an attempt that died is repeated with the same link.
"""

from datetime import UTC, datetime
from urllib.parse import urlencode

from django.conf import settings
from django.urls import reverse
from django.utils import timezone

from apps.auth import selectors
from apps.auth.choices import LinkOrigin
from apps.auth.services.links import login_link_issue
from apps.common.outbox import outbox_add, outbox_task
from apps.common.sealing import SealBrokenError, seal, unseal
from apps.notifications.facade import language_of, letter_write, mail_task


@outbox_task
def login_link_make(
    *,
    name: str,
    email: str,
    origin: str,
    nonce_sha256: str,
    next_path: str,
    asked_ip: str | None,
    asked_at_us: int,
    language: str,
    is_held_back: bool,
) -> None:
    """Make the link that somebody asked for and have its mail sent; nothing for a wish beyond the limits, or an old one."""
    asked_at = datetime.fromtimestamp(asked_at_us // 1_000_000, UTC)
    # A mail that could not leave in time would only surprise.
    if is_held_back or (timezone.now() - asked_at).total_seconds() > settings.LOGIN_LINK_SECONDS:
        return
    link = login_link_issue(
        email=email,
        origin=LinkOrigin(origin),
        nonce_sha256=nonce_sha256,
        next_path=next_path,
        asked_ip=asked_ip,
    )
    user = selectors.user_by_email(email=email)
    outbox_add(
        login_mail_send,
        key=f"{name}:mail",
        name=name,
        # Whoever reads the table must not be able to sign in by it.
        sealed=seal(
            {
                "email": email,
                "token": link.token,
                "code": link.code,
                "ip": asked_ip,
                "language": language if user is None else language_of(user.pk),
            }
        ),
    )


@mail_task
def login_mail_send(*, name: str, sealed: str) -> None:
    """Send a sign-in link with its code, unless it has ended meanwhile."""
    try:
        content = unseal(sealed, age_s_max=settings.LOGIN_LINK_SECONDS)
    except SealBrokenError:
        return
    # The host comes from the settings: a forged Host header must not lead the link elsewhere.
    path = f"{reverse('auth-verify')}?{urlencode({'token': content['token']})}"
    letter_write(
        template="auth/mail/login_link",
        context={
            "url": f"{settings.PUBLIC_URL}{path}",
            "code": content["code"],
            "minutes": settings.LOGIN_LINK_SECONDS // 60,
            "asked_ip": content["ip"],
        },
        to=content["email"],
        name=name,
        language=content["language"],
    )
