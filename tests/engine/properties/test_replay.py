"""Recorded outputs, from zero and from any snapshot, give the state that was decided."""

from engine.core.machine import Machine
from tests.engine.properties.comparing import digest_of, tell
from tests.engine.properties.histories import Seeded

SEEDS = range(2_000, 2_025)


def test_replay_of_outputs_from_zero_and_from_a_snapshot_gives_the_same_hashes() -> None:
    for seed in SEEDS:
        snapshot, skip = b"", 0
        for number, (comparison, _) in enumerate(tell(Seeded(seed), 120)):
            if number == 20 + seed % 90:
                snapshot, skip = comparison.machine.dump(), len(comparison.entries)
        live = comparison.machine

        for replayed in (comparison.replay(), comparison.replay(snapshot, skip)):
            assert replayed.state_hash() == live.state_hash()
            assert replayed.market_hash() == live.market_hash()
            assert replayed.entry_id == live.entry_id
            assert replayed.now_us == live.now_us


def test_deciding_the_same_input_again_gives_the_same_outputs() -> None:
    for seed in SEEDS:
        *_, (comparison, _) = tell(Seeded(seed), 120)
        again = Machine()

        outcomes = [
            again.decide(entry_id, message, digest_of(message), decided_at_us)
            for entry_id, message, _, decided_at_us in comparison.entries
        ]

        assert outcomes == [outcome for _, _, outcome, _ in comparison.entries]
        assert again.dump() == comparison.machine.dump()


def test_a_refused_command_changes_nothing_that_time_does_not() -> None:
    """Beside a refusal, a machine that heard only a tick differs in the table of answered ids alone."""
    for seed in SEEDS:
        for comparison, _ in tell(Seeded(seed), 60):
            entry_id, _, outcome, _ = comparison.entries[-1]
            if outcome is not None and type(outcome.reply).__name__ == "Rejected":
                for account in comparison.oracle.accounts:
                    comparison.compare_account(account)
            assert comparison.machine.entry_id == entry_id
