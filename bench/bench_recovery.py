"""How long nobody trades: from the start of an engine's process to its first answer, and from a kill to another's.

A book of 50,000 accounts with 200,000 positions lies in a sealed snapshot, and 10,000 entries stand in the log behind
it. What the engine itself needs (open, decrypt, decode, index, replay) is stated apart from the interpreter's start and
imports. Everything is real: Valkey with `always`, processes as `python -m engine` runs them, the wall clock.
"""

import argparse
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from bench.bench_bus import valkey, wait_until_answering
from bench.bench_engine import RESTORED_ACCOUNTS, SYMBOLS, orders, quote_message
from bench.books import Market, crowd
from engine.adapters.resp import Connection
from engine.adapters.snapshot_files import SnapshotFiles
from engine.config import EngineConfig, snapshot_keys_from_text
from engine.messages import codec, streams
from engine.messages.commands import CancelAll
from engine.messages.health import EngineHealth, EngineState
from engine.runtime.ports import Position
from engine.runtime.snapshots import header_of
from engine.values import text_from_entry_id

POSITIONS_EACH = 4
TAIL = 10_000
ROUNDS = 5
KEYS = "bench:" + "A" * 43 + "="
LIMITS = {"engine_recovery_ms": 500.0, "takeover_ms": 1_500.0}
PATIENCE_S = 60.0

# Names of the figures that were above their limits.
missed: list[str] = []


def show(name: str, value: float, unit: str) -> None:
    limit = LIMITS.get(name)
    if limit and value > limit:
        missed.append(name)
    against = f" ({value / limit:.2f} of {limit:g})" if limit else ""
    print(f"{name}: {value:.{2 if value < 100 else 0}f} {unit}{against}", flush=True)


class Log:
    """The log as this bench writes and reads it."""

    def __init__(self, url: str, rest_url: str) -> None:
        self.url, self.rest_url = url, rest_url
        self._connection = Connection(url, timeout_ms=60_000)
        self._connection.connect()
        self._rest = Connection(rest_url, timeout_ms=5_000)
        self._rest.connect()
        self._asked = 0

    def append(self, *entries: tuple[str, bytes]) -> str:
        """Append messages under their ids, and return the last id."""
        self._connection.send(
            *[
                ("XADD", streams.input_stream(""), entry_id, streams.IN_VERSION,
                 codec.WIRE_VERSION, streams.IN_MESSAGE, raw, streams.IN_GATEWAY, b"")
                for entry_id, raw in entries
            ]
        )  # fmt: skip
        return str([self._connection.receive() for _ in entries][-1], "ascii")

    def begin_at(self, position: Position) -> None:
        """Let the log begin where the snapshot ends."""
        self._connection.call(
            "HSET", streams.checkpoint_key(""),
            streams.CHECKPOINT_IN, text_from_entry_id(position.entry_id),
            streams.CHECKPOINT_NUMBER, position.number, streams.CHECKPOINT_HASH, position.chain,
            streams.CHECKPOINT_COUNT, position.applied,
            streams.CHECKPOINT_EPOCH, 0, streams.CHECKPOINT_BUILD, "bench",
        )  # fmt: skip

    def ask(self) -> str:
        """Append a command that changes nothing, and return its id."""
        self._asked += 1
        command = CancelAll(request_id=f"ask-{self._asked}", account=1, user_id=1)
        return self.append(("*", codec.encode(command)))

    def lease_lapsed(self) -> None:
        """Wait for the lease of a killed engine to lapse."""
        while self._connection.call("EXISTS", streams.lease_key("")):
            time.sleep(0.01)

    def answered(self, entry_id: str) -> None:
        """Wait for the output of an entry."""
        deadline = time.monotonic() + PATIENCE_S
        stream = streams.output_stream("")
        while not self._connection.call("XRANGE", stream, entry_id, entry_id):
            if time.monotonic() > deadline:
                raise TimeoutError(f"no answer to {entry_id}")
            time.sleep(0.001)

    def health(self, key: str) -> EngineHealth | None:
        raw = self._rest.call("GET", key)
        return msgspec.json.decode(raw, type=EngineHealth) if isinstance(raw, bytes) else None


class Engines:
    """Starts engines as an operator does, and reads what they tell."""

    def __init__(self, folder: Path, log: Log) -> None:
        self._folder, self._log = folder, log
        self._keys = folder / "keys"
        self._keys.write_text(KEYS)
        self._keys.chmod(0o600)
        self._count = 0

    def start(self, snapshots: Path, *options: str) -> tuple[subprocess.Popen[bytes], Path]:
        self._count += 1
        told = self._folder / f"engine-{self._count}.log"
        with told.open("wb") as file:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "engine", "--log-redis-url", self._log.url),
                    *("--redis-url", self._log.rest_url, "--snapshot-dir", str(snapshots)),
                    *("--snapshot-keys-file", str(self._keys), *options),
                ],
                stderr=file,
            )
        return process, told


def recovery_us(told: Path) -> tuple[int, int]:
    """Return what the engine says of its recovery: microseconds, and entries replayed."""
    text = told.read_text()
    live = re.findall(r"evolved=(\d+).*?recovery_us=(\d+)", text)
    if not live:
        raise ValueError(f"the engine did not go live: {text[-2_000:]}")
    return int(live[-1][1]), int(live[-1][0])


def seal(market: Market, folder: Path) -> Position:
    """Write the book as a snapshot, and return its position."""
    machine = market.machine
    config = EngineConfig(
        prefix="",
        log_redis_url="",
        redis_url="",
        snapshot_dir=folder,
        snapshot_keys=snapshot_keys_from_text(KEYS),
        build="bench",
    )
    position = Position(entry_id=machine.entry_id, applied=1)
    body, state_hash = machine.copy()
    header = header_of(
        state_hash, position, prefix="", shard=0, shards=1, build="bench", now_us=machine.now_us
    )
    files = SnapshotFiles(config)
    files.write(header, body)
    if files.status().failure:
        raise OSError(files.status().failure)
    return position


