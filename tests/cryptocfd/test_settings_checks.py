"""A setting that cannot be is named in one sentence, before anything has been started, and a server that is away too."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import OperationalError, connection

from cryptocfd.embedded.errors import SetupError
from cryptocfd.env import environment_load
from cryptocfd.settings_check import settings_check
from cryptocfd.unreachable import sentence_of

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("LOG_LEVEL", "loud", "LOG_LEVEL must be one of CRITICAL, ERROR, WARNING, INFO, DEBUG"),
        ("DATABASE_URL", "nowhere", "DATABASE_URL must look like postgres://"),
        ("DATABASE_URL", "postgres://user:hush@host", "the database, is missing"),
        ("LOG_REDIS_URL", "http://user:hush@host", "LOG_REDIS_URL must look like redis://"),
        ("DATABASE_URL", "postgres://user:hush/x@host/name", "DATABASE_URL is no address: host or"),
        ("REDIS_URL", "redis://[::1", "REDIS_URL is no address: host or port cannot be read"),
        ("REDIS_URL", "host:6379", "REDIS_URL must look like redis://"),
        ("PUBLIC_URL", "trade.example.com", "PUBLIC_URL must be http:// or https:// and a host"),
        ("PUBLIC_URL", "https://example.com/trade", "without a path"),
        ("EMAIL_URL", "mail.example.com", "EMAIL_URL must look like smtp+tls://"),
        ("STREAM_PREFIX", "a b", "STREAM_PREFIX must be made of letters, digits and : . _ -"),
        ("DEMO_BALANCE", "100.50", "DEMO_BALANCE must be a whole number from 1"),
        ("SNAPSHOT_KEYS", "k1:aHVzaA==", "SNAPSHOT_KEYS cannot be read"),
        ("API_KEY_KEYS", "hush", "API_KEY_KEYS must be Fernet keys"),
        ("SECRET_KEY_FILE", "/nowhere/hush", "SECRET_KEY_FILE names the file /nowhere/hush"),
    ],
)
def test_a_variable_that_cannot_be_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str
) -> None:
    monkeypatch.delenv(name.removesuffix("_FILE"), raising=False)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.setenv(name, value)

    with pytest.raises(SetupError) as refusal:
        environment_load()

    assert sentence in str(refusal.value)
    assert name.endswith("_FILE") or "hush" not in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("LOGIN_LIMITS_PER_IP", ["often"], "LOGIN_LIMITS_PER_IP cannot be read: a rate limit"),
        ("API_LIMITS_READ", ["200"], "API_LIMITS_READ cannot be read: a rate limit"),
        ("FEEDS", ["simulator", "kraken"], "FEEDS cannot be read: expected binance,"),
        ("FEEDS", ["simulator:seed=x"], "expected simulator:seed=<whole number>"),
        ("FEEDS", ["replay:/nowhere.csv", "simulator"], "there is no tape /nowhere.csv"),
        ("PAYMENT_PROVIDERS", ["bank", "gold"], "PAYMENT_PROVIDERS must be made of bank, test"),
        ("EMAIL_BACKEND", "anymail.backends.pigeon.EmailBackend", "EMAIL_URL names the backend"),
        ("SMS_BACKEND", "pigeon.Backend", "SMS_BACKEND names the backend pigeon.Backend"),
    ],
)
def test_a_setting_that_would_fail_later_is_named_at_the_start(
    settings, name: str, value: object, sentence: str
) -> None:
    settings_check(with_feed=True)
    setattr(settings, name, value)

    with pytest.raises(SetupError) as refusal:
        settings_check(with_feed=True)

    assert sentence in str(refusal.value)


def test_a_tape_needs_to_lie_only_where_the_feed_runs(settings) -> None:
    settings.FEEDS = ["replay:/nowhere.csv"]

    settings_check(with_feed=False)


def test_a_command_without_its_database_says_so_in_one_sentence(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}

    done = subprocess.run(
        [sys.executable, "manage.py", "verify_ledger"],
        cwd=ROOT,
        env=environment | {"DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert "CryptoCFD: The database does not answer" in done.stderr
    assert f"DATA_DIR, which is {tmp_path}" in done.stderr


@pytest.mark.django_db
def test_what_the_database_itself_refuses_keeps_its_traceback() -> None:
    with pytest.raises(OperationalError) as refused, connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 1; SELECT pg_sleep(5)")

    assert sentence_of(refused.value) is None
