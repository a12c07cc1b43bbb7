"""REST routes of accounts and balances."""

from django.urls import path

from apps.profile.views import BalanceView, EnsureUserView

urlpatterns = [
    path("auth/ensure-user", EnsureUserView.as_view(), name="ensure-user"),
    path("balance", BalanceView.as_view(), name="balance"),
]
