"""The plain order's straight way is only a shorter one: without it every byte of every history is the same."""

import pytest

from engine.core import machine
from engine.core.decide import plain_order
from engine.messages.events import AnyEvent
from tests.engine.properties.comparing import tell
from tests.engine.properties.histories import Seeded, seeds_from

SEEDS = seeds_from(2_000, 40)


def told(seed: int) -> bytes:
    """Return the dump of a machine after a history, which the oracle has followed event by event."""
    *_, (comparison, _) = tell(Seeded(seed), 120)
    return comparison.machine.dump()


def test_histories_without_the_straight_way_end_in_the_same_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken = 0

    def counted(*arguments: object) -> list[AnyEvent] | None:
        nonlocal taken
        events = plain_order.plain_order(*arguments)  # type: ignore[arg-type]
        taken += events is not None
        return events

    monkeypatch.setattr(machine, "plain_order", counted)
    with_it = [told(seed) for seed in SEEDS]
    assert taken > len(SEEDS)

    monkeypatch.setattr(machine, "plain_order", lambda *_: None)
    assert [told(seed) for seed in SEEDS] == with_it
