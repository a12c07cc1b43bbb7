"""The second factor beside allauth's own flows: whether one is due, whether it was shown, and its code without a page."""

from datetime import datetime
from typing import Any, Final

from allauth.account.authentication import get_authentication_records
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.base.internal.flows import check_rate_limit
from allauth.mfa.models import Authenticator
from allauth.mfa.utils import is_mfa_enabled
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from typing_extensions import override

from apps.auth.models import User
from apps.common.audit import audit_note
from apps.common.errors import ServiceError
from apps.common.sealing import cipher

# What counts as a second factor; recovery codes only stand in for one of these.
FACTORS: Final = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)
_RECORD: Final = "mfa"


class FactorAdapter(DefaultMFAAdapter):
    """allauth's second factor, with its secrets encrypted by the key ring of the API keys."""

    @override
    def encrypt(self, text: str) -> str:
        return cipher().encrypt(text.encode()).decode()

    @override
    def decrypt(self, encrypted_text: str) -> str:
        return cipher().decrypt(encrypted_text.encode()).decode()


def factor_is_set_up(user: Any) -> bool:
    """Return whether a person has a second factor, which every sign-in then asks for."""
    return bool(is_mfa_enabled(user, list(FACTORS)))


def factor_set_up_at(*, user_id: int) -> datetime | None:
    """Return when the oldest second factor of a person was set up, None without one."""
    rows = Authenticator.objects.filter(user_id=user_id, type__in=list(FACTORS))
    return rows.order_by("created_at").values_list("created_at", flat=True).first()


def factor_moments(request: HttpRequest) -> list[float]:
    """Return when this browser's session was shown a second factor, seconds since 1970."""
    records = get_authentication_records(request, request.user)
    return [record["at"] for record in records if record.get("method") == _RECORD]


def factor_code_require(*, user: User, code: str) -> None:
    """Check the code of an authenticator app, or a recovery code, for a sign-in without pages; nothing without a factor.

    Each code counts once; five wrong ones in five minutes stop further tries.
    Errors: ServiceError SECOND_FACTOR_REQUIRED, SECOND_FACTOR_INVALID, both 403.
    """
    if not factor_is_set_up(user):
        return
    if not code:
        raise ServiceError(
            "SECOND_FACTOR_REQUIRED",
            "this person has a second factor: add `factor`, the code of the authenticator app or a recovery code",
            http_status=403,
        )
    try:
        clear_limit = check_rate_limit(user)
    except ValidationError as error:
        raise ServiceError(
            "RATE_LIMITED", "too many wrong codes: wait five minutes", http_status=429
        ) from error
    codes = Authenticator.objects.filter(user=user).exclude(type=Authenticator.Type.WEBAUTHN)
    if not any(row.wrap().validate_code(code) for row in codes.order_by("id")):
        audit_note("sign_in_failed", actor_id=user.pk, why="second factor")
        raise ServiceError(
            "SECOND_FACTOR_INVALID",
            "`factor` is not the current code of the authenticator app and no unused recovery code",
            http_status=403,
        )
    clear_limit()
