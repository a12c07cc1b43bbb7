"""No page is forgotten: the routes name them all, and axe looks at each that the other suites do not."""

from typing import Final

import pytest
from django.urls import URLPattern, URLResolver, get_resolver, resolve, reverse
from playwright.sync_api import Page

from tests.browser.test_pages import SIZES, THEMES, VISITOR_PAGES, Visit, examine, look
from tests.browser.test_settings import PAGES as SETTINGS_PAGES

pytestmark = pytest.mark.browser

# Looked at in test_pages.py with an account that has traded, and in test_go_live.py.
ELSEWHERE: Final = {"terminal", "portfolio", "help", "go-live"}
# Routes that show no page of their own: files, numbers, forms that only take a POST, and ways on to another page.
NO_PAGES: Final = {
    "figures",
    "manifest",
    "service-worker",
    "asset-icon",
    "schema",
    "errors",
    "csp-report",
    "redoc-bundle",
    "guest-demo",
    "auth-sign-out",
    "settings",
    "viewing-end",
    "settings-export",
    "mfa_download_recovery_codes",
    *(f"udf-{name}" for name in ("config", "time", "symbols", "search", "history", "quotes")),
    # Swagger UI and Redoc draw these two, in styles of their own.
    "docs",
    "redoc",
    # Another name of account_login's address.
    "sign-in",
    # Replaced by routes of our own before them, or answered by the page that asks for a proof.
    "account_logout",
    "mfa_authenticate",
    "mfa_reauthenticate_webauthn",
    # Of a passkey or an app that somebody must have first.
    "mfa_remove_webauthn",
    "mfa_edit_webauthn",
    "mfa_deactivate_totp",
    "mfa_view_recovery_codes",
    "mfa_generate_recovery_codes",
}
# What a page needs to be asked with.
QUERIES: Final = {"auth-again": "?next=/settings/email", "auth-verify-page": "?token=nonsense"}


def _routes() -> set[str]:
    """Return the names of all routes but those of the interface and of the back office."""
    names = set()

    def walk(patterns: list[URLPattern | URLResolver], prefix: str) -> None:
        for pattern in patterns:
            path = prefix + str(pattern.pattern)
            if path.startswith(("api/v1/", "admin/")):
                continue
            if isinstance(pattern, URLResolver):
                walk(pattern.url_patterns, path)
            elif pattern.name:
                names.add(pattern.name)

    walk(get_resolver().url_patterns, "")
    return names


def test_axe_finds_nothing_grave_on_the_pages_that_nobody_else_looks_at(visit: Visit):
    shown = {*VISITOR_PAGES.values(), *SETTINGS_PAGES.values()} - {"/nowhere"}
    known = {resolve(path).url_name for path in shown} | ELSEWHERE | NO_PAGES
    page: Page = look(visit, "/settings/profile", "wide", THEMES[0])

    rest = sorted(_routes() - known)
    for number, name in enumerate(rest):
        size, theme = list(SIZES)[number % 2], THEMES[number // 2 % 2]
        width, height = SIZES[size]
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=theme)
        # A new route with parameters fails here, until it is said how to ask for it.
        page.goto(reverse(name) + QUERIES.get(name, ""))
        examine(page, f"rest-{name}", size, theme)

    assert "settings-email" in rest
