"""What the owners of accounts are told about their money and their KYC file, in the transaction that changes it."""

from collections.abc import Iterable, Mapping
from typing import Final

from django.utils.translation import gettext_noop

from apps.notifications.facade import NoticeEvent, Wish, notify, notify_all
from apps.profile.choices import DEMO_METHOD, CashKind, CashState, KycState
from apps.profile.models import CashRequest, KycFile
from engine.values import text_from_scaled

# The states that people wait in or that are an end; those between two of them last a second.
_CASH_WORDS: Final[Mapping[str, str]] = {
    CashState.REQUESTED: gettext_noop("requested"),
    CashState.RESERVED: gettext_noop("waiting for approval"),
    CashState.REFUSED: gettext_noop("refused"),
    CashState.CANCELLED: gettext_noop("cancelled"),
    CashState.SETTLED: gettext_noop("settled"),
    CashState.RETURNED: gettext_noop("returned to the account"),
}
_KYC_WORDS: Final[Mapping[KycState, str]] = {
    KycState.SUBMITTED: gettext_noop("submitted"),
    KycState.APPROVED: gettext_noop("approved"),
    KycState.REJECTED: gettext_noop("rejected"),
    KycState.EXPIRED: gettext_noop("expired"),
}
_EVENTS: Final[Mapping[str, NoticeEvent]] = {
    CashKind.DEPOSIT: NoticeEvent.DEPOSIT,
    CashKind.WITHDRAWAL: NoticeEvent.WITHDRAWAL,
}
_MICROS_PER_CENT: Final = 10_000


def cash_tell(requests: Iterable[CashRequest]) -> None:
    """Tell the owners where their requests stand now; each state of each request once.

    The requests come with their accounts; play money and what staff does by itself is not told.
    """
    notify_all(
        [
            Wish(
                user_id=request.account.user_id,
                event=_EVENTS[request.kind],
                key=f"cash:{request.pk}:{request.state}",
                facts={
                    # Whole cents: requests are made in nothing smaller.
                    "amount": text_from_scaled(request.amount_micros // _MICROS_PER_CENT, 2),
                    "account": str(request.account_id),
                    "state": _CASH_WORDS[request.state],
                },
            )
            for request in requests
            if request.kind in _EVENTS
            and request.state in _CASH_WORDS
            and request.method != DEMO_METHOD
        ]
    )


def kyc_tell(file: KycFile, state: KycState) -> None:
    """Tell a person what became of the file; each state of each submission once."""
    notify(
        file.user_id,
        NoticeEvent.KYC,
        {"state": _KYC_WORDS[state], "reason": file.reason},
        f"kyc:{file.pk}:{file.submitted_at.isoformat()}:{state.value}",
    )
