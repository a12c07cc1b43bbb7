"""Opens trading accounts and moves money towards the engine: rows first, then commands that may be repeated.

A cash command is written as an outbox row under the account's next cash_seq and sent until it is answered; the engine decides
each cash_seq once. Balances are read from the engine, never from here.
"""

import logging
from typing import Final
from uuid import uuid4

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from apps.common.clock import datetime_from_us
from apps.common.engine_gateway import engine_gateway
from apps.common.errors import ServiceError
from apps.profile import selectors
from apps.profile.choices import CashKind, CashState
from apps.profile.groups import DEFAULT_GROUP
from apps.profile.models import CashOutbox, CashRequest, TradingAccount
from apps.profile.selectors import AccountInfo, account_info
from engine.messages.commands import OpenAccount, PostCash
from engine.messages.events import CashRefused
from engine.messages.rejects import RejectCode
from engine.messages.replies import Rejected
from engine.messages.views import AccountQuery, AccountView
from engine.values import AccountKind, Actor, micros_from_text
from engine.values import CashKind as EngineCashKind

logger = logging.getLogger(__name__)

# Request ids of the system begin with a sign that no client's id may contain, so that no client can use one up.
SYSTEM_ID_SIGN: Final = "~"
DEMO_METHOD: Final = "demo"
_STATE_BY_KIND: Final = {
    EngineCashKind.DEPOSIT: CashState.SETTLED,
    EngineCashKind.ADJUSTMENT: CashState.SETTLED,
    EngineCashKind.BONUS: CashState.SETTLED,
    EngineCashKind.SETTLE: CashState.SETTLED,
    EngineCashKind.RETURN: CashState.RETURNED,
    # The money is set aside; the request ends with its settlement or return.
    EngineCashKind.WITHDRAWAL: CashState.PENDING,
}


class AccountUnknownError(ServiceError):
    """There is no such account, or it is somebody else's: the answer does not tell which."""

    def __init__(self, account_id: int | None) -> None:
        if account_id is None:
            message = (
                "this user has no trading account yet: ask for one with POST /auth/ensure-user"
            )
        else:
            message = f"there is no account {account_id} of yours"
        super().__init__("ACCOUNT_UNKNOWN", message, http_status=404)


def user_ensure(*, user_id: int) -> AccountInfo:
    """Make sure that a user has a demo account in the engine with the demo money; may be called again and again.

    Errors: EngineTimeoutError and EngineBusyError; the rows stand by then, and the relay goes on by itself.
    """
    account = account_ensure_row(user_id=user_id)
    account_open(account=account)
    while cash_send_next(account_id=account.pk):
        pass
    selectors.accounts_forget(user_id=user_id)
    return account_info(account)


@transaction.atomic
def account_ensure_row(*, user_id: int) -> TradingAccount:
    """Return the user's default account; make a demo account with its first deposit if there is none."""
    account, is_new = TradingAccount.objects.get_or_create(
        user_id=user_id,
        is_default=True,
        defaults={"kind": AccountKind.DEMO.value, "group": DEFAULT_GROUP},
    )
    amount_micros = micros_from_text(settings.DEMO_BALANCE)
    if is_new and amount_micros:
        cash_request_create(
            account_id=account.pk,
            kind=CashKind.DEPOSIT,
            amount_micros=amount_micros,
            method=DEMO_METHOD,
            reference=f"opening-{account.pk}",
        )
    return account


def account_open(*, account: TradingAccount) -> None:
    """Tell the engine about an account, once.

    Errors: EngineTimeoutError, EngineBusyError, ServiceError with the engine's refusal.
    """
    if account.is_open:
        return
    output = engine_gateway().send_sync(
        OpenAccount(
            request_id=_attempt_id("open"),
            actor=Actor.SYSTEM,
            account=account.pk,
            owner_id=account.user_id,
            kind=AccountKind(account.kind),
            group=account.group,
        )
    )
    reply = output.reply
    if isinstance(reply, Rejected) and reply.code is not RejectCode.ACCOUNT_EXISTS:
        raise ServiceError(
            reply.code.value,
            f"the engine refused to open the account: {reply.code}",
            data=reply.data,
        )
    account.is_open = True
    account.save(update_fields=["is_open"])


