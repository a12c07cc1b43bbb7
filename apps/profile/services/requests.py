"""Deposits and withdrawals of live accounts as requests: asked for by the owner, settled or returned after four eyes.

    deposit      requested -> (two approvals) -> pending -> settled
                 requested -> cancelled
    withdrawal   pending -> reserved (cash:pending holds it) -> (two approvals) -> settling -> settled
                 pending -> refused;  reserved -> returning -> returned
    adjustment   requested (by staff, the first approval) -> (another approval) -> pending -> settled, or refused

Each step is taken under a lock of the request's row, so no step is taken twice. What the engine decides, the projector
writes (cash.cash_decided).
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.db import IntegrityError, connection, transaction
from django.db.models import Sum
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.common.audit import audit_note
from apps.common.engine_gateway import engine_gateway
from apps.common.errors import DifferentContentError, ServiceError
from apps.common.money import number_from_micros
from apps.common.refusals import refusal_error
from apps.profile import selectors
from apps.profile.choices import AccountKind, CashKind, CashState
from apps.profile.models import CashOutbox, CashRequest, TradingAccount
from apps.profile.selectors import account_info
from apps.profile.services.accounts import AccountUnknownError, account_view
from apps.profile.services.cash import cash_request_create, cash_request_send, cash_send_all
from apps.profile.services.kyc import LIMITS, kyc_state
from apps.profile.services.notices import cash_tell
from apps.profile.services.payments import provider_for
from engine.messages.rejects import RejectCode
from engine.messages.replies import Rejected
from engine.values import text_from_scaled

# Ends of a request: nothing moves it any more.
_OVER: Final = (CashState.REFUSED, CashState.RETURNED, CashState.CANCELLED)
# What staff decides on.
WAITING: Final = frozenset({CashState.REQUESTED, CashState.RESERVED})
# What a second approval sends to the engine.
_COMMAND: Final = {
    CashKind.DEPOSIT.value: CashKind.DEPOSIT,
    CashKind.WITHDRAWAL.value: CashKind.SETTLE,
    CashKind.ADJUSTMENT.value: CashKind.ADJUSTMENT,
}
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class CashWish:
    """What the owner of an account asks for."""

    user_id: int
    account_id: int
    # Positive micro-USD.
    amount_micros: int
    method: str
    # Where a withdrawal goes; empty for deposits.
    destination: str
    # The client's id; the same id and content is one request.
    request_id: str


def deposit_request(*, wish: CashWish) -> CashRequest:
    """Ask to pay in; nothing is sent to the engine before staff has seen the money.

    Errors: AccountUnknownError; ServiceError ACCOUNT_NOT_LIVE, ACCOUNT_NOT_OPEN, METHOD_UNKNOWN, AMOUNT_INVALID,
    KYC_LIMIT, EXISTS_WITH_DIFFERENT_CONTENT.
    """
    account = _own_live(user_id=wish.user_id, account_id=wish.account_id)
    provider_for(wish.method)
    _amount_require(wish)
    with transaction.atomic():
        _owner_lock(wish.user_id)
        known = _known(wish, CashKind.DEPOSIT)
        if known is not None:
            return known
        _limit_require(wish, CashKind.DEPOSIT)
        request = CashRequest.objects.create(
            account=account,
            kind=CashKind.DEPOSIT,
            amount_micros=wish.amount_micros,
            method=wish.method,
            request_id=wish.request_id,
            state=CashState.REQUESTED,
        )
        request.reference = f"D{request.pk}"
        request.save(update_fields=["reference"])
        cash_tell([request])
    return request


def withdrawal_request(*, wish: CashWish, approve: Callable[[str], None]) -> CashRequest:
    """Ask for a payment out; the engine sets the money aside at once, or refuses.

    ``approve`` is called with what is to be approved, once everything else is good, and raises if the owner has not proved it.
    Errors: those of ``approve``; as deposit_request; ServiceError DESTINATION_INVALID, the engine's WITHDRAWABLE_INSUFFICIENT; EngineTimeoutError and
    EngineBusyError, after which the request stands and goes on by itself.
    """
    account = _own_live(user_id=wish.user_id, account_id=wish.account_id)
    destination = provider_for(wish.method).destination_checked(wish.destination)
    _amount_require(wish)
    request = _known(wish, CashKind.WITHDRAWAL, destination=destination)
    if request is None:
        _withdrawable_require(account, wish.amount_micros)
        approve(
            f"withdrawal:{account.pk}:{wish.amount_micros}:{wish.method}:{destination}:{wish.request_id}"
        )
        try:
            request = _withdrawal_write(account, wish, destination)
        except IntegrityError:
            request = _known(wish, CashKind.WITHDRAWAL, destination=destination)
            if request is None:
                raise
    cash_send_all(account_id=account.pk)
    refused = CashOutbox.objects.filter(request=request, kind=CashKind.WITHDRAWAL).exclude(
        answer_code=""
    )
    code = refused.values_list("answer_code", flat=True).first()
    if code is not None:
        raise _withdrawable_error(wish.amount_micros, None, RejectCode(code))
    request.refresh_from_db()
    return request


def _withdrawal_write(account: TradingAccount, wish: CashWish, destination: str) -> CashRequest:
    with transaction.atomic():
        _owner_lock(wish.user_id)
        _limit_require(wish, CashKind.WITHDRAWAL)
        request = cash_request_create(
            account_id=account.pk,
            kind=CashKind.WITHDRAWAL,
            amount_micros=wish.amount_micros,
            method=wish.method,
            reference="",
            request_id=wish.request_id,
            destination=destination,
        )
        _audit(request, "withdrawal_requested", wish.user_id)
    return request


def _audit(request: CashRequest, event: str, actor_id: int, **more: str) -> None:
    audit_note(
        event,
        actor_id=actor_id,
        request=str(request.pk),
        account=str(request.account_id),
        amountMicros=str(request.amount_micros),
        state=request.state,
        **more,
    )


def request_cancel(*, user_id: int, account_id: int, cash_id: int, kind: CashKind) -> CashRequest:
    """Take a request back: a deposit that was not confirmed, or a withdrawal that nobody has approved yet.

    Errors: AccountUnknownError; ServiceError CASH_REQUEST_UNKNOWN, CASH_REQUEST_STATE.
    """
    account = _own_live(user_id=user_id, account_id=account_id)
    with transaction.atomic():
        request = (
            CashRequest.objects.select_for_update(of=("self",))
            .select_related("account")
            .filter(pk=cash_id, account=account, kind=kind)
            .first()
        )
        if request is None:
            raise ServiceError(
                "CASH_REQUEST_UNKNOWN",
                f"there is no such request of account {account_id}",
                http_status=404,
            )
        if request.approved_by_id is not None:
            raise _state_error(request)
        _give_up(request)
        _audit(request, "cash_cancelled", user_id)
    cash_send_all(account_id=account.pk)
    return request


def request_approve(*, cash_id: int, staff_id: int) -> CashRequest:
    """Approve a request as the first or the second of two people; the second approval carries it out.

    Errors: ServiceError FOUR_EYES, CASH_REQUEST_STATE.
    """
    with transaction.atomic():
        request = _locked_for_staff(cash_id, staff_id)
        if request.approved_by_id is None:
            request.approved_by_id = staff_id
            request.save(update_fields=["approved_by"])
            _audit(request, "cash_approved", staff_id)
            return request
        if request.approved_by_id == staff_id:
            raise ServiceError("FOUR_EYES", "a second person has to approve it", http_status=403)
        is_withdrawal = request.kind == CashKind.WITHDRAWAL
        request.settled_by_id = staff_id
        request.state = CashState.SETTLING if is_withdrawal else CashState.PENDING
        request.save(update_fields=["settled_by", "state"])
        _audit(request, "cash_approved", staff_id)
        cash_request_send(request=request, kind=_COMMAND[request.kind])
    return request


def request_return(*, cash_id: int, staff_id: int, reason: str = "") -> CashRequest:
    """Give a request up for staff, which says why: a withdrawal's money goes back to the account.

    Errors: ServiceError FOUR_EYES, CASH_REQUEST_STATE.
    """
    with transaction.atomic():
        request = _locked_for_staff(cash_id, staff_id)
        _give_up(request)
        _audit(request, "cash_given_back", staff_id, reason=reason)
    return request


def _locked_for_staff(cash_id: int, staff_id: int) -> CashRequest:
    request = (
        CashRequest.objects.select_for_update(of=("self",))
        .select_related("account")
        .get(pk=cash_id)
    )
    if request.account.user_id == staff_id:
        raise ServiceError("FOUR_EYES", "nobody decides on an own request", http_status=403)
    if request.state not in WAITING:
        raise _state_error(request)
    return request


def _give_up(request: CashRequest) -> None:
    if request.state == CashState.REQUESTED:
        request.state = CashState.CANCELLED
        request.decided_at = timezone.now()
        request.save(update_fields=["state", "decided_at"])
        cash_tell([request])
    elif request.state == CashState.RESERVED:
        request.state = CashState.RETURNING
        request.save(update_fields=["state"])
        cash_request_send(request=request, kind=CashKind.RETURN)
    else:
        raise _state_error(request)


def _state_error(request: CashRequest) -> ServiceError:
    return ServiceError(
        "CASH_REQUEST_STATE",
        f"expected a request that waits for approval, found one that is {request.get_state_display().lower()}"
        + (" and half approved" if request.approved_by_id and not request.settled_by_id else ""),
        http_status=409,
        data={"state": request.state},
    )


def _own_live(*, user_id: int, account_id: int) -> TradingAccount:
    account = selectors.account_row_by_id(account_id=account_id)
    if account is None or account.user_id != user_id:
        raise AccountUnknownError(account_id)
    if account.kind != AccountKind.LIVE:
        raise ServiceError(
            "ACCOUNT_NOT_LIVE",
            f"account {account_id} holds play money: top it up instead",
            http_status=409,
            data={"account": account_id},
        )
    if not account.is_open:
        raise ServiceError("ACCOUNT_NOT_OPEN", "this account is not open yet", http_status=409)
    return account


def _amount_require(wish: CashWish) -> None:
    # Whole cents: no bank pays less.
    if wish.amount_micros <= 0 or wish.amount_micros % 10_000:
        raise ServiceError(
            "AMOUNT_INVALID",
            _("amount: expected more than 0 in whole cents, found %(found)s")
            % {"found": number_from_micros(wish.amount_micros)},
            data={"field": "amount"},
        )


def _known(wish: CashWish, kind: CashKind, *, destination: str = "") -> CashRequest | None:
    known = CashRequest.objects.filter(
        account_id=wish.account_id, request_id=wish.request_id
    ).first()
    if known is None:
        return None
    found = (known.kind, known.amount_micros, known.method, known.destination)
    if found != (kind, wish.amount_micros, wish.method, destination):
        raise DifferentContentError("another request", request_id=wish.request_id)
    return known


def _owner_lock(user_id: int) -> None:
    """Line up what one person asks for on any account, until the end of the transaction: the limit is the person's."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"cash-limit:{user_id}"]
        )


