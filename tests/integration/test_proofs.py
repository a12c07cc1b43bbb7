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
    """Lets something be committed once, on a connection of its own, before the first statement with some words.

    What waits for a lock that the command holds is given up for.
    """

    def __init__(self, words: str, work: Callable[[], Any]) -> None:
        self._words, self._work = words, work
        self.thread: threading.Thread | None = None
        self.result: Any = None

    def __call__(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        if self._words in sql and self.thread is None:
            self.thread = threading.Thread(target=self._run)
            self.thread.start()
            self.thread.join(0.5)
        return execute(sql, params, many, context)

    def _run(self) -> None:
        try:
            self.result = self._work()
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
    beside = CommitBeside(words, live.project)

    with connection.execute_wrapper(beside):
        call_command(*command, stdout=io.StringIO())
    assert beside.thread is not None
    beside.thread.join(20)

    assert beside.result > 0
    call_command(*command, stdout=io.StringIO())


@pytest.mark.parametrize(
    ("command", "meanwhile"),
    [
        (("replay", "--verify", "--from-journal"), ("rebuild_read_models",)),
        (("rebuild_read_models",), ("replay", "--verify", "--from-journal")),
    ],
)
def test_a_proof_sees_no_table_that_a_rebuild_has_emptied(
    live: Live, command: tuple[str, ...], meanwhile: tuple[str, ...]
) -> None:
    user, account = live.user()
    buy(live, account.id, user.pk, "first")
    live.project()
    ended = io.StringIO()
    # The rebuild reads the journal when it has emptied the tables.
    beside = CommitBeside(
        'FROM "trade_journalentry"', lambda: call_command(*meanwhile, stdout=ended)
    )

    with connection.execute_wrapper(beside):
        call_command(*command, stdout=io.StringIO())
    assert beside.thread is not None
    beside.thread.join(20)

    # Its verdict, which it writes when it has found no fault.
    assert ended.getvalue()
