"""Reads of trading accounts and cash on its way; nothing is changed here."""

import time
from dataclasses import dataclass
from typing import Final

from channels.db import database_sync_to_async

from apps.profile.models import CashOutbox, TradingAccount
from engine.values import AccountKind

# How long a process believes its list of a user's accounts; an account never changes its owner.
_BELIEVED_S: Final = 2.0
_CACHE_ENTRIES_MAX: Final = 20_000


@dataclass(frozen=True, slots=True)
class AccountInfo:
    """One trading account."""

    id: int
    user_id: int
    kind: AccountKind
    group: str
    is_default: bool
    # Whether the engine knows it.
    is_open: bool
    # What its owner calls it; may be empty.
    name: str = ""


_accounts_by_user: dict[int, tuple[float, tuple[AccountInfo, ...]]] = {}


def account_info(row: TradingAccount) -> AccountInfo:
    """Return a row as the rest of the program sees it."""
    return AccountInfo(
        id=row.pk,
        user_id=row.user_id,
        kind=AccountKind(row.kind),
        group=row.group,
        is_default=row.is_default,
        is_open=row.is_open,
        name=row.name,
    )


def accounts_read(*, user_id: int) -> tuple[AccountInfo, ...]:
    """Read a user's accounts from the database, oldest first."""
    accounts = tuple(
        map(account_info, TradingAccount.objects.filter(user_id=user_id).order_by("id"))
    )
    if len(_accounts_by_user) >= _CACHE_ENTRIES_MAX:
        # Everything is read again within two seconds anyway, so forgetting all is cheap.
        _accounts_by_user.clear()
    _accounts_by_user[user_id] = (time.monotonic() + _BELIEVED_S, accounts)
    return accounts


def accounts_of_user(*, user_id: int) -> tuple[AccountInfo, ...]:
    """Return a user's accounts, oldest first; believed for two seconds."""
    known = _accounts_remembered(user_id)
    return accounts_read(user_id=user_id) if known is None else known


async def accounts_of_user_async(*, user_id: int) -> tuple[AccountInfo, ...]:
    """Return the same as accounts_of_user; a remembered list costs no thread."""
    known = _accounts_remembered(user_id)
    if known is not None:
        return known
    # Any thread will do: bound to one, all sockets would queue for the same thread.
    read = database_sync_to_async(accounts_read, thread_sensitive=False)
    return await read(user_id=user_id)


def accounts_forget(*, user_id: int) -> None:
    """Let the next reader see a change at once."""
    _accounts_by_user.pop(user_id, None)


def _accounts_remembered(user_id: int) -> tuple[AccountInfo, ...] | None:
    entry = _accounts_by_user.get(user_id)
    # A user without accounts is about to get one, so an empty list is not believed.
    if entry is None or not entry[1] or time.monotonic() >= entry[0]:
        return None
    return entry[1]


def account_row_by_id(*, account_id: int) -> TradingAccount | None:
    """Return an account's row."""
    return TradingAccount.objects.filter(pk=account_id).first()


def accounts_count() -> int:
    """Return how many accounts the engine knows."""
    return TradingAccount.objects.filter(is_open=True).count()


def accounts_with_cash_to_send() -> list[int]:
    """Return the ids of accounts whose next cash command waits, in order."""
    waiting = CashOutbox.objects.filter(answered_at__isnull=True)
    return list(waiting.order_by("account_id").values_list("account_id", flat=True).distinct())


def accounts_to_open() -> list[TradingAccount]:
    """Return approved live accounts that the engine does not know yet."""
    waiting = TradingAccount.objects.filter(kind=AccountKind.LIVE, is_approved=True, is_open=False)
    return list(waiting.order_by("id")[:100])


def outbox_next(*, account_id: int) -> CashOutbox | None:
    """Return the account's oldest row without an answer: the only one that may be in flight."""
    waiting = CashOutbox.objects.filter(account_id=account_id, answered_at__isnull=True)
    return waiting.select_related("request").order_by("cash_seq").first()
