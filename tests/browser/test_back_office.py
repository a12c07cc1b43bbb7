"""The back office: each kind of its pages runs under the content policy of the site (S-36), and axe finds nothing grave on it."""

import re

import pytest
from playwright.sync_api import Browser, Response, expect

from tests.browser.conftest import Product, Watch
from tests.browser.test_pages import SIZES, THEMES, examine
from tests.browser.test_passkeys import authenticator_add, code_enter, passkey_add

pytestmark = pytest.mark.browser

# One of each kind: lists with and without filters, forms with every control that the admin has, pages of queues.
PAGES = (
    "/admin/",
    "/admin/accounts/loginlink/",
    "/admin/accounts/user/add/",
    "/admin/auth/group/add/",
    "/admin/common/auditentry/",
    "/admin/django_rq/dashboard/",
    "/admin/django_rq/dashboard/queues/0/",
    "/admin/django_rq/dashboard/workers/0/",
    "/admin/market/instrument/",
    "/admin/market/instrument/1/change/",
    "/admin/mfa/authenticator/",
    "/admin/office/exposure/",
    "/admin/office/health/",
    "/admin/office/ladder/",
    "/admin/office/results/?book=demo",
    "/admin/profile/cashrequest/",
    "/admin/trade/ledgerentry/",
    "/admin/usersessions/usersession/",
)

# The texts of lists that do not fit into their cells.
CUT_OFF = """[...document.querySelectorAll("#result_list td")]
    .filter((cell) => cell.scrollHeight > cell.clientHeight + 1 || cell.scrollWidth > cell.clientWidth + 1)
    .map((cell) => cell.innerText)"""


def test_s36_the_back_office_is_sound_and_breaks_no_policy(
    product: Product, browser: Browser, watch: Watch
):
    width, height = SIZES["wide"]
    viewport = {"width": width, "height": height}
    with browser.new_context(
        base_url=product.url, viewport=viewport, color_scheme=THEMES[0]
    ) as context:
        page = context.new_page()
        watch.attach(page)
        authenticator_add(page)
        code_enter(page, product, "bob@example.com")
        page.wait_for_url("**/trade/*")
        passkey_add(page)

        def judge(answer: Response) -> None:
            if answer.status >= 400:
                watch.complaints.append(f"{answer.status}: {answer.url}")

        page.on("response", judge)
        for path in PAGES:
            page.goto(path)
            name = path.partition("?")[0].strip("/").replace("/", "-")
            examine(page, name, "wide", THEMES[0])
            page.emulate_media(color_scheme=THEMES[1])
            page.reload()
            expect(page.locator("html")).to_have_class(re.compile(r"\bdark\b"))
            examine(page, name, "wide", THEMES[1], colours_only=True)
            page.emulate_media(color_scheme=THEMES[0])
        page.goto("/admin/office/health/")
        # The page has fetched its figures anew, and what was held is held still.
        page.get_by_role("link", name="Jobs", exact=True).last.focus()
        expect(page.locator("[data-refreshed]")).to_be_visible()
        expect(page.get_by_role("link", name="Jobs", exact=True).last).to_be_focused()
        expect(page.locator("[data-office-fault]")).to_be_hidden()
        width, height = SIZES["phone"]
        page.set_viewport_size({"width": width, "height": height})
        page.goto("/admin/common/outboxeffect/")
        expect(page.locator("#result_list td").first).to_be_visible()
        assert page.evaluate(CUT_OFF) == []
        page.set_viewport_size(viewport)
        page.goto("/admin/accounts/user/?q=alice")
        page.get_by_role("link", name="alice@example.com").click()
        expect(page.get_by_label("Name")).to_have_value("Alice")
        examine(page, "admin-accounts-user", "wide", THEMES[0])
