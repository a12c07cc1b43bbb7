"""Statements and receipts as files: they add up, they belong to their owner, and every format says the same."""

import csv
import io
import re
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from django.db import connection
from django.utils import timezone

from apps.common.exact_json import json_decode
from apps.common.models import OutboxEffect
from apps.common.outbox import outbox_run, outbox_try_again
from apps.notifications.models import Delivery
from apps.trade.models import Account, HistoryEvent, StatementFile
from apps.trade.selectors import DAY_US
from apps.trade.services.projection.rebuild import read_models_rebuild
from apps.trade.services.statements import at_once, collect, requests
from apps.trade.services.statements.at_once import LINES_MAX
from apps.trade.services.statements.requests import statement_make
from apps.trade.views import files

pytestmark = pytest.mark.integration

BUY = {"symbol": "BTC", "type": "buy", "quantity": "0.1", "leverage": 10}


@pytest.fixture
def alice(live):
    user, account = live.user()
    live.price(100_000, 100_010)
    client = live.client(user)
    client.account = account.id
    client.path = f"/api/v1/accounts/{account.id}"
    client.order = trade(client, live)
    live.project()
    return client


def trade(client, live):
    order = json_decode(client.post("/api/v1/trade/create", BUY).content)["data"]["orderId"]
    live.price(100_500, 100_510)
    client.post("/api/v1/trade/close", {"orderId": order})
    return order


def exact(response):
    assert response.status_code < 300, response.content
    return json_decode(response.content)["data"]


def month():
    return timezone.now().strftime("%Y-%m")


def test_a_statement_adds_up_and_tells_each_day(alice):
    statement = exact(alice.get(f"{alice.path}/statement", {"month": month()}))

    (day,) = statement["days"]
    assert statement["openingBalance"] == 0
    assert statement["closingBalance"] == Decimal("10004.097960")
    assert sum(e["amount"] for e in statement["entries"]) == statement["closingBalance"]
    assert (day["pnl"], day["commission"], day["swap"], day["other"], day["trades"]) == (
        Decimal("4.900000"),
        Decimal("0.802040"),
        0,
        Decimal("10000.000000"),
        1,
    )
    assert statement["isCurrent"] is True


def test_the_figures_are_made_of_the_closings_and_the_entries(live, alice):
    # A loss: bought at 10,051.0, sold at 9,900.0 -> -15.1; 400 ppm of 1,005.1 and of 990.0 -> 0.40204 and 0.396.
    lost = json_decode(alice.post("/api/v1/trade/create", BUY).content)["data"]["orderId"]
    live.price(99_000, 99_010)
    alice.post("/api/v1/trade/close", {"orderId": lost})
    # One that stays open has paid its commission: 400 ppm of 990.1.
    alice.post("/api/v1/trade/create", BUY)
    live.project()

    statement = exact(alice.get(f"{alice.path}/statement", {"month": month()}))
    performance = exact(alice.get(f"{alice.path}/performance", {"month": month()}))

    # The gain was 4.9 before and 4.498 after the commission of its closing.
    figures = statement["figures"]
    assert figures == {
        "result": Decimal("-12.196120"),
        "pnl": Decimal("-10.200000"),
        "commission": Decimal("1.996120"),
        "swap": 0,
        "covered": 0,
        "cash": Decimal(10_000),
        "trades": 2,
        "wins": 1,
        "losses": 1,
        "won": Decimal("4.498000"),
        "lost": Decimal("15.496000"),
        "winRate": Decimal("50.00"),
        "profitFactor": Decimal("0.29"),
        "expectancy": Decimal("-5.499000"),
        "best": Decimal("4.498000"),
        "worst": Decimal("-15.496000"),
        # From 10,004.09796 down to 9,987.90396: by 0.40204 + 15.496 + 0.39604.
        "maxDrawdown": Decimal("16.294080"),
        "maxDrawdownPercent": Decimal("0.16"),
    }
    (market,) = statement["symbols"]
    assert (market["symbol"], market["trades"], market["wins"]) == ("BTCUSDT", 2, 1)
    assert market["result"] == figures["result"] == sum(day["result"] for day in statement["days"])
    assert market["commission"] == figures["commission"]
    for name in ("figures", "symbols", "days", "openingBalance", "closingBalance", "isCurrent"):
        assert performance[name] == statement[name]
    assert "entries" not in performance
    assert [point["balance"] for point in performance["balances"]][-1] == statement[
        "closingBalance"
    ]


