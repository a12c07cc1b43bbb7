"""What staff posts to an account by itself, such as a correction or a goodwill: asked for by one person, approved by another."""

from typing import Final

from django.db import transaction

from apps.common.audit import audit_note
from apps.common.errors import ServiceError
from apps.profile import selectors
from apps.profile.choices import CashKind, CashState
from apps.profile.models import CashRequest

# Names the ledger account cash:adjustment, where the other side of each posting stands.
_METHOD: Final = "adjustment"
REASON_MAX: Final = 120
_MICROS_PER_CENT: Final = 10_000


def adjustment_ask(
    *, account_id: int, amount_micros: int, reason: str, staff_id: int
) -> CashRequest:
    """Write down what one person wants; nothing is sent to the engine before another one has approved it.

    Units: micro-USD, negative to take from the account. The reason goes into the log as the reference of the posting.
    Errors: ServiceError ACCOUNT_UNKNOWN, ACCOUNT_NOT_OPEN, AMOUNT_INVALID, FOUR_EYES for one's own account.
    """
    account = selectors.account_row_by_id(account_id=account_id)
    if account is None:
        raise ServiceError("ACCOUNT_UNKNOWN", f"there is no account {account_id}", http_status=404)
    if account.user_id == staff_id:
        raise ServiceError("FOUR_EYES", "nobody adjusts an own account", http_status=403)
    if not account.is_open:
        raise ServiceError("ACCOUNT_NOT_OPEN", "this account is not open yet", http_status=409)
    if amount_micros == 0 or amount_micros % _MICROS_PER_CENT:
        raise ServiceError(
            "AMOUNT_INVALID", "amount: expected whole cents and not 0", data={"field": "amount"}
        )
    with transaction.atomic():
        request = CashRequest.objects.create(
            account=account,
            kind=CashKind.ADJUSTMENT,
            amount_micros=amount_micros,
            method=_METHOD,
            reference=reason,
            state=CashState.REQUESTED,
            approved_by_id=staff_id,
        )
        audit_note(
            "adjustment_asked",
            actor_id=staff_id,
            request=str(request.pk),
            account=str(account_id),
            amountMicros=str(amount_micros),
            reason=reason,
        )
    return request