def _limit_require(wish: CashWish, kind: CashKind) -> None:
    state = kyc_state(user_id=wish.user_id)
    limits = LIMITS[state]
    limit = limits.deposit_micros if kind == CashKind.DEPOSIT else limits.withdrawal_micros
    recent = CashRequest.objects.filter(
        account__user_id=wish.user_id,
        account__kind=AccountKind.LIVE,
        kind=kind,
        created_at__gt=timezone.now() - _DAY,
    ).exclude(state__in=_OVER)
    used = recent.aggregate(sum=Sum("amount_micros"))["sum"] or 0
    if used + wish.amount_micros > limit:
        raise ServiceError(
            "KYC_LIMIT",
            _(
                "with a KYC state of %(state)s at most %(limit)s USD may move within 24 hours, of which %(used)s are used"
            )
            % {
                "state": state,
                "limit": _cents(limit),
                "used": _cents(used),
            },
            http_status=403,
            data={
                "state": state.value,
                "limit": number_from_micros(limit),
                "used": number_from_micros(used),
            },
        )


def _cents(micros: int) -> str:
    # Requests are made in whole cents, and so are the limits.
    return text_from_scaled(micros // 10_000, 2)


def _withdrawable_require(account: TradingAccount, amount_micros: int) -> None:
    view = engine_gateway().run(account_view(account=account_info(account)))
    if amount_micros > view.withdrawable_micros:
        raise _withdrawable_error(amount_micros, view.withdrawable_micros)


def _withdrawable_error(
    amount_micros: int,
    withdrawable_micros: int | None,
    code: RejectCode = RejectCode.WITHDRAWABLE_INSUFFICIENT,
) -> ServiceError:
    data: dict[str, int | str] = {"amount_micros": amount_micros}
    if withdrawable_micros is not None:
        data["withdrawable_micros"] = withdrawable_micros
    return refusal_error(Rejected(code=code, data=data), request_id="")


def requests_of_account(*, user_id: int, account_id: int, kind: CashKind) -> list[CashRequest]:
    """Return an account's last hundred requests, newest first.

    Errors: AccountUnknownError.
    """
    account = selectors.account_row_by_id(account_id=account_id)
    if account is None or account.user_id != user_id:
        raise AccountUnknownError(account_id)
    rows = CashRequest.objects.filter(account=account, kind=kind).order_by("-id")
    return list(itertools.islice(rows.iterator(), 100))
