"""docs/TESTING.md names for every fault what tries it, by files that exist."""

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
TEXT = (TESTS.parent / "docs" / "TESTING.md").read_text()
ROWS = re.findall(r"^\| (F-\d.*?) \| (.+) \|$", TEXT, re.MULTILINE)


def test_every_fault_has_one_row() -> None:
    faults = [fault for name, _ in ROWS for fault in re.findall(r"F-\d\d", name)]

    assert sorted(faults) == [f"F-{number:02}" for number in range(1, 43)]


def test_what_tries_it_exists() -> None:
    named = {path for _, tried in ROWS for path in re.findall(r"`([\w/]+\.py)`", tried)}

    missing = [
        path
        for path in sorted(named)
        if not any(
            (TESTS / folder / path).is_file() for folder in ("", "engine", "engine/simulation")
        )
    ]

    assert len(named) > 30
    assert missing == []
