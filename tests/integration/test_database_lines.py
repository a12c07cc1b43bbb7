"""Lines to a PostgreSQL of another host: one whose other end has vanished must not hold a thread for hours."""

import os
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection

from cryptocfd.database.base import DatabaseWrapper

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def port() -> Iterator[int]:
    """A port that leads to the test's PostgreSQL, as another host's would."""
    facts = connection.get_connection_params()
    server = Path(facts["host"]) / f".s.PGSQL.{facts.get('port') or 5432}"

    def carry(client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as inner, suppress(OSError):
            inner.connect(str(server))
            goals = {client: inner, inner: client}
            while True:
                for source in select.select(list(goals), [], [])[0]:
                    data = source.recv(1 << 16)
                    if not data:
                        return
                    goals[source].sendall(data)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=carry, args=listener.accept()[:1], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]


def line_to(port: int, **options: object) -> DatabaseWrapper:
    facts = deepcopy(settings.DATABASES["default"]) | {"NAME": connection.settings_dict["NAME"]}
    facts |= {"HOST": "127.0.0.1", "PORT": str(port)}
    facts["OPTIONS"] = {k: v for k, v in facts["OPTIONS"].items() if k != "host"} | options
    return DatabaseWrapper(connection.settings_dict | facts, "default")


def test_a_line_whose_other_end_has_vanished_ends_within_a_minute(port: int) -> None:
    line = line_to(port)
    line.ensure_connection()
    with socket.socket(fileno=os.dup(line.connection.fileno())) as own:
        found = {
            name: own.getsockopt(level, getattr(socket, name))
            for level, name in (
                (socket.SOL_SOCKET, "SO_KEEPALIVE"),
                (socket.IPPROTO_TCP, "TCP_KEEPIDLE"),
                (socket.IPPROTO_TCP, "TCP_KEEPINTVL"),
                (socket.IPPROTO_TCP, "TCP_KEEPCNT"),
                (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT"),
            )
        }
    line.close()

    assert found == {
        "SO_KEEPALIVE": 1,
        "TCP_KEEPIDLE": 30,
        "TCP_KEEPINTVL": 10,
        "TCP_KEEPCNT": 3,
        "TCP_USER_TIMEOUT": 60_000,
    }