def tail_of(market: Market, accounts: int, count: int) -> list[tuple[str, bytes]]:
    """Return orders and quotes in turn, as the log holds them."""
    entries: list[tuple[str, bytes]] = []
    wishes = orders(market, [1 + number % accounts for number in range(count // 2)])
    for number, wish in enumerate(wishes):
        order = msgspec.structs.replace(codec.decode_message(wish.message), deadline_us=0)
        entries.append((text_from_entry_id(market.next_id()), codec.encode(order)))
        index = number % SYMBOLS
        quoted_id, quotes = quote_message(market, index, market.bids[index])
        entries.append((text_from_entry_id(quoted_id), codec.encode(quotes)))
    return entries


def end(process: subprocess.Popen[bytes], number: int = signal.SIGKILL) -> None:
    process.send_signal(number)
    process.wait()


def bench_starts(log: Log, engines: Engines, pristine: Path, rounds: int) -> None:
    """Measure starts of whole processes, each from the same snapshot and the tail behind it."""
    totals, shares = [], []
    for number in range(rounds):
        snapshots = pristine.with_name(f"start-{number}")
        shutil.copytree(pristine, snapshots)
        log.lease_lapsed()
        asked = log.ask()
        began = time.monotonic()
        process, told = engines.start(snapshots, "--once")
        log.answered(asked)
        totals.append((time.monotonic() - began) * 1e3)
        us, evolved = recovery_us(told)
        shares.append(us / 1e3)
        end(process)
    total, share = statistics.median(totals), statistics.median(shares)
    show("start_to_first_answer_ms", total, "ms")
    show("engine_recovery_ms", share, "ms")
    show("interpreter_and_imports_ms", total - share, "ms")
    print(f"# {evolved:,} entries replayed; medians of {rounds} starts", flush=True)


def bench_supervised(log: Log, engines: Engines, snapshots: Path, rounds: int) -> None:
    """Measure what a supervisor makes of a killed engine, and the pause of a snapshot."""
    process, _ = engines.start(snapshots)
    log.answered(log.ask())
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    taken = []
    for _ in range(rounds):
        # An engine that ends sooner than five seconds after its start is given a pause.
        time.sleep(5.2)
        (child,) = children.read_text().split()[:1]
        began = time.monotonic()
        os.kill(int(child), signal.SIGKILL)
        log.answered(log.ask())
        taken.append((time.monotonic() - began) * 1e3)
    show("supervised_restart_ms", statistics.median(taken), "ms")
    deadline = time.monotonic() + PATIENCE_S + 60
    key = streams.health_key("")
    # A snapshot is due after a minute.
    while not ((health := log.health(key)) and health.snapshot_pause_us):
        if time.monotonic() > deadline:
            raise TimeoutError("no snapshot was taken")
        time.sleep(0.1)
    show("snapshot_pause_ms", health.snapshot_pause_us / 1e3, "ms")
    end(process, signal.SIGTERM)


def bench_takeover(log: Log, engines: Engines, pristine: Path) -> None:
    """Measure from the kill of the active engine to the first answer of its standby."""
    folders = [pristine.with_name(f"pair-{number}") for number in (1, 2)]
    for folder in folders:
        shutil.copytree(pristine, folder)
    active, _ = engines.start(folders[0], "--once", "--standby")
    log.answered(log.ask())
    standby, _ = engines.start(folders[1], "--once", "--standby")
    key = streams.standby_health_key("")
    deadline = time.monotonic() + PATIENCE_S
    while not ((health := log.health(key)) and health.state is EngineState.STANDBY):
        if time.monotonic() > deadline:
            raise TimeoutError("no standby follows")
        time.sleep(0.05)
    log.answered(log.ask())
    began = time.monotonic()
    end(active)
    log.answered(log.ask())
    show("takeover_ms", (time.monotonic() - began) * 1e3, "ms")
    end(standby)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=int, default=1, help="divide the size of the book by this")
    parser.add_argument("--enforce", action="store_true", help="fail when a limit is not kept")
    options = parser.parse_args()
    scale = options.scale
    accounts = RESTORED_ACCOUNTS // scale
    with (
        # The path of a socket may have 108 bytes.
        tempfile.TemporaryDirectory(prefix="recovery-") as name,
        valkey(Path(name), "rest") as rest_url,
        valkey(Path(name), "log", appendonly="yes", appendfsync="always") as log_url,
    ):
        wait_until_answering(log_url)
        folder, log = Path(name), Log(log_url, rest_url)
        engines = Engines(folder, log)
        market = crowd(accounts, POSITIONS_EACH, SYMBOLS, seed=3)
        pristine = folder / "pristine"
        position = seal(market, pristine)
        log.append((text_from_entry_id(position.entry_id), b"{}"))
        log.begin_at(position)
        log.append(*tail_of(market, accounts, TAIL // scale))
        # One engine decides the tail; what the measured ones do with it is replay.
        decided = folder / "decided"
        shutil.copytree(pristine, decided)
        process, _ = engines.start(decided, "--once")
        log.answered(log.ask())
        end(process)
        bench_starts(log, engines, pristine, ROUNDS)
        bench_takeover(log, engines, pristine)
        bench_supervised(log, engines, decided, 3)
    if options.enforce and missed:
        sys.exit(f"above the limit: {', '.join(missed)}")


if __name__ == "__main__":
    main()
