"""No file of the tree holds a secret, and the keys that the platform makes are apart, private and can be changed (S-43)."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from detect_secrets.core.scan import scan_file
from detect_secrets.settings import transient_settings
from django.test import Client

from apps.auth.models import User
from apps.common.sealing import cipher

ROOT = Path(__file__).resolve().parents[2]
BASELINE = json.loads((ROOT / ".secrets.baseline").read_text())
# Looking at each line with every detector takes a minute (`make audit` does it); none of them finds anything in a line without one
# of these: a word for a secret, a run of letters and digits in quotes, the first letters of a well-known token, an address with a
# password.
SUSPECT = re.compile(
    r"""secret|pass|pwd|credential|(?:api|auth|service|account|db|database|priv|private|client)[_-]?key|PRIVATE.KEY"""
    r"""|["'][A-Za-z0-9+/=_-]{16,}["']|://[^/\s:]+:[^/\s]+@|AKIA|gh[opsu]_|glpat|xox[abp]|sk_|npm_|pypi-|SG\.|eyJ|AC[0-9a-f]{32}""",
    re.IGNORECASE,
)


def found_in(path: Path, folder: Path) -> set[tuple[str, str]]:
    """Return kind and digest of everything in a file that looks like a secret; the folder takes what is looked at."""
    try:
        lines = [line for line in path.read_text().splitlines() if SUSPECT.search(line)]
    except UnicodeDecodeError:
        return set()
    # What is taken for a secret depends on the kind of file.
    copy = folder / f"lines{path.suffix}"
    copy.write_text("\n".join(lines))
    return {(secret.type, secret.secret_hash) for secret in scan_file(str(copy))}


@pytest.fixture(scope="module", autouse=True)
def detectors() -> Iterator[None]:
    settings = {name: BASELINE[name] for name in ("plugins_used", "filters_used")}
    with transient_settings(settings):
        yield


def test_s43_no_file_of_the_tree_holds_a_secret(tmp_path):
    excluded = re.compile(
        next(
            row["pattern"][0]
            for row in BASELINE["filters_used"]
            if row["path"].endswith("should_exclude_file")
        )
    )
    # Each was looked at: an example, a test's own, or a digest.
    known = {
        (row["type"], row["hashed_secret"]) for rows in BASELINE["results"].values() for row in rows
    }
    git = shutil.which("git") or "git"
    listed = subprocess.run(
        [git, "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    ).stdout.split()
    names = [name for name in listed if not excluded.search(name) and (ROOT / name).is_file()]

    leaks = {name: new for name in names if (new := found_in(ROOT / name, tmp_path) - known)}

    assert len(names) > 500
    assert leaks == {}, "if it is none: `make secrets`, look at the new rows, and commit them"


@pytest.mark.parametrize(
    "line",
    [
        'SECRET_KEY = "f2f1f9c1a63e4f6bb2b3f7d9b9c3ce0d5b1a7e44"',
        'api_key: "h7K2pQ9xV4mZ8sT1wR6yB3nC5dF0gJ"',
        "url = 'postgres://cryptocfd:h7K2pQ9xV4@db.example/cryptocfd'",
        "-----BEGIN " + "RSA PRIVATE KEY-----",
    ],
)
def test_s43_what_looks_like_a_secret_is_found(line, tmp_path):
    path = tmp_path / "leak.py"
    path.write_text(f"import os\n\n{line}\n")

    assert found_in(path, tmp_path)


def _settings_print(tmp_path: Path, code: str, **environment: str) -> Any:
    clean = {
        name: value
        for name, value in os.environ.items()
        if name not in {"SECRET_KEY", "PIN_PEPPER", "API_KEY_KEYS", "SNAPSHOT_KEYS"}
    }
    return subprocess.run(
        [sys.executable, "-c", f"from cryptocfd.settings import *\n{code}"],
        cwd=ROOT,
        env=clean | {"DATA_DIR": str(tmp_path)} | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_s43_secrets_are_made_apart_and_for_the_owner_only(tmp_path):
    names = "SECRET_KEY, HEADLESS_JWT_PRIVATE_KEY, REFRESH_TOKEN_KEY, PIN_PEPPER, API_KEY_KEYS, SNAPSHOT_KEYS"
    first, second = (_settings_print(tmp_path, f"print({names})").stdout.split() for _ in range(2))

    assert first == second
    assert len(set(first)) == len(first) == 6
    made = list((tmp_path / "secrets").iterdir())
    assert len(made) == 4
    assert {path.stat().st_mode & 0o777 for path in made} == {0o400}


@pytest.mark.parametrize("key", ["django-insecure-" + "k" * 50, "short"])
def test_s43_nothing_starts_with_a_key_that_others_know_or_guess(tmp_path, key):
    done = _settings_print(tmp_path, "print('started')", SECRET_KEY=key)

    assert (done.returncode, done.stdout) == (1, "")
    assert "SECRET_KEY must be secret" in done.stderr


def test_s43_secrets_may_come_as_files(tmp_path):
    file = tmp_path / "key"
    file.write_text("f" * 64)
    file.chmod(0o400)

    done = _settings_print(tmp_path, "print(SECRET_KEY)", SECRET_KEY_FILE=str(file))

    assert done.stdout.strip() == "f" * 64


@pytest.mark.integration
def test_s43_a_changed_signing_key_signs_nobody_out_while_the_old_one_is_known(db, settings):
    browser = Client()
    browser.force_login(User.objects.create_user("dora@example.com"))
    old = settings.SECRET_KEY

    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "n" * 64, [old]
    assert browser.get("/settings/profile").status_code == 200
    # That request has signed the session anew, so the old key may go.
    settings.SECRET_KEY_FALLBACKS = []
    assert browser.get("/settings/profile").status_code == 200
    settings.SECRET_KEY = "m" * 64
    assert browser.get("/settings/profile").status_code == 302


def test_s43_what_an_older_key_has_sealed_can_be_read_and_the_newest_seals(settings):
    old, new = (Fernet.generate_key().decode() for _ in range(2))
    settings.API_KEY_KEYS = old
    sealed = cipher().encrypt(b"secret of a key")

    settings.API_KEY_KEYS = f"{new},{old}"
    assert cipher().decrypt(sealed) == b"secret of a key"
    fresh = cipher().encrypt(b"another")
    settings.API_KEY_KEYS = new
    assert cipher().decrypt(fresh) == b"another"
