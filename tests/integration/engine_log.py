"""What the tests of the log share: a configuration, a hand that appends and reads, and an engine in a thread."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from engine.adapters.compose import build_runner
from engine.config import EngineConfig, SnapshotKey
from engine.messages import codec, streams
from engine.messages.commands import AnyMessage, DefineGroup, OpenAccount, PostCash
from engine.messages.definitions import GroupSpec
from engine.messages.output_entry import OutputEntry, read_named
from engine.runtime.retention import Registration
from engine.runtime.runner import Runner
from engine.values import AccountKind, Actor, CashKind

DEADLINE_SECONDS = 20


def engine_config(
    prefix: str, log_redis_url: str, redis_url: str, folder: Path, **changes: Any
) -> EngineConfig:
    """Return a configuration as a test needs it: short waits, a key of its own."""
    fields: dict[str, Any] = {
        "prefix": prefix,
        "log_redis_url": log_redis_url,
        "redis_url": redis_url,
        "snapshot_dir": folder,
        "snapshot_keys": (SnapshotKey(key_id="k1", secret=bytes(range(32))),),
        "build": "test",
        "heartbeat_us": 50_000,
    }
    return EngineConfig(**(fields | changes))


def wait_for(condition: Callable[[], Any], what: str, *, seconds: float = DEADLINE_SECONDS) -> Any:
    """Poll until a condition holds, and return what it said."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.005)
    return found


class LogHand:
    """Appends to the log as a gateway does, and reads what the engine wrote."""

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        self.redis = Redis.from_url(config.log_redis_url, retry=Retry(NoBackoff(), 0))
        self.input = streams.input_stream(config.prefix)
        self.output = streams.output_stream(config.prefix)
        self.checkpoint = streams.checkpoint_key(config.prefix)
        self.epoch = streams.epoch_key(config.prefix)

    def keep_everything(self) -> None:
        """Keep the log from being trimmed, so that it can be judged from its beginning: a host has one snapshot only."""
        held = Registration(
            entry_ids=("0-1",), state_hash="", registered_at_us=time.time_ns() // 1_000
        )
        key = streams.snapshots_key(self.config.prefix)
        self.redis.hset(key, "tests", msgspec.json.encode(held))

    def append(self, message: AnyMessage | bytes, gateway: bytes = b"g1") -> str:
        raw = message if isinstance(message, bytes) else codec.encode(message)
        fields = {
            streams.IN_VERSION: codec.WIRE_VERSION,
            streams.IN_MESSAGE: raw,
            streams.IN_GATEWAY: gateway,
        }
        return self.redis.xadd(self.input, fields).decode()

    def outputs(self) -> list[tuple[str, OutputEntry]]:
        return [(i.decode(), read_named(fields)) for i, fields in self.redis.xrange(self.output)]

    def output_at(self, entry_id: str) -> OutputEntry:
        """Wait for the output of an entry."""
        found = wait_for(
            lambda: self.redis.xrange(self.output, entry_id, entry_id), f"output {entry_id}"
        )
        return read_named(found[0][1])

    def reply_to(self, message: AnyMessage | bytes) -> Any:
        """Append a message, wait for its output, and return the reply."""
        return codec.decode_reply(self.output_at(self.append(message)).reply)

    def position(self) -> dict[bytes, bytes]:
        return self.redis.hgetall(self.checkpoint)


def newest_output(redis: Redis, stream: str) -> OutputEntry:
    return read_named(redis.xrevrange(stream, count=1)[0][1])


def open_demo(account: int) -> list[AnyMessage]:
    """Return the commands that give an account 1,000 dollars."""
    return [
        DefineGroup(
            request_id="group-standard",
            source="test",
            actor=Actor.SYSTEM,
            spec=GroupSpec(name="standard", version=1, commission_ppm=0),
        ),
        OpenAccount(
            request_id=f"open-{account}",
            actor=Actor.SYSTEM,
            account=account,
            owner_id=account,
            kind=AccountKind.DEMO,
            group="standard",
        ),
        deposit(account, 1),
    ]


def deposit(account: int, cash_seq: int, amount_micros: int = 1_000_000_000) -> PostCash:
    return PostCash(
        request_id=f"cash-{account}-{cash_seq}",
        actor=Actor.SYSTEM,
        account=account,
        cash_seq=cash_seq,
        kind=CashKind.DEPOSIT,
        amount_micros=amount_micros,
        method="demo",
    )


class RunningEngine:
    """A runner in a thread, and what became of it."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, name="engine-under-test")

    def _run(self) -> None:
        try:
            self.runner.run()
        except Exception as error:  # noqa: BLE001 - the test asks for it, whatever it is.
            self.error = error

    def ended(self) -> BaseException | None:
        """Wait until the engine has ended by itself, and return why."""
        self.thread.join(DEADLINE_SECONDS)
        assert not self.thread.is_alive(), "the engine did not end"
        return self.error


@contextmanager
def running(config: EngineConfig, **options: Any) -> Iterator[RunningEngine]:
    """Run an engine in a thread and stop it at the end."""
    engine = RunningEngine(build_runner(config, **options))
    engine.thread.start()
    try:
        yield engine
    finally:
        engine.runner.stop()
        engine.ended()
