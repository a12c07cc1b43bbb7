"""Everything is killed under load, and afterwards every acknowledged order exists exactly once.

`make chaos` runs it for half an hour under a fresh seed; CHAOS_SECONDS and CHAOS_SEED choose.
"""

import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from django.db import connection

from apps.market.facade import catalogue_install
from apps.trade.models import JournalEntry
from cryptocfd.embedded.layout import DATABASE_USER
from engine.adapters.snapshot_files import SnapshotFiles
from engine.runtime.ports import Snapshot
from tests.chaos.harness import HOSTS, Chaos, telling
from tests.chaos.oracle import Acknowledged, Entry, Wrong, judge
from tests.integration.test_log_kills import assert_all_recoveries_agree

SECONDS = float(os.environ.get("CHAOS_SECONDS") or 60)
SEED = int(os.environ.get("CHAOS_SEED") or 20_261_126)

pytestmark = [pytest.mark.integration, pytest.mark.timeout(int(SECONDS) + 300)]


@pytest.fixture
def database_url(embedded_servers) -> str:
    """The address of the test's own database, for processes beside this one."""
    name = connection.settings_dict["NAME"]
    folder = embedded_servers.layout.postgres_socket_dir
    return f"postgres://{DATABASE_USER}@/{name}?host={folder}"


@pytest.mark.django_db(transaction=True)
def test_everything_is_killed_and_every_acknowledged_order_exists_once(
    database_url, redis_url, stream_prefix
) -> None:
    sys.stdout.write(f"CHAOS_SEED={SEED}\n")
    # The projector values positions by what PostgreSQL knows of their instruments.
    catalogue_install()
    # Not the test's own folder: the path of a socket may have 108 bytes.
    with tempfile.TemporaryDirectory(prefix="chaos-") as name:
        folder = Path(name)
        chaos = Chaos(folder, stream_prefix, SEED, database_url=database_url, redis_url=redis_url)
        try:
            chaos.start()
            chaos.run(SECONDS)
            chaos.finish()
            inputs, outputs = chaos.archive.inputs, chaos.archive.outputs
            acknowledged = chaos.acknowledged()

            verdict = judge(inputs, outputs, acknowledged)

            sys.stdout.write(telling(chaos.kills, verdict) + "\n")
            chaos.projected(JournalEntry.objects.count)
            assert_journal_is(outputs)
            assert_last_snapshot_is(chaos, verdict.state_hash, len(outputs))
            assert_mutants_are_noticed(inputs, outputs, acknowledged)
        finally:
            chaos.close()
    # A run in which little happened would prove nothing.
    assert verdict.acknowledged > 3 * SECONDS
    assert verdict.repeats > SECONDS / 4
    assert {"engine at random", "log", "sender", "projector"} <= set(chaos.kills)


def assert_journal_is(outputs: list[Entry]) -> None:
    rows = JournalEntry.objects.order_by("n").values_list("n", "chain", "events")
    journal = [(n, bytes(chain), bytes(events)) for n, chain, events in rows]
    assert journal == [
        (int(output.fields[b"n"]), output.fields[b"h"], output.fields[b"events"])
        for output in outputs
    ]


def assert_last_snapshot_is(chaos: Chaos, state_hash: bytes, number: int) -> None:
    config = chaos.config_of(HOSTS[0])
    newest = next(SnapshotFiles(config).newest_first())
    assert isinstance(newest, Snapshot)
    assert (newest.header.number, newest.header.state_hash) == (number, state_hash.hex())
    assert_all_recoveries_agree(replace(config, is_standby=False), newest=2)


def assert_mutants_are_noticed(
    inputs: list[Entry], outputs: list[Entry], acknowledged: list[Acknowledged]
) -> None:
    """Let the judge see what each of these bugs would have left behind; it must not pass one of them."""
    middle = len(outputs) // 2
    at = next(
        i
        for i, o in enumerate(outputs[middle:], middle)
        if b"balance_micros" in o.fields[b"events"]
    )
    altered = dict(outputs[at].fields)
    altered[b"events"] = altered[b"events"].replace(b'"balance_micros":', b'"balance_micros":1')
    strangers = [Acknowledged(1, "never-decided", outputs[at].entry_id)]
    stories = {
        "lost": (inputs, [*outputs[:at], *outputs[at + 1 :]], acknowledged),
        "written twice": (inputs, [*outputs[: at + 1], *outputs[at:]], acknowledged),
        "altered": (
            inputs,
            [*outputs[:at], Entry(outputs[at].entry_id, altered), *outputs[at + 1 :]],
            acknowledged,
        ),
        "a lost tail": (inputs, outputs[:-1], acknowledged),
        "acknowledged and never decided": (inputs, outputs, acknowledged + strangers),
    }
    passed = []
    for name, story in stories.items():
        try:
            judge(*story)
        except Wrong:
            continue
        passed.append(name)
    assert passed == []
