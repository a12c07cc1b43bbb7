"""Reads from a request what step_up_check asks for; installed for all apps by apps.py."""

from django.http import HttpRequest
from rest_framework.request import Request

from apps.auth.services.step_up import step_up_check


def step_up(request: Request | HttpRequest, pin: str) -> None:
    """Require a fresh proof of who sends a request.

    Errors: those of step_up_check.
    """
    step_up_check(
        request=getattr(request, "_request", request),
        user_id=request.user.pk or 0,
        is_guest=bool(getattr(request.user, "is_guest", False)),
        session_digest=getattr(request.user, "session_digest", None),
        pin=pin,
    )
