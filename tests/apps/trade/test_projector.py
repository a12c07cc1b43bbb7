"""The projector on real PostgreSQL and Valkey: exactly once, in one piece, and equal when built again."""

import threading

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from apps.common.engine_gateway import engine_gateway
from apps.common.outputs import Output
from apps.trade.models import (
    Account,
    ClosedTrade,
    Fill,
    HistoryEvent,
    JournalEntry,
    LedgerEntry,
    Order,
    Position,
    ProjectorOffset,
)
from apps.trade.projector import Projector, output_from_journal
from apps.trade.selectors import account_sums, ledger_faults, postings_of
from apps.trade.services.projection.rebuild import read_models_digest, read_models_rebuild
from engine.messages.commands import ClosePosition, PlaceOrder
from engine.messages.streams import consumers_key
from engine.values import InvariantError, Side
from tests.integration.engine_log import wait_for

pytestmark = pytest.mark.integration


def trade(live, user, account, count: int = 3) -> list[Output]:
    """Open some positions, close one whole and one in part."""
    live.price(100_000, 100_010)
    opened = [
        live.send(
            PlaceOrder(
                request_id=f"o{number}",
                user_id=user.pk,
                account=account.id,
                symbol="BTCUSDT",
                side=(Side.BUY, Side.SELL)[number % 2],
                quantity_units=10_000,
                leverage=10,
            )
        )
        for number in range(count)
    ]
    ids = [output.reply.created[0] for output in opened]
    closes = [(ids[0], None), (ids[1], 4_000)]
    closed = [
        live.send(
            ClosePosition(
                request_id=f"c{number}",
                user_id=user.pk,
                account=account.id,
                position_id=position_id,
                quantity_units=units,
            )
        )
        for number, (position_id, units) in enumerate(closes)
    ]
    return opened + closed


def test_read_models_follow_the_engine(live):
    user, account = live.user()
    trade(live, user, account)
    live.project()

    row = Account.objects.get(account=account.id)
    assert (row.owner_id, row.kind, row.group, row.cash_seq) == (user.pk, "demo", "standard", 1)
    # 3 opened, 2 closings; the open part of the second is 0.06.
    assert Order.objects.filter(state="filled").count() == 3
    assert list(Position.objects.order_by("position_id").values_list("open_units", flat=True)) == [
        0,
        6_000,
        10_000,
    ]
    assert Fill.objects.count() == 5
    assert [t.quantity_units for t in ClosedTrade.objects.order_by("seq")] == [10_000, 4_000]
    assert row.balance_micros == sum(
        LedgerEntry.objects.filter(ledger=f"demo:client:{account.id}").values_list(
            "amount_micros", flat=True
        )
    )
    assert ledger_faults() == []


def test_a_rebuild_from_the_journal_is_equal(live):
    user, account = live.user()
    trade(live, user, account)
    count = live.project()
    before = read_models_digest()

    rebuilt = read_models_rebuild()

    assert rebuilt == count == JournalEntry.objects.count()
    assert read_models_digest() == before


def test_a_second_pass_finds_nothing_and_a_new_projector_goes_on(live):
    user, account = live.user()
    first = live.project()
    trade(live, user, account)
    second = live.project()

    offset = ProjectorOffset.objects.get()
    assert (live.project(), offset.n) == (0, first + second)
    assert list(JournalEntry.objects.order_by("n").values_list("n", flat=True)) == list(
        range(1, offset.n + 1)
    )


def test_nothing_of_a_batch_stays_when_its_end_fails(live, monkeypatch):
    user, account = live.user()
    live.project()
    before = (ProjectorOffset.objects.get().n, JournalEntry.objects.count(), read_models_digest())
    trade(live, user, account)
    monkeypatch.setattr("apps.trade.projector._tell_other_apps", _fail)

    with pytest.raises(OSError, match="power"):
        live.project()

    after = (ProjectorOffset.objects.get().n, JournalEntry.objects.count(), read_models_digest())
    assert after == before


def _fail(_outputs) -> None:
    raise OSError("power cut")


def test_a_projector_that_was_overtaken_writes_nothing(live):
    user, account = live.user()
    late = Projector()
    late._load_offsets()
    trade(live, user, account)
    live.project()

    with pytest.raises(InvariantError, match="another projector"):
        late._project_next(block_ms=None)

    assert JournalEntry.objects.count() == ProjectorOffset.objects.get().n


def test_a_missing_output_stops_the_projector(live):
    user, account = live.user()
    live.project()
    gone = trade(live, user, account)[0]
    live.hand.redis.xdel(live.hand.output, gone.output_id)

    with pytest.raises(InvariantError, match="OUTPUT_GAP"):
        live.project()


