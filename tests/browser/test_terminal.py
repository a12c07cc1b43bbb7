"""Journeys of a trader on the page: sign in, watch prices move, trade in every way, be refused, and do it by keyboard."""

import re
import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Product, Watch
from tests.browser.journeys import (
    HEADLINE,
    PNL,
    ROWS,
    changes,
    field,
    figure,
    fill,
    order,
    send,
    toast,
)
from tests.browser.test_pages import api_post

pytestmark = pytest.mark.browser

Visit = Callable[..., Page]
# A robot's time from the landing page to a position; the promise is a minute.
FIRST_TRADE_SECONDS = 60
FIRST_TRADE_CLICKS = 6


def sign_in(page: Page, link: str) -> None:
    page.goto(link)
    page.get_by_role("button", name="Sign in as").click()
    page.wait_for_url("**/trade/BTCUSDT")


def balance_of(page: Page) -> str:
    """Return the balance that the API states, digit by digit, cut to cents as the page shows it."""
    body = page.request.get("/api/v1/balance").text()
    whole, cents = re.search(r'"balance":\s*(-?\d+)\.(\d\d)', body).groups()
    return f"{int(whole):,}.{cents}"


def test_a_visitor_trades_within_a_minute_and_six_clicks(product, browser, watch):
    page = browser.new_page(base_url=product.url)
    watch.attach(page)
    page.goto("/")
    began = time.monotonic()

    clicks = [
        page.get_by_role("button", name="Start with a demo").first,
        page.get_by_role("button", name="10%"),
        page.locator(".ticket .submit"),
        page.locator("dialog .submit"),
    ]
    for click in clicks:
        click.click()

    expect(page.locator(ROWS)).to_have_count(1)
    expect(page.locator("#switcher summary .badge")).to_have_text(re.compile("demo", re.IGNORECASE))
    assert time.monotonic() - began < FIRST_TRADE_SECONDS
    assert len(clicks) <= FIRST_TRADE_CLICKS
    page.context.close()


def test_a_trader_signs_in_buys_sees_the_result_move_and_closes(product, browser, watch):
    page = browser.new_page(base_url=product.url)
    watch.attach(page)
    sign_in(page, product.link_print())
    changes(page, HEADLINE)
    before = figure(page, "balance")

    order(page, quantity="0.1")

    expect(toast(page, "Bought 0.1 BTCUSDT at")).to_be_visible()
    row = page.locator(ROWS)
    expect(row).to_have_count(1)
    expect(row).to_contain_text("BTCUSDT")
    expect(row).to_contain_text("Long")
    changes(page, PNL)

    row.get_by_role("button", name="Close BTCUSDT").click()

    expect(toast(page, "Closed 0.1 BTCUSDT")).to_contain_text("Result")
    expect(page.locator("#tables")).to_contain_text("No open position")
    expect(page.locator("[data-figure=balance] dd")).not_to_contain_text(before)
    assert figure(page, "balance") == balance_of(page)
    assert figure(page, "equity") == figure(page, "balance")
    page.get_by_role("button", name="History").click()
    expect(page.locator(ROWS).first).to_contain_text("you")
    page.get_by_role("button", name="Ledger").click()
    expect(page.locator(ROWS).first).to_contain_text("Closed")
    # What the house puts right stands there at once, under a name of its own.
    account = page.locator("#switcher summary").inner_text()
    api_post(page, f"/accounts/{re.search(r'[0-9]{4,}', account)[0]}/reset", {})
    expect(page.locator(ROWS).first).to_contain_text("Adjustment")
    expect(page.locator("[data-figure=balance] dd")).to_contain_text("10,000.00")
    page.context.close()


def test_a_refusal_says_why_in_words(demo):
    page = demo()
    fill(page, quantity="5", leverage="1")

    expect(page.locator("#obstacle")).to_have_text(re.compile(r"margin .* \d", re.IGNORECASE))
    send(page)

    refusal = page.locator(".toast.bad")
    expect(refusal).to_contain_text("Order refused")
    # As people write: a sentence, thousands set apart, money in cents.
    expect(refusal.locator("p")).to_have_text(
        re.compile(r"^Free margin must be at least \d{3},\d{3}\.\d\d USD, was 10,000\.00 USD$")
    )
    expect(page.locator("#tables")).to_contain_text("No open position")


