"""What the apps know about one person, for the export of it and for the end of an account.

Each app installs its part when the program starts (its apps.py), so that none has to know the others.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


def _nothing(user_id: int) -> None:
    """Do nothing: some apps keep no more about a person than the ledger, which stays."""


def _no_obstacle(user_id: int) -> str:
    """Return nothing: most apps hold nobody back."""
    del user_id
    return ""


@dataclass(frozen=True, slots=True)
class PersonPart:
    """One app's part of a person."""

    # Everything that is stored about a person, as plain JSON values.
    export: Callable[[int], Mapping[str, Any]]
    # Why the account cannot be deleted now, as a sentence; empty if it can.
    obstacle: Callable[[int], str] = _no_obstacle
    # Forgets who the person is, in the caller's transaction.
    forget: Callable[[int], None] = _nothing


_parts: dict[str, PersonPart] = {}


def person_part_install(name: str, part: PersonPart) -> None:
    """Name an app's part; called once when the program starts."""
    _parts[name] = part


def person_export(user_id: int) -> dict[str, Any]:
    """Return everything that is stored about a person, by app."""
    return {name: part.export(user_id) for name, part in sorted(_parts.items())}


def person_obstacles(user_id: int) -> list[str]:
    """Return why a person's account cannot be deleted now; empty if it can."""
    return [text for _, part in sorted(_parts.items()) if (text := part.obstacle(user_id))]


def person_forget(user_id: int) -> None:
    """Let every app forget who a person is, in the caller's transaction; the ledger stays."""
    for _, part in sorted(_parts.items()):
        part.forget(user_id)
