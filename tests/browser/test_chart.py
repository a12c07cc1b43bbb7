"""What stands on the chart and over it: bars of long ago, and the panel that trades from it. Sounds too."""

import re
import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Product
from tests.browser.journeys import ROWS, order, toast

pytestmark = pytest.mark.browser

# More than the 500 that the chart asks for at once, less than twice that.
MINUTES = 900
QUANTITY = "Quantity of the quick order"


def history(product: Product, folder: Path, symbol: str) -> None:
    """Give a market that was not traded here before its past minutes, as an operator does."""
    first = timezone.now().replace(second=0, microsecond=0) - timedelta(minutes=MINUTES + 10)
    rows = ["timestamp,open,high,low,close,volume"]
    rows += [
        f"{first + timedelta(minutes=number):%Y-%m-%d %H:%M:%S.%f},0.004,0.0041,0.0039,0.004,10"
        for number in range(MINUTES)
    ]
    tape = folder / "past.csv"
    tape.write_text("\n".join(rows) + "\n")
    since = f"{first:%Y-%m-%dT%H:%M}"
    told = product.manage("backfill", symbol, "--source", f"tape:{tape}", "--since", since)
    assert f"{MINUTES} written" in told


def bars(page: Page) -> int:
    return int(page.locator("#chart-body").get_attribute("data-bars") or 0)


def test_older_bars_are_fetched_as_one_scrolls_back(demo, product: Product, tmp_path: Path):
    history(product, tmp_path, "ZIL")
    page = demo("ZILUSDT")
    body = page.locator("#chart-body")
    expect(body).to_have_attribute("data-bars", re.compile(r"^[45]\d\d$"))
    first = bars(page)

    box = body.bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 200)
    deadline = time.monotonic() + 30
    while bars(page) <= first and time.monotonic() < deadline:
        page.mouse.wheel(-600, 0)
        page.wait_for_timeout(50)

    # All of them now, once each, and the next scroll asks for no more.
    expect(body).to_have_attribute("data-bars", re.compile(rf"^{MINUTES // 100}\d\d$"))


def test_a_newcomer_sees_full_charts_and_that_they_are_simulated(demo):
    page = demo()
    body = page.locator("#chart-body")

    for interval in ("1m", "15m", "1h", "1d", "1w"):
        page.locator(".intervals").get_by_text(interval, exact=True).click()
        expect(body).to_have_attribute("aria-label", f"Candles of BTCUSDT, {interval}")
        expect(body).to_have_attribute("data-bars", re.compile(r"^[2-9]\d\d$"))
    expect(page.locator("header .badge", has_text="Simulated")).to_be_visible()
    # The four prices under the pointer, all of them on a laptop too.
    page.set_viewport_size({"width": 1024, "height": 768})
    box = body.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    prices = page.locator(".chart-note")
    expect(prices).to_have_text(re.compile(r"^O [\d,.]+ +H [\d,.]+ +L [\d,.]+ +C [\d,.]+$"))
    told = prices.bounding_box()
    assert told["x"] + told["width"] < box["x"] + box["width"]


def test_an_open_chart_takes_in_a_past_that_comes_later(demo, product: Product, tmp_path: Path):
    page = demo()
    answered: list[Route] = []

    def newest_only(route: Route) -> None:
        # As it was before there was a past: the first answer has no more than what the socket tells of at its begin.
        answer = route.fetch()
        told = answer.json()
        if not answered:
            told["data"]["data"] = told["data"]["data"][-3:]
        answered.append(route)
        route.fulfill(response=answer, json=told)

    # Its invented past has come, so that the only change is the one that is made below.
    asked = "/api/v1/candles?symbol=FLOW&interval=1h&limit=500"
    deadline = time.monotonic() + 60
    while page.request.get(asked).json()["data"]["count"] < 100 and time.monotonic() < deadline:
        page.wait_for_timeout(200)
    page.locator(".intervals").get_by_text("1h", exact=True).click()
    page.route("**/api/v1/candles?*", newest_only)
    page.goto("/trade/FLOWUSDT")
    body = page.locator("#chart-body")
    expect(body).to_have_attribute("aria-label", "Candles of FLOWUSDT, 1h")
    expect(body).to_have_attribute("data-bars", re.compile(r"^[34]$"))

    history(product, tmp_path, "FLOW")

    # The tape's fifteen hours and the present one, more or less.
    expect(body).to_have_attribute("data-bars", re.compile(r"^1[678]$"))


