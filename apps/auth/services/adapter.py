"""What this product changes in allauth's account flows."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.flows.login import record_authentication
from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest
from django.utils.translation import get_language_from_request, gettext_noop
from typing_extensions import override

from apps.auth.models import User
from apps.auth.services.clients import client_note
from apps.auth.services.step_up import proof_note
from apps.common.audit import audit_note
from apps.common.clock import now_us
from apps.notifications.facade import NoticeEvent, language_note, notify

# allauth's names for what happened to a second factor, in the words of our message.
_FACTOR_NEWS = {
    "mfa/email/totp_activated": gettext_noop("An authenticator app was added"),
    "mfa/email/totp_deactivated": gettext_noop("The authenticator app was removed"),
    "mfa/email/webauthn_added": gettext_noop("A passkey was added"),
    "mfa/email/webauthn_removed": gettext_noop("A passkey was removed"),
    "mfa/email/recovery_codes_generated": gettext_noop("New recovery codes were made"),
}
_ADDED = {"mfa/email/totp_activated", "mfa/email/webauthn_added"}


class AccountAdapter(DefaultAccountAdapter):
    """allauth's sign-in without its sign-up and its on-screen messages."""

    @override
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        # The first use of a sign-in link creates the user; there is no second way in.
        return False

    @override
    def login(self, request: HttpRequest, user: AbstractBaseUser) -> None:
        # Every way of signing in ends here, with and without a second factor.
        super().login(request, user)
        proof_note(request)
        if isinstance(user, User):
            client_note(request=request, user=user)
            audit_note("sign_in", actor_id=user.pk, ip=request.META.get("REMOTE_ADDR") or None)
            if not user.is_guest:
                language_note(user.pk, get_language_from_request(request))

    @override
    def is_reauthentication_required(self, *, app: str, **kwargs: Any) -> bool:
        # Every page that changes something stands behind a fresh proof already (urls.py), also for people without a factor,
        # whom allauth would not ask; and its own question would come in the middle of setting up the first one.
        return False

    @override
    def send_notification_mail(
        self,
        template_prefix: str,
        user: AbstractBaseUser,
        context: dict[str, Any] | None = None,
        email: str | None = None,
    ) -> None:
        facts = {"what": _FACTOR_NEWS[template_prefix], "ip": self.get_client_ip(self.request)}
        notify(user.pk, NoticeEvent.FACTOR_CHANGED, facts, f"factor:{user.pk}:{now_us()}")
        audit_note("factor_changed", actor_id=user.pk, ip=facts["ip"], what=facts["what"])
        if template_prefix in _ADDED:
            # Setting it up has shown it, so the same session is not asked for it at once.
            record_authentication(self.request, user, "mfa", reauthenticated=True)

    @override
    def get_client_ip(self, request: HttpRequest) -> str:
        # The ASGI server has resolved trusted proxies; on a Unix socket there is no address, and allauth wants one.
        return request.META.get("REMOTE_ADDR") or "::"

    @override
    def add_message(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        # "Signed in as" would wait in the session for a page that shows such messages.
        return
