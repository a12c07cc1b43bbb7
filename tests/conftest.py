"""Fixtures for every test: the servers of `serve`, started once per test process, and the rules of a CI run.

Nothing is started before a test asks for it. Each process (also each of pytest-xdist's) has a data directory and
servers of its own, so runs never meet each other or a developer's data.
"""

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from pytest_django import DjangoDbBlocker

# Django reads the environment once, so it is set up here and not by an option of pytest-django, which would be earlier.
_DATA_DIR = Path(tempfile.mkdtemp(prefix="cryptocfd-tests-"))
for _name in ("DATABASE_URL", "LOG_REDIS_URL", "REDIS_URL", "PUBLIC_URL", "ALLOWED_HOSTS"):
    os.environ[_name] = ""
os.environ |= {
    "DJANGO_SETTINGS_MODULE": "cryptocfd.settings",
    "DATA_DIR": str(_DATA_DIR),
    "ENGINE_MODE": "remote",
    "FEEDS": "simulator:seed=1",
    # Those of it say when it begins.
    "SIMULATED_HISTORY": "false",
    "LOG_LEVEL": "WARNING",
    "EMAIL_URL": "memorymail://",
    "DEBUG": "false",
    # Tests are faster than people; those of the limits set their own.
    "API_LIMITS_WRITE": "",
    "API_LIMITS_READ": "",
    "API_LIMITS_PUBLIC": "",
    # Most tests of the admin are about what it shows; its door has tests of its own.
    "STAFF_SECOND_FACTOR": "false",
    "MONEY_SECOND_FACTOR": "false",
}

# Imported only now, since a module may read the settings at its import.
import django  # noqa: E402 - see above.

django.setup()

# pytest-xdist's processes inherit the environment: with this they would set Django up before their own data directory is
# known, and look for the servers of the process that started them.
del os.environ["DJANGO_SETTINGS_MODULE"]

from django.db import connection  # noqa: E402 - see above.
from django.test import TransactionTestCase  # noqa: E402 - see above.

from cryptocfd.embedded.servers import EmbeddedServers  # noqa: E402 - see above.

IN_CI = os.environ.get("CI", "").lower() in {"1", "true"}

_PROFILE = os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if IN_CI else "dev")
hypothesis_settings.register_profile("dev", max_examples=50, deadline=None, print_blob=True)
hypothesis_settings.register_profile(
    "ci",
    max_examples=300,
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
hypothesis_settings.register_profile(
    "nightly",
    max_examples=20_000,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
hypothesis_settings.load_profile(_PROFILE)

# The one thing that a machine may truly lack: the data handed out beside the checkout, absent in a plain clone.
_SKIP_ALLOWED_IN_CI = "../shared"


def _skip_forbidden(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure: in CI a suite that cannot run must not look like one that passed."""
    if not (IN_CI and report.skipped) or hasattr(report, "wasxfail"):
        return
    reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
    if _SKIP_ALLOWED_IN_CI not in reason:
        report.outcome = "failed"
        report.longrepr = f"Nothing may be skipped in CI, but this was: {reason}"


# Few tests that take long: begun first, so that no process waits for them at the end.
_LONGEST = (
    *("test_contract_running", "test_journey", "test_chaos", "test_random_trading", "test_load"),
    *("test_real_history", "test_month", "test_candle_stores", "test_engine_machine"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.stem not in _LONGEST)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    report = yield
    _skip_forbidden(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector):
    report = yield
    _skip_forbidden(report)
    return report


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(_DATA_DIR, ignore_errors=True)


@pytest.fixture(scope="session")
def embedded_servers() -> Iterator[EmbeddedServers]:
    """The real PostgreSQL and the two real Valkeys of this test process."""
    # The tests' database is thrown away, so it need not survive a power cut; the log stays as durable as in service.
    servers = EmbeddedServers(_DATA_DIR, postgres_fsync=False)
    servers.start()
    yield servers
    servers.stop()
    servers.data_remove()


@pytest.fixture(scope="session")
def django_db_modify_db_settings(embedded_servers: EmbeddedServers) -> None:
    """Start the servers before pytest-django makes its test database."""


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    """Tell the test database that it is one: emptying its tables between tests includes the journal."""
    with django_db_blocker.unblock():
        with connection.cursor() as cursor:
            name = connection.ops.quote_name(connection.settings_dict["NAME"])
            cursor.execute(f"ALTER DATABASE {name} SET cryptocfd.is_throw_away = 'on'")
        # Sessions from now on have it.
        connection.close()


# What migrations made and no test changes.
_TABLES_KEPT = {"django_migrations", "django_content_type", "auth_permission", "django_site"}


def _tables_empty(_case: TransactionTestCase) -> None:
    """Empty the tables that have rows, after a test whose transactions were real.

    Django's own way empties all of them and makes content types and permissions anew, which takes longer than most tests.
    """
    names = connection.introspection.django_table_names(only_existing=True, include_views=False)
    quoted = [connection.ops.quote_name(name) for name in sorted({*names} - _TABLES_KEPT)]
    filled = " UNION ALL ".join(
        f"SELECT '{name}' WHERE EXISTS (SELECT FROM {name})"  # noqa: S608 - names of our own tables.
        for name in quoted
    )
    with connection.cursor() as cursor:
        cursor.execute(filled)
        if found := [name for (name,) in cursor.fetchall()]:
            cursor.execute(f"TRUNCATE {', '.join(found)} CASCADE")


TransactionTestCase._fixture_teardown = _tables_empty


@pytest.fixture(scope="session")
def django_db_keepdb() -> bool:
    """Leave the test database to the removal of its server: a thread that still ends cannot hold that up."""
    return True


@pytest.fixture
def log_redis_url(embedded_servers: EmbeddedServers) -> str:
    """The address of the Valkey that holds the log."""
    return embedded_servers.layout.log_redis_url


@pytest.fixture
def redis_url(embedded_servers: EmbeddedServers) -> str:
    """The address of the Valkey for everything else."""
    return embedded_servers.layout.redis_url


@pytest.fixture
def stream_prefix(settings) -> str:
    """A prefix that no other test has; the settings carry it too."""
    settings.STREAM_PREFIX = f"t{secrets.token_hex(6)}:"
    return settings.STREAM_PREFIX
