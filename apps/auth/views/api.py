"""Sign-in for programs: the endpoints of the public contract."""

from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.translation import get_language_from_request
from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from typing_extensions import override

from apps.auth.choices import LinkOrigin
from apps.auth.serializers import (
    ClientSessionSerializer,
    LoginSentSerializer,
    LoginSerializer,
    UserStatusSerializer,
    VerifyQuerySerializer,
)
from apps.auth.services.links import login_link_use
from apps.auth.services.login_requests import LoginWish, login_request
from apps.auth.services.sessions import client_sign_in
from apps.auth.views.edge import (
    client_ip,
    next_path_of,
    no_trace,
    nonce_for,
    nonce_set,
    presence_of,
    wants_page,
)
from apps.auth.views.pages import VerifyPage
from apps.common.envelope import success
from apps.common.openapi import enveloped
from apps.common.views import ContractView

_SENT = "If this address can receive mail, a sign-in link and a code are on their way."


class LoginView(ContractView):
    """Ask for a sign-in link by mail."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @extend_schema(
        request=LoginSerializer,
        responses=enveloped(LoginSentSerializer, failures=(400, 429, 503)),
        description="The answer is the same for every address, known or not. The link works once, for ten minutes.",
    )
    def post(self, request: Request) -> Response:
        serializer = LoginSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        nonce = nonce_for(request)
        login_request(
            wish=LoginWish(
                email=serializer.validated_data["email"],
                # Browsers send Origin with every POST, and they keep the cookie.
                origin=LinkOrigin.BROWSER if "origin" in request.headers else LinkOrigin.CLIENT,
                nonce=nonce,
                next_path=next_path_of(serializer.validated_data["next"]),
                ip=client_ip(request),
                language=get_language_from_request(request),
            )
        )
        response = Response(success(LoginSentSerializer({"message": _SENT}).data))
        nonce_set(response, nonce)
        return response


@no_trace
class VerifyView(ContractView):
    """Use a sign-in link: programs get a session and its token, browsers get a page."""

    # Whatever mailers add to the links that they pass on.
    parameters = None
    authentication_classes = ()
    permission_classes = (AllowAny,)

    @override
    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method == "GET" and wants_page(request):
            return VerifyPage.as_view()(request)
        return super().dispatch(request, *args, **kwargs)

    @extend_schema(
        parameters=[VerifyQuerySerializer],
        responses=enveloped(ClientSessionSerializer, failures=(400, 403, 410)),
    )
    def get(self, request: Request) -> Response:
        query = VerifyQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        presence = presence_of(request, code=query.validated_data["code"], is_page=False)
        used = login_link_use(
            token=query.validated_data["token"],
            presence=presence,
            factor=query.validated_data["factor"],
        )
        plain = request._request  # noqa: SLF001 - DRF's only way to the request that carries the session.
        session = client_sign_in(request=plain, user=used.user, ip=client_ip(request))
        return Response(success(ClientSessionSerializer(session).data))

    def head(self, request: Request) -> Response:  # noqa: ARG002 - the signature is the framework's.
        # Django would answer HEAD by running GET, and previews would use links up.
        return Response()


class VerifyUserView(ContractView):
    """Tell whether the sender is signed in, as whom, and until when."""

    @extend_schema(request=None, responses=enveloped(UserStatusSerializer, failures=(401,)))
    def post(self, request: Request) -> Response:
        answer = UserStatusSerializer(
            {
                "user": request.user,
                "status": "active",
                "sessionValid": True,
                "expiresAt": _session_end(request),
            }
        )
        return Response(success(answer.data))


def _session_end(request: Request) -> datetime:
    expires_us = getattr(request.user, "expires_us", None)
    if expires_us is None:
        return request._request.session.get_expiry_date()  # noqa: SLF001 - as above.
    return datetime.fromtimestamp(expires_us / 1_000_000, tz=UTC)
