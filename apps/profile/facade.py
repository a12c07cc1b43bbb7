"""Trading accounts as other apps and the composition root see them; what comes out are frozen dataclasses."""

from collections.abc import Sequence

from apps.profile import selectors
from apps.profile.groups import group_commands, stop_out_levels
from apps.profile.selectors import AccountInfo
from apps.profile.services import accounts, cash, payments
from apps.profile.services.accounts import AccountUnknownError
from apps.profile.services.cash import SYSTEM_ID_SIGN, CashDecision
from engine.messages.views import AccountView

__all__ = [
    "SYSTEM_ID_SIGN",
    "AccountInfo",
    "AccountUnknownError",
    "CashDecision",
    "account_for",
    "account_for_async",
    "account_view",
    "accounts_count",
    "accounts_of_user",
    "accounts_of_user_async",
    "cash_decided",
    "demo_account_seed",
    "group_commands",
    "payment_methods_known",
    "stop_out_levels",
]


def payment_methods_known() -> list[str]:
    """Return the names that PAYMENT_PROVIDERS may be made of."""
    return payments.known_methods()


def accounts_count() -> int:
    """Return how many accounts the engine knows."""
    return selectors.accounts_count()


def accounts_of_user(user_id: int) -> tuple[AccountInfo, ...]:
    """Return a user's accounts, oldest first; empty before ensure-user."""
    return selectors.accounts_of_user(user_id=user_id)


def account_for(user_id: int, account_id: int | None = None) -> AccountInfo:
    """Return the account of that id if it is the user's, the default one if none is named.

    Errors: AccountUnknownError (404), the same for foreign and for absent accounts.
    """
    return accounts.account_choose(
        accounts=selectors.accounts_of_user(user_id=user_id), account_id=account_id
    )


async def accounts_of_user_async(user_id: int) -> tuple[AccountInfo, ...]:
    """Return the same as accounts_of_user, for sockets and lean handlers."""
    return await selectors.accounts_of_user_async(user_id=user_id)


async def account_for_async(user_id: int, account_id: int | None = None) -> AccountInfo:
    """Return the same as account_for, for sockets and lean handlers."""
    own = selectors.accounts_recall(user_id=user_id)
    if own is None:
        own = await selectors.accounts_of_user_async(user_id=user_id)
    return accounts.account_choose(accounts=own, account_id=account_id)


def demo_account_seed(user_id: int) -> AccountInfo:
    """Make sure that a user has a demo account with the demo money; needs a running engine.

    Errors: EngineTimeoutError, EngineBusyError.
    """
    return accounts.user_ensure(user_id=user_id)


async def account_view(account: AccountInfo) -> AccountView:
    """Return the whole of an account from the engine; on the gateway's loop.

    Errors: EngineBusyError; AccountUnknownError while the engine has not opened it.
    """
    return await accounts.account_view(account=account)


def cash_decided(decisions: Sequence[CashDecision]) -> None:
    """Move the states of cash requests, in the transaction of the outputs that decided them."""
    cash.cash_decided(decisions=decisions)
