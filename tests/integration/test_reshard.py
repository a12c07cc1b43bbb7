"""Shards end to end, their number changed and changed back, history proved and a lost log restored: nothing changes."""

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from redis import Redis

from apps.common.engine_layout import LayoutError
from apps.market.facade import catalogue_install
from apps.market.feed.pins import source_classes_pin
from apps.trade.models import JournalEntry, LedgerEntry, ProjectorOffset
from apps.trade.projector import Projector
from apps.trade.selectors import ledger_faults, ledger_totals
from apps.trade.services.projection.rebuild import (
    DERIVED,
    read_models_digest,
    read_models_rebuild,
)
from cryptocfd.bootstrap import Bootstrap
from cryptocfd.embedded.errors import SetupError
from cryptocfd.engine_config import engine_config, layout_check
from cryptocfd.engine_host import EngineHost, EngineOptions
from cryptocfd.history.bootstrap import bootstrap_check, database_check
from cryptocfd.history.everything_held import everything_held
from engine.adapters.snapshot_files import SnapshotFiles
from engine.core.margin import PPM
from engine.messages import streams
from engine.messages.chain import CHAIN_GENESIS
from engine.messages.streams import shard_of
from engine.values import CashKind, SourceClass
from tests.integration.engine_log import wait_for
from tests.integration.sharded import ACCOUNTS, Sharded, cash, place, sharded_platform, trade

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def installation(settings, stream_prefix, log_redis_url, redis_url, tmp_path: Path) -> None:
    """Give the settings a log, snapshots and a number of shards of the test's own."""
    settings.DATA_DIR = tmp_path
    settings.LOG_REDIS_URL, settings.REDIS_URL = log_redis_url, redis_url
    settings.ENGINE_SHARDS = 1


