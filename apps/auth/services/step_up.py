"""What counts as a fresh proof of who is there: the PIN of a device, or a browser's sign-in of the last five minutes."""

from typing import Final

from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import gettext as _

from apps.auth import selectors
from apps.auth.services.factors import factor_is_set_up, factor_moments
from apps.auth.services.link_secrets import sha256_hex
from apps.auth.services.pins import pin_check
from apps.common.clock import now_us
from apps.common.errors import ServiceError
from apps.common.rate_limits import bound_to
from apps.common.step_up import Proof

FRESH_SECONDS: Final = 300
# In a browser's session: when it signed in, seconds since 1970.
PROVED_AT: Final = "proved_at"


def _now_s() -> int:
    return now_us() // 1_000_000


def proof_note(request: HttpRequest) -> None:
    """Note that this browser has just proved who is there."""
    request.session[PROVED_AT] = _now_s()


def _proved_at(request: HttpRequest) -> float:
    """Return when this browser has last proved who is there: by its second factor, else by link or code."""
    if factor_is_set_up(request.user):
        # The mailbox alone proves nothing for who has decided that it must not be enough.
        moments = factor_moments(request)
    else:
        moments = [request.session.get(PROVED_AT, 0)]
    return max(moments, default=0)


def proof_is_fresh(request: HttpRequest) -> bool:
    """Return whether this browser has proved who is there within five minutes."""
    return _now_s() - _proved_at(request) < FRESH_SECONDS


def step_up_check(
    *, request: HttpRequest, user_id: int, is_guest: bool, session_digest: str | None, proof: Proof
) -> None:
    """Require a fresh proof; `session_digest` names a device's session and is None for browsers.

    A device sends its PIN with the very request that it approves. A browser's proof approves the first transaction that is
    shown to it, again if it is repeated, and no other.
    Errors: ServiceError GUEST_FORBIDDEN, STEP_UP_REQUIRED, SECOND_FACTOR_NEEDED, UNAVAILABLE, and those of pin_check.
    """
    if is_guest:
        raise ServiceError(
            "GUEST_FORBIDDEN",
            _("this is not for guests: tell an e-mail address first"),
            http_status=403,
        )
    if session_digest is None:
        _browser_check(request, user_id, proof)
        return
    device = selectors.device_by_digest(user_id=user_id, session_digest=session_digest)
    if device is None:
        raise ServiceError(
            "DEVICE_REQUIRED", "expected the access token of a device", http_status=403
        )
    pin_check(device=device, pin=proof.pin)


def _browser_check(request: HttpRequest, user_id: int, proof: Proof) -> None:
    if proof.needs_factor and settings.MONEY_SECOND_FACTOR and not factor_is_set_up(request.user):
        raise ServiceError(
            "SECOND_FACTOR_NEEDED",
            _("this needs a second factor: set up an authenticator app or a passkey first"),
            http_status=403,
        )
    if not proof_is_fresh(request):
        raise ServiceError(
            "STEP_UP_REQUIRED",
            _("this needs a sign-in of the last %(minutes)s minutes: sign in again and repeat it")
            % {"minutes": FRESH_SECONDS // 60},
            http_status=403,
        )
    if proof.approves and not bound_to(
        key=f"proof:{user_id}:{request.session.session_key}:{_proved_at(request)}",
        value=sha256_hex(proof.approves),
        milliseconds=FRESH_SECONDS * 1000,
    ):
        raise ServiceError(
            "STEP_UP_REQUIRED",
            _("your last sign-in has approved another transaction: sign in again for this one"),
            http_status=403,
        )