def test_figures_without_a_closing_claim_nothing(live):
    user, account = live.user()
    live.project()
    client = live.client(user)

    answer = exact(client.get(f"/api/v1/accounts/{account.id}/performance", {"day": "2020-02-29"}))

    assert (
        answer["figures"] | {"winRate": None, "profitFactor": None, "expectancy": None}
        == (answer["figures"])
    )
    assert (answer["figures"]["trades"], answer["symbols"], answer["balances"]) == (0, [], [])


def test_a_period_opens_with_the_balance_before_it(alice):
    before = exact(alice.get(f"{alice.path}/statement", {"day": "2020-02-29"}))
    far = exact(alice.get(f"{alice.path}/statement", {"from": "2037-01-01", "to": "2037-12-31"}))

    assert (before["openingBalance"], before["closingBalance"], before["entries"]) == (0, 0, [])
    assert far["openingBalance"] == far["closingBalance"] == Decimal("10004.097960")


def test_every_format_has_the_same_entries(alice):
    def file(file_format):
        response = alice.get(
            f"{alice.path}/statement", {"month": month(), "fileFormat": file_format}
        )
        assert response.status_code == 200
        assert "attachment" in response.headers["Content-Disposition"]
        return response.content

    statement = exact(alice.get(f"{alice.path}/statement", {"month": month()}))
    tables = [
        list(csv.DictReader(io.StringIO(one))) for one in file("csv").decode().split("\r\n\r\n")
    ]
    rows, figures, symbols, days = tables
    book = zipfile.ZipFile(io.BytesIO(file("xlsx")))
    texts = book.read("xl/sharedStrings.xml").decode()

    assert [row["amount"] for row in rows[1:-1]] == [str(e["amount"]) for e in statement["entries"]]
    assert (rows[0]["balance"], rows[-1]["balance"]) == ("0.000000", "10004.097960")
    assert {row["figure"]: row["value"] for row in figures} == {
        name: "" if value is None else str(value) for name, value in statement["figures"].items()
    }
    assert [row["result"] for row in symbols] == [
        str(one["result"]) for one in statement["symbols"]
    ]
    assert [row["equity"] for row in days] == [str(one["equity"]) for one in statement["days"]]
    assert all(str(e["balance"]) in texts for e in statement["entries"])
    assert file("pdf").startswith(b"%PDF-")
    assert file("pdf") == file("pdf")


def test_the_worker_makes_a_file_that_only_its_owner_gets(live, alice):
    asked = alice.post(f"{alice.path}/statements", {"month": month(), "fileFormat": "csv"})
    state = exact(asked)
    path = f"{alice.path}/statements/{state['statementId']}"
    early = alice.get(f"{path}/file")
    effect = OutboxEffect.objects.get(key=f"statement:{state['statementId']}")
    statement_make(**effect.payload)
    statement_make(**effect.payload)
    charlie = live.client(live.user()[0])

    assert (asked.status_code, state["state"]) == (202, "waiting")
    assert (early.status_code, json_decode(early.content)["code"]) == (409, "NOT_READY")
    assert exact(alice.get(path)) | {"state": "ready", "progress": 3} == exact(alice.get(path))
    assert b"PositionClosed" in alice.get(f"{path}/file").content
    assert charlie.get(path).status_code == 404
    assert charlie.get(f"{path}/file").status_code == 404
    assert charlie.get(f"{alice.path}/statement", {"month": month()}).status_code == 404
    told = Delivery.objects.get(event="statement_ready", channel="mail")
    assert told.facts == {
        "account": str(alice.account),
        "period": exact(alice.get(path))["period"],
        "path": f"{path}/file",
    }


