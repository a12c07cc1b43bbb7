"""The straight ways of plain orders and closes are only shorter ones: without them every byte of every history is the same."""

import pytest

from engine.core import machine
from engine.core.decide import closing, firing, plain_order
from engine.core.decide.work import Work
from engine.core.state import Account, Position
from engine.messages.events import AnyEvent
from engine.values import CloseReason
from tests.engine.properties.comparing import tell
from tests.engine.properties.histories import Seeded, seeds_from

SEEDS = seeds_from(2_000, 40)


def told(seed: int) -> bytes:
    """Return the dump of a machine after a history, which the oracle has followed event by event."""
    *_, (comparison, _) = tell(Seeded(seed), 120)
    return comparison.machine.dump()


def test_histories_without_the_straight_way_of_orders_end_in_the_same_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken = 0

    def counted(*arguments: object) -> tuple[str, tuple[AnyEvent, ...]] | None:
        nonlocal taken
        filled = plain_order.plain_order(*arguments)  # type: ignore[arg-type]
        taken += filled is not None
        return filled

    monkeypatch.setattr(machine, "plain_order", counted)
    with_it = [told(seed) for seed in SEEDS]
    assert taken > len(SEEDS)

    monkeypatch.setattr(machine, "plain_order", lambda *_: None)
    assert [told(seed) for seed in SEEDS] == with_it


def test_histories_without_the_straight_way_of_closes_end_in_the_same_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken = 0

    def at_length(
        work: Work,
        account: Account,
        position: Position,
        reason: CloseReason,
        rule: str,
        inputs: dict[str, int],
    ) -> None:
        nonlocal taken
        taken += 1
        units = position.quantity_units
        closing.close_at(work, account, position, units, reason, rule, inputs)

    with_it = [told(seed) for seed in SEEDS]
    for module in (closing, firing):
        monkeypatch.setattr(module, "close_plainly", at_length)
    assert [told(seed) for seed in SEEDS] == with_it
    assert taken > len(SEEDS)
