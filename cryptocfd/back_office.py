"""How the back office looks: its colours and its menu, by what people there do and not by apps. The settings read it."""

from collections.abc import Callable
from typing import Any, Final

from django.http import HttpRequest
from django.urls import reverse_lazy
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

# Those of the site's buttons and links (static/css/base.css, --accent-ground), from light to dark.
COLOURS: Final = {
    "primary": {
        "50": "oklch(97.1% .014 262)",
        "100": "oklch(93.4% .033 262)",
        "200": "oklch(88.2% .06 262)",
        "300": "oklch(80.9% .106 262)",
        "400": "oklch(70.7% .166 262)",
        "500": "oklch(62.3% .22 262)",
        "600": "oklch(55.5% .25 262)",
        "700": "oklch(48.8% .24 262)",
        "800": "oklch(42.4% .2 262)",
        "900": "oklch(37.9% .15 262)",
        "950": "oklch(28.2% .1 262)",
    },
}

# Pages over all apps (cryptocfd/office): (title, icon of Material Symbols, route, permission).
_HOUSE: Final = (
    (_("Exposure"), "balance", "office-exposure", "trade.view_house"),
    (_("House results"), "finance", "office-results", "trade.view_house"),
    (_("Liquidation ladder"), "stairs", "office-ladder", "trade.view_house"),
    (_("Feed and engine health"), "monitor_heart", "office-health", "trade.view_health"),
)

# Group -> (title, icon, app, model).
# Not a dict: a text that is translated later has no hash before that.
_MENU: Final[tuple[tuple[Promise, tuple[tuple[Promise, str, str, str], ...]], ...]] = (
    (
        _("People"),
        (
            (_("Users"), "group", "accounts", "user"),
            (_("Sign-in links"), "mail_lock", "accounts", "loginlink"),
            (_("Browsers signed in"), "devices", "usersessions", "usersession"),
            (_("Second factors"), "passkey", "mfa", "authenticator"),
            (_("Groups of staff"), "badge", "auth", "group"),
            (_("Identity checks"), "verified_user", "profile", "kycfile"),
        ),
    ),
    (
        _("Money"),
        (
            (_("Deposits and withdrawals"), "payments", "profile", "cashrequest"),
            (_("Cash commands"), "outbound", "profile", "cashoutbox"),
            (_("Trading accounts"), "account_balance_wallet", "profile", "tradingaccount"),
            (_("Balances"), "account_balance", "trade", "account"),
            (_("Ledger"), "receipt_long", "trade", "ledgerentry"),
        ),
    ),
    (
        _("Trading"),
        (
            (_("Kill switch"), "emergency_home", "market", "modechange"),
            (_("Instruments"), "candlestick_chart", "market", "instrument"),
            (_("Swap rollovers"), "bedtime", "market", "swaprollover"),
            (_("Positions"), "show_chart", "trade", "position"),
            (_("Orders"), "list_alt", "trade", "order"),
            (_("Fills"), "done_all", "trade", "fill"),
            (_("Closed trades"), "task_alt", "trade", "closedtrade"),
        ),
    ),
    (
        _("Record"),
        (
            (_("Audit log"), "history", "common", "auditentry"),
            (_("Messages"), "outgoing_mail", "notifications", "delivery"),
            (_("Outbox"), "outbox", "common", "outboxeffect"),
        ),
    ),
)


def _may_see(app: str, model: str) -> Callable[[HttpRequest], bool]:
    def may(request: HttpRequest) -> bool:
        # The settings read this module before there are apps.
        from apps.common.read_only_admin import admin_page

        return bool(admin_page(app, model).has_view_permission(request))

    return may


def _may(permission: str) -> Callable[[HttpRequest], bool]:
    return lambda request: bool(request.user.has_perm(permission))


def navigation() -> list[dict[str, Any]]:
    """Return the menu as Unfold takes it; everybody sees what they may look at."""
    house: dict[str, Any] = {
        "title": _("House"),
        "separator": True,
        "items": [
            {
                "title": title,
                "icon": icon,
                "link": reverse_lazy(f"admin:{route}"),
                "permission": _may(permission),
            }
            for title, icon, route, permission in _HOUSE
        ],
    }
    groups: list[dict[str, Any]] = [
        {
            "title": group,
            "separator": True,
            "items": [
                {
                    "title": title,
                    "icon": icon,
                    "link": reverse_lazy(f"admin:{app}_{model}_changelist"),
                    "permission": _may_see(app, model),
                }
                for title, icon, app, model in rows
            ],
        }
        for group, rows in _MENU
    ]
    groups[-1]["items"].append(
        {
            "title": _("Jobs"),
            "icon": "work_history",
            "link": "/admin/django_rq/dashboard/",
            "permission": lambda request: bool(request.user.is_superuser),
        }
    )
    return [house, *groups]