def test_an_edited_journal_row_is_found(live):
    user, account = live.user()
    trade(live, user, account)
    live.project()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE trade_journalentry DISABLE TRIGGER trade_journal_append_only")
        cursor.execute("UPDATE trade_journalentry SET request_id = 'x' WHERE n = 3")
        cursor.execute("ALTER TABLE trade_journalentry ENABLE TRIGGER trade_journal_append_only")

    with pytest.raises(InvariantError, match="output 3 was edited"):
        read_models_rebuild()


@pytest.mark.parametrize("statement", ["UPDATE {} SET account = 0", "DELETE FROM {}"])
@pytest.mark.parametrize("table", ["trade_journalentry", "trade_ledgerentry"])
def test_history_cannot_be_changed(db, statement, table):
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        connection.cursor().execute(statement.format(table))


def test_the_journal_cannot_be_emptied(db):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL cryptocfd.is_throw_away = 'off'")
        with pytest.raises(IntegrityError, match="nothing may empty it"), transaction.atomic():
            cursor.execute("TRUNCATE trade_journalentry")


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ([("demo:client:1", 5), ("demo:house:pnl", -4)], "sum to 1"),
        ([("demo:client:1", 5), ("live:house:pnl", -5)], "mixes books"),
    ],
)
def test_the_ledger_takes_only_groups_that_balance_within_one_book(db, entries, why):
    rows = [
        LedgerEntry(
            layout=1,
            shard=0,
            n=1,
            event_index=0,
            posting_index=index,
            ledger=ledger,
            amount_micros=amount,
            account=1,
            kind="CashPosted",
        )
        for index, (ledger, amount) in enumerate(entries)
    ]

    with pytest.raises(IntegrityError, match=why), transaction.atomic():
        LedgerEntry.objects.bulk_create(rows)


def test_postings_and_sums_are_found_by_the_indexes_of_the_ledger(live):
    user, account = live.user()
    trade(live, user, account)
    live.project()
    events = list(HistoryEvent.objects.filter(account=account.id).order_by("seq"))

    with CaptureQueriesContext(connection) as queries:
        postings = postings_of(events=events)
        sums = account_sums(after=0, limit=10)

    assert sum(map(len, postings.values())) == LedgerEntry.objects.count()
    assert sums[0].ledger_micros == sums[0].balance_micros != 0
    plans = []
    with transaction.atomic(), connection.cursor() as cursor:
        # Of so few rows all would be read.
        cursor.execute("SET LOCAL enable_seqscan = off")
        for query in queries.captured_queries:
            cursor.execute("EXPLAIN " + query["sql"])
            plans.append(str(cursor.fetchall()))
    assert "trade_ledger_posting_once" in plans[0]
    assert "trade_ledger_client" in plans[1]


def test_an_answer_is_found_in_the_journal_after_the_stream_was_trimmed(live):
    user, account = live.user()
    first = trade(live, user, account)[0]
    live.project()
    live.hand.redis.xtrim(live.hand.output, maxlen=1, approximate=False)

    again = live.send(
        PlaceOrder(
            request_id="o0",
            user_id=user.pk,
            account=account.id,
            symbol="BTCUSDT",
            side=Side.BUY,
            quantity_units=10_000,
            leverage=10,
        )
    )

    assert (again.output_id, again.reply, again.events) == (
        first.output_id,
        first.reply,
        first.events,
    )
    assert output_from_journal(0, account.id, "o0", "1-1") is None
    assert engine_gateway() is live.gateway


def test_a_lost_database_connection_is_waited_out(live):
    projector = Projector()
    thread = threading.Thread(target=projector.run)
    thread.start()
    user, account = live.user()
    first = trade(live, user, account)[-1]
    wait_for(ProjectorOffset.objects.filter(n__gte=first.n).exists, "the first outputs")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
            " AND pid <> pg_backend_pid()"
        )
    last = live.user()[1]

    wait_for(Account.objects.filter(account=last.id).exists, "the outputs after the cut")
    projector.stop()
    thread.join(10)

    assert JournalEntry.objects.count() == ProjectorOffset.objects.get().n


def test_it_runs_beside_a_second_one_and_stops_when_asked(live):
    projectors = [Projector(), Projector()]
    threads = [threading.Thread(target=projector.run) for projector in projectors]
    for thread in threads:
        thread.start()
    user, account = live.user()
    outputs = trade(live, user, account)
    wait_for(ProjectorOffset.objects.filter(n__gte=outputs[-1].n).exists, "the projector")
    for projector in projectors:
        projector.stop()
    for thread in threads:
        thread.join(10)

    assert not any(thread.is_alive() for thread in threads)
    assert JournalEntry.objects.count() == ProjectorOffset.objects.get().n
    assert live.hand.redis.hget(consumers_key(live.hand.config.prefix), "projector")
