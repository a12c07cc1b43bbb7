"""The page "Go live" in both themes and sizes, and the way to it from the landing page."""

import pytest
from playwright.sync_api import expect

from tests.browser.test_pages import SIZES, THEMES, Visit, examine, look

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("theme", THEMES)
def test_the_page_is_sound(visit: Visit, size: str, theme: str):
    page = look(visit, "/go-live", size, theme)

    expect(page.get_by_role("heading", name="Who you are")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    examine(page, "go-live", size, theme)
