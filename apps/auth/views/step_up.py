"""Reads from a request what step_up_check asks for; installed for all apps by apps.py."""

from rest_framework.request import Request

from apps.auth.services.step_up import step_up_check
from apps.common.requests import user_id_of


def step_up(request: Request, pin: str) -> None:
    """Require a fresh proof of who sends a request.

    Errors: those of step_up_check.
    """
    step_up_check(
        request=getattr(request, "_request", request),
        user_id=user_id_of(request),
        is_guest=bool(getattr(request.user, "is_guest", False)),
        session_digest=getattr(request.user, "session_digest", None),
        pin=pin,
    )