def test_files_that_nobody_has_fetched_for_a_month_are_removed(alice):
    answers = [
        exact(alice.post(f"{alice.path}/statements", {"month": month(), "fileFormat": "pdf"}))
        for _ in range(3)
    ]
    old, kept, new = (answer["statementId"] for answer in answers)
    StatementFile.objects.filter(pk=old).update(created_at=timezone.now() - timedelta(days=31))
    StatementFile.objects.filter(pk=kept).update(created_at=timezone.now() - timedelta(days=29))

    statement_make(statement_id=new)

    assert set(StatementFile.objects.values_list("pk", flat=True)) == {UUID(kept), UUID(new)}
    assert alice.get(f"{alice.path}/statements/{old}").status_code == 404


def statement_asked(alice, file_format="csv") -> tuple[str, OutboxEffect]:
    """Ask for a statement of this month; return where it stands and the effect that makes it."""
    asked = alice.post(f"{alice.path}/statements", {"month": month(), "fileFormat": file_format})
    number = exact(asked)["statementId"]
    return f"{alice.path}/statements/{number}", OutboxEffect.objects.get(key=f"statement:{number}")


def test_one_idempotency_key_is_one_statement(live, alice):
    def ask(client, key, **wish):
        wish = {"month": month(), "fileFormat": "csv"} | wish
        response = client.post(f"{client.path}/statements", wish, headers={"Idempotency-Key": key})
        return response.status_code, json_decode(response.content)

    first = ask(alice, "k1")
    effect = OutboxEffect.objects.get(key=f"statement:{first[1]['data']['statementId']}")
    outbox_run(effect.pk)
    again = ask(alice, "k1")
    others = [ask(alice, "k1", fileFormat="json"), ask(alice, "k1", month="2026-01")]
    malformed = ask(alice, "a key")

    assert first[0] == 202
    assert again == first
    assert [(status, told["code"]) for status, told in others] == [
        (409, "EXISTS_WITH_DIFFERENT_CONTENT")
    ] * 2
    assert (malformed[0], malformed[1]["code"]) == (400, "INVALID")
    assert StatementFile.objects.count() == 1
    # Another key, none, and the same of somebody else are statements of their own.
    assert ask(alice, "k2")[0] == 202
    assert len({statement_asked(alice)[0] for _ in range(2)}) == 2
    user, account = live.user()
    other = live.client(user)
    other.path = f"/api/v1/accounts/{account.id}"
    assert ask(other, "k1")[1]["data"]["statementId"] != first[1]["data"]["statementId"]
    assert StatementFile.objects.count() == 5


def test_how_far_a_statement_is_can_be_seen_while_it_is_made(alice, monkeypatch):
    path, effect = statement_asked(alice)
    seen = []

    def look() -> None:
        state = exact(alice.get(path))
        seen.append((state["state"], state["progress"]))
        connection.close()

    def looking(work):
        def wrapped(*args, **kwargs):
            # Another thread has another connection, as a web process has.
            thread = threading.Thread(target=look)
            thread.start()
            thread.join(10)
            return work(*args, **kwargs)

        return wrapped

    monkeypatch.setattr(collect, "_BATCH", 1)
    read, write = collect.selectors.money_between, requests.statement_file
    monkeypatch.setattr(collect.selectors, "money_between", looking(read))
    monkeypatch.setattr(requests, "statement_file", looking(write))
    outbox_run(effect.pk)

    assert seen == [("waiting", done) for done in (0, 1, 2, 3, 3)]
    # A second attempt of the same begins anew and does not take back what was told.
    number = path.rpartition("/")[2]
    StatementFile.objects.filter(pk=number).update(state="waiting", progress=2)
    seen.clear()
    statement_make(statement_id=number)
    assert [done for _, done in seen] == [2, 2, 2, 3, 3]
    assert exact(alice.get(path))["state"] == "ready"


def test_a_history_that_does_not_add_up_makes_no_statement_until_it_does(alice, caplog):
    rows = HistoryEvent.objects.filter(account=alice.account, kind="PositionClosed")
    rows.update(amount_micros=1)
    path, effect = statement_asked(alice)

    outbox_run(effect.pk)

    state = exact(alice.get(path))
    assert state["state"] == "failed"
    assert re.fullmatch(r"the history of account \d+ does not add up at event \d+", state["reason"])
    refused = alice.get(f"{path}/file")
    assert (refused.status_code, json_decode(refused.content)["code"]) == (409, "STATEMENT_FAILED")
    # Repaired and asked for again, it is made.
    assert read_models_rebuild() > 0
    path, effect = statement_asked(alice)
    outbox_run(effect.pk)
    assert exact(alice.get(path))["state"] == "ready"


