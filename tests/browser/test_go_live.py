"""The page "Go live" in both themes and sizes, and the way to it from the landing page."""

import pytest
from playwright.sync_api import expect

from tests.browser.test_pages import SIZES, THEMES, Visit, examine_themes, look

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("size", SIZES)
def test_the_page_is_sound(visit: Visit, size: str):
    page = look(visit, "/go-live", size, THEMES[0])

    expect(page.get_by_role("heading", name="Who you are")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    examine_themes(page, "go-live", size)
