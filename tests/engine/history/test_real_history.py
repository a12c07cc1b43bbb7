"""A crowd of ten thousand accounts lives through January 2022: every stop-out and liquidation is foretold, and comes.

`make history` prints how many there were and what the house made of it.
"""

import csv
import random
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from engine.messages.events import (
    MarginCallRaised,
    NegativeBalanceCovered,
    PositionClosed,
    StopOutStarted,
)
from engine.values import CloseReason, text_from_scaled
from tests.engine.history.crowd import Telling, crowd
from tests.engine.history.oracle import Hit, foretell

TAPE = Path(__file__).parents[4] / "shared" / "market" / "btc_perp_1m_2022-01.csv"
TICKS_PER_USD = 10
WHY = {CloseReason.LIQUIDATION: "liquidation", CloseReason.STOP_OUT: "stop_out"}


def tape_bids(path: Path) -> list[int]:
    """Return four bids a candle: open, the extremes in the order of its direction, close."""
    bids = []
    with path.open() as file:
        for row in csv.DictReader(file):
            opened, high, low, close = (
                int(Decimal(row[name]) * TICKS_PER_USD) for name in ("open", "high", "low", "close")
            )
            extremes = (low, high) if close >= opened else (high, low)
            bids += [opened, *extremes, close]
    return bids


def coded_bids(count: int, seed: int) -> list[int]:
    """Return a walk with calm, trends and gaps."""
    dice = random.Random(seed)  # noqa: S311 - a test's own history
    bids = [464_000]
    while len(bids) < count:
        gap = dice.choice((0, 0, 0, 0, 0, 0, 0, 0, 0, 1)) * dice.randint(-20_000, 18_000)
        bids.append(max(50_000, bids[-1] + dice.randint(-900, 850) + gap))
    return bids


def live_through(
    bids: list[int], accounts: int, seed: int
) -> tuple[list[Hit], Counter[str], dict[str, int]]:
    """Tell the tape to the engine; return its hits, what was counted, and the house's books."""
    telling = Telling(bids, crowd(accounts, bids, seed))
    hits: list[Hit] = []
    counts: Counter[str] = Counter()
    for index, events in telling.events():
        for event in events:
            counts[type(event).__name__] += 1
            assert sum(p.amount_micros for p in getattr(event, "postings", ())) == 0
            if isinstance(event, PositionClosed):
                number = int(event.position_id.partition("-")[2])
                hits.append((index, event.account, number, WHY[event.close_reason]))
        if counts.total() % 1_000 < len(events):
            assert telling.machine.state.ledger_total_micros() == 0
    telling.machine.verify()
    return sorted(hits), counts, telling.machine.state.house


def report(
    accounts: int, bids: list[int], hits: list[Hit], counts: Counter[str], house: dict[str, int]
) -> None:
    """Print what a reader of the history wants to know."""
    whys = Counter(why for _, _, _, why in hits)
    print(f"\naccounts: {accounts}, quotes: {len(bids)}")  # noqa: T201 - the report of `make history`
    for name, value in (
        ("margin calls", counts[MarginCallRaised.__name__]),
        ("stop-outs", counts[StopOutStarted.__name__]),
        ("positions closed by stop-out", whys["stop_out"]),
        ("isolated liquidations", whys["liquidation"]),
        ("negative balances covered", counts[NegativeBalanceCovered.__name__]),
    ):
        print(f"{name}: {value}")  # noqa: T201 - as above
    for name, amount in sorted(house.items()):
        print(f"{name}: {text_from_scaled(amount, 6)} USD")  # noqa: T201 - as above


@pytest.mark.parametrize("seed", range(4))
def test_every_hit_of_a_coded_tape_is_foretold(seed: int) -> None:
    bids = coded_bids(1_500, seed)

    hits, _, _ = live_through(bids, 300, seed)

    assert len({why for _, _, _, why in hits}) == 2
    assert hits == foretell(bids, crowd(300, bids, seed))


@pytest.mark.skipif(
    not TAPE.exists(), reason="the recorded tape lies beside the checkout, in ../shared"
)
def test_every_hit_of_january_2022_is_foretold() -> None:
    bids = tape_bids(TAPE)
    accounts = 10_000

    hits, counts, house = live_through(bids, accounts, seed=2022)
    report(accounts, bids, hits, counts, house)

    assert len(hits) > accounts // 10
    assert hits == foretell(bids, crowd(accounts, bids, seed=2022))
    assert sum(house.values()) < 0
