"""Fixtures of the journeys: the real product as a process of its own, and Debian's Chromium looking at it.

The product gets an empty data directory, a free port and the simulator, so its first minute is the one that a newcomer sees.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect

ROOT = Path(__file__).parents[2]
START_SECONDS = 90
STOP_SECONDS = 20
MAIL_SECONDS = 30
READY = "CryptoCFD is running"

# Generous: a busy machine is no fault of the page.
expect.set_options(timeout=20_000)


@dataclass(frozen=True)
class Product:
    """The running product."""

    url: str
    # Runs a command of manage.py on the product's data and returns what it prints.
    manage: Callable[..., str]
    # Where mail lands, and which of it has been read.
    mail_dir: Path
    mails_read: set[Path] = field(default_factory=set)

    def link_print(self, *email: str) -> str:
        """Print a sign-in link for alice, or somebody else, as `make login` does; it works once and ends the ones before it."""
        return self.manage("login", *email)

    def mailed_code(self, address: str) -> str:
        """Wait for one more mail to an address and return its code."""
        deadline = time.monotonic() + MAIL_SECONDS
        while time.monotonic() < deadline:
            for mail in set(self.mail_dir.glob("*.eml")) - self.mails_read:
                head, _, body = mail.read_text().partition("\n\n")
                # Not in the head: a number of a process may have six digits too.
                if address in head and (found := re.search(r"\b\d{6}\b", body)):
                    self.mails_read.add(mail)
                    return found[0]
            time.sleep(0.05)
        raise AssertionError(f"no mail to {address}")


@dataclass
class Watch:
    """What a page did that it must not do."""

    origin: str
    complaints: list[str] = field(default_factory=list)

    def attach(self, page: Page) -> None:
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        # The browser logs refused answers (4xx) too; those are the product's words, and tests read them on the page.
        is_answer = message.text.startswith("Failed to load resource")
        if message.type in {"error", "warning"} and not is_answer:
            self.complaints.append(f"{message.type}: {message.text}")

    def _request(self, request: Request) -> None:
        if not request.url.startswith((self.origin, "data:", "blob:")):
            self.complaints.append(f"left the host: {request.url}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_banner(log: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if READY in log.read_text():
            return
        if process.poll() is not None:
            break
        time.sleep(0.1)
    pytest.fail(f"the product did not start:\n{log.read_text()}")


@contextmanager
def running(
    home: Path, feeds: str, niceness: int = 0, *, has_past: bool = False
) -> Iterator[Product]:
    """Run the product on an empty data directory with these feeds, and stop it as Ctrl-C does.

    A niceness above 0 lets the browser go first where both share the processors; with a past charts are full from the start.
    """
    port = _free_port()
    environment = os.environ | {
        "DATA_DIR": str(home / "data"),
        "PORT": str(port),
        "HOST": "127.0.0.1",
        "PUBLIC_URL": f"http://localhost:{port}",
        "ENGINE_MODE": "embedded",
        "FEEDS": feeds,
        "SIMULATED_HISTORY": str(has_past),
        "EMAIL_URL": "",
        # Every journey starts as a guest of its own; some ask for mail more than once.
        "GUEST_LIMITS_PER_IP": "1000/h",
        "LOGIN_LIMITS_PER_ADDRESS": "1000/h",
        "LOGIN_LIMITS_PER_IP": "1000/h",
        "STAFF_SECOND_FACTOR": "true",
        "MONEY_SECOND_FACTOR": "true",
        "LOG_FORMAT": "text",
        "PYTHONUNBUFFERED": "1",
    }
    log = home / "serve.log"
    command = [sys.executable, str(ROOT / "manage.py")]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*command, "serve"],
            stdout=out,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
    if niceness:
        os.setpriority(os.PRIO_PGRP, process.pid, niceness)

    def manage(*arguments: str) -> str:
        done = subprocess.run(
            [*command, *arguments], env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    try:
        _await_banner(log, process)
        yield Product(f"http://localhost:{port}", manage, home / "data" / "mail")
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """The product with the simulator, for all tests together."""
    home = tmp_path_factory.mktemp("product")
    with running(home, "simulator:seed=7", has_past=True) as product:
        yield product


# Tests run as root in containers, where Chromium's sandbox cannot start.
CHROMIUM_ARGUMENTS: Final = ("--no-sandbox",)


def chromium_path() -> str | None:
    """Return where the system's Chromium is."""
    return shutil.which("chromium")


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    """The system's Chromium."""
    chromium = chromium_path()
    if chromium is None:
        pytest.skip("Chromium is not installed")
    return {"executable_path": chromium, "args": list(CHROMIUM_ARGUMENTS)}


