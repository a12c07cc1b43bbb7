"""Routes of sign-in: `urlpatterns` under /api/v1/, `page_urlpatterns` at the root of the site."""

from django.urls import path

from apps.auth.views.api import LoginView, VerifyUserView, VerifyView
from apps.auth.views.keys import KeysView, KeyView
from apps.auth.views.mobile import (
    DevicesView,
    DeviceView,
    PinCheckView,
    PinView,
    RefreshTokenView,
    SessionTokenView,
)
from apps.auth.views.pages import (
    CodePage,
    GuestDemoView,
    SignInPage,
    SignOutView,
    VerifyPage,
)

urlpatterns = [
    path("auth/login", LoginView.as_view(), name="auth-login"),
    path("auth/verify", VerifyView.as_view(), name="auth-verify"),
    path("auth/mobile/session-token", SessionTokenView.as_view(), name="mobile-session-token"),
    path("auth/mobile/refresh-token", RefreshTokenView.as_view(), name="mobile-refresh-token"),
    path("auth/mobile/pin", PinView.as_view(), name="mobile-pin"),
    path("auth/mobile/pin/check", PinCheckView.as_view(), name="mobile-pin-check"),
    path("auth/devices", DevicesView.as_view(), name="devices"),
    path("auth/devices/<int:device_id>", DeviceView.as_view(), name="device"),
    path("keys", KeysView.as_view(), name="keys"),
    path("keys/<slug:public_id>", KeyView.as_view(), name="key"),
    path("auth/verify-user", VerifyUserView.as_view(), name="auth-verify-user"),
]

page_urlpatterns = [
    path("auth/sign-in", SignInPage.as_view(), name="sign-in"),
    path("auth/demo", GuestDemoView.as_view(), name="guest-demo"),
    path("auth/code", CodePage.as_view(), name="auth-code"),
    path("auth/verify", VerifyPage.as_view(), name="auth-verify-page"),
    path("auth/logout", SignOutView.as_view(), name="auth-sign-out"),
]
