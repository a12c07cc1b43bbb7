"""Opens trading accounts in the engine and finds the one that is meant; balances are read from the engine, never from here."""

from django.conf import settings
from django.db import transaction

from apps.common.engine_gateway import engine_gateway
from apps.common.errors import ServiceError
from apps.profile import selectors
from apps.profile.choices import DEMO_METHOD, CashKind
from apps.profile.groups import DEFAULT_GROUP
from apps.profile.models import TradingAccount
from apps.profile.selectors import AccountInfo, account_info
from apps.profile.services.cash import attempt_id, cash_request_create, cash_send_all
from engine.messages.commands import OpenAccount
from engine.messages.rejects import RejectCode
from engine.messages.replies import Rejected
from engine.messages.views import AccountQuery, AccountView
from engine.values import AccountKind, Actor, micros_from_text


class AccountUnknownError(ServiceError):
    """There is no such account, or it is somebody else's: the answer does not tell which."""

    def __init__(self, account_id: int | None) -> None:
        if account_id is None:
            message = (
                "this user has no trading account yet: ask for one with POST /auth/ensure-user"
            )
        else:
            message = f"there is no account {account_id} of yours"
        data = {} if account_id is None else {"account": account_id}
        super().__init__("ACCOUNT_UNKNOWN", message, http_status=404, data=data)


def user_ensure(*, user_id: int) -> AccountInfo:
    """Make sure that a user has a demo account in the engine with the demo money; may be called again and again.

    Errors: EngineTimeoutError and EngineBusyError; the rows stand by then, and the relay goes on by itself.
    """
    account = account_ensure_row(user_id=user_id)
    account_open(account=account)
    cash_send_all(account_id=account.pk)
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
    if not account.is_approved:
        raise ServiceError(
            "ACCOUNT_NOT_OPEN",
            "this live account waits for the approval of its owner's KYC",
            http_status=409,
        )
    output = engine_gateway().send_sync(
        OpenAccount(
            request_id=attempt_id("open"),
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


def account_choose(*, accounts: tuple[AccountInfo, ...], account_id: int | None) -> AccountInfo:
    """Return the account of that id among a user's own, the default one if none is named.

    Errors: AccountUnknownError.
    """
    for account in accounts:
        if account.id == account_id or (account_id is None and account.is_default):
            return account
    raise AccountUnknownError(account_id)


async def account_view(*, account: AccountInfo) -> AccountView:
    """Return the whole of an account from the engine; on the gateway's loop.

    Errors: EngineBusyError; AccountUnknownError while the engine has not opened it.
    """
    view = await engine_gateway().query(AccountQuery(account=account.id))
    if not isinstance(view, AccountView):
        raise AccountUnknownError(account.id)
    return view
