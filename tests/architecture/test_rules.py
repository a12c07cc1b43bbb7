"""Every rule that code and tests cite stands in docs/ENGINE.md, and every rule there is cited by code or told by a test."""

import re
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEFINED = re.compile(r"\*\*([A-Z]\d+)\*\*")
CITED = re.compile(
    r"\brules? ((?:[A-Z]\d+(?:-[A-Z]\d+)?(?:, | and )?)+)|\"([A-Z]\d{1,2})\"|^\"\"\"Rules? ([^:]+):"
)


def defined() -> list[str]:
    return DEFINED.findall((ROOT / "docs/ENGINE.md").read_text())


def expand(text: str) -> list[str]:
    found = re.findall(r"([A-Z])(\d+)(?:-[A-Z]?(\d+))?", text)
    return [
        f"{letter}{number}"
        for letter, first, last in found
        for number in range(int(first), int(last or first) + 1)
    ]


def cited(folder: str) -> set[str]:
    texts = [path.read_text() for path in (ROOT / folder).rglob("*.py")]
    groups = [group for text in texts for match in CITED.finditer(text) for group in match.groups()]
    return {rule for group in groups if group for rule in expand(group)}


def test_every_cited_rule_is_defined() -> None:
    assert cited("engine") - set(defined()) == set()


def test_every_defined_rule_is_cited_or_told() -> None:
    assert set(defined()) - cited("engine") - cited("tests/engine/scenarios") == set()


def test_rules_are_numbered_once_and_in_order() -> None:
    rules = defined()

    assert len(rules) == len(set(rules))
    for one, next_one in pairwise(rules):
        if one[0] == next_one[0]:
            assert int(one[1:]) < int(next_one[1:])
