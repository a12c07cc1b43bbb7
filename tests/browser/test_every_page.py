"""No page is forgotten: the routes name them all, and axe looks at each that the other suites do not."""

from typing import Final

import pytest
from django.urls import URLPattern, URLResolver, get_resolver, resolve
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
    "guest-demo",
    "auth-sign-out",
    "settings-export",
    "mfa_download_recovery_codes",
    *(f"udf-{name}" for name in ("config", "time", "symbols", "search", "history", "quotes")),
    # Swagger UI and Redoc draw these two, in styles of their own.
    "docs",
    "redoc-bundle",
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
PAGES: Final = {
    "settings-email": "/settings/email",
    "settings-delete": "/settings/delete",
    "auth-again": "/auth/again?next=/settings/email",
    "mfa_reauthenticate": "/settings/second-factor/confirm",
    "mfa_activate_totp": "/settings/second-factor/app/add",
    "mfa_list_webauthn": "/settings/second-factor/passkeys",
    "mfa_add_webauthn": "/settings/second-factor/passkeys/add",
    "auth-verify-page": "/auth/verify?token=nonsense",
    "auth-code": "/auth/code",
}


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


def test_every_route_is_looked_at_or_shows_no_page():
    shown = [
        path for path in (*VISITOR_PAGES.values(), *SETTINGS_PAGES.values()) if path != "/nowhere"
    ]
    elsewhere = {resolve(path).url_name for path in shown} | ELSEWHERE

    assert _routes() == elsewhere | NO_PAGES | set(PAGES)


def test_axe_finds_nothing_grave_on_the_rest(visit: Visit):
    page: Page = look(visit, "/settings/profile", "wide", THEMES[0])
    for number, (name, path) in enumerate(PAGES.items()):
        size, theme = list(SIZES)[number % 2], THEMES[number // 2 % 2]
        width, height = SIZES[size]
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=theme)
        page.goto(path)
        page.wait_for_load_state("networkidle")
        examine(page, f"rest-{name}", size, theme)