def test_the_panel_over_the_chart_trades_at_the_market(demo):
    page = demo()
    sell, buy = page.locator(".quick-side.sell"), page.locator(".quick-side.buy")
    expect(page.get_by_label(QUANTITY)).to_have_value(re.compile(r"^0\.0\d+$"))
    # It means the market, whatever the ticket stands on.
    page.get_by_role("button", name="Limit", exact=True).click()
    page.get_by_label(QUANTITY).fill("0.02")

    buy.click()
    expect(page.locator("dialog")).to_contain_text("Buy 0.02 BTC?")
    page.locator("dialog .submit").click()
    expect(toast(page, "Bought 0.02 BTCUSDT at")).to_be_visible()

    page.locator(".quick-mode").click()
    expect(page.locator(".badge.armed")).to_be_visible()
    sell.click()
    expect(toast(page, "Sold 0.02 BTCUSDT at")).to_be_visible()
    expect(page.locator(ROWS)).to_have_count(2)

    page.get_by_label(QUANTITY).fill("0.0000001")
    # It says why, and does not only look grey.
    buy.click(force=True)
    expect(toast(page, "No order was sent")).to_contain_text("at most 5 decimals")
    page.goto("/trade/ETHUSDT")
    expect(page.get_by_label(QUANTITY)).to_have_value(re.compile(r"^0\.\d+$"))


def test_a_refusal_in_a_dialog_is_told_there_and_by_a_message_before_it(demo):
    page = demo()
    order(page, quantity="0.05")
    expect(page.locator(ROWS)).to_have_count(1)
    page.get_by_role("button", name="Edit stops of BTCUSDT").click()
    page.locator("dialog").get_by_label("Stop loss").fill("100000000")
    page.locator("dialog").get_by_role("button", name="Save").click()

    expect(page.locator("dialog").get_by_role("alert")).to_contain_text(
        re.compile("stop", re.IGNORECASE)
    )
    message = toast(page, "Refused")
    expect(message).to_contain_text(re.compile("stop", re.IGNORECASE))
    # In the top layer, and above the dialog there: the last that was opened.
    assert page.evaluate(_LAST_OPENED) == "toasts"


_LAST_OPENED = """
() => {
  const layers = [...document.querySelectorAll("dialog:modal, [popover]:popover-open")];
  return layers.length === 2 && document.querySelector("#toasts").matches(":popover-open") ? "toasts" : String(layers.length);
}
"""


_COUNT_TONES = """
window.tones = 0;
const start = OscillatorNode.prototype.start;
OscillatorNode.prototype.start = function (...given) { window.tones += 1; return start.apply(this, given); };
"""


def test_sounds_are_off_until_they_are_wanted_and_the_wish_is_kept(demo):
    page = demo()
    page.add_init_script(_COUNT_TONES)
    page.reload()
    order(page, quantity="0.01")
    expect(toast(page, "Bought 0.01")).to_be_visible()
    assert page.evaluate("window.tones") == 0

    page.get_by_label("Account menu").click()
    page.get_by_label("Sounds").check()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Close BTCUSDT").click()
    expect(toast(page, "Closed 0.01")).to_be_visible()
    assert page.evaluate("window.tones") == 2
    page.reload()
    page.get_by_label("Account menu").click()
    expect(page.get_by_label("Sounds")).to_be_checked()