def command(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def divide(settings, shards: int) -> str:
    printed = command("reshard", "--to", str(shards))
    settings.ENGINE_SHARDS = shards
    return printed


def begin(platform: Sharded) -> None:
    platform.define()
    platform.open_accounts()


def test_four_shards_behind_one_gateway(settings):
    settings.ENGINE_SHARDS = 4
    assert {shard_of(account, 4) for account in ACCOUNTS} == {0, 1, 2, 3}

    with sharded_platform() as platform:
        begin(platform)
        outputs = trade(platform, "a")
        again = platform.send(place(ACCOUNTS[0], "a-open"))
        platform.settled()

    assert {output.shard for output in outputs} == {0, 1, 2, 3}
    assert (again.output_id, again.events) == (outputs[0].output_id, outputs[0].events)
    offsets = {row.shard: row.n for row in ProjectorOffset.objects.all()}
    for shard in range(4):
        numbers = JournalEntry.objects.filter(layout=1, shard=shard).order_by("n")
        assert list(numbers.values_list("n", flat=True)) == list(range(1, offsets[shard] + 1))
    assert ledger_faults() == []
    printed = command("replay", "--verify", "--from-snapshot")
    assert printed.count("decide as they did") == 4
    assert "4 shards" in command("replay", "--verify", "--from-journal")


def test_one_four_two_one_changes_nothing(settings):
    with sharded_platform() as platform:
        begin(platform)
        first = trade(platform, "a")[0]
        platform.settled()
        before = platform.views()
    totals = ledger_totals()

    digests = set()
    for shards in (4, 2, 1):
        printed = divide(settings, shards)
        digests.add(printed.split("digest ")[1].split(".")[0])
        with sharded_platform() as platform:
            assert platform.views() == before
            # An answer from before the reshard is found in the journal of a former layout.
            again = platform.send(place(ACCOUNTS[0], "a-open"))
        assert (again.output_id, again.events) == (first.output_id, first.events)
        assert ledger_totals() == totals
        assert ledger_faults() == []
    # Only the answered request and time were added between them.
    assert len(digests) == 1

    rows = ProjectorOffset.objects.order_by("layout", "shard").values_list("layout", "shard")
    assert list(rows) == [(1, 0), (2, 0), (2, 1), (2, 2), (2, 3), (3, 0), (3, 1), (4, 0)]
    digest = read_models_digest()
    read_models_rebuild()
    assert read_models_digest() == digest
    assert "Layout 4 with 1 shards" in command("replay", "--verify", "--from-journal")


def house_caps(platform: Sharded) -> list[int]:
    """Tell the engines what the database defines, as every start does, and return each shard's cap of the house in BTCUSDT."""
    Bootstrap(platform.gateway)._define()
    return [
        engine.runner._shard.machine.state.instrument_by_symbol[
            "BTCUSDT"
        ].spec.exposure_house_micros_max
        for engine in platform.engines
    ]


def test_a_reshard_divides_the_cap_of_the_house_anew(settings):
    catalogue_install()
    source_classes_pin({"BTCUSDT": SourceClass.SIMULATED})
    with sharded_platform() as platform:
        (whole,) = house_caps(platform)

    caps = []
    for shards in (4, 1):
        divide(settings, shards)
        with sharded_platform() as platform:
            caps.append(house_caps(platform))

    assert caps == [[whole // 4] * 4, [whole]]


def test_trading_goes_on_in_every_layout(settings):
    with sharded_platform() as platform:
        begin(platform)
        trade(platform, "a")
    for round_, shards in (("b", 3), ("c", 2)):
        divide(settings, shards)
        with sharded_platform() as platform:
            for output in trade(platform, round_):
                assert output.shard == shard_of(output.account, shards)
            platform.settled()

    assert ledger_faults() == []
    assert LedgerEntry.objects.filter(layout=3).exists()
    printed = command("replay", "--verify", "--from-journal")
    assert "2 shards" in printed
    assert "0 snapshots" not in printed
    assert command("replay", "--verify", "--from-snapshot").count("decide as they did") == 2


def test_a_process_with_another_number_of_shards_does_not_start(settings):
    with sharded_platform() as platform:
        platform.define()
    settings.ENGINE_SHARDS = 2

    with pytest.raises(SetupError, match="ENGINE_SHARDS is 2, but the log is divided into 1"):
        layout_check()


def test_a_reshard_refuses_while_somebody_works(settings):
    with sharded_platform() as platform:
        begin(platform)
        with pytest.raises(CommandError, match="Somebody is at work"):
            command("reshard", "--to", "2")
        platform.send(cash(ACCOUNTS[0], 3, CashKind.DEPOSIT, 1))

    with pytest.raises(CommandError, match="1 shards already"):
        command("reshard", "--to", "1")


def test_leases_are_renewed_beside_a_long_step(settings, monkeypatch):
    monkeypatch.setattr("cryptocfd.history.everything_held._RENEWED_EVERY_S", 0.01)
    redis, prefix = Redis.from_url(settings.LOG_REDIS_URL), settings.STREAM_PREFIX
    keys = [
        *(streams.lease_key(prefix, shard) for shard in range(2)),
        streams.feed_lease_key(prefix),
    ]

    with everything_held(redis, prefix, 2):
        for key in keys:
            redis.pexpire(key, 30_000)
        wait_for(lambda: all(redis.pttl(key) > 30_000 for key in keys), "renewed leases")

    assert not redis.exists(*keys)


def test_a_reshard_that_lost_a_lease_stops_and_leaves_the_lease_to_its_owner(settings, monkeypatch):
    with sharded_platform() as platform:
        begin(platform)
    redis, prefix = Redis.from_url(settings.LOG_REDIS_URL), settings.STREAM_PREFIX
    key = streams.lease_key(prefix)

    with monkeypatch.context() as patch:
        patch.setattr(
            "cryptocfd.history.reshard._journal_complete", lambda *_: redis.set(key, "an-engine")
        )
        with pytest.raises(CommandError, match=r"is held by an-engine now.* Nothing has changed"):
            command("reshard", "--to", "2")

    assert redis.get(key) == b"an-engine"
    assert not redis.exists(streams.lease_key(prefix, 1), streams.feed_lease_key(prefix))
    redis.delete(key)
    with sharded_platform() as platform:
        trade(platform, "a")


def test_a_reshard_that_is_broken_off_changes_nothing(settings, monkeypatch):
    with sharded_platform() as platform:
        begin(platform)
        trade(platform, "a")
        platform.settled()
        before = platform.views()

    def fail(*_args, **_kwargs):
        raise OSError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr("cryptocfd.history.reshard._switch", fail)
        with pytest.raises(OSError, match="power cut"):
            command("reshard", "--to", "2")
    with sharded_platform() as platform:
        assert platform.views() == before
        trade(platform, "b")
        platform.settled()
        before = platform.views()
    divide(settings, 2)
    with sharded_platform() as platform:
        assert platform.views() == before


# --- a lost log -------------------------------------------------------------------------------------------------------


def lose(settings) -> None:
    """Remove everything that the log's server knows of this installation."""
    redis = Redis.from_url(settings.LOG_REDIS_URL)
    keys = list(redis.scan_iter(f"{settings.STREAM_PREFIX}*"))
    redis.delete(*keys)


def test_a_projector_begins_no_chain_in_a_log_older_than_the_journal(settings):
    with sharded_platform() as platform:
        begin(platform)
        platform.settled()
    divide(settings, 2)
    with sharded_platform() as platform:
        trade(platform, "a")
        platform.settled()
    lose(settings)
    layout_check(may_mark=True)

    with pytest.raises(LayoutError, match="The journal is of layout 2, the log of layout 1"):
        Projector().project_available()
    bootstrap_check(is_asked=True)

    assert "Layout 2 with 2 shards" in command("replay", "--verify", "--from-journal")


@pytest.mark.parametrize("shards", [1, 2])
@pytest.mark.parametrize("snapshots", ["usable", "unreadable", "none"])
def test_a_lost_log_is_restored_from_the_journal(settings, tmp_path, shards, snapshots):
    settings.ENGINE_SHARDS = shards
    with sharded_platform() as platform:
        begin(platform)
        first = trade(platform, "a")[0]
        platform.settled()
        before = platform.views()
        # The quotes after the last output are no part of the journal.
        platform.price(100_000)
        for account in ACCOUNTS:
            platform.order(account, "last")
        platform.settled()
        last = platform.views()
    assert before != last
    lose(settings)
    if snapshots == "none":
        for path in (tmp_path / "snapshots").iterdir():
            path.unlink()
    elif snapshots == "unreadable":
        for shard in range(shards):
            files = SnapshotFiles(engine_config(shard))
            for item in list(files.newest_first()):
                files.write(item.header, b'{"of another":"build"}')

    with pytest.raises(SetupError, match="start with --bootstrap"):
        bootstrap_check(is_asked=False)
    printed: list[str] = []
    bootstrap_check(is_asked=True, say=printed.append)

    assert sum("restored to output" in line for line in printed) == shards
    with sharded_platform() as platform:
        assert platform.views() == last
        again = platform.send(place(ACCOUNTS[0], "a-open"))
        later = platform.order(ACCOUNTS[0], "later", side="sell") if snapshots == "usable" else None
        trade(platform, "b")
        platform.settled()
    assert (again.output_id, again.events) == (first.output_id, first.events)
    assert later is None or later.n > first.n
    assert ledger_faults() == []
    assert f"{shards} shards" in command("replay", "--verify", "--from-journal")
    assert command("replay", "--verify", "--from-snapshot").count("decide as they did") == shards


def test_a_lost_log_of_another_layout_is_restored_before_the_projector_looks(settings, monkeypatch):
    # What lives now does not live as long as this process.
    monkeypatch.setattr("cryptocfd.engine_host._objects_settle", lambda: None)
    with sharded_platform() as platform:
        begin(platform)
    divide(settings, 2)
    with sharded_platform() as platform:
        trade(platform, "a")
    lose(settings)
    failed: list[str] = []
    host = EngineHost(
        frozenset({"projector", "engine"}),
        options=EngineOptions(bootstrap=True),
        on_failure=failed.append,
    )

    host.start()
    try:
        # The host's projector is at work once it has looked at the log.
        wait_for(lambda: failed or not Projector().project_exclusively(), "the projector")
    finally:
        host.stop()

    assert failed == []


def test_a_log_that_is_not_empty_is_not_restored(settings):
    with sharded_platform() as platform:
        begin(platform)

    with pytest.raises(CommandError, match="The log is not empty"):
        command("engine", "restore", "--from-journal")


def test_a_snapshot_that_knows_more_than_the_journal_is_not_passed_over(settings, tmp_path):
    with sharded_platform() as platform:
        begin(platform)
    # As if PostgreSQL had been restored from a backup that is older than the last outputs.
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE trade_journalentry DISABLE TRIGGER trade_journal_append_only")
        cursor.execute(
            "DELETE FROM trade_journalentry WHERE n = (SELECT max(n) FROM trade_journalentry)"
        )
        cursor.execute("ALTER TABLE trade_journalentry ENABLE TRIGGER trade_journal_append_only")
    newest = JournalEntry.objects.order_by("-n")[0]
    ProjectorOffset.objects.update(n=newest.n, output_id=newest.output_id, chain=newest.chain)
    lose(settings)

    with pytest.raises(CommandError, match="decided but never projected"):
        command("engine", "restore", "--from-journal")

    assert not Redis.from_url(settings.LOG_REDIS_URL).exists(
        streams.checkpoint_key(settings.STREAM_PREFIX)
    )


# --- a lost database --------------------------------------------------------------------------------------------------


def empty_database() -> None:
    """Leave of the trade tables what a fresh database has: nothing."""
    tables = ", ".join(model._meta.db_table for model in (ProjectorOffset, JournalEntry, *DERIVED))
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {tables}")


@pytest.mark.parametrize("layouts", [1, 2])
def test_an_empty_database_beside_a_log_with_a_history_is_refused_and_stays_empty(
    settings, layouts
):
    with sharded_platform() as platform:
        begin(platform)
    if layouts == 2:
        divide(settings, 2)
    empty_database()

    with pytest.raises(SetupError, match=r"has no journal.*DATABASE_URL.*restore a backup"):
        database_check()
    with pytest.raises(SetupError, match="has no journal"):
        bootstrap_check(is_asked=True)
    with pytest.raises(LayoutError, match="has no journal"):
        Projector().project_available()

    assert not ProjectorOffset.objects.exists()


def test_a_database_whose_next_outputs_the_log_has_forgotten_is_refused(settings):
    with sharded_platform() as platform:
        begin(platform)
    backup = ProjectorOffset.objects.get()
    with sharded_platform() as platform:
        trade(platform, "a")
    redis = Redis.from_url(settings.LOG_REDIS_URL)
    number = ProjectorOffset.objects.get().n
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE trade_journalentry DISABLE TRIGGER trade_journal_append_only")
        cursor.execute("DELETE FROM trade_journalentry WHERE n > %s", [backup.n])
        cursor.execute("ALTER TABLE trade_journalentry ENABLE TRIGGER trade_journal_append_only")
    backup.save()
    database_check()
    redis.xtrim(streams.output_stream(settings.STREAM_PREFIX), maxlen=1, approximate=False)

    with pytest.raises(
        SetupError, match=f"expected output {backup.n + 1} of shard 0, found {number}"
    ):
        database_check()
    with pytest.raises(LayoutError, match=f"expected output {backup.n + 1} of shard 0"):
        Projector().project_available()


def test_a_projector_notes_no_shard_beside_a_log_that_is_lost(settings):
    with sharded_platform() as platform:
        begin(platform)
    lose(settings)
    settings.ENGINE_SHARDS = 2
    layout_check(may_mark=True)

    with pytest.raises(LayoutError, match=r"The journal holds .* of shard 0"):
        Projector().project_available()

    assert ProjectorOffset.objects.count() == 1


@pytest.mark.parametrize("layouts", [1, 2])
def test_an_offset_of_a_shard_that_never_was_is_named_and_can_be_repaired(settings, layouts):
    with sharded_platform() as platform:
        begin(platform)
    if layouts == 2:
        divide(settings, 3)
        with sharded_platform() as platform:
            trade(platform, "a")
    for layout in range(1, layouts + 1):
        ProjectorOffset.objects.create(
            layout=layout, shard=5, n=0, output_id=0, chain=CHAIN_GENESIS
        )
    rows = list(ProjectorOffset.objects.filter(n__gt=0).order_by("layout", "shard"))

    with pytest.raises(CommandError, match=r"name shard 5 of layout 1.*repair_offsets"):
        command("replay", "--verify", "--from-journal")
    lose(settings)
    with pytest.raises(CommandError, match=r"name shard 5 of layout 1.*repair_offsets"):
        command("engine", "restore", "--from-journal")
    printed = command("repair_offsets")

    assert printed.count("it held nothing") == layouts
    assert list(ProjectorOffset.objects.order_by("layout", "shard")) == rows
    assert "Every offset belongs to a chain" in command("repair_offsets")
    command("engine", "restore", "--from-journal")
    assert "whole chains" in command("replay", "--verify", "--from-journal")


# --- differences ------------------------------------------------------------------------------------------------------


def test_a_replay_ends_at_the_first_difference(settings):
    with sharded_platform() as platform:
        begin(platform)
        trade(platform, "a")
    # Of another account's deposit: chain and ledger show it.
    entry = JournalEntry.objects.get(account=ACCOUNTS[1], request_id="cash-1")
    events = bytes(entry.events).replace(b"10000000000", b"10000000001")
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE trade_journalentry DISABLE TRIGGER trade_journal_append_only")
        cursor.execute("UPDATE trade_journalentry SET events = %s WHERE n = %s", [events, entry.n])
        cursor.execute("ALTER TABLE trade_journalentry ENABLE TRIGGER trade_journal_append_only")

    with pytest.raises(CommandError, match=f"CHAIN_BROKEN: output {entry.n} "):
        command("replay", "--verify", "--from-journal")


def test_a_decision_that_was_recorded_otherwise_is_found(settings, monkeypatch):
    with sharded_platform() as platform:
        begin(platform)
        trade(platform, "a")
        platform.settled()

    # A release whose commission is another one.
    monkeypatch.setattr("engine.core.decide.closing.PPM", 2 * PPM)
    with pytest.raises(
        CommandError, match=r"First difference at entry \S+, output \d+ of build 'test'"
    ):
        command("replay", "--verify", "--from-snapshot")


def test_outputs_that_the_stream_has_lost_are_read_from_the_journal(settings):
    with sharded_platform() as platform:
        begin(platform)
        outputs = trade(platform, "a")
        platform.settled()
        before = platform.views()
    # All snapshots but none are gone, so that a start needs every output; the stream has lost some of them.
    for path in (settings.DATA_DIR / "snapshots").iterdir():
        path.unlink()
    redis = Redis.from_url(settings.LOG_REDIS_URL)
    stream = streams.output_stream(settings.STREAM_PREFIX)
    redis.xdel(stream, outputs[1].output_id)
    redis.xtrim(stream, minid=outputs[0].output_id, approximate=False)

    assert "decide as they did" in command("replay", "--verify", "--from-snapshot")
    with sharded_platform() as platform:
        assert platform.views() == before
        trade(platform, "b")

    assert ledger_faults() == []
