"""Every page in both themes and sizes: screenshots to look at, no accessibility violation, no policy violation."""

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import Product

pytestmark = pytest.mark.browser

SCREENSHOTS = Path(__file__).parents[2] / "var" / "screenshots"
SIZES = {"wide": (1440, 900), "phone": (390, 844)}
THEMES = ("light", "dark")
VISITOR_PAGES = {
    "landing": "/",
    "sign-in": "/auth/sign-in",
    "licences": "/licences",
    "not-found": "/nowhere",
}
Visit = Callable[..., Page]


def examine(page: Page, name: str, size: str, theme: str) -> None:
    """Keep a picture of the page and let axe look at it."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}-{size}-{theme}.png")
    violations = Axe().run(page).response["violations"]
    grave = [
        f"{violation['id']}: {node['html'][:160]}"
        for violation in violations
        if violation["impact"] in {"serious", "critical"}
        for node in violation["nodes"]
    ]
    assert grave == []


def look(visit: Visit, path: str, size: str, theme: str, **options: object) -> Page:
    width, height = SIZES[size]
    return visit(
        path,
        viewport={"width": width, "height": height},
        color_scheme=theme,
        reduced_motion="reduce",
        **options,
    )


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", VISITOR_PAGES)
def test_a_visitors_page_is_sound(visit: Visit, name: str, size: str, theme: str):
    page = look(visit, VISITOR_PAGES[name], size, theme, is_signed_in=False)

    expect(page.get_by_role("heading", level=1)).to_be_visible()
    examine(page, name, size, theme)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("size", SIZES)
def test_the_terminal_is_sound(visit: Visit, size: str, theme: str):
    page = look(visit, "/trade/BTCUSDT", size, theme)

    expect(page.locator("#instrument .headline")).to_have_text(re.compile(r"\d"))
    page.get_by_label("Quantity").fill("0.05")
    expect(page.locator("#obstacle")).to_have_text("")
    examine(page, "terminal", size, theme)


@pytest.mark.parametrize("view", ["Markets", "Positions"])
def test_the_views_of_a_phone_are_sound(visit: Visit, view: str):
    page = look(visit, "/trade/BTCUSDT", "phone", "light")

    expect(page.locator("#instrument .headline")).to_have_text(re.compile(r"\d"))
    page.locator("#views").get_by_role("button", name=view).click()
    examine(page, f"terminal-{view.lower()}", "phone", "light")


def test_a_visitor_sees_live_prices_and_is_sent_a_link(visit: Visit):
    page = visit("/", is_signed_in=False)

    expect(page.locator("[data-quotes-list]")).to_contain_text("BTC")
    expect(page.locator("[data-quotes-badge]")).to_have_text(re.compile("simulated", re.IGNORECASE))
    expect(page.locator("[data-figure=uptime]")).to_have_text(re.compile(r"^\d+ (d|h|min|s)"))
    expect(page.locator("#api .card")).to_have_count(4)
    page.get_by_label("E-mail").fill("newcomer@example.com")
    page.get_by_role("button", name="Send me a link").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Check your mail")


def mailed_code(mail_dir: Path, address: str) -> str:
    """Wait for a mail to an address and return its code."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for mail in mail_dir.glob("*"):
            text = mail.read_text()
            if address in text and (found := re.search(r"\b\d{6}\b", text)):
                return found[0]
        time.sleep(0.05)
    raise AssertionError(f"no mail to {address}")


def test_a_newcomer_finds_the_promised_demo_account(visit: Visit, product: Product):
    page = visit("/", is_signed_in=False)
    page.get_by_label("E-mail").fill("dora@example.com")
    page.get_by_role("button", name="Send me a link").click()

    page.locator("input[name=code]").fill(mailed_code(product.mail_dir, "dora@example.com"))
    page.locator("input[name=code]").press("Enter")

    expect(page).to_have_url(re.compile("/trade/BTCUSDT$"))
    expect(page.get_by_text("10,000.00").first).to_be_visible()


def test_a_page_keeps_the_chosen_theme(visit: Visit):
    page = visit("/", is_signed_in=False, color_scheme="light")

    page.get_by_role("button", name="Switch between light and dark").click()
    page.reload()

    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
