"""Couplings and left-overs that import-linter and ruff cannot see."""

import ast
from pathlib import Path

import pytest

from tests.architecture import tidy

REPOSITORY = Path(__file__).resolve().parents[2]


def named(ban: tidy.Ban) -> str:
    return ban.name


@pytest.mark.parametrize("ban", tidy.BANS, ids=named)
def test_the_tree_is_free_of(ban: tidy.Ban) -> None:
    found = []
    for folder in ban.folders:
        for path in sorted((REPOSITORY / folder).rglob("*.py")):
            place = path.relative_to(REPOSITORY).as_posix()
            if "/migrations/" in place or place.endswith(ban.except_for):
                continue
            text = path.read_text()
            found += [f"{place}:{line}: {what}" for line, what in ban.find(ast.parse(text), text)]

    assert not found, f"use {ban.instead} instead:\n" + "\n".join(found)


@pytest.mark.parametrize("ban", tidy.BANS, ids=named)
def test_a_breach_is_found_and_its_replacement_is_not(ban: tidy.Ban) -> None:
    assert list(ban.find(ast.parse(ban.bad), ban.bad))
    assert not list(ban.find(ast.parse(ban.good), ban.good))
