"""allauth's forms of the second factor, which write down what was wrong: a code, a recovery code, a passkey."""

from typing import Any

from allauth.core import context
from allauth.mfa.base import forms as base
from allauth.mfa.webauthn import forms as webauthn
from django import forms
from typing_extensions import override

from apps.auth.views.edge import client_ip
from apps.common.audit import audit_note


class _Noted(forms.Form):
    """A form that notes in the audit log that it was not filled in right; never with what."""

    event = "sign_in_failed"
    # Set by allauth's own forms.
    user: Any

    @override
    def full_clean(self) -> None:
        super().full_clean()
        if self.is_bound and self.errors:
            ip = None if context.request is None else client_ip(context.request)
            audit_note(self.event, actor_id=self.user.pk, ip=ip, why="second factor")


class CodeForm(_Noted, base.AuthenticateForm):
    """The second step of a sign-in, by a code."""


class PasskeyForm(_Noted, webauthn.AuthenticateWebAuthnForm):
    """The second step of a sign-in, by a passkey."""


class CodeAgainForm(_Noted, base.ReauthenticateForm):
    """A fresh proof, by a code."""

    event = "proof_failed"


class PasskeyAgainForm(_Noted, webauthn.ReauthenticateWebAuthnForm):
    """A fresh proof, by a passkey."""

    event = "proof_failed"
