"""What this app knows about one person, and why their account may have to stay."""

from typing import Any

from django.utils.translation import gettext as _

from apps.trade.models import Account, ClosedTrade, Position
from engine.values import AccountKind


def trading_export(user_id: int) -> dict[str, Any]:
    """Return a person's accounts and closed trades; integers as they are stored, their units in the names."""
    accounts = Account.objects.filter(owner_id=user_id).order_by("account")
    trades = ClosedTrade.objects.filter(account__in=accounts.values("account")).order_by(
        "account", "seq"
    )
    names = [field.name for field in ClosedTrade._meta.concrete_fields]  # noqa: SLF001 - Django's public, documented API.
    return {
        "accounts": list(accounts.values("account", "kind", "group", "balance_micros")),
        "closedTrades": list(trades.values(*names)),
    }


def trading_obstacle(user_id: int) -> str:
    """Return why a person's account must stay: an open position, or live money."""
    accounts = Account.objects.filter(owner_id=user_id)
    if Position.objects.filter(
        account__in=accounts.values("account"), closed_at_us__isnull=True
    ).exists():
        return _("close your positions first")
    if accounts.filter(kind=AccountKind.LIVE.value).exclude(balance_micros=0).exists():
        return _("withdraw the money of your live accounts first")
    return ""
