"""The pages of a person's own settings, in both themes and sizes."""

import re

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import Product, Watch
from tests.browser.test_pages import SIZES, THEMES, Visit, examine, examine_themes, look
from tests.browser.test_passkeys import authenticator_add, code_enter, passkey_add

pytestmark = pytest.mark.browser

# What asks for a fresh proof first (e-mail, deletion) shows the same frame.
PAGES = {
    "profile": "/settings/profile",
    "devices": "/settings/devices",
    "second-factor": "/settings/second-factor/",
    "notifications": "/settings/notifications",
    "keys": "/settings/keys",
    "phone": "/settings/phone",
    "data": "/settings/data",
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_of_the_settings_is_sound(visit: Visit, name: str, size: str):
    page = look(visit, PAGES[name], size, THEMES[0])

    expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    examine_themes(page, f"settings-{name}", size)


def test_a_key_is_made_with_a_second_factor_and_shown_once(
    product: Product, browser: Browser, watch: Watch
):
    size = "phone"
    width, height = SIZES[size]
    with browser.new_context(
        base_url=product.url, viewport={"width": width, "height": height}
    ) as context:
        page = context.new_page()
        watch.attach(page)
        authenticator_add(page)
        code_enter(page, product, "keys@example.com")
        page.wait_for_url("**/trade/*")
        page.goto("/settings/keys/new")
        page.get_by_label("What to call it").fill("my bot")
        page.get_by_role("button", name="Make the key").click()
        expect(page.get_by_role("alert")).to_contain_text("needs a second factor")
        examine_themes(page, "settings-key-new", size)

        passkey_add(page)
        page.goto("/settings/keys/new")
        page.get_by_label("What to call it").fill("my bot")
        page.get_by_role("button", name="Make the key").click()
        expect(page.get_by_label("Secret")).to_have_value(re.compile(r"^[\w-]{43}$"))
        examine_themes(page, "settings-key-made", size)
        page.get_by_role("link", name="Done").click()
        examine_themes(page, "settings-keys-one", size)
        page.get_by_role("button", name="Revoke my bot").click()
        expect(page.get_by_text("None yet.")).to_be_visible()


def test_the_account_pages_are_in_the_language_of_the_browser(visit: Visit):
    page = visit("/auth/sign-in", is_signed_in=False, locale="de-DE")

    expect(page.get_by_role("heading", level=1)).to_have_text("Anmelden")
    examine(page, "sign-in-german", "wide", "light")