@transaction.atomic
def cash_request_create(
    *, account_id: int, kind: CashKind, amount_micros: int, method: str, reference: str
) -> CashRequest:
    """Write a cash request and its outbox row under the account's next cash_seq.

    Units: micro-USD.
    """
    account = TradingAccount.objects.select_for_update().get(pk=account_id)
    account.cash_seq_last += 1
    account.save(update_fields=["cash_seq_last"])
    request = CashRequest.objects.create(
        account=account,
        kind=kind,
        amount_micros=amount_micros,
        method=method,
        reference=reference,
    )
    CashOutbox.objects.create(
        account=account,
        cash_seq=account.cash_seq_last,
        request=request,
        kind=kind,
        amount_micros=amount_micros,
    )
    return request


def cash_send_next(*, account_id: int) -> bool:
    """Send the account's oldest unanswered cash command; return whether it was answered.

    Errors: EngineTimeoutError, EngineBusyError: send it again later, with the same content.
    """
    row = selectors.outbox_next(account_id=account_id)
    if row is None:
        return False
    output = engine_gateway().send_sync(
        PostCash(
            request_id=_attempt_id("cash"),
            actor=Actor.SYSTEM,
            account=row.account_id,
            cash_seq=row.cash_seq,
            kind=EngineCashKind(row.kind),
            amount_micros=row.amount_micros,
            method=row.request.method,
            reference=row.request.reference,
        )
    )
    reply = output.reply
    is_decided = (
        not isinstance(reply, Rejected)
        or reply.code is RejectCode.CASH_ALREADY_DECIDED
        or any(isinstance(event, CashRefused) for event in output.events)
    )
    if not is_decided:
        logger.error(
            "the engine does not take a cash command",
            extra={"account": row.account_id, "cash_seq": row.cash_seq, "reply": repr(reply)},
        )
        return False
    row.answered_at = timezone.now()
    row.save(update_fields=["answered_at"])
    return True


def cash_decided(
    *,
    account_id: int,
    cash_seq: int,
    kind: EngineCashKind,
    code: RejectCode | None,
    decided_at_us: int,
) -> None:
    """Move the state of the request behind an outbox row, in the caller's transaction.

    Nothing happens for cash that did not start here.
    """
    state = CashState.REFUSED if code else _STATE_BY_KIND[kind]
    behind = CashOutbox.objects.filter(account_id=account_id, cash_seq=cash_seq)
    CashRequest.objects.filter(pk__in=behind.values("request_id")).update(
        state=state,
        code=code.value if code else "",
        decided_at=datetime_from_us(decided_at_us),
    )


def account_choose(*, accounts: tuple[AccountInfo, ...], account_id: int | None) -> AccountInfo:
    """Return the account of that id among a user's own, the default one if none is named.

    Errors: AccountUnknownError.
    """
    for account in accounts:
        if account.id == account_id or (account_id is None and account.is_default):
            return account
    raise AccountUnknownError(account_id)


def _attempt_id(name: str) -> str:
    # A new id for each attempt: every terminal answer burns its id, also the refusal of an attempt that came too early.
    # What may happen once only is guarded by the engine's own rules, ACCOUNT_EXISTS and cash_seq.
    return f"{SYSTEM_ID_SIGN}{name}-{uuid4().hex}"


async def account_view(*, account: AccountInfo) -> AccountView:
    """Return the whole of an account from the engine; on the gateway's loop.

    Errors: EngineBusyError; AccountUnknownError while the engine has not opened it.
    """
    view = await engine_gateway().query(AccountQuery(account=account.id))
    if not isinstance(view, AccountView):
        raise AccountUnknownError(account.id)
    return view
