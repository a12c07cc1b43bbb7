"""Every page in both themes and sizes: screenshots to look at, no accessibility violation, no policy violation."""

import json
import re
import time
from collections.abc import Callable, Sequence
from decimal import ROUND_FLOOR, Decimal
from pathlib import Path
from typing import Any, Final

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page, expect

from tests.browser.conftest import Product
from tests.browser.journeys import price_now

pytestmark = pytest.mark.browser

SCREENSHOTS = Path(__file__).parents[2] / "var" / "screenshots"
SIZES = {"wide": (1440, 900), "phone": (390, 844)}
THEMES = ("light", "dark")
VISITOR_PAGES = {
    "landing": "/",
    "sign-in": "/auth/sign-in",
    "licences": "/licences",
    "help": "/help",
    "offline": "/offline",
    "not-found": "/nowhere",
}
Visit = Callable[..., Page]


# A theme is colours and nothing else: what is not about colour is the same in the other one.
_COLOURS: Final = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}


def examine(
    page: Page,
    name: str,
    size: str,
    theme: str,
    *,
    colours_only: bool = False,
    parts: Sequence[str] = (":root",),
) -> None:
    """Keep a picture of the page and let axe look at it, or at some parts of one that repeats itself a hundred times."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}-{size}-{theme}.png")
    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate(AXE_SCRIPT)
    options = {"resultTypes": ["violations"]} | ({"runOnly": _COLOURS} if colours_only else {})
    where = {"include": [[part] for part in parts]}
    found = page.evaluate("([where, options]) => axe.run(where, options)", [where, options])
    grave = [
        f"{violation['id']}: {node['html'][:160]}"
        for violation in found["violations"]
        if violation["impact"] in {"serious", "critical"}
        for node in violation["nodes"]
    ]
    assert grave == []


def examine_themes(page: Page, name: str, size: str) -> None:
    """Examine a page in both themes."""
    for number, theme in enumerate(THEMES):
        page.emulate_media(color_scheme=theme)
        examine(page, name, size, theme, colours_only=number > 0)


def look(visit: Visit, path: str, size: str, theme: str, **options: object) -> Page:
    width, height = SIZES[size]
    return visit(
        path,
        viewport={"width": width, "height": height},
        color_scheme=theme,
        reduced_motion="reduce",
        **options,
    )


# Paths of the interface that are wider than their card.
STICKING_OUT = """() => [...document.querySelectorAll(".card code")]
  .filter((code) => code.getBoundingClientRect().right > code.closest(".card").getBoundingClientRect().right)
  .map((code) => code.textContent)"""


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", VISITOR_PAGES)
def test_a_visitors_page_is_sound(visit: Visit, name: str, size: str):
    page = look(visit, VISITOR_PAGES[name], size, THEMES[0], is_signed_in=False)

    expect(page.get_by_role("heading", level=1)).to_be_visible()
    examine_themes(page, name, size)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate(STICKING_OUT) == []


def test_the_example_of_the_help_page_has_the_terms_of_this_installation(visit: Visit):
    page = look(visit, "/help", "wide", THEMES[0], is_signed_in=False)

    expect(page.locator("[data-live=swap-example]").first).to_have_text(
        "0.1 BTC long: 6,000.00 \u00d7 \u221210% \u00f7 360 = \u22121.67 USD a night."
    )


def trading(page: Page) -> None:
    """Give the account something to show: two positions with stops, an order that waits, a closing."""
    price = round(price_now(page))
    orders = [
        {"type": "buy", "quantity": "0.08", "stopLoss": price - 60, "takeProfit": price + 120},
        {"type": "sell", "quantity": "0.03"},
        {"type": "buy", "quantity": "0.05", "orderType": "limit", "price": price - 100},
        {"symbol": "ETH", "type": "buy", "quantity": "1.5"},
        {"symbol": "SOL", "type": "sell", "quantity": "4"},
    ]
    ids = [
        api_post(page, "/trade/create", {"symbol": "BTC", "leverage": 10, **order})
        for order in orders
    ]
    api_post(page, "/trade/close", {"orderId": ids[4]["orderId"]})


def api_post(page: Page, path: str, data: dict[str, object]) -> dict[str, Any]:
    """Post as the page does."""
    token = page.locator("meta[name=csrf-token]").get_attribute("content")
    origin = "/".join(page.url.split("/")[:3])
    headers = {"X-CSRFToken": token, "Origin": origin}
    answer = page.request.post(f"/api/v1{path}", data=data, headers=headers)
    assert answer.ok, answer.text()
    return answer.json()["data"]


@pytest.mark.parametrize("size", SIZES)
def test_the_terminal_and_the_portfolio_are_sound(demo, size: str):
    width, height = SIZES[size]
    page = demo(viewport={"width": width, "height": height}, reduced_motion="reduce")
    trading(page)
    page.reload()
    expect(page.locator("#tables tbody tr")).to_have_count(3)
    expect(page.locator("#chart-body")).to_have_attribute("data-bars", re.compile(r"^[1-9]"))
    for number, theme in enumerate(THEMES):
        page.emulate_media(color_scheme=theme)
        page.locator("#views button", has_text="Trade").dispatch_event("click")
        page.locator("#sheet .buy").dispatch_event("click")
        page.get_by_label("Quantity", exact=True).fill("0.05")
        expect(page.locator(".estimate").first).to_contain_text(re.compile(r"Commission\s*\d"))
        examine(page, "terminal-ticket", size, theme, colours_only=number > 0)
        page.locator("#sheet .sheet-close").dispatch_event("click")
        examine(page, "terminal", size, theme, colours_only=number > 0)

    page.locator("#views button", has_text="Markets").dispatch_event("click")
    examine(page, "terminal-markets", size, theme)
    page.locator("#views button", has_text="Positions").dispatch_event("click")
    for table in ("Orders", "History", "Ledger"):
        page.locator("#tables").get_by_role("button", name=table).click()
        expect(page.locator("#tables tbody tr").first).to_be_visible()
        examine(page, f"terminal-{table.lower()}", size, theme)
    page.locator("#tables").get_by_role("button", name="Positions").click()
    page.get_by_role("button", name=re.compile("^Why BTCUSDT long")).click()
    expect(page.locator("dialog .steps")).to_contain_text("Decided on")
    examine(page, "terminal-why", size, theme)

    page.goto("/portfolio")
    expect(page.locator(".curve")).to_have_attribute("data-points", re.compile(r"^[1-9]"))
    examine_themes(page, "portfolio", size)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    theme = THEMES[-1]
    page.goto("/help")
    used = exact_get(page, "/balance")["usedMargin"]
    expect(page.locator("[data-live=used]").first).to_have_text(f"{cents(used)} USD")
    expect(page.locator("[data-live=stop-out-level]").first).to_have_text("50%")
    examine(page, "help-own", size, theme)


MINUS = "\u2212"


def cents(amount: Decimal, sign: str = "") -> str:
    """Return an amount as the screen shows it: cut to cents and rounded down; `sign` "+" marks gains."""
    cut = amount.quantize(Decimal("0.01"), rounding=ROUND_FLOOR)
    return f"{'+' if sign and amount > 0 else ''}{cut:,}".replace("-", MINUS)


def exact_get(page: Page, path: str, **query: str) -> Any:
    """Return what a route answers, with every number exact."""
    answer = page.request.get(f"/api/v1{path}", params=query)
    assert answer.ok, answer.text()
    return json.loads(answer.text(), parse_float=Decimal, parse_int=Decimal)["data"]


def test_the_portfolio_says_what_the_statement_says(demo):
    page = demo()
    for symbol, quantity in (("BTC", "0.1"), ("BTC", "0.02"), ("ETH", "1")):
        wish = {"symbol": symbol, "type": "buy", "quantity": quantity, "leverage": 10}
        order = api_post(page, "/trade/create", wish)
        api_post(page, "/trade/close", {"orderId": order["orderId"]})
    api_post(
        page, "/trade/create", {"symbol": "SOL", "type": "buy", "quantity": "1", "leverage": 5}
    )
    account = exact_get(page, "/balance")["accountId"]

    page.goto("/portfolio")
    page.get_by_role("button", name="Everything").click()
    expect(page.locator(".portfolio-note")).to_contain_text(re.compile(r"From 201\d"))
    today = exact_get(page, f"/accounts/{account}/statement", day=page.evaluate(_TODAY))
    figures = today["figures"]

    # What the statement states is made of its own entries.
    entries = [entry for entry in today["entries"] if entry["kind"] != "CashPosted"]
    assert figures["result"] == sum(entry["amount"] for entry in entries)
    assert figures["result"] == figures["pnl"] - figures["commission"]
    assert figures["result"] == sum(day["result"] for day in today["days"])
    assert figures["result"] == sum(row["result"] for row in today["symbols"])
    # The account is of today: everything is today.
    usd = {
        "result": cents(figures["result"], "+"),
        "expectancy": cents(figures["expectancy"], "+"),
        # What was paid or lost is rounded up: the other way round from what was won.
        "maxDrawdown": cents(-figures["maxDrawdown"]).removeprefix(MINUS),
        "commission": cents(-figures["commission"]).removeprefix(MINUS),
        "swap": cents(figures["swap"], "+"),
    }
    for tile, text in usd.items():
        expect(page.locator(f"[data-tile={tile}] dd")).to_have_text(f"{text} USD")
    best_worst = f"{cents(figures['best'], '+')} / {cents(figures['worst'], '+')}"
    expect(page.locator("[data-tile=bestWorst] dd")).to_have_text(best_worst)
    rate = re.compile(rf"^{figures['wins'] * 100 // 3}(\.\d+)?%$")
    expect(page.locator("[data-tile=winRate] dd")).to_have_text(rate)
    factor = f"{figures['profitFactor']}" if figures["lost"] else "\u2013"
    expect(page.locator("[data-tile=profitFactor] dd")).to_have_text(factor)
    for row in today["symbols"]:
        shown = page.locator(f"[data-symbol={row['symbol']}] td")
        expect(shown.first).to_have_text(cents(row["result"], "+"))
        expect(shown.nth(1)).to_have_text(str(row["trades"]))
    expect(page.locator("[data-symbol]")).to_have_count(3)
    day = page.locator(f"[data-day='{today['days'][0]['date']}'] b")
    expect(day).to_have_text(cents(figures["result"], "+"))
    expect(page.locator("[data-month-result]")).to_have_text(f"{cents(figures['result'], '+')} USD")
    expect(page.locator("[data-closing]")).to_have_text(cents(today["closingBalance"]))
    # Each says how it is made.
    for tile in page.locator("[data-tile]").all():
        tile.hover()
        expect(tile.get_by_role("tooltip")).to_be_visible()


_TODAY = "new Date().toISOString().slice(0, 10)"
_BEGINS = {"PDF": b"%PDF-", "Excel": b"PK", "CSV": b"seq,time,kind,", "JSON": b'{"accountId":'}


def test_statements_are_made_and_downloaded_in_every_format(demo):
    page = demo()
    order = {"symbol": "BTC", "type": "buy", "quantity": "0.1", "leverage": 10}
    api_post(page, "/trade/close", {"orderId": api_post(page, "/trade/create", order)["orderId"]})
    page.goto("/portfolio")

    for number, (name, begins) in enumerate(_BEGINS.items()):
        kind = ("shown", "day", "month", "range")[number]
        page.get_by_label("Period", exact=True).select_option(kind)
        page.get_by_label("Format").select_option(label=name)
        with page.expect_download() as download:
            page.get_by_role("button", name="Make the statement").click()
        assert Path(download.value.path()).read_bytes().startswith(begins)
        expect(page.locator(".statement-state")).to_contain_text("3 entries")

    page.get_by_label("From", exact=True).fill("2026-02-02")
    page.get_by_label("To", exact=True).fill("2026-01-01")
    page.get_by_role("button", name="Make the statement").click()
    expect(page.locator(".statement-state.loss")).to_contain_text("A statement covers")
    with page.expect_download() as download:
        page.get_by_role("button", name="Statement of this day").click()
    assert json.loads(Path(download.value.path()).read_text())["figures"]["trades"] == 1


def test_the_figures_are_those_of_what_was_traded(demo):
    page = demo()
    api_post(
        page, "/trade/create", {"symbol": "BTC", "type": "buy", "quantity": "0.1", "leverage": 10}
    )

    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        measured = page.request.get("/figures").json()["data"]
        if measured["orders1h"] and measured["turnover24h"]:
            break
        page.wait_for_timeout(200)

    assert measured["pairs"] == 123
    assert measured["orders1h"] >= 1
    assert 0 < measured["orderMedianUs1h"] <= measured["orderP99Us1h"]
    assert measured["turnover24h"] > 1000
    assert measured["activeAccounts24h"] <= measured["accounts"]
    assert measured["uptimeSeconds"] >= 0


def test_a_visitor_sees_live_prices_and_is_sent_a_link(visit: Visit):
    page = visit("/", is_signed_in=False)

    expect(page.locator("[data-quotes-list]")).to_contain_text("BTC")
    expect(page.locator("[data-quotes-badge]")).to_have_text(re.compile("simulated", re.IGNORECASE))
    expect(page.locator("[data-figure=uptime]")).to_have_text(re.compile(r"^\d+ (d|h|min|s)"))
    expect(page.locator("#api .card")).to_have_count(4)
    page.get_by_label("E-mail").fill("newcomer@example.com")
    page.get_by_role("button", name="Send me a link").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Check your mail")


def test_a_newcomer_finds_the_promised_demo_account(visit: Visit, product: Product):
    page = visit("/", is_signed_in=False)
    page.get_by_label("E-mail").fill("dora@example.com")
    page.get_by_role("button", name="Send me a link").click()

    page.locator("input[name=code]").fill(product.mailed_code("dora@example.com"))
    page.locator("input[name=code]").press("Enter")

    expect(page).to_have_url(re.compile("/trade/BTCUSDT$"))
    expect(page.get_by_text("10,000.00").first).to_be_visible()


def test_a_page_keeps_the_chosen_theme(visit: Visit):
    page = visit("/", is_signed_in=False, color_scheme="light")

    page.get_by_role("button", name="Switch between light and dark").click()
    page.reload()

    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