def test_the_ticket_names_what_is_missing(demo):
    page = demo()
    obstacle = page.locator("#obstacle")

    expect(obstacle).to_have_text("Enter a quantity")
    field(page, "Quantity").fill("0.0000001")
    expect(obstacle).to_have_text("Quantity is a number with at most 5 decimals")
    field(page, "Quantity").fill("0.1")
    field(page, "Leverage").fill("1000")
    expect(obstacle).to_contain_text("Leverage is a whole number from 1 to")
    field(page, "Leverage").fill("10")
    field(page, "Stop loss").fill("999999")
    expect(obstacle).to_have_text("Stop loss must lie below the market")
    field(page, "Stop loss").fill("")
    expect(obstacle).to_have_text("")
    field(page, "Quantity").fill("")
    page.get_by_label("Sized in").select_option("percent")
    expect(obstacle).to_have_text("Enter a share of the free margin")
    page.get_by_role("button", name="Stop limit", exact=True).click()
    expect(obstacle).to_have_text("Enter a stop price")
    field(page, "Stop price").fill("70000.05")
    expect(obstacle).to_have_text("The stop price is a price with at most 1 decimal, above 0")
    field(page, "Stop price").fill("70000")
    expect(obstacle).to_have_text("Enter a limit price")


# Right edges stand left of what follows: nothing lies over or under something else.
OVERLAPS = """() => {
  const edge = (selector, side) => document.querySelector(selector).getBoundingClientRect()[side];
  const pairs = {
    name: [edge(".instrument-name b", "right"), edge(".headline", "left")],
    figures: [edge("#instrument", "right"), edge("#connection", "left")],
    tabs: [edge(".tab-row", "right"), edge(".table-tools", "left")],
    menu: [edge(".many summary", "right"), edge("#tables", "right")],
    result: [edge("#tables td.result span", "right"), edge("#tables td.act", "left") + 14],
    bar: [document.querySelector(".figures").scrollWidth, document.querySelector(".figures").clientWidth],
    rows: [document.querySelector("#tables .table-scroll").scrollWidth, edge("#tables", "right") - edge("#tables", "left")],
  };
  return Object.keys(pairs).filter((name) => pairs[name][0] > pairs[name][1] + 1);
}"""


def test_a_laptop_shows_names_prices_and_results_side_by_side(demo):
    page = demo("DOGEUSDT")
    page.get_by_text("More conditions").click()
    field(page, "Trailing stop, distance").fill("0.01")
    page.locator(".ticket").get_by_role("button", name="Isolated").click()
    page.locator(".ticket .side.sell").click()
    field(page, "Stop loss").fill("99.99999")
    field(page, "Take profit").fill("0.00100")

    order(page, quantity="10000", leverage="25", side="sell")

    expect(page.locator(PNL)).to_have_text(re.compile(r"\d\.\d\d"))
    expect(page.locator(f"{ROWS} [data-label=Quantity]")).to_have_text("10,000")
    for width in (1024, 1100, 1200, 1280, 1366, 1440):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate(OVERLAPS) == [], width
    page.set_viewport_size({"width": 1280, "height": 800})
    page.locator("[data-figure=stop-out]").hover()
    formula = page.locator("#formula-stop-out")
    expect(formula).to_be_visible()
    place = formula.bounding_box()
    assert place["x"] + place["width"] <= 1280


def test_the_server_previews_what_the_order_costs(demo):
    page = demo()
    estimate = page.get_by_label("What the order would cost")

    fill(page, quantity="0.1")

    expect(estimate).to_contain_text(re.compile(r"Free margin after\s*[\d,]+\.\d\d"))
    expect(estimate).to_contain_text(re.compile(r"Commission\s*\d+\.\d\d"))
    expect(estimate).to_contain_text(re.compile(r"Swap per night\s*[\u2212+]?\d+\.\d\d"))


def test_stops_by_distance_and_by_money_become_prices(demo):
    page = demo()
    fill(page, quantity="0.1")
    page.get_by_label("Stop loss by").select_option("distance")
    field(page, "Stop loss").fill("1000")
    page.get_by_label("Take profit by").select_option("money")
    field(page, "Take profit").fill("150")

    expect(page.locator(".ticket .stops")).to_contain_text("\u2212100.00 USD")
    expect(page.locator(".ticket .stops")).to_contain_text("+150.00 USD")
    send(page)

    row = page.locator(ROWS)
    entry, stop, profit = (
        float(row.locator(f"[data-label='{name}']").inner_text().replace(",", ""))
        for name in ("Entry", "Stop loss", "Take profit")
    )
    # Prices may have moved between the last look and the fill.
    assert stop == pytest.approx(entry - 1000, abs=100)
    assert profit == pytest.approx(entry + 1500, abs=100)