@pytest.fixture(scope="session")
def signed_in(product: Product, browser: Browser) -> Any:
    """The cookies of alice, signed in by the printed link."""
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(product.link_print())
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/trade/*")
        return context.cookies()


@pytest.fixture
def watch(product: Product) -> Iterator[Watch]:
    """Collects what pages complain about; the test fails by it at its end."""
    watching = Watch(product.url)
    yield watching
    assert watching.complaints == []


class Profiles:
    """Browser profiles that tests use one after the other: what a page remembers goes in between, what is cached stays."""

    def __init__(self, product: Product, browser: Browser) -> None:
        self._product = product
        self._browser = browser
        self._free: dict[str, list[BrowserContext]] = {}
        self._used: list[tuple[str, BrowserContext]] = []

    def page(self, cookies: Sequence[Any] = (), **options: Any) -> Page:
        """Return an empty page of a profile with these options that remembers nothing but these cookies."""
        kind = repr(sorted(options.items()))
        free = self._free.setdefault(kind, [])
        context = (
            free.pop() if free else self._browser.new_context(base_url=self._product.url, **options)
        )
        self._used.append((kind, context))
        context.clear_cookies()
        context.add_cookies(cookies)
        page = context.new_page()
        wire = context.new_cdp_session(page)
        wire.send(
            "Storage.clearDataForOrigin",
            {"origin": self._product.url, "storageTypes": "local_storage,indexeddb"},
        )
        wire.detach()
        return page

    def put_back(self) -> None:
        """Close every page and take the profiles back."""
        for kind, context in self._used:
            context.set_offline(False)
            for page in context.pages:
                page.close()
            self._free[kind].append(context)
        self._used.clear()


@pytest.fixture(scope="session")
def session_profiles(product: Product, browser: Browser) -> Profiles:
    """The profiles of all tests together; the browser's end is theirs."""
    return Profiles(product, browser)


@pytest.fixture
def profiles(session_profiles: Profiles) -> Iterator[Profiles]:
    """The profiles, all of them free."""
    yield session_profiles
    session_profiles.put_back()


@pytest.fixture
def demo(product: Product, profiles: Profiles, watch: Watch) -> Callable[..., Page]:
    """Opens the terminal as a new guest with a demo account of its own, and waits for its prices."""

    def open_terminal(symbol: str = "BTCUSDT", **options: Any) -> Page:
        page = profiles.page(**options)
        watch.attach(page)
        page.goto("/")
        page.get_by_role("button", name="Start with a demo").first.click()
        page.wait_for_url("**/trade/*")
        if symbol not in page.url:
            page.goto(f"/trade/{symbol}")
        expect(page.locator("#instrument .headline")).to_have_text(re.compile(r"\d"))
        expect(page.locator("[data-figure=balance] dd")).to_contain_text("10,000.00")
        return page

    return open_terminal


@pytest.fixture
def visit(profiles: Profiles, watch: Watch, request: pytest.FixtureRequest) -> Callable[..., Page]:
    """Opens a page of the product; keywords are those of a browser context."""

    def open_page(path: str, *, is_signed_in: bool = True, **options: Any) -> Page:
        cookies = request.getfixturevalue("signed_in") if is_signed_in else ()
        page = profiles.page(cookies, **options)
        watch.attach(page)
        page.goto(path)
        return page

    return open_page
