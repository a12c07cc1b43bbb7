"""Passkeys with Chromium's virtual authenticator: set up, asked for at the next sign-in, and no way past it."""

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Product, Watch

pytestmark = pytest.mark.browser

PERSON = "passkey@example.com"
FACTOR = re.compile("/settings/second-factor/authenticate")


def authenticator_add(page: Page) -> None:
    """Plug in a platform authenticator whose owner always says yes."""
    wire = page.context.new_cdp_session(page)
    wire.send("WebAuthn.enable")
    options: dict[str, Any] = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    wire.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def code_enter(page: Page, product: Product, email: str = PERSON) -> None:
    """Sign in, or up, by a mailed code."""
    page.goto("/auth/sign-in")
    page.get_by_label("E-mail").fill(email)
    page.get_by_role("button", name="Send me a link").click()
    page.locator("input[name=code]").fill(product.mailed_code(email))
    page.locator("input[name=code]").press("Enter")


def passkey_add(page: Page) -> None:
    page.goto("/settings/second-factor/passkeys/add")
    page.get_by_label("Name").fill("My laptop")
    page.get_by_role("button", name="Add").click()
    page.wait_for_url(lambda url: not url.endswith("/add"))


def test_s14_a_passkey_guards_the_next_sign_in(product: Product, browser: Browser, watch: Watch):
    with browser.new_context(base_url=product.url) as context:
        page = context.new_page()
        watch.attach(page)
        authenticator_add(page)
        code_enter(page, product)
        page.wait_for_url("**/trade/*")

        passkey_add(page)
        page.goto("/settings/second-factor/passkeys")
        expect(page.get_by_text("My laptop")).to_be_visible()
        page.goto("/settings/profile")
        page.get_by_role("button", name="Sign out of this browser").click()

        code_enter(page, product)
        expect(page).to_have_url(FACTOR)
        page.get_by_role("button", name=re.compile("security key", re.IGNORECASE)).click()
        page.wait_for_url("**/trade/*")

    with browser.new_context(base_url=product.url) as context:
        page = context.new_page()
        watch.attach(page)
        code_enter(page, product)
        expect(page).to_have_url(FACTOR)
        page.goto("/settings/profile")
        expect(page).to_have_url(re.compile("/auth/sign-in"))