def test_a_phone_trades_from_the_sheet(demo):
    page = demo(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    chart, ticket = page.locator("#chart"), page.locator("#ticket")
    expect(chart).to_be_visible()
    expect(ticket).to_be_hidden()
    expect(page.locator("#quick")).to_be_hidden()

    page.locator("#sheet").get_by_role("button", name="Sell").tap()
    expect(ticket).to_be_visible()
    fill(page, quantity="0.02")
    page.locator(".ticket .submit").tap()
    page.locator("dialog .submit").tap()
    expect(toast(page, "Sold 0.02 BTCUSDT at")).to_be_visible()
    expect(ticket).to_be_hidden()

    page.locator("#views").get_by_role("button", name="Markets").tap()
    expect(chart).to_be_hidden()
    page.locator("#watchlist a", has_text="Ethereum").first.tap()
    page.wait_for_url("**/trade/ETHUSDT")
    expect(chart).to_be_visible()
    page.locator("#views").get_by_role("button", name="Positions").tap()
    expect(page.locator(ROWS)).to_contain_text("Short")
    page.get_by_role("button", name="Close BTCUSDT").tap()
    expect(page.locator("#tables")).to_contain_text("No open position")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_part_is_closed_and_the_rest_is_reversed(demo):
    page = demo()
    order(page, quantity="0.1")
    expect(page.locator(ROWS)).to_have_count(1)

    page.get_by_role("button", name="Close a part of BTCUSDT").click()
    page.locator("dialog").get_by_role("button", name="25%").click()
    page.locator("dialog").get_by_role("button", name="Close this part").click()

    expect(toast(page, "Closed 0.025 BTCUSDT")).to_be_visible()
    expect(page.locator(f"{ROWS} [data-label=Quantity]")).to_have_text("0.075")
    page.get_by_role("button", name="Reverse BTCUSDT").click()
    page.locator("dialog").get_by_role("button", name="Reverse", exact=True).click()
    expect(page.locator(ROWS)).to_contain_text("Short")
    expect(page.locator(f"{ROWS} [data-label=Quantity]")).to_have_text("0.075")
    expect(toast(page, "Reversed BTCUSDT: short at")).to_be_visible()
    # What was asked for here is told once, not as an event too.
    expect(toast(page, "closed by reversal")).to_have_count(0)


def test_all_losers_are_closed_at_once_and_a_receipt_tells_why(demo):
    page = demo()
    for side in ("buy", "sell"):
        order(page, quantity="0.05", side=side)
        expect(page.locator(ROWS)).to_have_count(1 if side == "buy" else 2)

    # Against each other both sides have paid the spread: at least one of them loses.
    page.locator(".many summary").click()
    page.locator(".many").get_by_role("button", name="All", exact=True).click()
    expect(page.locator("dialog")).to_contain_text("2 positions are closed at the market")
    page.locator("dialog").get_by_role("button", name="Close them").click()
    expect(toast(page, "Closed 2 positions")).to_be_visible()

    page.get_by_role("button", name="History").click()
    page.get_by_role("button", name=re.compile("^Why was BTCUSDT long closed")).first.click()
    receipt = page.locator("dialog .steps")
    expect(receipt).to_contain_text("Bought 0.05 at")
    expect(receipt).to_contain_text("Decided on")
    expect(receipt).to_contain_text("closed at")


def test_the_keyboard_is_enough(demo):
    page = demo()

    page.keyboard.press("/")
    page.keyboard.type("ethereum")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**/trade/ETHUSDT")
    page.keyboard.press("s")
    page.keyboard.press("3")
    expect(page.get_by_role("button", name="15m")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("n")
    page.keyboard.type("0.2")
    expect(page.locator("#obstacle")).to_have_text("")
    page.keyboard.press("Enter")
    expect(page.locator("dialog[open] .submit")).to_be_focused()
    page.keyboard.press("Enter")

    expect(toast(page, "Sold 0.2 ETHUSDT at")).to_be_visible()
    expect(page.locator(ROWS)).to_contain_text("Short")
    page.get_by_role("button", name="Close ETHUSDT").press("Enter")
    expect(page.locator("#tables")).to_contain_text("No open position")
    page.locator("#tables .table-scroll").focus()
    page.keyboard.press("?")
    expect(page.locator("dialog")).to_contain_text("Search markets")
    page.keyboard.press("Escape")
    expect(page.locator("dialog[open]")).to_have_count(0)
    # A dialog stands as soon as its text does: an Esc in the same frame closes it.
    opened = """async () => {
      document.body.dispatchEvent(new KeyboardEvent("keydown", {key: "?", bubbles: true}));
      await new Promise((done) => queueMicrotask(done));
      await null;
      const dialog = document.querySelector("dialog");
      return [dialog.textContent.includes("Search markets"), dialog.open];
    }"""
    assert page.evaluate(opened) == [True, True]
    page.keyboard.press("Escape")
    expect(page.locator("dialog[open]")).to_have_count(0)
    # Enter opens the first that was found; where nothing was, that is said at the head of the list.
    page.keyboard.press("/")
    page.keyboard.type("doge")
    page.keyboard.press("Enter")
    page.wait_for_url("**/trade/DOGEUSDT")
    page.keyboard.press("/")
    expect(page.locator("#search")).to_have_value("")
    page.keyboard.type("zzzz")
    nothing = page.get_by_text("No market is called \u201czzzz\u201d")
    expect(nothing).to_be_in_viewport()
    assert nothing.bounding_box()["y"] < 200


def test_one_click_trades_from_the_price_itself(demo):
    page = demo()
    page.get_by_label("How orders are sent").select_option("single")
    expect(page.locator(".badge.armed")).to_be_visible()
    fill(page, quantity="0.02")

    page.locator(".ticket .side.sell").click()

    expect(toast(page, "Sold 0.02 BTCUSDT at")).to_be_visible()
    expect(page.locator(ROWS)).to_contain_text("Short")


def test_a_double_click_sends_and_a_single_one_does_not(demo):
    page = demo()
    page.get_by_label("How orders are sent").select_option("double")
    fill(page, quantity="0.02")
    button = page.locator(".ticket .submit")

    button.click()
    expect(button).to_have_text("Click again to send")
    expect(button).to_have_text("Buy 0.02 BTC", timeout=5_000)
    expect(page.locator(ROWS)).to_have_count(0)
    button.dblclick()

    expect(toast(page, "Bought 0.02 BTCUSDT at")).to_be_visible()


def test_accounts_are_opened_and_changed(demo):
    page = demo()
    order(page, quantity="0.02")
    expect(page.locator(ROWS)).to_have_count(1)
    first = page.locator(".switcher-id").inner_text()

    page.locator(".switcher summary").click()
    page.get_by_role("button", name="Open another demo account").click()
    expect(toast(page, "Demo account")).to_be_visible()
    expect(page.locator(".switcher-id")).not_to_have_text(first)
    expect(page.locator("#tables")).to_contain_text("No open position")
    page.locator(".switcher summary").click()
    page.locator(".switcher").get_by_role("button", name=first).click()

    expect(page.locator(".switcher-id")).to_have_text(first)
    expect(page.locator(ROWS)).to_have_count(1)


def test_favourites_narrow_the_list_and_are_remembered(demo):
    page = demo()
    shown = page.locator("#watchlist li:not([hidden])")

    page.get_by_label("Favourite SOLUSDT").click()
    page.get_by_label("Show favourites only").click()
    expect(shown).to_have_count(1)
    page.reload()

    expect(shown).to_have_count(1)
    expect(shown).to_contain_text("Solana")


def test_the_chart_has_history_intervals_and_indicators(demo):
    page = demo()
    body = page.locator("#chart-body")

    expect(body).to_have_attribute("data-bars", re.compile(r"^[1-9]\d*$"))
    page.get_by_role("button", name="5m", exact=True).click()
    expect(body).to_have_attribute("aria-label", "Candles of BTCUSDT, 5m")
    expect(body).to_have_attribute("data-bars", re.compile(r"^[1-9]\d*$"))
    page.get_by_text("Indicators").click()
    for name in ("MA 20", "EMA 50", "Bollinger 20, 2", "RSI 14"):
        page.get_by_label(name).check()
    expect(page.locator("#chart-head .count")).to_have_text("4")
    page.reload()
    expect(page.locator("#chart-head .count")).to_have_text("4")


def test_two_tabs_stay_equal_and_end_together(demo, product: Product, watch: Watch):
    first = demo()
    second = first.context.new_page()
    watch.attach(second)
    second.goto("/trade/SOLUSDT")
    changes(second, HEADLINE)

    order(second, quantity="2", leverage="5")

    expect(first.locator(ROWS)).to_contain_text("SOLUSDT")
    first.get_by_role("button", name="Close SOLUSDT").click()
    expect(second.locator("#tables")).to_contain_text("No open position")

    # What ends the session may be known to a tab before the answer to its own form is.
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    first.route("**/auth/logout", hold)
    for page in (first, second):
        page.get_by_label("Account menu").click()
        # A click would wait for the page that is held back.
        page.get_by_role("button", name="Sign out").dispatch_event("click")

    second.wait_for_url(f"{product.url}/")
    first.wait_for_timeout(1_000)
    assert "/trade/" in first.url
    held[0].continue_()
    first.wait_for_url(f"{product.url}/")


def test_a_tab_whose_session_has_ended_elsewhere_asks_to_sign_in_again(
    demo, product: Product, watch: Watch
):
    first = demo()
    second = first.context.new_page()
    watch.attach(second)
    second.goto("/trade/SOLUSDT")
    changes(second, HEADLINE)

    first.get_by_label("Account menu").click()
    first.get_by_role("button", name="Sign out").click()

    first.wait_for_url(f"{product.url}/")
    second.wait_for_url("**/?next=*")


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
