"""Reads of trading accounts and cash on its way; nothing is changed here."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from django.db.models.expressions import RawSQL

from apps.common.believed import Believed
from apps.common.clock import us_from_datetime
from apps.profile.models import CashOutbox, TradingAccount
from engine.values import AccountKind

_OUTBOX_IDS: Final = """
SELECT found.id FROM profile_cashoutbox AS found
JOIN unnest(%s::bigint[], %s::bigint[]) AS asked (account_id, cash_seq) USING (account_id, cash_seq)
"""


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
    # When it took the place of another one as the default, microseconds UTC; 0 if it never did.
    default_since_us: int = 0


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
        default_since_us=0 if row.default_since is None else us_from_datetime(row.default_since),
    )


def _accounts_read(
    user_ids: Iterable[int], _known: Mapping[int, tuple[AccountInfo, ...]]
) -> dict[int, tuple[AccountInfo, ...]]:
    by_user: dict[int, list[AccountInfo]] = {user_id: [] for user_id in user_ids}
    for row in TradingAccount.objects.filter(user_id__in=by_user).order_by("id"):
        by_user[row.user_id].append(account_info(row))
    return {user_id: tuple(accounts) for user_id, accounts in by_user.items()}


# An account never changes its owner. A user without accounts is about to get one, so an empty list is not believed.
accounts_cache = Believed(_accounts_read, is_believed=bool)


def accounts_read(*, user_id: int) -> tuple[AccountInfo, ...]:
    """Read a user's accounts from the database, oldest first."""
    return accounts_cache.read((user_id,))[user_id]


def accounts_of_user(*, user_id: int) -> tuple[AccountInfo, ...]:
    """Return a user's accounts, oldest first; believed for two seconds."""
    return accounts_cache.get(user_id)


def accounts_recall(*, user_id: int) -> tuple[AccountInfo, ...] | None:
    """Return the same as accounts_of_user if it is remembered; on an event loop."""
    return accounts_cache.recall(user_id)


async def accounts_of_user_async(*, user_id: int) -> tuple[AccountInfo, ...]:
    """Return the same as accounts_of_user; a remembered list costs no thread."""
    return await accounts_cache.get_async(user_id)


def accounts_forget(*, user_id: int) -> None:
    """Let the next reader see a change at once."""
    accounts_cache.forget(user_id)


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


def outbox_rows(*, places: Collection[tuple[int, int]]) -> list[CashOutbox]:
    """Return the rows at some places, account and cash_seq, with their requests and accounts; an account's rows in order."""
    asked = RawSQL(  # noqa: S611 - constant text; what is asked for travels as parameters.
        _OUTBOX_IDS, [[account for account, _ in places], [number for _, number in places]]
    )
    rows = CashOutbox.objects.filter(pk__in=asked).select_related("request__account")
    return list(rows.order_by("account_id", "cash_seq"))
