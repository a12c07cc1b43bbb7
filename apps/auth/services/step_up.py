"""What counts as a fresh proof of who is there: the PIN of a device, or a browser's sign-in of the last five minutes."""

from typing import Final

from django.http import HttpRequest

from apps.auth import selectors
from apps.auth.services.factors import factor_is_set_up, factor_moments
from apps.auth.services.pins import pin_check
from apps.common.clock import now_us
from apps.common.errors import ServiceError

FRESH_SECONDS: Final = 300
# In a browser's session: when it signed in, seconds since 1970.
PROVED_AT: Final = "proved_at"


def _now_s() -> int:
    return now_us() // 1_000_000


def proof_note(request: HttpRequest) -> None:
    """Note that this browser has just proved who is there."""
    request.session[PROVED_AT] = _now_s()


def proof_is_fresh(request: HttpRequest) -> bool:
    """Return whether this browser has proved who is there within five minutes, by its second factor, else by link or code."""
    if factor_is_set_up(request.user):
        # The mailbox alone proves nothing for who has decided that it must not be enough.
        moments = factor_moments(request)
    else:
        moments = [request.session.get(PROVED_AT, 0)]
    return _now_s() - max(moments, default=0) < FRESH_SECONDS


def step_up_check(
    *, request: HttpRequest, user_id: int, is_guest: bool, session_digest: str | None, pin: str
) -> None:
    """Require a fresh proof; `session_digest` names a device's session and is None for browsers.

    Errors: ServiceError GUEST_FORBIDDEN, STEP_UP_REQUIRED, and those of pin_check.
    """
    if is_guest:
        raise ServiceError(
            "GUEST_FORBIDDEN",
            "this is not for guests: tell an e-mail address first",
            http_status=403,
        )
    if session_digest is None:
        if not proof_is_fresh(request):
            raise ServiceError(
                "STEP_UP_REQUIRED",
                f"this needs a sign-in of the last {FRESH_SECONDS // 60} minutes: sign in again and repeat it",
                http_status=403,
            )
        return
    device = selectors.device_by_digest(user_id=user_id, session_digest=session_digest)
    if device is None:
        raise ServiceError(
            "DEVICE_REQUIRED", "expected the access token of a device", http_status=403
        )
    pin_check(device=device, pin=pin)
