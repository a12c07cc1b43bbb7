"""What the terminal does when something goes wrong: a cut line, a silent feed, a crash of the market, a network that is away."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import APIResponse, Browser, Page, WebSocketRoute, expect

from tests.browser.conftest import Product, Watch, running
from tests.browser.journeys import (
    HEADLINE,
    ROWS,
    changes,
    field,
    fill,
    order,
    toast,
)

pytestmark = pytest.mark.browser

CUT_SECONDS = 10
BADGE_MS = 3_000
# Above it the tape of the crash has not begun to fall.
CALM = 39_990


class Line:
    """The socket of a page, with a pair of scissors."""

    def __init__(self, page: Page) -> None:
        self.is_cut = False
        # Channels of frames that are kept from the page.
        self.muted: set[str] = set()
        # What the status frames say of trading modes, as JSON; empty: what the server says.
        self.modes = ""
        self._open: list[WebSocketRoute] = []
        page.route_web_socket(re.compile(r"/ws/$"), self._route)

    def _route(self, socket: WebSocketRoute) -> None:
        if self.is_cut:
            socket.close()
            return
        self._open.append(socket)
        server = socket.connect_to_server()
        server.on_message(lambda text: self._pass_on(socket, text))

    def _pass_on(self, socket: WebSocketRoute, text: str | bytes) -> None:
        channel = re.match(r'\{"ch":\s?"(\w+)"', str(text))
        if channel is None or channel[1] not in self.muted:
            socket.send(
                re.sub(r'"modes":{.*?}', f'"modes":{self.modes}', str(text)) if self.modes else text
            )

    def cut(self) -> None:
        self.is_cut = True
        for socket in self._open:
            socket.close()
        self._open.clear()

    def mend(self) -> None:
        self.is_cut = False


def elsewhere(page: Page, path: str, **asked: object) -> APIResponse:
    """Ask by the interface, as another device of the same trader would."""
    token = page.locator("meta[name=csrf-token]").get_attribute("content")
    return page.request.post(
        f"/api/v1/trade/{path}",
        data=asked,
        headers={"X-CSRFToken": token, "Origin": page.url.split("/trade")[0]},
    )


def trade_elsewhere(page: Page, quantity: str) -> None:
    """Buy ten times leveraged on another device."""
    answer = elsewhere(page, "create", symbol="BTC", type="buy", quantity=quantity, leverage=10)
    assert answer.ok, answer.text()


def test_a_cut_line_is_shown_at_once_and_nothing_is_missed(demo):
    page = demo()
    line = Line(page)
    page.reload()
    changes(page, HEADLINE)
    order(page, quantity="0.02")
    expect(page.locator(ROWS)).to_have_count(1)

    line.cut()
    began = time.monotonic()
    expect(page.locator("#connection .line.warn")).to_contain_text("Reconnecting", timeout=BADGE_MS)
    fill(page, quantity="0.02")
    expect(page.locator("#obstacle")).to_have_text("Waiting for the line to the server")
    trade_elsewhere(page, "0.03")
    page.wait_for_timeout(max(0, CUT_SECONDS - (time.monotonic() - began)) * 1000)
    line.mend()

    expect(page.locator("#connection .line.good")).to_be_visible(timeout=15_000)
    expect(page.locator(ROWS)).to_have_count(2)
    expect(page.locator(ROWS).first).to_contain_text("0.03")
    changes(page, HEADLINE)
    expect(page.locator("#obstacle")).to_have_text("")


def test_a_silent_line_is_not_trusted(demo):
    page = demo()
    line = Line(page)
    page.reload()
    changes(page, HEADLINE)
    fill(page, quantity="0.02")
    expect(page.locator("#obstacle")).to_have_text("")

    line.muted = {"prices", "status", "pong", "candles", "account"}

    expect(page.locator("#connection .line.warn")).to_contain_text(
        "No answer", timeout=BADGE_MS + 1_000
    )
    expect(page.locator(".ticket .submit")).to_have_attribute("aria-disabled", "true")


def test_an_old_price_stops_trading_and_says_why(demo):
    page = demo()
    line = Line(page)
    page.reload()
    changes(page, HEADLINE)
    fill(page, quantity="0.02")
    expect(page.locator("#obstacle")).to_have_text("")

    line.muted = {"prices"}

    expect(page.locator("#obstacle")).to_contain_text("too old", timeout=20_000)
    expect(page.locator(".ticket .submit")).to_have_attribute("aria-disabled", "true")
    expect(page.locator("#connection .line.warn")).to_contain_text("stale")
    line.muted = set()
    expect(page.locator("#obstacle")).to_have_text("")


def test_a_halt_and_its_end_are_noticed_on_an_open_page(demo):
    page = demo()
    line = Line(page)
    page.reload()
    fill(page, quantity="0.02")
    expect(page.locator("#obstacle")).to_have_text("")

    line.modes = '{"BTCUSDT":"halted"}'
    expect(page.locator("#obstacle")).to_have_text("Trading in BTCUSDT is halted")
    expect(page.locator(".quick-side.buy")).to_have_attribute("aria-disabled", "true")
    line.modes = '{"BTCUSDT":"close_only"}'
    expect(page.locator("#obstacle")).to_have_text("BTCUSDT may only be closed")
    line.modes = ""

    expect(page.locator("#obstacle")).to_have_text("")
    order(page, quantity="0.02")
    expect(page.locator(ROWS)).to_have_count(1)


def test_what_happened_while_away_is_told_once(demo):
    page = demo()
    order(page, quantity="0.02")
    expect(page.locator(ROWS)).to_have_count(1)
    page.get_by_role("button", name="Limit", exact=True).click()
    field(page, "Limit price").fill("100000000")
    field(page, "Quantity").fill("0.02")
    url = page.url
    page.goto("/help")
    token = page.request.get("/trade/BTCUSDT").text()
    csrf = re.search(r'csrf-token" content="(\w+)"', token)[1]
    answer = page.request.post(
        "/api/v1/trade/create",
        data={
            "symbol": "BTC",
            "type": "buy",
            "orderType": "limit",
            "price": "10000000",
            "quantity": "0.02",
            "leverage": 10,
        },
        headers={"X-CSRFToken": csrf, "Origin": url.split("/trade")[0]},
    )
    assert answer.ok, answer.text()

    page.goto(url)
    expect(toast(page, "While you were away: Limit order filled")).to_have_count(1)
    page.reload()
    expect(page.locator(ROWS)).to_have_count(2)
    expect(page.locator(".toast")).to_have_count(0)


def test_without_a_network_the_page_says_so(demo):
    page = demo()
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    page.reload()

    page.context.set_offline(True)
    page.goto("/portfolio")

    expect(page.get_by_role("heading", level=1)).to_have_text("There is no connection")
    page.context.set_offline(False)
    page.get_by_role("link", name="Try again").click()
    page.wait_for_url("**/trade/BTCUSDT")


def tape(path: Path) -> None:
    """Write a market that stands still for two hours and then falls by a twentieth."""
    calm = "40000.0,40002.0,39998.0,40001.0,1"
    rows = [calm] * 110
    rows += [f"{at}.0,{at}.0,{at - 25}.0,{at - 25}.0,1" for at in range(40_000, 38_000, -25)]
    minutes = [
        f"2022-01-01 {index // 60:02}:{index % 60:02}:00.000000,{row}"
        for index, row in enumerate(rows)
    ]
    path.write_text("\n".join(["timestamp,open,high,low,close,volume", *minutes]) + "\n")


@pytest.fixture(scope="module")
def crash(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """The product on a tape that crashes half a minute after its start: four minutes of tape a second, again and again.

    The other coin's tape ends for good after the first time: from then on no price of it comes in.
    """
    home = tmp_path_factory.mktemp("crash")
    tape(home / "crash.csv")
    feeds = (
        f"replay:{home / 'crash.csv'}?symbol=BTC&speed=240",
        f"replay:{home / 'crash.csv'}?symbol=ETH&speed=240&loop=0",
    )
    with running(home, ",".join(feeds)) as product:
        yield product


# Notes every message and every look of the margin level: on a busy machine some are gone before somebody asks for them.
NOTE = """() => {
  window.seen = [];
  const note = () => {
    for (const title of document.querySelectorAll(".toast strong")) window.seen.push(title.textContent);
    window.seen.push(`level ${document.querySelector("[data-figure=level] dd").className}`);
  };
  new MutationObserver(note).observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true });
}"""


def seen(page: Page, text: str, seconds: int) -> None:
    """Wait until something of this text has been seen since NOTE."""
    page.wait_for_function(
        "(text) => window.seen.some((one) => one.includes(text))",
        arg=text,
        timeout=seconds * 1000,
    )


def calm_trade(page: Page) -> None:
    """Buy 200,000 USD at 25x and let a stop order wait, both before the tape falls; it does every ninety-five seconds."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        bought = elsewhere(page, "create", symbol="BTC", type="buy", quantity="5", leverage=25)
        waits = elsewhere(
            page,
            "create",
            symbol="BTC",
            type="sell",
            orderType="stop",
            stopPrice="39900",
            quantity="0.01",
            leverage=25,
        )
        if bought.ok and waits.ok and bought.json()["data"]["price"] > CALM:
            return
        # Amid the fall or the way back: from there it falls too little.
        elsewhere(page, "cancelAll")
        elsewhere(page, "closeAll")
        page.wait_for_timeout(500)
    pytest.fail("the tape was never calm")


