"""REST of accounts and balances: reads the request, calls one service, writes the envelope."""

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.engine_gateway import engine_gateway
from apps.common.envelope import success
from apps.common.errors import ServiceError
from apps.common.key_access import READ_ONLY, account_bound, account_require
from apps.common.money import (
    MICRO_DECIMALS,
    number_from_micros,
    percent_from_bps,
    scaled_from_number,
)
from apps.common.openapi import enveloped
from apps.common.requests import REQUEST_ID_PATTERN, idempotency_key_of, user_id_of
from apps.common.views import ContractView
from apps.profile import selectors
from apps.profile.serializers import (
    AccountChangeSerializer,
    AccountOpenSerializer,
    AccountQuerySerializer,
    AccountSerializer,
    BalanceSerializer,
    EnsuredUserSerializer,
    ToppedUpSerializer,
    TopUpSerializer,
)
from apps.profile.services.accounts import account_choose, account_view, user_ensure
from apps.profile.services.demos import account_rename, demo_open, demo_reset, demo_top_up
from engine.messages.views import AccountView

CURRENCY = "USD"

_IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key", str, OpenApiParameter.HEADER, pattern=REQUEST_ID_PATTERN
)


class EnsureUserView(ContractView):
    """Makes sure that the user has a trading account in the engine; asking again changes nothing."""

    @extend_schema(request=None, responses=enveloped(EnsuredUserSerializer), tags=["accounts"])
    def post(self, request: Request) -> Response:
        account = user_ensure(user_id=user_id_of(request))
        accounts = selectors.accounts_of_user(user_id=user_id_of(request))
        return Response(
            success(
                {
                    "userId": user_id_of(request),
                    "accountId": account.id,
                    "accounts": AccountSerializer(accounts, many=True).data,
                }
            )
        )


class AccountsView(ContractView):
    """The user's trading accounts, oldest first; one more demo."""

    key_scopes = READ_ONLY

    @extend_schema(
        operation_id="accounts_list",
        responses=enveloped(AccountSerializer(many=True), name="Accounts", failures=(401, 503)),
        tags=["accounts"],
    )
    def get(self, request: Request) -> Response:
        bound = account_bound(request)
        accounts = [
            account
            for account in selectors.accounts_of_user(user_id=user_id_of(request))
            if bound in {None, account.id}
        ]
        return Response(success(AccountSerializer(accounts, many=True).data))

    @extend_schema(
        operation_id="accounts_open",
        parameters=[_IDEMPOTENCY_KEY],
        request=AccountOpenSerializer,
        responses=enveloped(
            AccountSerializer, name="AccountOpened", status=201, failures=(400, 401, 408, 409, 503)
        ),
        tags=["accounts"],
    )
    def post(self, request: Request) -> Response:
        body = AccountOpenSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        account = demo_open(
            user_id=user_id_of(request),
            name=body.validated_data["name"].strip(),
            request_id=idempotency_key_of(request),
        )
        return Response(success(AccountSerializer(account).data), status=201)


class AccountChangeView(ContractView):
    """What the owner calls an account, and which one is the default."""

    @extend_schema(
        operation_id="accounts_change",
        request=AccountChangeSerializer,
        responses=enveloped(
            AccountSerializer, name="AccountChanged", failures=(400, 401, 404, 409, 503)
        ),
        tags=["accounts"],
    )
    def patch(self, request: Request, account_id: int) -> Response:
        body = AccountChangeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        account = account_rename(
            user_id=user_id_of(request),
            account_id=account_id,
            name=body.validated_data.get("name"),
            is_default=body.validated_data.get("isDefault"),
        )
        return Response(success(AccountSerializer(account).data))


class TopUpView(ContractView):
    """Adds play money to a demo account."""

    @extend_schema(
        operation_id="accounts_top_up",
        parameters=[_IDEMPOTENCY_KEY],
        request=TopUpSerializer,
        responses=enveloped(ToppedUpSerializer, failures=(400, 401, 404, 408, 409, 429, 503)),
        tags=["accounts"],
    )
    def post(self, request: Request, account_id: int) -> Response:
        body = TopUpSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        amount = body.validated_data.get("amount")
        topped_up = demo_top_up(
            user_id=user_id_of(request),
            account_id=account_id,
            amount_micros=None if amount is None else amount_micros_of(amount),
            request_id=idempotency_key_of(request),
        )
        answer = {
            "accountId": topped_up.account_id,
            "amount": number_from_micros(topped_up.amount_micros),
        }
        return Response(success(answer))


class ResetView(ContractView):
    """Sets a demo account back to the demo money; positions and orders must be closed before."""

    @extend_schema(
        operation_id="accounts_reset",
        request=None,
        responses=enveloped(
            AccountSerializer, name="AccountReset", failures=(401, 404, 408, 409, 503)
        ),
        tags=["accounts"],
    )
    def post(self, request: Request, account_id: int) -> Response:
        account = demo_reset(user_id=user_id_of(request), account_id=account_id)
        return Response(success(AccountSerializer(account).data))


def amount_micros_of(text: str) -> int:
    """Return an amount of USD as micro-USD.

    Errors: ServiceError INVALID for more than six decimals.
    """
    try:
        return scaled_from_number(text, MICRO_DECIMALS)
    except ValueError as error:
        raise ServiceError("INVALID", f"amount: {error}", data={"field": "amount"}) from error


class BalanceView(ContractView):
    """The money of an account, live from the engine."""

    key_scopes = READ_ONLY
    parameters = None

    @extend_schema(
        parameters=[AccountQuerySerializer],
        responses=enveloped(BalanceSerializer),
        tags=["accounts"],
    )
    def get(self, request: Request) -> Response:
        gateway = engine_gateway()
        query = AccountQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        account = account_choose(
            accounts=selectors.accounts_of_user(user_id=user_id_of(request)),
            account_id=account_require(request, query.validated_data.get("accountId")),
        )
        view = gateway.run(account_view(account=account))
        return Response(success(_balance(view)))


def _balance(view: AccountView) -> dict[str, object]:
    balance = number_from_micros(view.balance_micros)
    level_bps = view.margin_level_bps
    return {
        "status": "success",
        "message": balance,
        "accountId": view.account,
        "currency": CURRENCY,
        "balance": balance,
        "equity": number_from_micros(view.equity_micros),
        "usedMargin": number_from_micros(view.used_margin_micros),
        "freeMargin": number_from_micros(view.free_margin_micros),
        "marginLevel": None if level_bps is None else percent_from_bps(level_bps),
        "marginCallLevel": percent_from_bps(view.margin_call_level_bps),
        "stopOutLevel": percent_from_bps(view.stop_out_level_bps),
        "unrealisedPnl": number_from_micros(view.pnl_unrealised_micros),
        "withdrawable": number_from_micros(view.withdrawable_micros),
        "asOf": view.as_of,
    }
