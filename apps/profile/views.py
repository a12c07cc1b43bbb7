"""REST of accounts and balances: reads the request, calls one service, writes the envelope."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.common.engine_gateway import engine_gateway
from apps.common.envelope import success
from apps.common.money import number_from_micros, percent_from_bps
from apps.common.openapi import enveloped
from apps.common.requests import user_id_of
from apps.profile import selectors, services
from apps.profile.serializers import (
    AccountQuerySerializer,
    AccountSerializer,
    BalanceSerializer,
    EnsuredUserSerializer,
)
from engine.messages.views import AccountView

CURRENCY = "USD"


class EnsureUserView(APIView):
    """Makes sure that the user has a trading account in the engine; asking again changes nothing."""

    @extend_schema(request=None, responses=enveloped(EnsuredUserSerializer), tags=["accounts"])
    def post(self, request: Request) -> Response:
        account = services.user_ensure(user_id=user_id_of(request))
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


class BalanceView(APIView):
    """The money of an account, live from the engine."""

    @extend_schema(
        parameters=[AccountQuerySerializer],
        responses=enveloped(BalanceSerializer),
        tags=["accounts"],
    )
    def get(self, request: Request) -> Response:
        gateway = engine_gateway()
        query = AccountQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        account = services.account_choose(
            accounts=selectors.accounts_of_user(user_id=user_id_of(request)),
            account_id=query.validated_data.get("accountId"),
        )
        view = gateway.run(services.account_view(account=account))
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
        "unrealisedPnl": number_from_micros(view.pnl_unrealised_micros),
        "withdrawable": number_from_micros(view.withdrawable_micros),
        "asOf": view.as_of,
    }
