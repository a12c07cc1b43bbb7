"""How the back office looks: its colours and its menu, by what people there do and not by apps. The settings read it."""

from collections.abc import Callable
from typing import Any, Final

from django.http import HttpRequest
from django.urls import reverse_lazy

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

# Group -> (title, icon of Material Symbols, app, model).
_MENU: Final = {
    "People": (
        ("Users", "group", "accounts", "user"),
        ("Sign-in links", "mail_lock", "accounts", "loginlink"),
        ("Groups of staff", "badge", "auth", "group"),
        ("Identity checks", "verified_user", "profile", "kycfile"),
    ),
    "Money": (
        ("Deposits and withdrawals", "payments", "profile", "cashrequest"),
        ("Cash commands", "outbound", "profile", "cashoutbox"),
        ("Trading accounts", "account_balance_wallet", "profile", "tradingaccount"),
        ("Balances", "account_balance", "trade", "account"),
        ("Ledger", "receipt_long", "trade", "ledgerentry"),
    ),
    "Trading": (
        ("Kill switch", "emergency_home", "market", "modechange"),
        ("Instruments", "candlestick_chart", "market", "instrument"),
        ("Swap rollovers", "bedtime", "market", "swaprollover"),
        ("Positions", "show_chart", "trade", "position"),
        ("Orders", "list_alt", "trade", "order"),
        ("Fills", "done_all", "trade", "fill"),
        ("Closed trades", "task_alt", "trade", "closedtrade"),
    ),
    "Record": (
        ("Audit log", "history", "common", "auditentry"),
        ("Messages", "outgoing_mail", "notifications", "delivery"),
        ("Outbox", "outbox", "common", "outboxeffect"),
    ),
}


def _may_view(app: str, model: str) -> Callable[[HttpRequest], bool]:
    return lambda request: bool(request.user.has_perm(f"{app}.view_{model}"))


def navigation() -> list[dict[str, Any]]:
    """Return the menu as Unfold takes it; everybody sees what they may look at."""
    groups: list[dict[str, Any]] = [
        {
            "title": group,
            "separator": True,
            "items": [
                {
                    "title": title,
                    "icon": icon,
                    "link": reverse_lazy(f"admin:{app}_{model}_changelist"),
                    "permission": _may_view(app, model),
                }
                for title, icon, app, model in rows
            ],
        }
        for group, rows in _MENU.items()
    ]
    groups[-1]["items"].append(
        {
            "title": "Jobs",
            "icon": "work_history",
            "link": "/admin/django_rq/dashboard/",
            "permission": lambda request: bool(request.user.is_superuser),
        }
    )
    return groups
