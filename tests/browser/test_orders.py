"""Orders that wait, and lines of the chart that are dragged."""

import json
import re
from decimal import ROUND_DOWN, Decimal

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.journeys import ROWS, field, fill, order, price_now, send, toast

pytestmark = pytest.mark.browser


def test_a_limit_order_waits_is_changed_and_cancelled(demo):
    page = demo()
    page.get_by_role("button", name="Limit", exact=True).click()
    limit = round(price_now(page) * 0.9)
    field(page, "Limit price").fill(str(limit))
    fill(page, quantity="0.05")
    send(page)

    expect(toast(page, "waits for its price")).to_be_visible()
    page.get_by_role("button", name="Orders").click()
    expect(page.locator(ROWS)).to_contain_text(f"{limit:,}.0")
    page.get_by_role("button", name="Edit buy limit").click()
    page.locator("dialog").get_by_label("Limit price").fill(str(limit + 10))
    page.locator("dialog").get_by_role("button", name="Save").click()
    expect(page.locator(ROWS)).to_contain_text(f"{limit + 10:,}.0")
    page.locator(ROWS).get_by_role("button", name="Cancel buy limit").click()

    expect(page.locator("#tables")).to_contain_text("No order is waiting")


def test_a_stop_limit_order_waits_for_its_stop(demo):
    page = demo()
    page.get_by_role("button", name="Stop limit", exact=True).click()
    stop = round(price_now(page) * 1.1)
    field(page, "Stop price").fill(str(stop))
    field(page, "Limit price").fill(str(stop + 50))
    fill(page, quantity="0.05")
    send(page)

    expect(toast(page, "Buy stop limit 0.05 BTC waits for its price")).to_be_visible()
    page.get_by_role("button", name="Orders").click()
    expect(page.locator(ROWS)).to_contain_text("Buy stop limit")
    expect(page.locator(f"{ROWS} [data-label='Stop price']")).to_have_text(f"{stop:,}.0")
    expect(page.locator(f"{ROWS} [data-label='Limit price']")).to_have_text(f"{stop + 50:,}.0")


# How far the end of the order stands left of the buttons of its row, and the field for it above the button of the ticket.
ROOM = """() => {
  const told = document.createRange();
  told.selectNodeContents(document.querySelector("#tables .valid"));
  const buttons = document.querySelector("#tables td.act").firstElementChild;
  const scroll = document.querySelector("#tables .table-scroll");
  return [
    buttons.getBoundingClientRect().left - told.getBoundingClientRect().right,
    scroll.clientWidth - scroll.scrollWidth,
  ];
}"""
COVERED = """() => {
  const field = document.querySelector("#expires").getBoundingClientRect();
  return field.bottom > document.querySelector(".submit-row").getBoundingClientRect().top;
}"""


def test_the_end_of_an_order_is_neither_typed_nor_told_under_buttons(demo):
    page = demo(viewport={"width": 1280, "height": 720})
    page.get_by_role("button", name="Stop limit", exact=True).click()
    stop = round(price_now(page) * 1.1)
    field(page, "Stop price").fill(str(stop))
    field(page, "Limit price").fill(str(stop + 50))
    field(page, "Stop loss").fill(str(stop - 1000))
    field(page, "Take profit").fill(str(stop + 2000))
    fill(page, quantity="0.00525", leverage="50")
    page.get_by_text("More conditions").click()
    page.get_by_label("Valid").select_option("gtd")
    expect(page.get_by_label("Ends at")).to_be_visible()
    assert not page.evaluate(COVERED)
    page.get_by_label("Ends at").fill("2039-12-01T10:00")
    send(page)

    page.get_by_role("button", name="Orders").click()
    expect(page.locator("#tables .valid")).to_have_text("until 01 Dec 2039 10:00")
    for width in (1024, 1100, 1200, 1240, 1280, 1366, 1440):
        page.set_viewport_size({"width": width, "height": 800})
        room, sideways = page.evaluate(ROOM)
        assert room > 0, width
        assert sideways == 0, width


