"""Asks for statements as files, makes them in the worker, and hands them out to whom they belong."""

import logging
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from django.db import DatabaseError, transaction
from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone

from apps.common.errors import DifferentContentError, ServiceError
from apps.common.outbox import outbox_add, outbox_is_given_up, outbox_task
from apps.notifications.facade import NoticeEvent, notify
from apps.profile.facade import AccountInfo
from apps.trade.choices import StatementState
from apps.trade.models import Account, StatementFile
from apps.trade.services.shapes import Shape
from apps.trade.services.statements.collect import (
    Period,
    period_of_days,
    period_of_month,
    statement_collect,
)
from apps.trade.services.statements.files import statement_file
from apps.trade.services.statements.progress import progress_told
from engine.values import InvariantError

logger = logging.getLogger(__name__)

# How long a file is kept, and how many are removed at once.
_KEPT: Final = timedelta(days=30)
_REMOVED_MAX: Final = 500
_OUR_FAULT: Final = "something failed on our side"


def period_of(data: dict[str, Any]) -> Period:
    """Return the period that a validated request names: a day, a month, or a range of days.

    Errors: ServiceError INVALID.
    """
    day, month, first, last = (data.get(name) for name in ("day", "month", "from", "to"))
    if day and not (month or first or last):
        return period_of_days(day, day)
    if month and not (day or first or last):
        return period_of_month(month)
    if first and last and not (day or month):
        return period_of_days(first, last)
    raise ServiceError("INVALID", "a statement needs day, or month, or both from and to")


@transaction.atomic
def statement_request(
    *, account: AccountInfo, period: Period, file_format: str, request_id: str
) -> Shape:
    """Have a statement made by the worker, once per request id; returns where it stood then.

    Errors: DifferentContentError.
    """
    content = {
        "start_us": period.start_us,
        "end_us": period.end_us,
        "file_format": file_format,
    }
    row, is_new = StatementFile.objects.defer("content").get_or_create(
        account=account.id, request_id=request_id, defaults=content
    )
    if is_new:
        outbox_add(statement_make, key=_key(row), statement_id=str(row.id))
    elif any(getattr(row, name) != value for name, value in content.items()):
        raise DifferentContentError(
            f"the statement of {_period(row).text} as {row.file_format}", request_id=request_id
        )
    # The first answer, whatever has become of it since.
    return statement_state(row) | {"state": StatementState.WAITING, "reason": None, "progress": 0}


@outbox_task
def statement_make(*, statement_id: str) -> None:
    """Make a statement's file and tell its owner; making it again changes nothing. For the worker.

    One that cannot be made is marked as failed with the reason, and its owner may ask for it again.
    Errors: DatabaseError, after which the outbox tries again.
    """
    _old_remove()
    row = StatementFile.objects.filter(pk=statement_id).first()
    if row is None or row.state == StatementState.READY:
        return
    rows = StatementFile.objects.filter(pk=row.pk)
    try:
        with progress_told(statement_id) as on_progress:
            statement = statement_collect(
                account_id=row.account,
                period=_period(row),
                on_progress=on_progress,
            )
        content = statement_file(statement, row.file_format)
    except DatabaseError:
        raise
    except InvariantError as error:
        logger.exception("a statement does not add up", extra={"statement": statement_id})
        _fail(rows, str(error))
    except Exception:
        # The outermost frame of this work: raised on, the outbox would roll back what the owner is to know.
        logger.exception("a statement could not be made", extra={"statement": statement_id})
        _fail(rows, _OUR_FAULT)
    else:
        rows.update(
            content=content,
            progress=len(statement.entries),
            state=StatementState.READY,
            fault="",
        )
        _tell(row)


def _fail(rows: QuerySet[StatementFile], fault: str) -> None:
    rows.update(state=StatementState.FAILED, fault=fault[:200])


def _tell(row: StatementFile) -> None:
    owner = Account.objects.filter(account=row.account).values_list("owner_id", flat=True).first()
    if owner is None:
        return
    notify(
        owner,
        NoticeEvent.STATEMENT_READY,
        {
            "account": str(row.account),
            "period": _period(row).text,
            "path": reverse("account-statement-file", args=[row.account, row.id]),
        },
        f"statement-ready:{row.id}",
    )


def _old_remove() -> None:
    """Remove the files that nobody has fetched in time; whoever wants one has it made again."""
    old = StatementFile.objects.filter(created_at__lt=timezone.now() - _KEPT)
    StatementFile.objects.filter(
        pk__in=list(old.values_list("pk", flat=True)[:_REMOVED_MAX])
    ).delete()


def statement_find(*, account: AccountInfo, statement_id: UUID) -> StatementFile:
    """Return a statement of the account.

    Errors: ServiceError NOT_FOUND, the same for those of others.
    """
    row = StatementFile.objects.filter(pk=statement_id, account=account.id).first()
    if row is None:
        raise ServiceError(
            "NOT_FOUND", f"there is no statement {statement_id} of yours", http_status=404
        )
    if row.state == StatementState.WAITING and outbox_is_given_up(_key(row)):
        # Nobody works at it any more.
        row.state, row.fault = StatementState.FAILED, _OUR_FAULT
    return row


def statement_content(row: StatementFile) -> bytes:
    """Return a statement's file.

    Errors: ServiceError NOT_READY, STATEMENT_FAILED.
    """
    if row.state == StatementState.FAILED:
        raise ServiceError(
            "STATEMENT_FAILED",
            f"the statement could not be made, {row.fault}: ask for it again",
            http_status=409,
        )
    if row.content is None:
        raise ServiceError(
            "NOT_READY",
            f"the statement is {row.state}: ask again in a second",
            http_status=409,
            retry_after_s=1,
        )
    return bytes(row.content)


def _period(row: StatementFile) -> Period:
    return Period(row.start_us, row.end_us)


def _key(row: StatementFile) -> str:
    return f"statement:{row.id}"


def statement_state(row: StatementFile) -> Shape:
    """Return where the making of a statement stands."""
    return {
        "statementId": str(row.id),
        "accountId": row.account,
        "period": _period(row).text,
        "fileFormat": row.file_format,
        "state": row.state,
        "reason": row.fault or None,
        "progress": row.progress,
        "createdAt": row.created_at,
    }