def test_a_statement_that_fails_on_our_side_says_so_and_waits_for_nobody(
    alice, monkeypatch, caplog
):
    path, effect = statement_asked(alice)

    def fail(*_: object) -> bytes:
        raise ZeroDivisionError

    monkeypatch.setattr(f"{requests.__name__}.statement_file", fail)
    outbox_run(effect.pk)
    state = exact(alice.get(path))
    assert (state["state"], state["reason"]) == ("failed", "something failed on our side")

    # Where not even that could be written, the outbox has given up and knows it.
    path, effect = statement_asked(alice)
    OutboxEffect.objects.filter(pk=effect.pk).update(given_up_at=timezone.now())
    assert exact(alice.get(path))["state"] == "failed"
    assert alice.get(f"{path}/file").status_code == 409
    monkeypatch.undo()
    outbox_try_again([effect.pk])
    outbox_run(effect.pk)
    assert exact(alice.get(path))["state"] == "ready"


BAD_PERIODS = [
    {},
    {"day": "2026-02-30"},
    {"month": "2026-13"},
    {"day": "9999-12-31"},
    {"month": "9999-12"},
    {"day": "0001-01-01"},
    {"from": "2026-01-02", "to": "2026-01-01"},
    {"from": "2026-01-01"},
    {"day": "2026-01-01", "month": "2026-01"},
    {"from": "2000-01-01", "to": "2026-01-01"},
    {"month": "2026-01", "fileFormat": "docx"},
]


@pytest.mark.parametrize("query", BAD_PERIODS, ids=range(len(BAD_PERIODS)))
def test_a_period_that_is_none_is_refused(alice, query):
    response = alice.get(f"{alice.path}/statement", query)

    assert (response.status_code, json_decode(response.content)["code"]) == (400, "INVALID")


def test_a_receipt_is_a_pdf_of_its_owner(live, alice):
    path = f"/api/v1/trade/orders/{alice.order}/receipt.pdf"
    charlie = live.client(live.user()[0])

    response = alice.get(path)

    assert (response.status_code, response.headers["Content-Type"]) == (200, "application/pdf")
    assert response.content.startswith(b"%PDF-")
    assert charlie.get(path).status_code == 404


# --- at once ----------------------------------------------------------------------------------------------------------


def entries_add(account: int, count: int) -> None:
    """Give an account so many entries more, of nothing each."""
    last = HistoryEvent.objects.filter(account=account).order_by("seq").last()
    HistoryEvent.objects.bulk_create(
        HistoryEvent(
            account=account,
            seq=last.seq + number,
            layout=last.layout,
            shard=last.shard,
            n=last.n + number,
            event_index=0,
            kind="CashPosted",
            amount_micros=0,
            balance_micros=last.balance_micros,
            at_us=last.at_us,
        )
        for number in range(1, count + 1)
    )
    Account.objects.filter(account=account).update(seq=last.seq + count)


def test_a_long_statement_is_made_by_the_worker_only(alice):
    def status(file_format):
        wish = {"month": month(), "fileFormat": file_format}
        return alice.get(f"{alice.path}/statement", wish).status_code

    # With three of trading and the one day of all of them.
    entries_add(alice.account, LINES_MAX["pdf"] - 4)
    assert status("pdf") == 200
    entries_add(alice.account, 1)

    refused = alice.get(f"{alice.path}/statement", {"month": month(), "fileFormat": "pdf"})

    told = json_decode(refused.content)
    assert (refused.status_code, told["code"]) == (409, "STATEMENT_TOO_LONG")
    assert told["data"] == {"fileFormat": "pdf", "entries": 200, "days": 1, "linesMax": 200}
    assert told["message"] == (
        "at once a statement as pdf has at most 200 lines, found 201 (entries: 200, days: 1): "
        f"have it made by POST /accounts/{alice.account}/statements, or ask for a shorter time"
    )
    assert [status(kind) for kind in ("json", "csv", "xlsx")] == [200, 200, 200]
    path, effect = statement_asked(alice, "pdf")
    outbox_run(effect.pk)
    assert exact(alice.get(path)) | {"state": "ready", "progress": 200} == exact(alice.get(path))


