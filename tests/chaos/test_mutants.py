"""The judge proves itself: engines with bugs built in on purpose run on a real Valkey, are killed there, and are caught.

The same story under the same kills without a bug is found right. What the in-memory simulation notices besides is in
tests/engine/simulation/test_mutants.py; `make nightly-log` kills at more points (MUTANT_HITS).
"""

import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from apps.common.clock import now_us
from engine.config import EngineConfig
from engine.messages import codec
from engine.messages.commands import CloseAll, PlaceOrder, Quote, UpdateQuotes
from engine.messages.events import PositionClosed
from engine.messages.output_entry import OutputEntry, read_named
from engine.values import Side, SourceClass
from tests.chaos import mutant_process as m
from tests.chaos.log_server import LogServer
from tests.chaos.oracle import Acknowledged, Verdict, Wrong, entry_of, judge
from tests.chaos.sender import SYMBOL
from tests.chaos.setting import account_commands, definitions
from tests.integration.engine_log import LogHand, engine_config, wait_for
from tests.integration.engine_process import config_write
from tests.integration.forking import Forks

pytestmark = pytest.mark.integration

HITS = [int(hit) for hit in os.environ.get("MUTANT_HITS", "20").split(",")]
ACCOUNT = 7
ORDERS = 24
# An engine with a bug may hang instead of ending.
PATIENCE_SECONDS = 6.0


@cache
def forks(salt: str) -> Forks:
    return Forks("tests.chaos.mutant_process", os.environ | {"PYTHONHASHSEED": salt})


class Story:
    """One log, the engines that run on it one after the other, and what was sent and acknowledged."""

    def __init__(self, folder: Path, config: EngineConfig, salt: int) -> None:
        self.hand = LogHand(config)
        self.hand.keep_everything()
        self._folder = folder
        self._config = config
        self._salt = salt
        self._acknowledged: list[Acknowledged] = []

    def engine(self, mutant: str, point: str = "never", hit: int = 1) -> Any:
        """Start an engine; each process has another salt for its hashes."""
        path = config_write(self._config, self._folder)
        engine = forks(str(self._salt)).start(path, mutant, point, str(hit))
        self._salt += 1
        return engine

    def tell(self, engine: Any, commands: list[Any]) -> bool:
        """Send commands one by one, as a person does who waits for each answer; return whether the engine has lived on."""
        for command in commands:
            entry_id = self.hand.append(command)
            if isinstance(command, UpdateQuotes):
                continue
            wait_for(
                lambda at=entry_id: self._answer(at) or engine.poll() is not None,
                "an answer",
                seconds=PATIENCE_SECONDS,
            )
            answer = self._answer(entry_id)
            if answer is None:
                return False
            if isinstance(command, PlaceOrder) and answer.reply.startswith(b'{"type":"Acc'):
                told = Acknowledged(command.account, command.request_id, entry_id)
                self._acknowledged.append(told)
        return True

    def _answer(self, entry_id: str) -> OutputEntry | None:
        found = self.hand.redis.xrange(self.hand.output, entry_id, entry_id)
        return read_named(found[0][1]) if found else None

    def verdict(self) -> Verdict:
        streams = (self.hand.input, self.hand.output)
        inputs, outputs = (
            [entry_of(i, fields) for i, fields in self.hand.redis.xrange(stream)]
            for stream in streams
        )
        return judge(inputs, outputs, self._acknowledged)


@pytest.fixture
def story_of(stream_prefix, redis_url) -> Iterator[Callable[[int], Story]]:
    """Return how to begin a story, with engines whose salts count from a number on."""
    # Not the test's own folder: the path of a socket may have 108 bytes.
    with tempfile.TemporaryDirectory(prefix="mutant-") as name:
        folder = Path(name)
        server = LogServer(folder)
        server.start()

        def begin(salt: int) -> Story:
            own = folder / str(salt)
            own.mkdir()
            config = engine_config(
                f"{stream_prefix}{salt}",
                server.url,
                redis_url,
                own / "snapshots",
                snapshot_every_entries=12,
                lease_us=150_000,
                heartbeat_us=30_000,
            )
            return Story(own, config, salt)

        try:
            yield begin
        finally:
            server.kill()


