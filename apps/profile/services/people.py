"""What this app knows about one person, and what of it is forgotten when the account ends.

The identity file and its documents go; cash requests stay for the ledger, without where the money went.
"""

from typing import Any, Final

from django.utils.translation import gettext as _

from apps.profile.choices import DEMO_METHOD, CashState
from apps.profile.models import CashRequest, KycDocument, KycFile, TradingAccount

_UNDER_WAY: Final = (
    CashState.REQUESTED,
    CashState.PENDING,
    CashState.RESERVED,
    CashState.SETTLING,
    CashState.RETURNING,
)


def money_export(user_id: int) -> dict[str, Any]:
    """Return a person's accounts, identity file and cash requests; documents by name, not by content."""
    file = KycFile.objects.filter(user_id=user_id)
    return {
        "accounts": _rows(
            TradingAccount.objects.filter(user_id=user_id), "id", "kind", "name", "created_at"
        ),
        "identity": _rows(
            file,
            "state",
            "full_name",
            "birth_date",
            "country",
            "address",
            "document_kind",
            "document_number",
            "submitted_at",
            "decided_at",
            "reason",
            "expires_at",
        ),
        "documents": _rows(
            KycDocument.objects.filter(user_id=user_id),
            "name",
            "content_type",
            "size",
            "sha256",
            "uploaded_at",
        ),
        "cashRequests": _rows(
            CashRequest.objects.filter(account__user_id=user_id),
            "id",
            "account_id",
            "kind",
            "amount_micros",
            "method",
            "destination",
            "reference",
            "state",
            "created_at",
            "decided_at",
        ),
    }


def money_obstacle(user_id: int) -> str:
    """Return why a person's account must stay: money that is under way."""
    under_way = CashRequest.objects.filter(account__user_id=user_id, state__in=_UNDER_WAY)
    if under_way.exclude(method=DEMO_METHOD).exists():
        return _("wait for your deposits and withdrawals, or cancel them")
    return ""


def money_forget(user_id: int) -> None:
    """Forget who a person is; what was paid stays."""
    KycDocument.objects.filter(user_id=user_id).delete()
    KycFile.objects.filter(user_id=user_id).delete()
    CashRequest.objects.filter(account__user_id=user_id).update(destination="")
    TradingAccount.objects.filter(user_id=user_id).update(name="")


def _rows(rows: Any, *fields: str) -> list[dict[str, Any]]:
    return [
        {
            name: value if value is None or isinstance(value, int) else str(value)
            for name, value in row.items()
        }
        for row in rows.order_by("pk").values(*fields)
    ]
