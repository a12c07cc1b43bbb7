"""Journeys of a trader on the page: sign in, watch prices move, trade, be refused, and do it by keyboard."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

BID = "#watchlist [aria-current=page] .flash"
PNL = "#tables [data-pnl]"
Visit = Callable[..., Page]


def figure(page: Page, name: str) -> str:
    """Return the text of one figure of the account bar."""
    return page.locator(f"[data-figure={name}] dd").inner_text().removesuffix(" USD")


def changes(page: Page, selector: str) -> None:
    """Wait until the text of an element is another one."""
    before = page.locator(selector).first.inner_text()
    expect(page.locator(selector).first).not_to_have_text(before)


def order(page: Page, *, quantity: str, leverage: str) -> None:
    page.get_by_label("Quantity").fill(quantity)
    page.get_by_label("Leverage", exact=True).fill(leverage)
    page.locator(".submit").click()


def sign_in(page: Page, link: str) -> None:
    page.goto(link)
    page.get_by_role("button", name="Sign in as").click()
    page.wait_for_url("**/trade/BTCUSDT")


def balance_of(page: Page) -> str:
    """Return the balance that the API states, digit by digit, cut to cents as the page shows it."""
    body = page.request.get("/api/v1/balance").text()
    whole, cents = re.search(r'"balance":\s*(-?\d+)\.(\d\d)', body).groups()
    return f"{int(whole):,}.{cents}"


def test_a_trader_signs_in_buys_sees_the_result_move_and_closes(product, browser, watch):
    page = browser.new_page(base_url=product.url)
    watch.attach(page)
    sign_in(page, product.link_print())
    changes(page, BID)
    before = figure(page, "balance")

    order(page, quantity="0.1", leverage="10")

    expect(page.locator(".toast.good")).to_contain_text("Bought 0.1 BTCUSDT at")
    row = page.locator("#tables tbody tr")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("BTCUSDT")
    expect(row).to_contain_text("Long")
    changes(page, PNL)

    row.get_by_role("button", name="Close").click()

    expect(page.locator(".toast", has_text="Closed 0.1 BTCUSDT")).to_contain_text("Result")
    expect(page.locator("#tables")).to_contain_text("No open position")
    expect(page.locator("[data-figure=balance] dd")).not_to_contain_text(before)
    assert figure(page, "balance") == balance_of(page)
    assert figure(page, "equity") == figure(page, "balance")
    page.get_by_role("button", name="History").click()
    expect(page.locator("#tables tbody tr").first).to_contain_text("you")
    page.close()


def test_a_refusal_says_why_in_words(visit: Visit):
    page = visit("/trade/BTCUSDT")
    changes(page, BID)

    order(page, quantity="5", leverage="1")

    refusal = page.locator(".toast.bad")
    expect(refusal).to_contain_text("Order refused")
    expect(refusal.locator("p")).to_have_text(re.compile(r"margin .* \d", re.IGNORECASE))
    expect(page.locator("#tables")).to_contain_text("No open position")


def test_the_ticket_names_what_is_missing(visit: Visit):
    page = visit("/trade/BTCUSDT")
    changes(page, BID)
    obstacle = page.locator("#obstacle")

    expect(obstacle).to_have_text("Enter a quantity")
    page.get_by_label("Quantity").fill("0.0000001")
    expect(obstacle).to_have_text("Quantity is a number with at most 5 decimals")
    page.get_by_label("Quantity").fill("0.1")
    page.get_by_label("Leverage", exact=True).fill("1000")
    expect(obstacle).to_contain_text("Leverage is a whole number from 1 to")
    page.get_by_label("Leverage", exact=True).fill("5")
    expect(obstacle).to_have_text("")


def test_the_keyboard_is_enough(visit: Visit):
    page = visit("/trade/BTCUSDT")
    changes(page, BID)

    page.keyboard.press("/")
    page.keyboard.type("ethereum")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**/trade/ETHUSDT")
    page.keyboard.press("s")
    page.keyboard.press("n")
    page.keyboard.type("0.2")
    page.keyboard.press("Enter")

    expect(page.locator(".toast.good")).to_contain_text("Sold 0.2 ETHUSDT at")
    expect(page.locator("#tables tbody tr")).to_contain_text("Short")
    page.get_by_role("button", name="Close ETHUSDT").press("Enter")
    expect(page.locator("#tables")).to_contain_text("No open position")


def test_two_tabs_stay_equal_and_end_together(product, browser, watch):
    context = browser.new_context(base_url=product.url)
    first, second = context.new_page(), context.new_page()
    watch.attach(first)
    watch.attach(second)
    sign_in(first, product.link_print())
    second.goto("/trade/SOLUSDT")
    changes(second, BID)

    order(second, quantity="2", leverage="5")

    expect(first.locator("#tables tbody tr")).to_contain_text("SOLUSDT")
    first.get_by_role("button", name="Close SOLUSDT").click()
    expect(second.locator("#tables")).to_contain_text("No open position")

    first.get_by_label("Account menu").click()
    first.get_by_role("button", name="Sign out").click()

    first.wait_for_url(f"{product.url}/")
    second.wait_for_url("**/?next=*")
    context.close()


def test_an_unknown_market_is_replaced_with_a_word(visit: Visit):
    page = visit("/trade/NOPEUSDT")

    expect(page.locator(".toast")).to_contain_text("NOPEUSDT is not traded here")
    expect(page.locator("#instrument")).to_contain_text("BTCUSDT")


def test_a_short_name_opens_its_market(visit: Visit):
    page = visit("/trade/eth_usdt")

    page.wait_for_url("**/trade/ETHUSDT")
    page.goto("/trade")
    page.wait_for_url("**/trade/BTCUSDT")


def test_prices_that_are_not_live_are_labelled(visit: Visit):
    page = visit("/trade/BTCUSDT")

    expect(page.locator("#connection .badge")).to_have_text(re.compile("simulated", re.IGNORECASE))
