"""Reads from a request what the checks of a fresh proof ask for; installed for all apps by apps.py."""

from django.conf import settings
from django.http import HttpRequest

from apps.auth import selectors
from apps.auth.services.factors import factor_moments, factor_set_up_at
from apps.auth.services.step_up import step_up_check
from apps.auth.views.proofs import proof_page_url
from apps.common.step_up import AnyRequest, Proof, StepUp


def _browser_of(request: AnyRequest) -> HttpRequest:
    browser: HttpRequest = getattr(request, "_request", request)
    return browser


def _check(request: AnyRequest, proof: Proof) -> None:
    step_up_check(
        request=_browser_of(request),
        user_id=request.user.pk or 0,
        is_guest=bool(getattr(request.user, "is_guest", False)),
        session_digest=getattr(request.user, "session_digest", None),
        proof=proof,
    )


def _staff_may(request: AnyRequest) -> bool:
    if not settings.STAFF_SECOND_FACTOR:
        return True
    session_digest = getattr(request.user, "session_digest", None)
    if session_digest is None:
        return bool(factor_moments(_browser_of(request)))
    # Whoever has a factor is asked for it when a device signs in; so a device is good if the factor is older than it.
    user_id = request.user.pk or 0
    device = selectors.device_by_digest(user_id=user_id, session_digest=session_digest)
    since = factor_set_up_at(user_id=user_id)
    return device is not None and since is not None and since <= device.created_at


STEP_UP = StepUp(check=_check, page=proof_page_url, staff_may=_staff_may)
