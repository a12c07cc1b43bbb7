"""What the log says of a request that a store has failed."""

import logging
from types import SimpleNamespace

import pytest
from django.db import OperationalError

from cryptocfd.exception_handler import exception_handler


class Withdrawals:
    """Stands for a view."""


def test_the_log_names_the_request_that_a_store_has_failed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    error = OperationalError("canceling statement due to statement timeout")
    context = {"view": Withdrawals(), "request": SimpleNamespace(method="DELETE")}

    with caplog.at_level(logging.WARNING, logger="cryptocfd.exception_handler"):
        answer = exception_handler(error, context)

    logged = vars(caplog.records[0])
    assert (answer.status_code, logged["view"], logged["method"]) == (503, "Withdrawals", "DELETE")
    assert "statement timeout" in logged["error"]
