"""Who a person is (KYC): submitted by the person, decided by staff; live accounts open by it, and limits hang on it."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from django.contrib.auth import get_user_model
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.common.audit import audit_note
from apps.common.errors import ServiceError
from apps.common.outbox import Effect, outbox_add_all, outbox_task
from apps.profile import selectors
from apps.profile.choices import AccountKind, KycState
from apps.profile.groups import DEFAULT_GROUP
from apps.profile.models import KycFile, TradingAccount
from apps.profile.selectors import AccountInfo, account_info
from apps.profile.services.notices import kyc_tell

LIVE_ACCOUNTS_MAX: Final = 5
AGE_MIN: Final = 18
_APPROVED_FOR: Final = timedelta(days=730)


@dataclass(frozen=True, slots=True)
class KycLimits:
    """What may move within 24 hours; micro-USD."""

    deposit_micros: int
    withdrawal_micros: int


_NOTHING: Final = KycLimits(0, 0)
LIMITS: Final = {
    KycState.NONE: _NOTHING,
    KycState.SUBMITTED: _NOTHING,
    KycState.APPROVED: KycLimits(50_000 * 10**6, 50_000 * 10**6),
    # Nothing comes in any more, but a person's own money can leave.
    KycState.REJECTED: KycLimits(0, 50_000 * 10**6),
    KycState.EXPIRED: KycLimits(0, 50_000 * 10**6),
}


@dataclass(frozen=True, slots=True)
class KycWish:
    """What a person tells."""

    full_name: str
    birth_date: date
    # ISO 3166-1 alpha-2.
    country: str
    address: str
    document_kind: str
    document_number: str


def kyc_file(*, user_id: int) -> KycFile | None:
    """Return a person's file, None before the first submission."""
    return KycFile.objects.filter(user_id=user_id).first()


def kyc_state(*, user_id: int) -> KycState:
    """Return a person's state; an approval that has ended is EXPIRED."""
    file = kyc_file(user_id=user_id)
    if file is None:
        return KycState.NONE
    is_over = file.expires_at is not None and file.expires_at <= timezone.now()
    return KycState.EXPIRED if file.state == KycState.APPROVED and is_over else KycState(file.state)


@transaction.atomic
def kyc_submit(*, user_id: int, wish: KycWish) -> KycFile:
    """Hand a file in, again after a rejection or an expiry.

    Errors: ServiceError KYC_UNDER_WAY, KYC_APPROVED, INVALID for minors.
    """
    get_user_model().objects.select_for_update().get(pk=user_id)
    state = kyc_state(user_id=user_id)
    if state in {KycState.SUBMITTED, KycState.APPROVED}:
        raise ServiceError(
            "KYC_NOT_OPEN",
            f"expected no file or one that must be renewed, found one that is {state}",
            http_status=409,
            data={"state": state.value},
        )
    today = timezone.now().date()
    born = wish.birth_date
    age = today.year - born.year - ((today.month, today.day) < (born.month, born.day))
    if not AGE_MIN <= age < 130:
        raise ServiceError(
            "INVALID",
            _("birthDate: expected somebody of at least %(years)s years") % {"years": AGE_MIN},
            data={"field": "birthDate"},
        )
    file, _is_new = KycFile.objects.update_or_create(
        user_id=user_id,
        defaults={
            "state": KycState.SUBMITTED,
            "full_name": wish.full_name,
            "birth_date": born,
            "country": wish.country,
            "address": wish.address,
            "document_kind": wish.document_kind,
            "document_number": wish.document_number,
            "submitted_at": timezone.now(),
            "decided_at": None,
            "decided_by": None,
            "reason": "",
            "expires_at": None,
        },
    )
    kyc_tell(file, KycState.SUBMITTED)
    return file


@transaction.atomic
def kyc_decide(*, file_id: int, staff_id: int, is_approved: bool, reason: str) -> KycFile:
    """Approve or reject a submitted file; approval lets the person's live accounts open.

    Errors: ServiceError KYC_NOT_OPEN, FOUR_EYES for staff's own file.
    """
    file = KycFile.objects.select_for_update().get(pk=file_id)
    if file.state != KycState.SUBMITTED:
        raise ServiceError(
            "KYC_NOT_OPEN",
            f"expected a submitted file, found one that is {file.state}",
            http_status=409,
        )
    if file.user_id == staff_id:
        raise ServiceError("FOUR_EYES", "nobody decides on an own file", http_status=403)
    now = timezone.now()
    file.state = KycState.APPROVED if is_approved else KycState.REJECTED
    file.decided_at, file.decided_by_id, file.reason = now, staff_id, reason
    file.expires_at = now + _APPROVED_FOR if is_approved else None
    file.save()
    kyc_tell(file, KycState(file.state))
    audit_note(
        "kyc_decided",
        actor_id=staff_id,
        file=str(file.pk),
        user=str(file.user_id),
        state=file.state,
        reason=reason,
    )
    if is_approved:
        outbox_add_all([_expiry(file)])
        TradingAccount.objects.filter(
            user_id=file.user_id, kind=AccountKind.LIVE, is_approved=False
        ).update(is_approved=True)
        selectors.accounts_forget(user_id=file.user_id)
    return file


def _expiry(file: KycFile) -> Effect:
    at = file.expires_at.isoformat() if file.expires_at else ""
    return Effect(
        task=kyc_expiry_tell,
        key=f"kyc-expiry:{file.pk}:{at}",
        payload={"file_id": file.pk, "expires_at": at},
        due_at=file.expires_at,
    )


@outbox_task
def kyc_expiry_tell(*, file_id: int, expires_at: str) -> None:
    """Tell a person that the approval has ended, if it is still the one that was to end then."""
    file = KycFile.objects.filter(pk=file_id, state=KycState.APPROVED).first()
    if file is not None and file.expires_at and file.expires_at.isoformat() == expires_at:
        kyc_tell(file, KycState.EXPIRED)


@transaction.atomic
def live_apply(*, user_id: int, name: str) -> AccountInfo:
    """Ask for a live account; it opens once the KYC file is approved, at once if it is.

    Errors: ServiceError ACCOUNTS_TOO_MANY.
    """
    get_user_model().objects.select_for_update().get(pk=user_id)
    own = TradingAccount.objects.filter(user_id=user_id)
    if own.filter(kind=AccountKind.LIVE).count() >= LIVE_ACCOUNTS_MAX:
        raise ServiceError(
            "ACCOUNTS_TOO_MANY",
            f"expected at most {LIVE_ACCOUNTS_MAX} live accounts",
            http_status=409,
            data={"accountsMax": LIVE_ACCOUNTS_MAX},
        )
    account = TradingAccount.objects.create(
        user_id=user_id,
        kind=AccountKind.LIVE,
        group=DEFAULT_GROUP,
        name=name,
        is_approved=kyc_state(user_id=user_id) == KycState.APPROVED,
    )
    selectors.accounts_forget(user_id=user_id)
    return account_info(account)
