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
from apps.profile.views.cash import (
    DepositsView,
    DepositView,
    KycDocumentsView,
    KycView,
    LiveAccountsView,
    WithdrawalsView,
    WithdrawalView,
)
from apps.profile.views.pages import GoLivePage

urlpatterns = [
    path("auth/ensure-user", EnsureUserView.as_view(), name="ensure-user"),
    path("accounts", AccountsView.as_view(), name="accounts"),
    path("accounts/live", LiveAccountsView.as_view(), name="accounts-live"),
    path("kyc", KycView.as_view(), name="kyc"),
    path("kyc/documents", KycDocumentsView.as_view(), name="kyc-documents"),
    path("accounts/<int:account_id>/deposits", DepositsView.as_view(), name="deposits"),
    path("accounts/<int:account_id>/deposits/<int:cash_id>", DepositView.as_view(), name="deposit"),
    path("accounts/<int:account_id>/withdrawals", WithdrawalsView.as_view(), name="withdrawals"),
    path(
        "accounts/<int:account_id>/withdrawals/<int:cash_id>",
        WithdrawalView.as_view(),
        name="withdrawal",
    ),
    path("accounts/<int:account_id>", AccountChangeView.as_view(), name="account"),
    path("accounts/<int:account_id>/topUp", TopUpView.as_view(), name="account-top-up"),
    path("accounts/<int:account_id>/reset", ResetView.as_view(), name="account-reset"),
    path("balance", BalanceView.as_view(), name="balance"),
]

page_urlpatterns = [path("go-live", GoLivePage.as_view(), name="go-live")]
