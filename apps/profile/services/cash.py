"""Moves money towards the engine: rows first, then commands that may be repeated.

A cash command is written as an outbox row under the account's next cash_seq and sent until it is answered; the engine decides
each cash_seq once.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from django.db import connection, transaction
from django.utils import timezone

from apps.common.clock import datetime_from_us
from apps.common.engine_gateway import engine_gateway
from apps.profile import selectors
from apps.profile.choices import CashKind, CashState
from apps.profile.models import CashOutbox, CashRequest, TradingAccount
from apps.profile.services.notices import cash_tell
from engine.messages.commands import PostCash
from engine.messages.events import CashRefused
from engine.messages.rejects import RejectCode
from engine.messages.replies import Rejected
from engine.values import Actor
from engine.values import CashKind as EngineCashKind

_DECIDE: Final = """
UPDATE profile_cashrequest AS request
SET state = decided.state, code = decided.code, decided_at = decided.decided_at
FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::timestamptz[]) AS decided (id, state, code, decided_at)
WHERE request.id = decided.id
"""

logger = logging.getLogger(__name__)

# Request ids of the system begin with a sign that no client's id may contain, so that no client can use one up.
SYSTEM_ID_SIGN: Final = "~"
_STATE_BY_KIND: Final = {
    EngineCashKind.DEPOSIT: CashState.SETTLED,
    EngineCashKind.ADJUSTMENT: CashState.SETTLED,
    EngineCashKind.BONUS: CashState.SETTLED,
    EngineCashKind.SETTLE: CashState.SETTLED,
    EngineCashKind.RETURN: CashState.RETURNED,
    # The money is set aside; the request ends with its settlement or return.
    EngineCashKind.WITHDRAWAL: CashState.RESERVED,
}


def attempt_id(name: str) -> str:
    """Return a new request id for one attempt at a command of the system."""
    # A new id for each attempt: every terminal answer burns its id, also the refusal of an attempt that came too early.
    # What may happen once only is guarded by the engine's own rules, ACCOUNT_EXISTS and cash_seq.
    return f"{SYSTEM_ID_SIGN}{name}-{uuid4().hex}"


@transaction.atomic
def cash_request_create(
    *,
    account_id: int,
    kind: CashKind,
    amount_micros: int,
    method: str,
    reference: str,
    **more: str,
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
        **more,
    )
    _outbox_add(account, request, kind)
    return request


@transaction.atomic
def cash_request_send(*, request: CashRequest, kind: CashKind) -> None:
    """Write the outbox row of a further step of a request: its settlement, its return, or a confirmed deposit."""
    account = TradingAccount.objects.select_for_update().get(pk=request.account_id)
    account.cash_seq_last += 1
    account.save(update_fields=["cash_seq_last"])
    _outbox_add(account, request, kind)


def _outbox_add(account: TradingAccount, request: CashRequest, kind: CashKind) -> None:
    CashOutbox.objects.create(
        account=account,
        cash_seq=account.cash_seq_last,
        request=request,
        kind=kind,
        amount_micros=request.amount_micros,
    )


def cash_send_next(*, account_id: int) -> bool:
    """Send the account's oldest unanswered cash command; return whether it was answered.

    Errors: EngineTimeoutError, EngineBusyError: send it again later, with the same content.
    """
    row = selectors.outbox_next(account_id=account_id)
    if row is None:
        return False
    output = engine_gateway().send_sync(
        PostCash(
            request_id=attempt_id("cash"),
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
    if isinstance(reply, Rejected) and reply.code is not RejectCode.CASH_ALREADY_DECIDED:
        row.answer_code = reply.code.value
        row.save(update_fields=["answer_code"])
    row.answered_at = timezone.now()
    row.save(update_fields=["answered_at"])
    return True


def cash_send_all(*, account_id: int) -> None:
    """Send the account's cash commands in order until none waits or one is not taken.

    Errors: EngineTimeoutError, EngineBusyError.
    """
    while cash_send_next(account_id=account_id):
        pass


@dataclass(frozen=True, slots=True)
class CashDecision:
    """What the engine has decided about one cash command."""

    account_id: int
    cash_seq: int
    kind: EngineCashKind
    # Why it was refused; None: it was not.
    code: RejectCode | None
    # Microseconds UTC.
    decided_at_us: int

    @property
    def state(self) -> CashState:
        """Return where the request behind it stands now."""
        return CashState.REFUSED if self.code else _STATE_BY_KIND[self.kind]


def cash_decided(*, decisions: Sequence[CashDecision]) -> None:
    """Move the states of the requests behind outbox rows and tell their owners, in the caller's transaction.

    However many there are, a few statements do it. Nothing happens for cash that did not start here.
    """
    by_place = {(decision.account_id, decision.cash_seq): decision for decision in decisions}
    # Each row has a request of its own here, and an account's rows come in order: a request that was decided twice is told twice.
    requests = []
    for row in selectors.outbox_rows(places=by_place.keys()):
        decision = by_place[row.account_id, row.cash_seq]
        request = row.request
        request.state = decision.state
        request.code = decision.code.value if decision.code else ""
        request.decided_at = datetime_from_us(decision.decided_at_us)
        requests.append(request)
    if not requests:
        return
    latest = {request.pk: request for request in requests}.values()
    columns = zip(*((r.pk, r.state, r.code, r.decided_at) for r in latest), strict=True)
    with connection.cursor() as cursor:
        cursor.execute(_DECIDE, [list(column) for column in columns])
    cash_tell(requests)
