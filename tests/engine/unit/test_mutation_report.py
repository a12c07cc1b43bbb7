"""The mutation report tells which sources it judged, and a change of one of them shows."""

import json
from pathlib import Path

import pytest

from tests.mutation import report
from tests.mutation.report import Survivor

HASH = "0123456789abcdef" * 2


def row(module: str, digest: str) -> str:
    return f"| `engine/core/{module}.py` | `{digest}` | 9 | 8 | 0 | 1 |\n"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "engine" / "core"
    folder.mkdir(parents=True)
    for module in report.MODULES:
        (folder / f"{module}.py").write_text(f'"""{module}"""\n')
    return tmp_path


def test_a_report_of_these_very_sources_is_fresh(repository: Path) -> None:
    text = "".join(row(m, report.source_hash(m, repository)) for m in report.MODULES)

    assert report.stale_modules(text, repository) == []


def test_a_changed_source_makes_the_report_stale(repository: Path) -> None:
    text = "".join(row(m, report.source_hash(m, repository)) for m in report.MODULES)
    (repository / "engine" / "core" / "bands.py").write_text("changed = 1\n")

    assert report.stale_modules(text, repository) == ["bands"]
    assert report.stale_modules("", repository) == list(report.MODULES)


def test_a_survivor_is_explained_by_its_own_change_only() -> None:
    explained = {"It is the same.": ["a > 0 => a >= 0"]}

    assert report.reason_of(Survivor("x", "a > 0 => a >= 0"), explained) == "It is the same."
    assert report.reason_of(Survivor("x", "a > 0 => a < 0"), explained) == ""


def test_the_committed_report_judged_every_module_and_explains_each_survivor() -> None:
    text = report.REPORT.read_text()

    assert report.judged_hashes(text).keys() == set(report.MODULES)
    assert "not explained" not in text


def test_every_explanation_is_told_in_the_documents() -> None:
    told = " ".join((report.REPOSITORY / "docs" / "TESTING.md").read_text().split())
    explained = json.loads((Path(report.__file__).parent / "explained.json").read_text())

    assert [why for why in explained if why not in told] == []
