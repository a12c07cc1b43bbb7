"""What runs every night: once a day whoever looks, the check of longer candles, and old minutes that go."""

import logging
from datetime import UTC, datetime

import django_rq
import psycopg
import pytest
from django.db import connection
from rest_framework.test import APIClient

from apps.market import selectors, services, tasks
from apps.market.candles.candle import Candle, Sources
from apps.market.candles.diagnostics import diagnostics_forget
from apps.market.candles.intervals import DAY_MS, INTERVALS, MINUTES, MINUTES_KEPT_DAYS
from apps.market.candles.store import CandleStore
from cryptocfd.schedule import NIGHTLY, due_enqueue
from tests.apps.market.candle_support import NOON_MS, plain_store, worker_of_this_thread

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

NIGHT_US = int(datetime(2026, 5, 28, 4, 0, tzinfo=UTC).timestamp()) * 1_000_000
DAY_US = DAY_MS * 1000


@pytest.fixture(autouse=True)
def _queue(settings, transactional_db, redis_url, stream_prefix):
    settings.RQ_QUEUES = {"default": settings.RQ_QUEUES["default"] | {"URL": redis_url}}
    queue = django_rq.get_queue()
    queue.connection.flushdb()
    services.catalogue_install()
    selectors.instruments_refresh()
    diagnostics_forget()
    yield
    queue.connection.flushdb()


@pytest.fixture
def store(transactional_db):
    store = plain_store()
    yield store
    store.close()


def minute(open_ms, bid=775_000):
    return "BTCUSDT", Candle.of_quote(open_ms, bid, bid + 8, 0, Sources.LIVE), None


def test_each_job_is_queued_once_a_day_from_its_hour_on():
    before = due_enqueue(NIGHT_US - 4 * 3_600_000_000)
    queued = due_enqueue(NIGHT_US)
    again = due_enqueue(NIGHT_US + 60_000_000)
    # A process that was down at the hour makes up for it; the next night it is due anew.
    late = due_enqueue(NIGHT_US + DAY_US + 15 * 3_600_000_000)

    assert before == []
    assert queued == [f"{one.name}-2026-05-28" for one in NIGHTLY]
    assert again == []
    assert late == [f"{one.name}-2026-05-29" for one in NIGHTLY]


def test_queued_jobs_are_worked_off_and_not_queued_again_that_day(store):
    due_enqueue(NIGHT_US)
    django_rq.get_worker(worker_class=worker_of_this_thread()).work(burst=True)

    assert due_enqueue(NIGHT_US + 60_000_000) == []
    jobs = [tasks.refresh_job(f"{one.name}-2026-05-28") for one in NIGHTLY]
    assert [job.get_status().value for job in jobs] == ["finished", "finished"]
    assert jobs[0].return_value()["differences"] == 0


def test_check_tells_a_longer_candle_that_does_not_add_up(store, monkeypatch, caplog):
    monkeypatch.setattr(tasks, "now_us", lambda: (NOON_MS + DAY_MS) * 1000)
    store.add([minute(NOON_MS), minute(NOON_MS + 60_000, 775_100)], is_replacing=False)
    assert tasks.candles_check()["differences"] == 0

    store.connection.execute(
        "UPDATE candles_1h SET bid_high = bid_high + 1, mid_high = mid_high + 2"
    )
    # The hour itself; what lies above it follows the hour by its trigger.
    with caplog.at_level(logging.ERROR):
        assert tasks.candles_check()["differences"] == 1

    said = [record for record in caplog.records if "not the aggregate" in record.message]
    assert [record.interval for record in said] == ["1h"]
    answer = APIClient().get("/api/v1/candles/diagnostics?symbol=BTC&interval=1h").json()["data"]
    assert answer["check"] == {"checkedMs": NOON_MS + DAY_MS, "differences": 1}


def test_old_months_of_minutes_go_and_longer_candles_stay(store, monkeypatch):
    old_ms = NOON_MS - 800 * DAY_MS
    kept_ms = NOON_MS - (MINUTES_KEPT_DAYS - 1) * DAY_MS
    store.add([minute(old_ms), minute(kept_ms), minute(NOON_MS)], is_replacing=False)
    longer = store.read("BTCUSDT", INTERVALS["1h"], 0, 2 * NOON_MS)
    monkeypatch.setattr(tasks, "now_us", lambda: NOON_MS * 1000)

    assert tasks.candles_retain() == {"droppedMonths": 1}
    assert tasks.candles_retain() == {"droppedMonths": 0}

    found = store.read("BTCUSDT", MINUTES, 0, 2 * NOON_MS)
    assert [one.open_ms for one in found] == [kept_ms, NOON_MS]
    assert store.read("BTCUSDT", INTERVALS["1h"], 0, 2 * NOON_MS) == longer
    # A later backfill of the dropped month makes its partition again.
    later = CandleStore.connect()
    assert later.add([minute(old_ms)], is_replacing=False) == 1
    later.close()


def test_programs_without_rights_to_tables_make_and_drop_months_by_the_functions(store):
    with connection.cursor() as cursor:
        cursor.execute("DROP ROLE IF EXISTS candles_nobody")
        cursor.execute("CREATE ROLE candles_nobody")
    try:
        run = store.connection.execute
        run("GRANT EXECUTE ON FUNCTION candles_retain(timestamptz) TO candles_nobody")
        run("SET ROLE candles_nobody")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            run("CREATE TABLE candles_1m_2031_01 PARTITION OF candles_1m DEFAULT")
        run("SELECT candles_prepare('2001-01-01Z', '2001-02-01Z')")
        assert run("SELECT candles_retain('2001-03-01Z')").fetchone() == (2,)
        run("RESET ROLE")
    finally:
        store.connection.execute("RESET ROLE")
        store.connection.execute("DROP OWNED BY candles_nobody")
        store.connection.execute("DROP ROLE candles_nobody")
