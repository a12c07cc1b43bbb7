"""How a command's entry ends: what its fills set off, and the accounts that they touched (rule E2)."""

from engine.core.decide.firing import fire_triggers
from engine.core.decide.margin_check import check_margins
from engine.core.decide.work import Work


def finish(work: Work) -> None:
    """Fire what waits where something was filled, and check the margin of every account that was touched."""
    if work.filled:
        instruments = list(work.filled.values())
        fire_triggers(work, instruments)
        check_margins(work, instruments[0])
    elif work.touched:
        check_margins(work, None)
