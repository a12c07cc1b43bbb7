"""Demo accounts beside the first: opened at once with play money, topped up, and set back to the start."""

from typing import Final

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.common.engine_gateway import engine_gateway
from apps.common.errors import DifferentContentError, ServiceError
from apps.common.money import number_from_micros
from apps.common.rate_limits import rate_limit_require, rate_limits_parse
from apps.profile import selectors
from apps.profile.choices import DEMO_METHOD, AccountKind, CashKind
from apps.profile.groups import DEFAULT_GROUP
from apps.profile.models import CashRequest, TradingAccount
from apps.profile.selectors import AccountInfo, account_info
from apps.profile.services.accounts import (
    AccountUnknownError,
    account_open,
    account_view,
)
from apps.profile.services.cash import cash_request_create, cash_send_all
from engine.values import micros_from_text

# More demos than this are more than anybody compares.
DEMOS_MAX: Final = 5
TOP_UP_MICROS_MAX: Final = 1_000_000 * 10**6
_TOP_UPS = ("10/h", "30/d")


def demo_open(*, user_id: int, name: str, request_id: str) -> AccountInfo:
    """Open one more demo account with the demo money; once per request id.

    Errors: ServiceError ACCOUNTS_TOO_MANY, EXISTS_WITH_DIFFERENT_CONTENT, EngineTimeoutError, EngineBusyError; after the last two the
    rows stand, and the relay goes on by itself.
    """
    account = _demo_row(user_id=user_id, name=name, request_id=request_id)
    selectors.accounts_forget(user_id=user_id)
    account_open(account=account)
    cash_send_all(account_id=account.pk)
    return account_info(account)


def _demo_row(*, user_id: int, name: str, request_id: str) -> TradingAccount:
    """Return the row that a request has made, or make it with its first deposit."""
    with transaction.atomic():
        # Lines up what one user asks for at once, so that the count holds.
        get_user_model().objects.select_for_update().get(pk=user_id)
        own = TradingAccount.objects.filter(user_id=user_id)
        known = own.filter(request_id=request_id).first()
        if known is not None:
            if known.request_name != name:
                raise DifferentContentError(
                    f"an account named {known.request_name!r}", request_id=request_id
                )
            return known
        if own.filter(kind=AccountKind.DEMO).count() >= DEMOS_MAX:
            raise ServiceError(
                "ACCOUNTS_TOO_MANY",
                f"expected at most {DEMOS_MAX} demo accounts: reset one of yours instead",
                http_status=409,
                data={"accountsMax": DEMOS_MAX},
            )
        account = TradingAccount.objects.create(
            user_id=user_id,
            kind=AccountKind.DEMO,
            group=DEFAULT_GROUP,
            name=name,
            request_id=request_id,
            request_name=name,
            is_default=not own.filter(is_default=True).exists(),
        )
        amount_micros = micros_from_text(settings.DEMO_BALANCE)
        if amount_micros:
            cash_request_create(
                account_id=account.pk,
                kind=CashKind.DEPOSIT,
                amount_micros=amount_micros,
                method=DEMO_METHOD,
                reference=f"opening-{account.pk}",
            )
    return account


def demo_top_up(
    *, user_id: int, account_id: int, amount_micros: int | None, request_id: str
) -> CashRequest:
    """Add play money to a demo account, the demo balance if no amount is named; once per request id.

    Units: micro-USD.
    Errors: AccountUnknownError, ServiceError ACCOUNT_NOT_DEMO, AMOUNT_INVALID, EXISTS_WITH_DIFFERENT_CONTENT, RATE_LIMITED.
    """
    account = _own_demo(user_id=user_id, account_id=account_id)
    amount_micros = (
        micros_from_text(settings.DEMO_BALANCE) if amount_micros is None else amount_micros
    )
    if not 0 < amount_micros <= TOP_UP_MICROS_MAX:
        raise ServiceError(
            "AMOUNT_INVALID",
            f"amount: expected more than 0 and at most {number_from_micros(TOP_UP_MICROS_MAX)} USD, "
            f"found {number_from_micros(amount_micros)}",
            data={
                "field": "amount",
                "amount": number_from_micros(amount_micros),
                "amountMax": number_from_micros(TOP_UP_MICROS_MAX),
            },
        )
    reference = f"top-up-{account.pk}-{request_id}"
    request = _top_up_known(reference, amount_micros, request_id)
    if request is None:
        rate_limit_require(
            key=f"top-up:{account.pk}", limits=rate_limits_parse(list(_TOP_UPS)), what="top-ups"
        )
        try:
            request = cash_request_create(
                account_id=account.pk,
                kind=CashKind.DEPOSIT,
                amount_micros=amount_micros,
                method=DEMO_METHOD,
                reference=reference,
            )
        except IntegrityError:
            request = _top_up_known(reference, amount_micros, request_id)
            if request is None:
                raise
    account_open(account=account)
    cash_send_all(account_id=account.pk)
    return request


