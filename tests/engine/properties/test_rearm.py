"""No output depends on when a band was armed: restarts at any moment change nothing."""

import pytest

from tests.engine.properties.comparing import tell
from tests.engine.properties.histories import Seeded, seeds_from

SEEDS = seeds_from(1_000, 30)


@pytest.mark.parametrize("every", [7, 23])
def test_recovery_from_zero_rearms_every_band_and_changes_no_output(every: int) -> None:
    for seed in SEEDS:
        for number, (comparison, _) in enumerate(tell(Seeded(seed), 110)):
            if number % every == seed % every and number > 20:
                comparison.machine = comparison.replay()


def test_dump_and_load_at_every_moment_changes_no_output() -> None:
    for seed in SEEDS:
        for comparison, _ in tell(Seeded(seed), 80):
            machine = comparison.machine
            comparison.machine = type(machine).load(machine.dump(), shard=0, shards=1)


def test_recovery_from_a_snapshot_rearms_the_marked_and_changes_no_output() -> None:
    for seed in SEEDS:
        snapshot, skip = b"", 0
        for number, (comparison, _) in enumerate(tell(Seeded(seed), 110)):
            if number % 12 == 0:
                snapshot, skip = comparison.machine.dump(), len(comparison.entries)
            if number % 12 == 9:
                comparison.machine = comparison.replay(snapshot, skip)
