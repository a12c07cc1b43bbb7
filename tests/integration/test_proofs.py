"""The proofs that OPERATIONS.md lets run beside the platform: what is committed in their middle is no difference."""

import io
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from cryptocfd.management.commands import replay
from engine.messages.commands import PlaceOrder
from engine.values import Side
from tests.apps.live import SYMBOL, Live, live_platform

pytestmark = pytest.mark.integration


@pytest.fixture
def live(transactional_db, log_redis_url, redis_url, stream_prefix, tmp_path, monkeypatch):
    with live_platform(stream_prefix, log_redis_url, redis_url, tmp_path) as live:
        monkeypatch.setattr(replay, "engine_config", lambda: live.hand.config)
        yield live


def buy(live: Live, account: int, user: int, request_id: str) -> None:
    live.price(100_000, 100_010)
    live.send(
        PlaceOrder(
            request_id=request_id,
            user_id=user,
            account=account,
            symbol=SYMBOL,
            side=Side.BUY,
            quantity_units=10_000,
            leverage=10,
        )
    )


class CommitBeside:
    """Lets the projector commit once, on a connection of its own, before the first statement with some words.

    What waits for a lock that the command holds is given up for.
    """

    def __init__(self, live: Live, words: str) -> None:
        self._live, self._words = live, words
        self.thread: threading.Thread | None = None
        self.projected = 0

    def __call__(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        if self._words in sql and self.thread is None:
            self.thread = threading.Thread(target=self._project)
            self.thread.start()
            self.thread.join(1)
        return execute(sql, params, many, context)

    def _project(self) -> None:
        try:
            self.projected = self._live.project()
        finally:
            connection.close()


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("verify_ledger",), 'FROM "trade_account"'),
        (("replay", "--verify", "--from-journal"), 'FROM "trade_journalentry"'),
        (("rebuild_read_models",), "FOR UPDATE"),
        (("rebuild_read_models",), "TRUNCATE"),
    ],
)
def test_a_proof_judges_one_moment(live: Live, command: tuple[str, ...], words: str) -> None:
    user, account = live.user()
    buy(live, account.id, user.pk, "first")
    live.project()
    buy(live, account.id, user.pk, "second")
    beside = CommitBeside(live, words)

    with connection.execute_wrapper(beside):
        call_command(*command, stdout=io.StringIO())
    assert beside.thread is not None
    beside.thread.join(20)

    assert beside.projected > 0
    call_command(*command, stdout=io.StringIO())
