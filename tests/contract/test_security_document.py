"""docs/SECURITY-REQUIREMENTS.md names the tests that exist, and the deployment checks find nothing (S-35)."""

import os
import re
import secrets
import subprocess
import sys
from pathlib import Path

from cryptocfd.management.commands.document_security import DOCUMENT, REQUIREMENTS, document

ROOT = Path(__file__).resolve().parents[2]


def test_every_requirement_is_listed_with_tests_that_exist() -> None:
    text = document()

    assert (ROOT / DOCUMENT).read_text() == text, "run `make schema`"
    assert sorted(REQUIREMENTS) == list(range(1, 51))
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)
    assert len(named) > 50
    assert all(f"def {name}(" in (ROOT / path).read_text() for path, name in named)


def test_s35_the_deployment_checks_find_nothing_with_production_settings(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "check", "--deploy", "--fail-level", "WARNING"],
        env=os.environ
        | {
            "PUBLIC_URL": "https://trade.example.com",
            "SECRET_KEY": secrets.token_urlsafe(64),
            "DATA_DIR": str(tmp_path),
            "DEBUG": "false",
            "EMAIL_URL": "",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.returncode == 0, done.stderr
