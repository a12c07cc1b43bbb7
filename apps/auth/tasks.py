"""Jobs of the rq worker: the mail that carries a sign-in link and its code."""

from urllib.parse import urlencode

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.urls import reverse

from apps.auth.choices import LinkOrigin
from apps.auth.services.links import login_link_issue


def login_mail_send(
    *, email: str, origin: str, nonce_sha256: str, next_path: str, asked_ip: str | None
) -> None:
    """Make a sign-in link and send it with its code; run again, it makes a new one."""
    link = login_link_issue(
        email=email,
        origin=LinkOrigin(origin),
        nonce_sha256=nonce_sha256,
        next_path=next_path,
        asked_ip=asked_ip,
    )
    # The host comes from the settings: a forged Host header must not lead the link elsewhere.
    url = f"{settings.PUBLIC_URL}{reverse('auth-verify')}?{urlencode({'token': link.token})}"
    context = {
        "url": url,
        "code": link.code,
        "minutes": settings.LOGIN_LINK_SECONDS // 60,
        "asked_ip": asked_ip,
    }
    message = EmailMultiAlternatives(
        subject=render_to_string("auth/mail/login_link_subject.txt", context).strip(),
        body=render_to_string("auth/mail/login_link.txt", context),
        to=[email],
    )
    message.attach_alternative(render_to_string("auth/mail/login_link.html", context), "text/html")
    message.send()
