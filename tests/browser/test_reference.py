"""The pages of the interface, of one theme each: explorer, reference, browsable answers.

They break no rule of the Content-Security-Policy, leave the host for nothing, and axe finds nothing grave on them.
"""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.test_pages import examine

pytestmark = pytest.mark.browser


def test_the_explorer_shows_an_operation_and_tries_it(visit):
    page = visit("/api/docs/")
    create = page.locator("#operations-trade-trade_create")

    create.get_by_role("button").first.click()
    expect(page.get_by_text("Places an order: at the market").first).to_be_visible()
    expect(create.get_by_text("LEVERAGE").first).to_be_attached()
    # Not sent: it would be an order of alice's.
    create.get_by_role("button", name="Try it out").click()
    expect(create.get_by_role("button", name="Execute")).to_be_visible()
    heads = [f".opblock-summary-{kind}" for kind in ("get", "post", "patch", "delete")]
    parts = [
        ".information-container",
        ".scheme-container",
        "#operations-trade-trade_create",
        *heads,
    ]
    examine(page, "explorer", "wide", "light", parts=parts)


def test_the_reference_shows_an_operation(visit):
    page = visit("/api/redoc/")

    expect(page.get_by_text("Places an order: at the market").first).to_be_attached(timeout=60_000)
    operation = "[data-section-id='tag/trade/operation/trade_create']"
    expect(page.locator(operation)).to_be_attached()
    page.wait_for_load_state("networkidle")
    examine(page, "reference", "wide", "light", parts=(".menu-content", operation))


@pytest.mark.parametrize("path", ["/api/v1/balance", "/api/v1/trade/create"])
def test_an_answer_can_be_read_in_a_browser(visit, path):
    page = visit(path)

    expect(page.get_by_text(re.compile("HTTP (200|405)")).first).to_be_visible()
    page.wait_for_load_state("networkidle")
    examine(page, f"answer{path.replace('/', '-')}", "wide", "light")


def test_the_list_of_errors_can_be_read_in_a_browser(visit):
    page = visit("/api/errors")

    expect(page.get_by_text("HTTP 200").first).to_be_visible()
    expect(page.get_by_text("FREE_MARGIN_INSUFFICIENT").first).to_be_attached()