def test_more_positions_and_a_longer_history_than_one_answer_brings_are_all_there(demo):
    page = demo("XRPUSDT")
    token = page.locator("meta[name=csrf-token]").get_attribute("content")
    origin = page.url.split("/trade")[0]

    def ask(path: str, **asked: object) -> None:
        headers = {"X-CSRFToken": token, "Origin": origin}
        answer = page.request.post(f"/api/v1/trade/{path}", data=asked, headers=headers)
        assert answer.ok, answer.text()

    for _ in range(101):
        ask("create", symbol="XRP", type="buy", quantity="10", leverage=10)

    expect(page.locator("#tables .tab", has_text="Positions")).to_have_text("Positions 101")
    told = json.loads(page.request.get("/api/v1/balance").text(), parse_float=Decimal)
    used = told["data"]["usedMargin"].quantize(Decimal("0.01"), rounding=ROUND_DOWN)
    expect(page.locator("[data-figure=used] dd")).to_contain_text(f"{used:,}")

    ask("closeAll", symbol="XRP")
    page.get_by_role("button", name="History").click()
    older = page.get_by_role("button", name="Show older")
    for shown in (50, 100):
        expect(page.locator(ROWS)).to_have_count(shown)
        older.click()
    expect(page.locator(ROWS)).to_have_count(101)
    expect(older).to_have_count(0)
    # What comes meanwhile goes before them.
    order(page, quantity="10")
    page.get_by_role("button", name="Positions").click()
    page.get_by_role("button", name="Close XRPUSDT").click()
    page.get_by_role("button", name="History").click()
    expect(page.locator(ROWS)).to_have_count(102)
    page.get_by_role("button", name="Ledger").click()
    expect(page.locator(ROWS)).to_have_count(50)
    older.click()
    expect(page.locator(ROWS)).to_have_count(100)


def drag(page: Page, label: Locator, y: float) -> None:
    """Take a line by its label and hold it at a height of the window."""
    box = box_of(label)
    x = box["x"] + 10
    page.mouse.move(x, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(x - 60, y, steps=4)
    expect(page.locator(".line-row.held")).to_have_count(1)


def box_of(label: Locator) -> dict[str, float]:
    """Return where a label is once the chart has taken its new scale: another line may stand there before."""
    before = label.bounding_box()
    for _ in range(20):
        label.page.wait_for_timeout(100)
        box = label.bounding_box()
        if abs(box["y"] - before["y"]) < 1:
            break
        before = box
    return box


def height_of(label: Locator) -> float:
    return box_of(label)["y"]


def test_stops_are_dragged_drawn_from_the_entry_and_rolled_back(demo):
    page = demo()
    price = price_now(page)
    # Far enough that the market does not reach them, near enough to be in sight.
    field(page, "Stop loss").fill(f"{price * 0.994:.1f}")
    field(page, "Take profit").fill(f"{price * 1.006:.1f}")
    order(page, quantity="0.05")
    entry = page.locator(".line-chip", has_text="Long 0.05")
    stop = page.locator(".line-chip", has_text="SL")
    cell = page.locator(f"{ROWS} [data-label='Stop loss']")
    expect(stop).to_have_text(re.compile(r"SL \u2212\d+\.\d\d"))
    expect(stop).to_be_visible()
    first = cell.inner_text()

    # The label tells the result at the price under the pointer, and Esc drops the line.
    told = stop.inner_text()
    drag(page, stop, height_of(stop) - 12)
    expect(stop).not_to_have_text(told)
    page.keyboard.press("Escape")
    page.mouse.up()
    expect(stop).to_have_text(told)
    expect(cell).to_have_text(first)

    drag(page, stop, height_of(stop) - 12)
    page.mouse.up()
    expect(toast(page, "SL moved to")).to_be_visible()
    expect(cell).not_to_have_text(first)

    second = cell.inner_text()
    stop.focus()
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Enter")
    expect(cell).not_to_have_text(second)

    # Above the market it is no stop loss of a long: refused, and the line is where it was.
    third = cell.inner_text()
    drag(page, stop, (height_of(entry) + height_of(page.locator(".line-chip", has_text="TP"))) / 2)
    page.mouse.up()
    expect(toast(page, "SL was not moved")).to_contain_text(re.compile("stop", re.IGNORECASE))
    expect(cell).to_have_text(third)
    expect(stop).to_have_text(re.compile(r"SL \u2212"))

    # From the entry a new stop is drawn; upwards it takes the profit.
    page.get_by_role("button", name="Remove TP").click()
    expect(toast(page, "TP removed")).to_be_visible()
    expect(page.locator(".line-chip", has_text="TP")).to_have_count(0)
    drag(page, entry, height_of(entry) - 50)
    page.mouse.up()
    expect(toast(page, "TP moved to")).to_be_visible()
