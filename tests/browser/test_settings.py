"""The pages of a person's own settings, in both themes and sizes."""

import pytest
from playwright.sync_api import expect

from tests.browser.test_pages import SIZES, THEMES, Visit, examine, look

pytestmark = pytest.mark.browser

# What asks for a fresh proof first (e-mail, deletion) shows the same frame.
PAGES = {
    "profile": "/settings/profile",
    "devices": "/settings/devices",
    "second-factor": "/settings/second-factor/",
    "notifications": "/settings/notifications",
    "data": "/settings/data",
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_of_the_settings_is_sound(visit: Visit, name: str, size: str):
    page = look(visit, PAGES[name], size, THEMES[0])

    expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for theme in THEMES:
        page.emulate_media(color_scheme=theme)
        examine(page, f"settings-{name}", size, theme)
