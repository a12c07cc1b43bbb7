"""Clients without cookies: their tokens, their PIN, and the list of them."""

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from apps.auth import selectors
from apps.auth.models import Device, User
from apps.auth.serializers import (
    ClientSessionSerializer,
    DeviceSerializer,
    PinCheckSerializer,
    PinSerializer,
    PinStateSerializer,
    RefreshSerializer,
)
from apps.auth.services.devices import device_current, device_revoke
from apps.auth.services.pins import pin_check, pin_set
from apps.auth.services.refresh import pair_next
from apps.auth.services.sessions import client_sign_in
from apps.auth.views.edge import client_ip, no_trace
from apps.common.envelope import success
from apps.common.openapi import enveloped
from apps.common.rate_limits import rate_limit_require, rate_limits_parse
from apps.common.requests import user_id_of
from apps.common.views import ContractView


def session_digest_of(request: Request) -> str:
    """Return what names the session of a request: an access token's, or the browser's own."""
    digest = getattr(request.user, "session_digest", None)
    if isinstance(digest, str):
        return digest
    return selectors.session_digest_of(request._request.session.session_key or "")  # noqa: SLF001 - DRF's only way to the request that carries the session.


def _device(request: Request) -> Device:
    return device_current(user_id=user_id_of(request), session_digest=session_digest_of(request))


@no_trace
class SessionTokenView(ContractView):
    """Sign this client in as a device of its own, beside the session that it comes with."""

    @extend_schema(
        operation_id="auth_session_token",
        responses=enveloped(ClientSessionSerializer, name="SessionToken", failures=(401, 429, 503)),
        tags=["auth"],
    )
    def get(self, request: Request) -> Response:
        user_id = user_id_of(request)
        rate_limit_require(
            key=f"session-token:{user_id}",
            limits=rate_limits_parse(settings.SESSION_TOKEN_LIMITS),
            what="devices were signed in",
        )
        pair = client_sign_in(
            request=request._request,  # noqa: SLF001 - as above.
            user=User.objects.get(pk=user_id),
            ip=client_ip(request),
        )
        return Response(success(ClientSessionSerializer(pair).data))

    def head(self, request: Request) -> Response:  # noqa: ARG002 - the signature is the framework's.
        # Django would answer HEAD by running GET.
        return Response()


@no_trace
class RefreshTokenView(ContractView):
    """Use a refresh token: the next pair. One that was used before signs the device out."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @extend_schema(
        operation_id="auth_refresh_token",
        request=RefreshSerializer,
        responses=enveloped(
            ClientSessionSerializer, name="RefreshedToken", failures=(400, 401, 429, 503)
        ),
        tags=["auth"],
    )
    def post(self, request: Request) -> Response:
        body = RefreshSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        rate_limit_require(
            key=f"refresh:ip:{client_ip(request)}",
            limits=rate_limits_parse(settings.REFRESH_LIMITS_PER_IP),
            what="tokens were refreshed from your network",
        )
        pair = pair_next(refresh_token=body.validated_data["refreshToken"], ip=client_ip(request))
        return Response(success(ClientSessionSerializer(pair).data))


class PinView(ContractView):
    """Set or change the PIN of this device."""

    @extend_schema(
        operation_id="auth_pin",
        request=PinSerializer,
        responses=enveloped(PinStateSerializer, name="PinSet", failures=(400, 401, 403, 409, 423)),
        tags=["auth"],
    )
    def post(self, request: Request) -> Response:
        body = PinSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        pin_set(
            device=_device(request),
            pin=body.validated_data["pin"],
            current_pin=body.validated_data["currentPin"],
        )
        return Response(success({"pinSet": True}))


class PinCheckView(ContractView):
    """Check the PIN of this device, as an app does when it is opened."""

    @extend_schema(
        operation_id="auth_pin_check",
        request=PinCheckSerializer,
        responses=enveloped(PinStateSerializer, name="PinRight", failures=(400, 401, 403, 423)),
        tags=["auth"],
    )
    def post(self, request: Request) -> Response:
        body = PinCheckSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        pin_check(device=_device(request), pin=body.validated_data["pin"])
        return Response(success({"pinSet": True}))


class DevicesView(ContractView):
    """The clients that are signed in, newest first."""

    @extend_schema(
        operation_id="auth_devices",
        responses=enveloped(DeviceSerializer(many=True), name="Devices", failures=(401,)),
        tags=["auth"],
    )
    def get(self, request: Request) -> Response:
        devices = selectors.devices_of_user(user_id=user_id_of(request))
        shape = DeviceSerializer(
            devices, many=True, context={"session_digest": session_digest_of(request)}
        )
        return Response(success(shape.data))


class DeviceView(ContractView):
    """One client that is signed in."""

    @extend_schema(
        operation_id="auth_device_revoke",
        responses=enveloped(DeviceSerializer(many=True), name="DevicesLeft", failures=(401, 404)),
        tags=["auth"],
    )
    def delete(self, request: Request, device_id: int) -> Response:
        device_revoke(user_id=user_id_of(request), device_id=device_id)
        return DevicesView().get(request)
