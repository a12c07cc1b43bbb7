"""API keys of the user: list, make, revoke."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.auth.choices import KeyAlgorithm
from apps.auth.serializers import KeyMadeSerializer, KeySerializer, KeyWishSerializer
from apps.auth.services.api_keys import KeyWish, key_make, key_revoke, keys_of_user
from apps.auth.views.edge import no_trace_of_posts
from apps.common.envelope import success
from apps.common.openapi import enveloped
from apps.common.requests import user_id_of
from apps.common.step_up import step_up_require
from apps.common.views import ContractView


@no_trace_of_posts
class KeysView(ContractView):
    """The user's API keys, newest first."""

    @extend_schema(
        operation_id="keys_list",
        responses=enveloped(KeySerializer(many=True), name="Keys", failures=(401,)),
        tags=["keys"],
    )
    def get(self, request: Request) -> Response:
        keys = keys_of_user(user_id=user_id_of(request))
        return Response(success(KeySerializer(keys, many=True).data))

    @extend_schema(
        operation_id="keys_make",
        request=KeyWishSerializer,
        responses=enveloped(KeyMadeSerializer, status=201, failures=(400, 401, 403, 404, 409, 423)),
        description="Needs the device's `pin`, or in a browser a sign-in of the last five minutes. The secret is shown once.",
        tags=["keys"],
    )
    def post(self, request: Request) -> Response:
        body = KeyWishSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        data = body.validated_data
        step_up_require(request, pin=data["pin"], needs_factor=True)
        made = key_make(
            user_id=user_id_of(request),
            wish=KeyWish(
                name=data["name"],
                account_id=data.get("accountId"),
                algorithm=KeyAlgorithm(data["algorithm"]),
                public_key=data["publicKey"],
                may_read="read" in data["scopes"],
                may_trade="trade" in data["scopes"],
                networks=tuple(data["ipAddresses"]),
                expires_at=data.get("expiresAt"),
            ),
        )
        shown = {**KeySerializer(made.key).data, "secret": made.secret or None}
        return Response(success(shown), status=201)


class KeyView(ContractView):
    """One API key."""

    @extend_schema(
        operation_id="keys_revoke",
        responses=enveloped(KeySerializer(many=True), name="KeysLeft", failures=(401, 404)),
        tags=["keys"],
    )
    def delete(self, request: Request, public_id: str) -> Response:
        key_revoke(user_id=user_id_of(request), public_id=public_id)
        return KeysView().get(request)