def test_days_without_an_entry_are_lines_too(alice, monkeypatch):
    first = HistoryEvent.objects.filter(account=alice.account).order_by("seq").first()
    monkeypatch.setattr(collect, "now_us", lambda: first.at_us + 300 * DAY_US)
    monkeypatch.setattr(files, "statement_collect", None)

    refused = alice.get(
        f"{alice.path}/statement", {"from": "2026-01-01", "to": "2035-01-01", "fileFormat": "pdf"}
    )

    told = json_decode(refused.content)["data"]
    assert (told["entries"], told["days"]) == (3, 301)


def test_a_receipt_of_many_steps_is_refused(alice, monkeypatch):
    path = f"/api/v1/trade/orders/{alice.order}"
    steps = len(exact(alice.get(path))["receipts"])
    monkeypatch.setattr(at_once, "STEPS_MAX", steps - 1)

    refused = alice.get(f"{path}/receipt.pdf")

    told = json_decode(refused.content)
    assert (refused.status_code, told["code"]) == (409, "RECEIPT_TOO_LONG")
    assert told["data"] == {"orderId": alice.order, "steps": steps, "stepsMax": steps - 1}


@pytest.fixture
def writing(monkeypatch):
    """Let statements and receipts be written when this event is set; tells how many are being written."""
    at_work, goes_on = [], threading.Event()

    def held(write):
        def wrapped(*args):
            at_work.append(threading.get_ident())
            assert goes_on.wait(20)
            assert at_work == [threading.get_ident()]
            at_work.clear()
            return write(*args)

        return wrapped

    for name in ("statement_file", "receipt_pdf"):
        monkeypatch.setattr(files, name, held(getattr(files, name)))
    goes_on.at_work = at_work
    yield goes_on
    goes_on.set()


def until(is_so) -> None:
    deadline = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_process_writes_one_at_a_time_and_few_wait(alice, writing, monkeypatch):
    monkeypatch.setattr(at_once, "_WAIT_SECONDS", 20)
    statement = f"{alice.path}/statement?month={month()}&fileFormat="
    receipt = f"/api/v1/trade/orders/{alice.order}/receipt.pdf"

    def get(address):
        response = alice.get(address)
        connection.close()
        return response

    with ThreadPoolExecutor(8) as threads:
        asked = [threads.submit(get, f"{statement}pdf")]
        until(lambda: len(writing.at_work) == 1)
        waiting = (f"{statement}pdf", f"{statement}xlsx", receipt, receipt)
        asked += [threads.submit(get, address) for address in waiting]
        until(lambda: at_once._pages.places._value == 0)
        refused = [get(receipt), get(f"{statement}pdf")]
        text = get(f"{statement}json")
        assert writing.at_work
        writing.set()
        answered = [one.result(20).status_code for one in asked]

    for response in refused:
        assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
        assert json_decode(response.content)["code"] == "UNAVAILABLE"
    assert text.status_code == 200
    assert answered == [200] * 5
    assert get(receipt).status_code == 200


def test_who_has_waited_too_long_for_a_turn_may_ask_again(alice, writing, monkeypatch):
    monkeypatch.setattr(at_once, "_WAIT_SECONDS", 0.01)
    address = f"/api/v1/trade/orders/{alice.order}/receipt.pdf"
    figures = f"{alice.path}/performance?month={month()}"
    with at_once.turn_of(file_format="pdf"):
        refused = alice.get(address)
        beside_pages = alice.get(figures)
    writing.set()
    with at_once.turn_of(file_format="json", lines=10_000):
        short = alice.get(figures)
        monkeypatch.setattr(at_once, "_LINES_WITHOUT_TURN", 3)
        long = alice.get(figures)
        pages_beside_text = alice.get(address)

    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
    assert (beside_pages.status_code, short.status_code, long.status_code) == (200, 200, 503)
    assert pages_beside_text.status_code == 200
    assert alice.get(address).status_code == 200