def _top_up_known(reference: str, amount_micros: int, request_id: str) -> CashRequest | None:
    request = CashRequest.objects.filter(
        method=DEMO_METHOD, reference=reference, kind=CashKind.DEPOSIT
    ).first()
    if request is not None and request.amount_micros != amount_micros:
        raise DifferentContentError(
            f"{number_from_micros(request.amount_micros)} USD", request_id=request_id
        )
    return request


def demo_reset(*, user_id: int, account_id: int) -> AccountInfo:
    """Set a demo account's balance back to the demo money; it must hold neither positions nor orders.

    Errors: AccountUnknownError, ServiceError ACCOUNT_NOT_DEMO, ACCOUNT_NOT_FLAT, EngineTimeoutError, EngineBusyError.
    """
    account = _own_demo(user_id=user_id, account_id=account_id)
    account_open(account=account)
    with transaction.atomic():
        # The lock lines up resets of one account: the second finds the balance that the first has left.
        account = TradingAccount.objects.select_for_update().get(pk=account.pk)
        cash_send_all(account_id=account.pk)
        view = engine_gateway().run(account_view(account=account_info(account)))
        if view.positions or view.orders:
            raise ServiceError(
                "ACCOUNT_NOT_FLAT",
                f"expected no open position and no order, found {len(view.positions)} and {len(view.orders)}: "
                "close and cancel them first",
                http_status=409,
                data={"positions": len(view.positions), "orders": len(view.orders)},
            )
        missing = micros_from_text(settings.DEMO_BALANCE) - view.balance_micros
        if missing:
            cash_request_create(
                account_id=account.pk,
                kind=CashKind.ADJUSTMENT,
                amount_micros=missing,
                method=DEMO_METHOD,
                reference="reset",
            )
    # Only what is committed may be sent: a command whose row was rolled back would use up the cash_seq of the next one.
    cash_send_all(account_id=account.pk)
    return account_info(account)


def account_rename(
    *, user_id: int, account_id: int, name: str | None, is_default: bool | None
) -> AccountInfo:
    """Change what an account is called, and make it the one that is meant where none is named.

    Errors: AccountUnknownError; ServiceError ACCOUNT_NOT_OPEN for the default of an account that is not open yet.
    """
    with transaction.atomic():
        get_user_model().objects.select_for_update().get(pk=user_id)
        account = _own(user_id=user_id, account_id=account_id)
        if is_default and not account.is_default:
            if not account.is_open:
                raise ServiceError(
                    "ACCOUNT_NOT_OPEN", "this account is not open yet", http_status=409
                )
            TradingAccount.objects.filter(user_id=user_id, is_default=True).update(is_default=False)
            account.is_default, account.default_since = True, timezone.now()
        if name is not None:
            account.name = name
        account.save(update_fields=["name", "is_default", "default_since"])
    selectors.accounts_forget(user_id=user_id)
    return account_info(account)


def _own(*, user_id: int, account_id: int) -> TradingAccount:
    account = selectors.account_row_by_id(account_id=account_id)
    if account is None or account.user_id != user_id:
        raise AccountUnknownError(account_id)
    return account


def _own_demo(*, user_id: int, account_id: int) -> TradingAccount:
    account = _own(user_id=user_id, account_id=account_id)
    if account.kind != AccountKind.DEMO:
        raise ServiceError(
            "ACCOUNT_NOT_DEMO",
            f"account {account_id} holds real money: only demo accounts can be topped up or reset",
            http_status=409,
        )
    return account
