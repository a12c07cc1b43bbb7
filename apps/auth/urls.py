"""Routes of sign-in: `urlpatterns` under /api/v1/, `page_urlpatterns` at the root of the site."""

from allauth.mfa.base import views as base
from allauth.mfa.recovery_codes import views as recovery_codes
from allauth.mfa.totp import views as totp
from allauth.mfa.webauthn import views as webauthn
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView

from apps.auth.views.api import LoginView, VerifyUserView, VerifyView
from apps.auth.views.key_pages import KeysPage, NewKeyPage
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
from apps.auth.views.proofs import AgainPage, fresh_proof_required
from apps.auth.views.settings import (
    DataPage,
    DeletePage,
    DevicesPage,
    EmailPage,
    ExportView,
    ProfilePage,
)
from apps.auth.views.viewing import ViewingEndView

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

# allauth's pages of the second factor, those that change something behind a fresh proof. Passkeys cannot replace the mailed
# link, so its pages for signing in and up by passkey are left out.
_second_factor: list[URLPattern | URLResolver] = [
    path("", base.index, name="mfa_index"),
    path("authenticate", base.authenticate, name="mfa_authenticate"),
    path("confirm", base.reauthenticate, name="mfa_reauthenticate"),
    path("app/add", fresh_proof_required(totp.activate_totp), name="mfa_activate_totp"),
    path("app/remove", fresh_proof_required(totp.deactivate_totp), name="mfa_deactivate_totp"),
    path(
        "codes",
        fresh_proof_required(recovery_codes.view_recovery_codes),
        name="mfa_view_recovery_codes",
    ),
    path(
        "codes/file",
        fresh_proof_required(recovery_codes.download_recovery_codes),
        name="mfa_download_recovery_codes",
    ),
    path(
        "codes/new",
        fresh_proof_required(recovery_codes.generate_recovery_codes),
        name="mfa_generate_recovery_codes",
    ),
    path("passkeys", webauthn.list_webauthn, name="mfa_list_webauthn"),
    path("passkeys/add", fresh_proof_required(webauthn.add_webauthn), name="mfa_add_webauthn"),
    path(
        "passkeys/<int:pk>/remove",
        fresh_proof_required(webauthn.remove_webauthn),
        name="mfa_remove_webauthn",
    ),
    path(
        "passkeys/<int:pk>",
        fresh_proof_required(webauthn.edit_webauthn),
        name="mfa_edit_webauthn",
    ),
    path("passkeys/confirm", webauthn.reauthenticate_webauthn, name="mfa_reauthenticate_webauthn"),
]

page_urlpatterns: list[URLPattern | URLResolver] = [
    path("settings/", RedirectView.as_view(pattern_name="settings-profile"), name="settings"),
    path("settings/second-factor/", include(_second_factor)),
    path("settings/profile", ProfilePage.as_view(), name="settings-profile"),
    path("settings/devices", DevicesPage.as_view(), name="settings-devices"),
    path("settings/keys", KeysPage.as_view(), name="settings-keys"),
    path("settings/keys/new", fresh_proof_required(NewKeyPage.as_view()), name="settings-key-new"),
    path("settings/email", fresh_proof_required(EmailPage.as_view()), name="settings-email"),
    path("settings/data", DataPage.as_view(), name="settings-data"),
    path(
        "settings/data/export", fresh_proof_required(ExportView.as_view()), name="settings-export"
    ),
    path("settings/delete", fresh_proof_required(DeletePage.as_view()), name="settings-delete"),
    path("auth/again", AgainPage.as_view(), name="auth-again"),
    # Names by which allauth finds ours.
    path("auth/sign-in", SignInPage.as_view(), name="account_login"),
    path("auth/logout", SignOutView.as_view(), name="account_logout"),
    path("auth/sign-in", SignInPage.as_view(), name="sign-in"),
    path("auth/demo", GuestDemoView.as_view(), name="guest-demo"),
    path("auth/code", CodePage.as_view(), name="auth-code"),
    path("auth/verify", VerifyPage.as_view(), name="auth-verify-page"),
    path("auth/logout", SignOutView.as_view(), name="auth-sign-out"),
    path("auth/viewing/end", ViewingEndView.as_view(), name="viewing-end"),
]
