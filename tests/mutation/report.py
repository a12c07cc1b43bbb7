"""Which mutants of the engine's margin arithmetic the tests let live, as `make mutate` found it.

`docs/MUTATION.md` is written here and committed. It names the hash of each source that was judged, so that a later change of a
source shows: ``python -m tests.mutation.report check`` says which modules have changed since and fails. Nobody edits it.
"""

import hashlib
import json
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
REPORT = REPOSITORY / "docs" / "MUTATION.md"
MODULES = ("margin", "liquidation", "bands", "triggers")
_EXPLAINED = Path(__file__).with_name("explained.json")
_RESULTS = REPOSITORY / "mutants" / "engine" / "core"
# Exit codes that mutmut keeps: survived, not reached by any test; all others are a kill, these by the clock.
_SURVIVED, _UNTESTED = 0, 33
_TIMED_OUT = (24, 36, -24, 152, 255)


@dataclass(frozen=True)
class Survivor:
    """A mutant that no test noticed."""

    name: str
    # The changed lines, as a diff shows them.
    diff: str


def source_hash(module: str, repository: Path = REPOSITORY) -> str:
    """Return the hash of a module's source as the report names it."""
    raw = (repository / "engine" / "core" / f"{module}.py").read_bytes()
    return hashlib.blake2b(raw, digest_size=16).hexdigest()


def judged_hashes(report: str) -> dict[str, str]:
    """Return the hash of each module that a report judged."""
    return dict(
        re.findall(r"^\| `engine/core/(\w+)\.py` \| `([0-9a-f]{32})` \|", report, re.MULTILINE)
    )


def stale_modules(report: str, repository: Path = REPOSITORY) -> list[str]:
    """Return the modules whose source is not the one that the report judged."""
    judged = judged_hashes(report)
    return [name for name in MODULES if judged.get(name) != source_hash(name, repository)]


def reason_of(survivor: Survivor, explained: dict[str, list[str]]) -> str:
    """Return why a survivor may live; empty when nobody said."""
    return next((why for why, diffs in explained.items() if survivor.diff in diffs), "")


def _results(module: str) -> dict[str, int]:
    meta = json.loads((_RESULTS / f"{module}.py.meta").read_text())
    results: dict[str, int] = meta["exit_code_by_key"]
    return results


def _survivor(name: str) -> Survivor:
    shown = subprocess.run(
        [sys.executable, "-m", "mutmut", "show", name], capture_output=True, text=True, check=True
    ).stdout
    changed = [line for line in shown.splitlines() if re.match(r"[-+](?![-+])", line)]
    return Survivor(name, " => ".join(line[1:].strip() for line in changed))


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def write() -> int:
    """Write the report from mutmut's results; fails when a survivor is not explained."""
    explained: dict[str, list[str]] = json.loads(_EXPLAINED.read_text())
    rows, survivors = [], []
    for module in MODULES:
        results = _results(module)
        counts = Counter(
            "survived"
            if code in (_SURVIVED, _UNTESTED)
            else "slow"
            if code in _TIMED_OUT
            else "killed"
            for code in results.values()
        )
        survivors += [_survivor(n) for n, code in results.items() if code in (_SURVIVED, _UNTESTED)]
        rows.append(
            f"| `engine/core/{module}.py` | `{source_hash(module)}` | {len(results)} "
            f"| {counts['killed']} | {counts['slow']} | {counts['survived']} |"
        )
    lines = [
        "# Mutants of the margin arithmetic",
        "",
        "Written by `make mutate`; why the survivors may live is told in [TESTING.md](TESTING.md).",
        "`make mutate-check` says whether a source has changed since.",
        "",
        "| Source | BLAKE2b-128 | mutants | killed | killed by the clock | survived |",
        "| --- | --- | --- | --- | --- | --- |",
        *rows,
        "",
        "## Survivors",
        "",
    ]
    unexplained = 0
    for survivor in survivors:
        reason = reason_of(survivor, explained)
        unexplained += not reason
        lines.append(f"- `{survivor.diff}` ({survivor.name}): {reason or '**not explained**'}")
    REPORT.write_text("\n".join(lines) + "\n")
    _say(f"{len(survivors)} survivors, {unexplained} of them not explained: {REPORT}")
    return min(unexplained, 1)


def check() -> int:
    """Say which sources have changed since the report; fails when any has."""
    stale = stale_modules(REPORT.read_text() if REPORT.exists() else "")
    for name in stale:
        _say(f"engine/core/{name}.py has changed since docs/MUTATION.md judged it: make mutate")
    return min(len(stale), 1)


if __name__ == "__main__":
    sys.exit({"write": write, "check": check}[sys.argv[1]]())
