"""The shipped account groups: the terms that accounts are opened with."""

from collections.abc import Iterator
from typing import Final

from engine.messages.commands import DefineGroup
from engine.messages.definitions import GroupSpec
from engine.values import Actor

DEFAULT_GROUP: Final = "standard"

# Commission 400 ppm (0.04 %) of the notional per side, the usual taker fee of large venues; margin call at 100 %, stop-out
# at 50 %, largest loss first, negative balances are covered. A change needs a higher version.
GROUPS: Final = (GroupSpec(name=DEFAULT_GROUP, version=1, commission_ppm=400),)


def group_commands() -> Iterator[DefineGroup]:
    """Yield the commands that tell the engine every group; sending them again does nothing."""
    for spec in GROUPS:
        yield DefineGroup(
            request_id=f"group-{spec.name}-v{spec.version}",
            source="groups",
            actor=Actor.SYSTEM,
            spec=spec,
        )


def stop_out_levels() -> dict[str, int]:
    """Return the margin level at which accounts of each group are stopped out, basis points, by the group's name."""
    return {spec.name: spec.stop_out_level_bps for spec in GROUPS}
