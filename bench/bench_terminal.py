"""Measures the terminal in headless Chromium while every instrument moves ten times a second: long tasks, heap, frames.

The product runs as a process of its own with the simulator, so history, socket and account are real. The simulator quotes a
calm coin less often than ten times a second; therefore a full frame of prices for every instrument is handed to the page's own
socket each 100 ms, besides what the server sends. What it measures is the page: parsing, store, watch list, chart, ticket,
account bar.

A trader's browser has a machine of its own. Here it shares two processors with the whole platform, so the platform gets the lower
priority, and each figure of time stands beside the processor time that it took: what is long by the clock alone has waited.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from bench.measuring import Bench
from tests.browser.conftest import CHROMIUM_ARGUMENTS, Product, chromium_path, running

_LIMITS: Final = {"long_tasks": 1, "heap_growth_mib": 10, "frames_per_s": 50}
_SETTLE_MS: Final = 8_000
_EMPTY_MS: Final = 5_000
_LOOK_MS: Final = 100
_PLATFORM_NICENESS: Final = 10
_LONG_TASK_MS: Final = 50
_MIB: Final = 1024 * 1024

# Keeps the page's socket within reach.
_CATCH_SOCKET: Final = """
window.WebSocket = class extends WebSocket {
  constructor(...given) { super(...given); window.benchSocket = this; }
};
"""

# Moves every instrument by a few ticks each 100 ms, as one frame of prices, and counts what the browser does meanwhile.
_MEASURE: Final = """
async ([rows, milliseconds, longMs]) => {
  const prices = rows.map(([symbol, bid, decimals]) => ({ symbol, ticks: Math.round(bid * 10 ** decimals), decimals }));
  const text = (ticks, decimals) => (ticks / 10 ** decimals).toFixed(decimals);
  const long = [];
  const observer = new PerformanceObserver((list) => list.getEntries().forEach((entry) => long.push(entry.duration)));
  observer.observe({ entryTypes: ["longtask"] });
  let frames = 0, quotes = 0, isRunning = true, number = 1e9;
  const draw = () => { frames += 1; if (isRunning) requestAnimationFrame(draw); };
  requestAnimationFrame(draw);
  const timer = setInterval(() => {
    const now = Date.now();
    const d = prices.map((one) => {
      one.ticks = Math.max(10, one.ticks + Math.floor(Math.random() * 7) - 3);
      return [one.symbol, text(one.ticks, one.decimals), text(one.ticks + 2, one.decimals), now];
    });
    quotes += d.length;
    const data = JSON.stringify({ ch: "prices", n: number, d });
    window.benchSocket.onmessage(new MessageEvent("message", { data }));
  }, 100);
  const began = performance.now();
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
  const seconds = (performance.now() - began) / 1000;
  isRunning = false;
  clearInterval(timer);
  observer.disconnect();
  return { seconds, frames, quotes, long: long.filter((one) => one > longMs) };
}
"""

# What the browser draws when a page does nothing: the limit of this machine and hour.
_FRAMES: Final = """
async (milliseconds) => {
  let frames = 0, isRunning = true;
  const draw = () => { frames += 1; if (isRunning) requestAnimationFrame(draw); };
  requestAnimationFrame(draw);
  const began = performance.now();
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
  isRunning = false;
  return frames / ((performance.now() - began) / 1000);
}
"""


def main() -> int:
    """Run the bench; return 0, since judging the figures is the reader's."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60)
    seconds = parser.parse_args().seconds
    bench = Bench(_LIMITS, is_profiling=False)
    with (
        tempfile.TemporaryDirectory(prefix="bench-terminal-") as home,
        running(Path(home), "simulator:seed=7", _PLATFORM_NICENESS) as product,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(
            executable_path=chromium_path(), args=list(CHROMIUM_ARGUMENTS)
        )
        with browser:
            empty = browser.new_page().evaluate(_FRAMES, _EMPTY_MS)
            _measure(browser, product, bench, seconds, empty)
    return 0


def _measure(browser: Browser, product: Product, bench: Bench, seconds: int, empty: float) -> None:
    page = browser.new_page(base_url=product.url, viewport={"width": 1440, "height": 900})
    page.add_init_script(_CATCH_SOCKET)
    _trade(page)
    rows = _rows(page)
    page.wait_for_timeout(_SETTLE_MS)
    session = page.context.new_cdp_session(page)
    before = _heap_bytes(session)
    with _task_times(browser, page) as taken_ms:
        found = page.evaluate(_MEASURE, [rows, seconds * 1000, _LONG_TASK_MS])
    after = _heap_bytes(session)

    bench.note(
        f"{len(rows)} symbols, {found['quotes'] / found['seconds']:.0f} quotes/s for {found['seconds']:.0f} s"
    )
    longest = max(found["long"], default=0)
    bench.show(
        "long_tasks", len(found["long"]), f"over {_LONG_TASK_MS} ms, the longest {longest:.0f} ms"
    )
    busy = [taken for taken in taken_ms if taken > _LONG_TASK_MS]
    bench.show("long_tasks_by_processor", len(busy), f"over {_LONG_TASK_MS} ms of processor time")
    bench.show("task_cpu_ms_max", max(taken_ms), f"ms of processor time, of {len(taken_ms)} tasks")
    bench.show("page_core_percent", sum(taken_ms) / found["seconds"] / 10, "% of a core")
    bench.show("heap_growth_mib", (after - before) / _MIB, "MiB")
    frames = bench.show("frames_per_s", found["frames"] / found["seconds"], "frames/s")
    bench.show("empty_frames_per_s", empty, "frames/s of a page that does nothing")
    bench.note(f"{frames / empty:.2f} of what this browser draws at all")


@contextmanager
def _task_times(browser: Browser, page: Page) -> Iterator[list[float]]:
    """Fill the list with the processor time of each task of the page's main thread, milliseconds, once the block is over."""
    session = browser.new_browser_cdp_session()
    events: list[dict[str, Any]] = []
    endings: list[object] = []

    def end(ending: object) -> None:
        endings.append(ending)

    session.on("Tracing.dataCollected", lambda batch: events.extend(batch["value"]))
    session.on("Tracing.tracingComplete", end)
    taken_ms: list[float] = []
    session.send(
        "Tracing.start",
        {
            "transferMode": "ReportEvents",
            "traceConfig": {"includedCategories": ["toplevel"], "excludedCategories": ["*"]},
        },
    )
    yield taken_ms
    session.send("Tracing.end")
    while not endings:
        page.wait_for_timeout(_LOOK_MS)
    by_thread: dict[tuple[int, int], list[float]] = {}
    mains = {
        (event["pid"], event["tid"])
        for event in events
        if event["name"] == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    for event in events:
        thread = (event["pid"], event["tid"])
        if thread in mains and event["name"].endswith("RunTask") and "tdur" in event:
            by_thread.setdefault(thread, []).append(event["tdur"] / 1000)
    # The empty page has a main thread too, with next to nothing to do.
    taken_ms.extend(max(by_thread.values(), key=sum))


def _trade(page: Page) -> None:
    """Come as a guest and open a position, so that everything that can move does."""
    page.goto("/")
    page.get_by_role("button", name="Start with a demo").first.click()
    page.wait_for_url("**/trade/*")
    page.get_by_label("Quantity", exact=True).fill("0.05")
    page.locator(".ticket .submit[aria-disabled=false]").click()
    page.locator("dialog .submit").click()
    page.locator("#tables tbody tr").first.wait_for()
    page.get_by_label("Quantity", exact=True).fill("0.05")


def _rows(page: Page) -> list[list[Any]]:
    """Return symbol, bid and decimals of every instrument."""
    data = page.request.get("/api/v1/prices/latest").json()["data"]
    return [[row["asset"], row["bid"], row["decimal"]] for row in data]


def _heap_bytes(session: CDPSession) -> int:
    """Return the bytes of living objects."""
    session.send("HeapProfiler.enable")
    session.send("HeapProfiler.collectGarbage")
    session.send("Performance.enable")
    metrics = session.send("Performance.getMetrics")["metrics"]
    return int(next(one["value"] for one in metrics if one["name"] == "JSHeapUsedSize"))


if __name__ == "__main__":
    sys.exit(main())
