"""REST routes of accounts and balances."""

from django.urls import path

from apps.profile.views.accounts import (
    AccountChangeView,
    AccountsView,
    BalanceView,
    EnsureUserView,
    ResetView,
    TopUpView,
)

urlpatterns = [
    path("auth/ensure-user", EnsureUserView.as_view(), name="ensure-user"),
    path("accounts", AccountsView.as_view(), name="accounts"),
    path("accounts/<int:account_id>", AccountChangeView.as_view(), name="account"),
    path("accounts/<int:account_id>/topUp", TopUpView.as_view(), name="account-top-up"),
    path("accounts/<int:account_id>/reset", ResetView.as_view(), name="account-reset"),
    path("balance", BalanceView.as_view(), name="balance"),
]
