"""The pure browser modules in Node, and the vendored ones against their list."""

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from cryptocfd.templatetags.frontend import VENDOR_MODULES

ROOT = Path(__file__).parents[2]
VENDOR = ROOT / "static" / "vendor"
MODULES = Path(__file__).parent / "modules"


def test_pure_modules_pass_their_node_tests() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed")

    files = [str(file) for file in sorted(MODULES.glob("*.test.mjs"))]
    done = subprocess.run(
        [node, "--test", *files], check=False, capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_vendored_files_are_those_that_the_list_names() -> None:
    rows = re.findall(
        r"^\| `(\S+\.mjs)` .*\| `([0-9a-f]{64})` \|$",
        (VENDOR / "LICENSES.md").read_text(),
        re.MULTILINE,
    )
    found = {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in VENDOR.glob("*.mjs")
    }

    assert dict(rows) == found


def test_every_mapped_name_has_its_file() -> None:
    assert {file for file in VENDOR_MODULES.values() if not (VENDOR / file).is_file()} == set()
