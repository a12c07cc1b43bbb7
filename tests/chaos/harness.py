"""Chaos: an installation on real servers and processes, all of which are killed and stopped at random under load.

Two engines on two hosts, senders that stand for web processes, a feed, a projector with PostgreSQL, a Valkey for the
log. An archive keeps every entry from its first to its last; the judge (oracle.py) reads that.
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from redis.exceptions import RedisError

from apps.common.engine_gateway import EngineGateway
from engine.config import EngineConfig
from engine.messages import codec, streams
from engine.messages.commands import Quote, UpdateQuotes
from engine.messages.replies import Rejected
from engine.runtime.retention import Registration
from engine.values import SourceClass
from tests.chaos import sender
from tests.chaos.log_server import LogServer
from tests.chaos.oracle import Acknowledged, Entry, entry_of
from tests.chaos.setting import account_commands, definitions
from tests.integration import engine_process
from tests.integration.engine_log import engine_config, wait_for
from tests.integration.test_log_kills import LOOP_POINTS, RECOVERY_POINTS

HOSTS = ("left", "right")
SENDERS = 2
ACCOUNTS_EACH = 12
# An engine's process ends so when it was killed, or when another engine had taken over.
EXPECTED_ENDS = {-signal.SIGKILL, 75}
# Without a new output in this time it is left in peace until there is one: a slow machine may be killed faster than it starts.
CALM_SECONDS = 10
# Without a single one in this time the installation counts as dead.
PATIENCE_SECONDS = 40


class Archive(threading.Thread):
    """Keeps every entry of both streams, and holds the log for itself until it has them."""

    def __init__(self, server: LogServer, prefix: str) -> None:
        super().__init__(name="archive", daemon=True)
        self._redis = server.client()
        self._prefix = prefix
        self._streams = {
            streams.input_stream(prefix).encode(): [],
            streams.output_stream(prefix).encode(): [],
        }
        self._stopping = threading.Event()

    @property
    def inputs(self) -> list[Entry]:
        return self._streams[streams.input_stream(self._prefix).encode()]

    @property
    def outputs(self) -> list[Entry]:
        return self._streams[streams.output_stream(self._prefix).encode()]

    def run(self) -> None:
        while not self._stopping.is_set():
            try:
                if not self._read():
                    self._stopping.wait(0.02)
            except RedisError:
                self._stopping.wait(0.05)

    def _read(self) -> int:
        positions: dict[Any, Any] = {
            stream: entries[-1].entry_id if entries else "0-0"
            for stream, entries in self._streams.items()
        }
        count = 0
        for stream, entries in self._redis.xread(positions, count=5_000) or ():
            self._streams[stream].extend(entry_of(i, fields) for i, fields in entries)
            count += len(entries)
        if self.inputs and self.outputs:
            held = Registration(
                entry_ids=(self.inputs[-1].entry_id,) * 2,
                state_hash="",
                registered_at_us=time.time_ns() // 1_000,
            )
            key = streams.snapshots_key(self._prefix)
            self._redis.hset(key, "archive", msgspec.json.encode(held))
            consumers = streams.consumers_key(self._prefix)
            self._redis.hset(consumers, "archive", self.outputs[-1].entry_id)
        return count

    def finish(self) -> None:
        """Read what is left, and stop."""
        self._stopping.set()
        self.join()
        while self._read():
            pass


class Feed(threading.Thread):
    """Quotes ten times a second, until stopped; what the log does not take is lost, as prices are."""

    def __init__(self, server: LogServer, prefix: str, chooser: random.Random) -> None:
        super().__init__(name="feed", daemon=True)
        self._redis = server.client()
        self._input = streams.input_stream(prefix)
        self._chooser = chooser
        self._stopping = threading.Event()

    def run(self) -> None:
        bid, sequence = 600_000, 0
        while not self._stopping.wait(0.1):
            sequence += 1
            bid += self._chooser.randrange(-50, 51)
            quote = Quote(sender.SYMBOL, bid, bid + 10, time.time_ns() // 1_000)
            message = UpdateQuotes(
                source="chaos",
                source_class=SourceClass.SIMULATED,
                feed_epoch=1,
                sequence=sequence,
                quotes=(quote,),
            )
            fields: dict[Any, Any] = {
                streams.IN_VERSION: codec.WIRE_VERSION,
                streams.IN_MESSAGE: codec.encode(message),
                streams.IN_GATEWAY: b"",
            }
            try:
                self._redis.xadd(self._input, fields)
            except RedisError:
                continue

    def stop(self) -> None:
        self._stopping.set()
        self.join()


class Chaos:
    """One run."""

    def __init__(
        self, folder: Path, prefix: str, seed: int, *, database_url: str, redis_url: str
    ) -> None:
        self.kills: Counter[str] = Counter()
        self._chooser = random.Random(seed)  # noqa: S311 - repeatable, not secret.
        self._folder = folder
        self._prefix = prefix
        self._database_url = database_url
        self._redis_url = redis_url
        (folder / "log").mkdir()
        # Trimmed streams are short, but half an hour of them is not: a server that is killed each few seconds must load soon.
        self.server = LogServer(folder / "log", rewrite_at="8mb")
        self.archive = Archive(self.server, prefix)
        self._feed = Feed(self.server, prefix, random.Random(seed))  # noqa: S311 - as above.
        self._engines: dict[str, subprocess.Popen[bytes]] = {}
        self._asleep: dict[str, float] = {}
        self._senders: dict[int, subprocess.Popen[bytes]] = {}
        self._projector: subprocess.Popen[bytes] | None = None

    def config_of(self, host: str) -> EngineConfig:
        return engine_config(
            self._prefix,
            self.server.url,
            self._redis_url,
            self._folder / host,
            heartbeat_us=100_000,
            lease_us=400_000,
            snapshot_every_entries=300,
            is_standby=True,
            # One of them forks its snapshots, one writes them in a thread.
            is_dedicated=host == HOSTS[0],
        )

    # --- life -------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        self.server.start()
        for host in HOSTS:
            (self._folder / f"run-{host}").mkdir()
            self._engine_start(host)
        # A durable consumer reports before the first output is written, else it would not be waited for.
        self._projector_start()
        with self.server.client() as redis:
            consumers = streams.consumers_key(self._prefix)
            wait_for(lambda: redis.hexists(consumers, "projector"), "the projector's report")
        self._set_up()
        self.archive.start()
        self._feed.start()
        for number in range(SENDERS):
            self._sender_start(number)

    def _set_up(self) -> None:
        gateway = EngineGateway(
            log_url=self.server.url,
            redis_url=self._redis_url,
            prefix=self._prefix,
            timeout_ms=60_000,
        )
        gateway.start_in_thread()
        accounts = range(1, SENDERS * ACCOUNTS_EACH + 1)
        try:
            for command in (*definitions(), *account_commands(accounts)):
                reply = gateway.send_sync(command).reply
                assert not isinstance(reply, Rejected), reply
        finally:
            gateway.stop_thread()

    def _engine_start(self, host: str, crash: tuple[str, int] | None = None) -> None:
        folder = self._folder / f"run-{host}"
        self._engines[host] = engine_process.start(self.config_of(host), folder, crash=crash)

    def _sender_start(self, number: int, *, is_last: bool = False) -> None:
        first = number * ACCOUNTS_EACH + 1
        options = {
            "diary": str(self._diary(number)),
            "accounts": list(range(first, first + ACCOUNTS_EACH)),
            "seed": self._chooser.randrange(1 << 30),
            "is_last": is_last,
        }
        self._senders[number] = sender.start(options, self._environment())

    def _environment(self) -> dict[str, str]:
        return os.environ | {
            "DJANGO_SETTINGS_MODULE": "cryptocfd.settings",
            "DATABASE_URL": self._database_url,
            "LOG_REDIS_URL": self.server.url,
            "REDIS_URL": self._redis_url,
            "STREAM_PREFIX": self._prefix,
        }

    def _diary(self, number: int) -> Path:
        return self._folder / f"diary-{number}"

    def _projector_start(self) -> None:
        self._projector = subprocess.Popen(
            [sys.executable, "manage.py", "serve", "--only", "projector"],
            cwd=engine_process.REPOSITORY,
            env=self._environment(),
            stdout=subprocess.DEVNULL,
        )

    def run(self, seconds: float) -> None:
        """Let things go wrong for that long."""
        deadline = time.monotonic() + seconds
        progress = (time.monotonic(), len(self.archive.outputs))
        while time.monotonic() < deadline:
            time.sleep(
                self._chooser.random() * 0.6
            )  # The pace of the chaos, not a wait for anything.
            is_calm = time.monotonic() - progress[0] > CALM_SECONDS
            if is_calm:
                self.kills["none, in calm"] += 1
            else:
                began = time.monotonic()
                self._one_fault()
                # A server that loads its file is not dead.
                progress = (progress[0] + time.monotonic() - began, progress[1])
            self._engines_again(is_calm=is_calm)
            if len(self.archive.outputs) > progress[1]:
                progress = (time.monotonic(), len(self.archive.outputs))
            assert time.monotonic() - progress[0] < PATIENCE_SECONDS, "the installation is dead"

    # --- faults -----------------------------------------------------------------------------------------------------

    def _one_fault(self) -> None:
        faults: list[tuple[int, Callable[[], None]]] = [
            (45, self._engine_kill),
            (15, self._engine_sleep),
            (15, self._server_kill),
            (15, self._sender_kill),
            (10, self._projector_kill),
        ]
        weights = [weight for weight, _ in faults]
        (fault,) = self._chooser.choices([fault for _, fault in faults], weights)
        fault()

    def _engine_kill(self) -> None:
        host = self._chooser.choice(HOSTS)
        if host not in self._asleep:
            self._engines[host].kill()
            self.kills["engine at random"] += 1

    def _engine_sleep(self) -> None:
        host = self._chooser.choice(HOSTS)
        if self._asleep or self._engines[host].poll() is not None:
            return
        self._engines[host].send_signal(signal.SIGSTOP)
        self._asleep[host] = time.monotonic() + 0.5 + self._chooser.random()
        self.kills["engine asleep"] += 1

    def _server_kill(self) -> None:
        self.server.kill()
        self.server.start()
        self.kills["log"] += 1

    def _sender_kill(self) -> None:
        number = self._chooser.randrange(SENDERS)
        self._senders[number].kill()
        assert self._senders[number].wait() == -signal.SIGKILL
        self._sender_start(number)
        self.kills["sender"] += 1

    def _projector_kill(self) -> None:
        assert self._projector is not None
        self._projector.kill()
        assert self._projector.wait() == -signal.SIGKILL
        self._projector_start()
        self.kills["projector"] += 1

    def _engines_again(self, *, is_calm: bool) -> None:
        """Wake who has slept long enough, and start whoever has ended; unless in calm half die again at a named point."""
        for host, until in list(self._asleep.items()):
            if time.monotonic() > until:
                self._engines[host].send_signal(signal.SIGCONT)
                del self._asleep[host]
        for host, process in self._engines.items():
            code = process.poll()
            if code is None:
                continue
            assert code in EXPECTED_ENDS, f"the engine on {host} ended with {code}"
            crash = None
            if not is_calm and self._chooser.randrange(2):
                points = (*LOOP_POINTS, *RECOVERY_POINTS, "before_takeover")
                crash = (self._chooser.choice(points), self._chooser.choice((1, 3, 7, 40)))
                self.kills["engine at a point (set)"] += 1
            self._engine_start(host, crash)

    # --- the end ----------------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Let everything come to rest in order: senders resolve what is open, engines take their last snapshots."""
        for host in list(self._asleep):
            self._engines[host].send_signal(signal.SIGCONT)
        self._asleep.clear()
        for host in HOSTS:
            self._engines[host].kill()
            self._engines[host].wait()
        self._engine_start(HOSTS[0])
        for number, process in self._senders.items():
            process.kill()
            process.wait()
            # One more process, which resolves what this one left open.
            self._sender_start(number, is_last=True)
        codes = [process.wait(60) for process in self._senders.values()]
        assert codes == [0] * SENDERS, f"the senders ended with {codes}"
        self._feed.stop()
        leader = self._engines[HOSTS[0]]
        leader.terminate()
        assert leader.wait(30) == 0
        self.archive.finish()

    def close(self) -> None:
        """Leave no process behind, however the run ended."""
        for process in (*self._engines.values(), *self._senders.values(), self._projector):
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()
        self.server.kill()

    def projected(self, count: Callable[[], int]) -> None:
        """Wait until the projector has come to the end."""
        wait_for(lambda: count() >= len(self.archive.outputs), "the projector to catch up")

    def acknowledged(self) -> list[Acknowledged]:
        """Return everything that a sender was told; nothing may be open any more."""
        found = []
        for number in range(SENDERS):
            diary = sender.Diary(self._diary(number))
            assert diary.open_commands() == {}, "commands whose outcome nobody knows"
            found += [Acknowledged(*key, output_id) for key, output_id in diary.told.items()]
        return found


def telling(kills: Counter[str], verdict: object) -> str:
    return json.dumps({"kills": dict(kills), "verdict": str(verdict)}, indent=1)