def order(number: int) -> PlaceOrder:
    return PlaceOrder(
        request_id=f"order-{number}",
        user_id=ACCOUNT,
        account=ACCOUNT,
        symbol=SYMBOL,
        side=Side.BUY,
        quantity_units=number,
        leverage=10,
    )


def quote(number: int) -> UpdateQuotes:
    return UpdateQuotes(
        source="test",
        source_class=SourceClass.SIMULATED,
        feed_epoch=1,
        sequence=number,
        quotes=(Quote(SYMBOL, 600_000 + number, 600_010 + number, now_us()),),
    )


def trading(first: int) -> list[Any]:
    """Return orders, some of them sent twice, a price now and then, and everything closed at once after each eight."""
    commands: list[Any] = []
    for number in range(first, first + ORDERS):
        commands += [quote(number), order(number)]
        if number % 4 == 0:
            commands.append(order(number - 3))
        if number % 8 == 0:
            close = CloseAll(request_id=f"all-{number}", user_id=ACCOUNT, account=ACCOUNT)
            commands.append(close)
    return commands


@contextmanager
def ended(engine: Any) -> Iterator[None]:
    try:
        yield
    finally:
        if engine.poll() is None:
            engine.kill()
            engine.wait(20)


def traded(story: Story, mutant: str, point: str, hit: int) -> Verdict:
    """Let an engine trade until the kill, another one go on, and judge the whole.

    Errors: whatever gives a bug away.
    """
    first = story.engine(mutant, point, hit)
    with ended(first):
        begin = [*definitions(), *account_commands([ACCOUNT])]
        assert not story.tell(first, begin + trading(1)), "the kill has not come"
        assert first.wait(20) == -signal.SIGKILL
    second = story.engine(mutant)
    with ended(second):
        # What was sent before comes again, as from pages that were reloaded.
        again = [order(number) for number in range(1, 6)]
        is_alive = story.tell(second, [*again, *trading(101)])
        assert is_alive, f"it has ended with {second.poll()}"
        second.terminate()
        assert second.wait(20) == 0
    return story.verdict()


@pytest.mark.parametrize("hit", HITS)
def test_the_engine_as_it_is_is_found_right(story_of, hit) -> None:
    verdict = traded(story_of(1), m.none.__name__, "after_publish", hit)

    assert verdict.acknowledged >= ORDERS
    assert verdict.repeats >= ORDERS // 4


@pytest.mark.parametrize("hit", HITS)
@pytest.mark.parametrize(
    ("mutant", "point"),
    [
        (m.non_atomic_checkpoint, m.BETWEEN),
        (m.acknowledged_before_it_is_applied, "after_publish"),
        (m.request_ids_not_in_the_snapshot, "after_publish"),
        (m.skipped_replay, "after_publish"),
        (m.order_by_hash, "after_publish"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_an_engine_with_a_bug_is_caught(story_of, mutant, point, hit) -> None:
    with pytest.raises((Wrong, AssertionError)) as caught:
        traded(story_of(1), mutant.__name__, point, hit)

    # Not because the kill had not come: the second engine or the judge has noticed.
    assert "the kill has not come" not in str(caught.value)


@pytest.mark.parametrize(("mutant", "is_alike"), [(m.none, True), (m.order_by_hash, False)])
def test_engines_with_other_salts_decide_alike(story_of, mutant, is_alike) -> None:
    first, second = (closed_in_order(story_of(salt), mutant.__name__) for salt in (1, 2))

    assert len(first) == ORDERS
    assert (first == second) is is_alike


def closed_in_order(story: Story, mutant: str) -> list[str]:
    """Return the positions that an engine closes at once, in its order."""
    engine = story.engine(mutant)
    with ended(engine):
        assert story.tell(engine, [*definitions(), *account_commands([ACCOUNT]), *trading(1)])
        engine.terminate()
        assert engine.wait(20) == 0
    events = [
        event for _, output in story.hand.outputs() for event in codec.decode_events(output.events)
    ]
    return [event.position_id for event in events if isinstance(event, PositionClosed)]
