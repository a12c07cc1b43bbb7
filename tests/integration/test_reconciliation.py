"""Engine, read models, ledger and journal are held against each other, and what differs is told until it is right again."""

from pathlib import Path

import pytest
from django.db import connection
from django.db.models import F
from django.test import Client

from apps.trade.models import Account, JournalEntry
from apps.trade.projector import Projector
from cryptocfd import reconciliation
from cryptocfd.reconciliation import Reconciliation
from tests.integration.sharded import ACCOUNTS, Sharded, sharded_platform, trade

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def installation(settings, stream_prefix, log_redis_url, redis_url, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path
    settings.LOG_REDIS_URL, settings.REDIS_URL = log_redis_url, redis_url
    settings.ENGINE_SHARDS = 2


def traded(platform: Sharded) -> Reconciliation:
    platform.define()
    platform.open_accounts()
    trade(platform, "a")
    Projector().project_available()
    return Reconciliation(platform.gateway)


def told() -> tuple[bool, int]:
    check = Client().get("/readyz").json()["checks"]["reconciliation"]
    return check["ok"], check["differences"]


def test_what_agrees_is_told_as_such_also_while_the_projector_is_behind():
    with sharded_platform() as platform:
        looks = traded(platform)
        first = looks.look()
        trade(platform, "b")
        behind = looks.look()

    assert (first, behind) == ((), ())
    assert told() == (True, 0)


def test_a_balance_that_was_changed_is_told_until_it_is_right_again(monkeypatch):
    monkeypatch.setattr(reconciliation, "_ACCOUNTS", 3)
    changed = Account.objects.filter(account=ACCOUNTS[4])
    with sharded_platform() as platform:
        looks = traded(platform)
        changed.update(balance_micros=F("balance_micros") + 1)
        found = [looks.look() for _ in range(3)]
        other = Reconciliation(platform.gateway)
        # As another process, which has not come to that account yet.
        other._name = "other"
        elsewhere = other.look()
        when_wrong = told()
        changed.update(balance_micros=F("balance_micros") - 1)
        mended = [looks.look() for _ in range(3)]

    # Eight accounts, three at a time: the fifth is of the second look, and of the fifth one.
    assert [len(texts) for texts in found] == [0, 1, 1]
    assert f"the postings of account {ACCOUNTS[4]} sum to" in found[1][0]
    assert (elsewhere, when_wrong) == ((), (False, 1))
    assert [len(texts) for texts in mended] == [1, 0, 0]
    assert told() == (True, 0)


def test_an_engine_that_knows_another_balance_is_told(monkeypatch):
    with sharded_platform() as platform:
        looks = traded(platform)
        row = Account.objects.get(account=ACCOUNTS[0])
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE trade_ledgerentry DISABLE TRIGGER USER")
            cursor.execute(
                "UPDATE trade_ledgerentry SET amount_micros = amount_micros + 5 WHERE id ="
                " (SELECT min(id) FROM trade_ledgerentry WHERE ledger = %s)",
                [f"{row.kind}:client:{row.account}"],
            )
            cursor.execute("ALTER TABLE trade_ledgerentry ENABLE TRIGGER USER")
        Account.objects.filter(account=row.account).update(balance_micros=row.balance_micros + 5)

        (found,) = looks.look()

    assert found == (
        f"the engine's balance of account {row.account} is {row.balance_micros}, that of the read models "
        f"{row.balance_micros + 5}"
    )


def test_an_output_that_the_journal_lacks_is_told():
    with sharded_platform() as platform:
        looks = traded(platform)
        gone = JournalEntry.objects.filter(shard=1).order_by("n")[2]
        with connection.cursor() as cursor:
            cursor.execute(
                "ALTER TABLE trade_journalentry DISABLE TRIGGER trade_journal_append_only"
            )
            cursor.execute("DELETE FROM trade_journalentry WHERE shard = 1 AND n = %s", [gone.n])
            cursor.execute(
                "ALTER TABLE trade_journalentry ENABLE TRIGGER trade_journal_append_only"
            )

        found, again = looks.look(), looks.look()

    assert len(found) == 1
    assert "the journal of shard 1 lacks 1 of its outputs after 0" in found[0]
    assert again == found
