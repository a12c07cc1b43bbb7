"""Which Python `make` takes: the newest that works, and of one version the quickest."""

import os
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def found(path: str) -> str:
    done = subprocess.run(
        ["/bin/sh", REPOSITORY / "deploy/find-python.sh"],
        env={"PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("pythons", "chosen"),
    [
        # How its own check ends: 0 suits, 3 is slow, 1 is too old or has no venv, 127 is a pointer to nothing.
        ({"a/python3.13": 127, "b/python3.12": 0, "c/python3.11": 0}, "b/python3.12"),
        ({"a/python3.11": 3, "b/python3.11": 1, "c/python3.11": 0}, "c/python3.11"),
        ({"a/python3.13": 3, "b/python3.11": 0}, "a/python3.13"),
        ({"a/python3.11": 3, "b/python3.11": 3, "c/python3": 0}, "a/python3.11"),
        ({"a/python3": 1}, ""),
        ({}, ""),
    ],
)
def test_the_newest_that_works_and_of_one_version_the_quickest(tmp_path, pythons, chosen):
    for name, code in pythons.items():
        python = tmp_path / name
        python.parent.mkdir(exist_ok=True)
        python.write_text(f"#!/bin/sh\nexit {code}\n")
        python.chmod(0o755)

    folders = ":".join(str(tmp_path / folder) for folder in "abc")

    assert found(folders) == (str(tmp_path / chosen) if chosen else "")


def test_what_is_found_here_makes_environments(tmp_path):
    python = found(os.environ["PATH"])

    subprocess.run([python, "-m", "venv", tmp_path / "made"], check=True)

    assert (tmp_path / "made/bin/python").exists()
