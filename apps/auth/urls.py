"""Routes of sign-in: `urlpatterns` under /api/v1/, `page_urlpatterns` at the root of the site."""

from django.urls import path

from apps.auth.views.api import LoginView, VerifyUserView, VerifyView
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
    path("auth/verify-user", VerifyUserView.as_view(), name="auth-verify-user"),
]

page_urlpatterns = [
    path("auth/sign-in", SignInPage.as_view(), name="sign-in"),
    path("auth/demo", GuestDemoView.as_view(), name="guest-demo"),
    path("auth/code", CodePage.as_view(), name="auth-code"),
    path("auth/verify", VerifyPage.as_view(), name="auth-verify-page"),
    path("auth/logout", SignOutView.as_view(), name="auth-sign-out"),
]