def test_a_margin_call_and_a_stop_out_are_seen_live(crash: Product, browser: Browser):
    watch = Watch(crash.url)
    with browser.new_context(base_url=crash.url) as context:
        page = context.new_page()
        watch.attach(page)
        page.goto("/")
        page.get_by_role("button", name="Start with a demo").first.click()
        page.wait_for_url("**/trade/*")
        expect(page.locator(HEADLINE)).to_have_text(re.compile(r"\d"))
        expect(page.locator("#connection .badge")).to_have_text(re.compile("replay", re.IGNORECASE))

        page.evaluate(NOTE)
        # 200,000 USD at 25x lock 8,000: a fall of 1 % calls, one of 3 % stops out. Before both, a stop order fills.
        calm_trade(page)

        seen(page, "Stop order filled", 120)
        seen(page, "Margin call", 60)
        seen(page, "BTCUSDT closed by stop-out", 60)
        # Between call and stop-out it is coloured; what is left of the account then is far from both.
        seen(page, "level loss", 20)
        # What won in the fall stays.
        expect(page.locator(ROWS)).to_have_count(1)
        expect(page.locator(ROWS)).to_contain_text("Short")
        page.get_by_role("button", name="History").click()
        expect(page.locator(ROWS).first).to_contain_text("stop-out")
    assert watch.complaints == []


def test_a_feed_that_has_ended_stops_trading_on_the_screen_and_at_the_server(
    crash: Product, browser: Browser
):
    with browser.new_context(base_url=crash.url) as context:
        page = context.new_page()
        page.goto("/")
        page.get_by_role("button", name="Start with a demo").first.click()
        page.wait_for_url("**/trade/*")
        page.goto("/trade/ETHUSDT")
        fill(page, quantity="0.1")

        # No quote is kept from the page: none is there. At most the rest of the tape and the age that the instrument allows.
        expect(page.locator("#obstacle")).to_have_text(
            re.compile("too old|Waiting for a price|no prices"), timeout=120_000
        )
        expect(page.locator(".ticket .submit")).to_have_attribute("aria-disabled", "true")
        expect(page.locator(".quick-side.buy")).to_have_attribute("aria-disabled", "true")
        answer = elsewhere(page, "create", symbol="ETH", type="buy", quantity="0.1", leverage=10)
        assert (answer.ok, answer.json()["code"]) == (False, "QUOTE_STALE")
