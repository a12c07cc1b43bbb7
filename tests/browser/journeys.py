"""What the journeys of the terminal have in common: how a trader fills in, sends and reads."""

import re
from typing import Final

from playwright.sync_api import Locator, Page, expect

HEADLINE: Final = "#instrument .headline"
ROWS: Final = "#tables tbody tr"
PNL: Final = "#tables [data-pnl]"


def figure(page: Page, name: str) -> str:
    """Return the text of one figure of the account bar."""
    return page.locator(f"[data-figure={name}] dd").inner_text().removesuffix(" USD")


def changes(page: Page, selector: str) -> None:
    """Wait until the text of an element is another one."""
    before = page.locator(selector).first.inner_text()
    expect(page.locator(selector).first).not_to_have_text(before)


def price_now(page: Page) -> float:
    """Return the bid on the screen, for choosing round prices around it."""
    text = page.locator(HEADLINE).inner_text()
    return float(re.sub(r"[^\d.]", "", text))


def field(page: Page, label: str) -> Locator:
    """Return a field of the ticket by its whole label."""
    return page.get_by_label(label, exact=True)


def fill(page: Page, *, quantity: str, leverage: str = "10") -> None:
    """Fill in quantity and leverage."""
    field(page, "Quantity").fill(quantity)
    field(page, "Leverage").fill(leverage)


def send(page: Page) -> None:
    """Send what stands in the ticket, and say yes."""
    page.locator(".ticket .submit").click()
    page.locator("dialog .submit").click()


def order(page: Page, *, quantity: str, leverage: str = "10", side: str = "buy") -> None:
    """Buy or sell at the market."""
    page.locator(f".ticket .side.{side}").click()
    fill(page, quantity=quantity, leverage=leverage)
    send(page)


def toast(page: Page, text: str) -> Locator:
    """Return the message that has this text."""
    return page.locator(".toast", has_text=text)
