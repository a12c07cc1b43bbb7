"""The back office in a real browser: Unfold must work under the content policy of the site (S-36)."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, sync_playwright

from apps.auth import facade
from apps.market.facade import catalogue_install

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def staff_page(live_server, settings) -> Iterator[tuple[Page, list[str]]]:
    """Bob's browser in front of the admin, and everything that its console complained about."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("Chromium is not installed")
    # All of the database is done before: inside Playwright's loop Django would open a connection that nobody closes.
    facade.users_seed()
    catalogue_install()
    settings.PORT = live_server.url.rpartition(":")[2]
    link = facade.login_link_create("bob@example.com").url
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.goto(link)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/trade/*")
        # The terminal behind it lives on parts that are not running here.
        page.goto("about:blank")
        page.on("console", lambda line: complaints.append(line.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("response", lambda answer: answer.status < 400 or complaints.append(answer.url))
        yield page, complaints
        browser.close()


def test_s36_the_admin_runs_without_a_violation_of_its_policy(staff_page, live_server):
    page, complaints = staff_page
    site = live_server.url.replace("127.0.0.1", "localhost")

    jobs = "/admin/django_rq/dashboard/"
    lists = ("/admin/market/instrument/", "/admin/accounts/loginlink/")
    for path in ("/admin/", *lists, jobs, f"{jobs}queues/0/", f"{jobs}workers/0/"):
        page.goto(f"{site}{path}")
        page.wait_for_load_state("networkidle")
    page.goto(f"{site}/admin/accounts/user/?q=alice")
    page.get_by_role("link", name="alice@example.com").click()
    page.wait_for_load_state("networkidle")

    assert page.get_by_label("Name").input_value() == "Alice"
    assert complaints == []
