"""The pages of the interface: explorer, reference and browsable answers break no rule of the Content-Security-Policy and leave the host for nothing."""

import re

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


def test_the_explorer_shows_an_operation_and_tries_it(visit):
    page = visit("/api/docs/")

    page.locator("#operations-trade-trade_create").get_by_role("button").first.click()
    expect(page.get_by_text("Places an order: at the market").first).to_be_visible()
    expect(
        page.locator("#operations-trade-trade_create").get_by_text("LEVERAGE").first
    ).to_be_attached()


def test_the_reference_shows_an_operation(visit):
    page = visit("/api/redoc/")

    expect(page.get_by_text("Places an order: at the market").first).to_be_attached(timeout=60_000)
    page.wait_for_load_state("networkidle")


@pytest.mark.parametrize("path", ["/api/v1/balance", "/api/v1/trade/create", "/api/errors"])
def test_an_answer_can_be_read_in_a_browser(visit, path):
    page = visit(path)

    expect(page.get_by_text(re.compile("HTTP (200|405)")).first).to_be_visible()
    page.wait_for_load_state("networkidle")
