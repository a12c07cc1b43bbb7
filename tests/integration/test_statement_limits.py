"""What requests may ask of PostgreSQL: five seconds a statement, and no filter without an index (S-25)."""

import threading
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from apps.trade import selectors
from apps.trade.selectors import RowFilter
from cryptocfd.database import base
from cryptocfd.island import Island
from engine.values import Side

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]


def _limit() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        return str(cursor.fetchone()[0])


def elsewhere(work: Callable[[], Any], *, is_request: bool) -> Any:
    """Do something in a thread of its own, as the island or as the worker does."""
    found: list[Any] = []

    def run() -> None:
        if is_request:
            base.statements_limit()
        try:
            found.append(work())
        except OperationalError as error:
            found.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)
    return found[0]


@pytest.fixture
def pool(settings) -> Iterator[None]:
    """One connection that all threads share, as in a process that serves."""
    options = connection.settings_dict["OPTIONS"]
    options["pool"] = {"min_size": 1, "max_size": 1, "timeout": 5}
    connection.close()
    yield
    connection.close()
    connection.close_pool()
    del options["pool"]


def test_s25_requests_have_five_seconds_a_statement_and_the_worker_has_not():
    assert elsewhere(_limit, is_request=True) == "5s"
    assert elsewhere(_limit, is_request=False) == "0"


def test_s25_a_connection_from_the_pool_has_the_limit_of_who_uses_it(pool):
    uses = [elsewhere(_limit, is_request=is_request) for is_request in (True, False, True, True)]

    assert uses == ["5s", "0", "5s", "5s"]


def test_s25_the_threads_of_the_island_are_limited():
    island = Island()
    try:
        assert island._executor.submit(base._limit_ms.get).result(10) == base.STATEMENT_MS_MAX
    finally:
        island.close()


def test_s25_a_statement_that_takes_too_long_ends_and_no_rollback_lifts_the_limit(monkeypatch):
    monkeypatch.setattr(base, "STATEMENT_MS_MAX", 100)

    def sleep() -> None:
        with transaction.atomic():
            assert _limit() == "100ms"
            transaction.set_rollback(True)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(20)")

    assert "statement timeout" in str(elsewhere(sleep, is_request=True))


# --- filters ----------------------------------------------------------------------------------------------------------

_ALL = RowFilter(account_id=1001, symbol="BTCUSDT", side=Side.BUY, start_us=1, end_us=2)
_NONE = RowFilter(account_id=1001)
_PAGE = {"limit": 100, "offset": 0}


def _reads() -> Iterator[Callable[[], object]]:
    for rows in (_NONE, _ALL):
        for sort in ("closedAt", "-pnl"):
            for reason in (None, "stop_loss"):
                yield lambda rows=rows, sort=sort, reason=reason: selectors.closed_trades(
                    rows=rows, close_reason=reason, sort=sort, **_PAGE
                )
        for state in (None, "filled"):
            yield lambda rows=rows, state=state: selectors.orders_page(
                rows=rows, state=state, sort="-createdAt", **_PAGE
            )
        for kind, before in ((None, None), ("SwapCharged", 7)):
            yield lambda rows=rows, kind=kind, before=before: selectors.money_page(
                rows=rows, kind=kind, before_seq=before, limit=100
            )
    yield lambda: selectors.history_after(account_id=1001, seq=3, limit=100)
    yield lambda: selectors.history_of_order(account_id=1001, order_id="1001-1")
    yield lambda: selectors.order_parts(order_id="1001-1")
    yield lambda: selectors.order_by_id(order_id="1001-1")
    yield lambda: selectors.journal_entry_by_request(account_id=1001, request_id="r")
    yield lambda: selectors.balance_before(account_id=1001, at_us=2, seq_max=9)
    yield lambda: selectors.money_count(account_id=1001, start_us=1, end_us=2)
    yield lambda: selectors.closings_between(account_id=1001, start_us=1, end_us=2, seq_max=9)
    yield lambda: selectors.unrealised_by_day(account_id=1001, last=date(2026, 1, 1))
    yield lambda: selectors.first_event_us(account_id=1001)
    yield lambda: selectors.positions_held(account_id=1001, start_us=1, end_us=2, seq_max=9)
    yield lambda: selectors.closings_of(position_ids=["1001-1"], seq_max=9)
    yield lambda: selectors.symbol_scales(symbols=["BTCUSDT"])


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from _nodes(inner)


def test_s25_no_filter_of_a_request_reads_a_whole_table():
    with CaptureQueriesContext(connection) as asked:
        for read in _reads():
            read()
    statements = {query["sql"] for query in asked if query["sql"].startswith("SELECT")}

    whole = []
    with transaction.atomic(), connection.cursor() as cursor:
        # On empty tables reading all is the cheapest; without it PostgreSQL shows whether there is another way.
        cursor.execute("SET LOCAL enable_seqscan = off")
        for statement in statements:
            cursor.execute(f"EXPLAIN (FORMAT JSON) {statement}")
            for node in _nodes(cursor.fetchone()[0][0]["Plan"]):
                is_scan = "Scan" in node["Node Type"] and "Bitmap Heap" not in node["Node Type"]
                if is_scan and not node.get("Index Cond"):
                    whole.append((node["Node Type"], statement))

    assert len(statements) > 20
    assert whole == []
