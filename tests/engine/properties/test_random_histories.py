"""Seeded random histories: engine and oracle agree on every reply, event, number and balance.

How many follows the hypothesis profile; `HISTORIES=5` says it outright, `SEED=7` tells one history, as a failure names it.
"""

import os

import pytest
from hypothesis import settings

from tests.engine.properties.comparing import tell
from tests.engine.properties.histories import Seeded

BLOCKS = 10
# Fifty examples of hypothesis take about as long as 150 histories.
HISTORIES = int(os.environ.get("HISTORIES", 3 * settings.default.max_examples))
SEED = os.environ.get("SEED")


@pytest.mark.parametrize("block", range(BLOCKS) if SEED is None else [int(SEED)])
def test_engine_and_oracle_tell_the_same_story(block: int) -> None:
    seeds = range(block, HISTORIES, BLOCKS) if SEED is None else [block]

    for seed in seeds:
        try:
            *_, (comparison, _) = tell(Seeded(seed), 150)
            comparison.finish()
        except Exception as error:
            error.add_note(f"history of SEED={seed}")
            raise

        assert sum(comparison.ledger.values()) == 0
