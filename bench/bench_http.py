"""What an order costs over REST and over the socket: uvicorn, gateway, Valkey and engine as real processes, in one run.

Orders are opens and closes of one lot in turn, by 64 users. Open loop: orders are sent at a fixed rate and each is timed from the
moment it was due. `bare_` lines are the limits: an ASGI callable that answers at once, and the gateway without HTTP. The limits of
requests and messages are switched off for this. `--profile` prints where the web process spends its time.
"""

import argparse
import asyncio
import contextlib
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import uvloop

from bench.http_load import (
    Order,
    RestTrader,
    SocketTrader,
    closed_loop,
    http_connect,
    open_loop,
    socket_connect,
    socket_loop,
)
from bench.processors import Processors
from cryptocfd.embedded.servers import EmbeddedServers

USERS = 64
REPOSITORY = Path(__file__).resolve().parents[1]
# Name: what is to be reached; below it is good where the name ends in ms. What is aimed at beyond that stands apart.
LIMITS = {
    "rest_300_p99_ms": 10.0,
    "rest_per_s": 1_200.0,
    "ws_orders_per_s": 5_000.0,
    "embedded_300_p99_ms": 10.0,
}
AIMS = {"ws_64_p99_ms": 15.0}
_UNLIMITED = {
    "API_LIMITS_WRITE": "",
    "API_LIMITS_READ": "",
    "API_LIMITS_PUBLIC": "",
    "SOCKET_MESSAGES_PER_SECOND": "1000000",
    "SOCKETS_PER_USER": "1000",
}
_USERS_SCRIPT = """
from apps.auth.facade import login_link_create
for number in range({count}):
    print("LINK", login_link_create(f"bench{{number}}@example.com").url)
"""
_READY_S = 120.0
# No figure is worth a machine that waits for ever.
_MEASURE_S = 150.0


def show(name: str, value: float, unit: str) -> None:
    """Print one figure beside its limit."""
    limit, aim = LIMITS.get(name), AIMS.get(name)
    against = f" ({value / limit:.2f} of {limit:g})" if limit else ""
    against += f" ({value / aim:.2f} of {aim:g}, the aim)" if aim else ""
    print(f"{name}: {value:.{2 if value < 100 else 0}f} {unit}{against}", flush=True)


def p99(took_ms: list[float]) -> float:
    """Return the 99th percentile."""
    return statistics.quantiles(took_ms, n=100)[98]


class Platform:
    """The platform as processes: each part its own, or all in one."""

    def __init__(self, folder: Path, *, is_embedded: bool, profile: str = "") -> None:
        self.port = 18_200 + os.getpid() % 1_000 + (1_000 if is_embedded else 0)
        self._folder = folder
        self._is_embedded = is_embedded
        self._profile = profile
        self._processes: list[subprocess.Popen[bytes]] = []
        self._names: dict[int, str] = {}
        self._servers = None if is_embedded else EmbeddedServers(folder, postgres_fsync=False)
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        self.environment = (
            kept
            | _UNLIMITED
            | {
                "DATA_DIR": str(folder),
                "PORT": str(self.port),
                "FEEDS": "simulator:seed=7",
                "SIMULATED_HISTORY": "false",
                "DEMO_BALANCE": "10000000",
                "PYTHONUNBUFFERED": "1",
            }
        )

    def start(self) -> None:
        """Start it and wait until it is ready."""
        if self._servers is None:
            self._start_part("serve")
            self._await("serve", "Stop  ")
            return
        self._servers.start()
        layout = self._servers.layout
        self.environment |= {
            "DATABASE_URL": layout.database_url,
            "LOG_REDIS_URL": layout.log_redis_url,
            "REDIS_URL": layout.redis_url,
            "SEED_DEMO": "false",
        }
        self.manage("migrate", "--no-input", "--verbosity=0")
        for part in ("engine", "feed", "projector", "worker", "web"):
            self._start_part("serve", "--only", part)
        self._await("serve--only-web", "web listens on")
        self._await("serve--only-worker", "worker is running")

    def _start_part(self, *arguments: str) -> None:
        output: IO[bytes] = (self._folder / ("".join(arguments).replace("--", "--") + ".txt")).open(
            "wb"
        )
        with output:
            profiled = (
                ("-m", "cProfile", "-o", self._profile)
                if self._profile and arguments[-1] == "web"
                else ()
            )
            self._processes.append(
                subprocess.Popen(
                    [sys.executable, *profiled, "manage.py", *arguments],
                    cwd=REPOSITORY,
                    env=self.environment,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )
            self._names[self._processes[-1].pid] = arguments[-1]

    def _await(self, name: str, words: str) -> None:
        path = self._folder / f"{name.replace('serve--only-', 'serve--only')}.txt"
        deadline = time.monotonic() + _READY_S
        while words not in (text := path.read_text(errors="replace")):
            if time.monotonic() > deadline or any(p.poll() is not None for p in self._processes):
                raise RuntimeError(f"the platform did not start:\n{text}")
            time.sleep(0.1)

    def manage(self, *arguments: str) -> str:
        """Run a management command beside it and return what it printed."""
        return self.run("manage.py", *arguments)

    def run(self, *arguments: str) -> str:
        """Run Python beside it, with its environment, and return what it printed."""
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=REPOSITORY,
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    def processors(self) -> Processors:
        """Return what tells where the processors go from now on."""
        return Processors({**self._names, os.getpid(): "load"})

    def stop(self) -> None:
        """Stop it and remove its data."""
        for process in reversed(self._processes):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
        for process in reversed(self._processes):
            process.wait(30)
        servers = self._servers or EmbeddedServers(self._folder)
        if self._servers is not None:
            servers.stop()
        servers.data_remove()

    async def tokens(self) -> list[str]:
        """Sign all users in and return their access tokens; each has an account then."""
        printed = self.manage("shell", "-c", _USERS_SCRIPT.format(count=USERS))
        tokens = []
        for link in re.findall(r"LINK http://[^/]+(\S+)", printed):
            connection = await http_connect(self.port)
            request = f"GET {link} HTTP/1.1\r\nhost: localhost\r\naccept: application/json\r\n\r\n"
            _, body = await connection.ask(request.encode())
            token = re.search(rb'"accessToken":"([^"]+)"', body)
            if token is None:
                raise RuntimeError(f"nobody was signed in: {body[:300]!r}")
            tokens.append(token[1].decode())
            ensure = (
                "POST /api/v1/auth/ensure-user HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n"
                f"authorization: Bearer {tokens[-1]}\r\n\r\n"
            )
            await connection.ask(ensure.encode())
            connection.close()
        return tokens


@contextlib.contextmanager
def platform(*, is_embedded: bool, profile: str = "") -> Iterator[Platform]:
    """Run the platform on data of its own."""
    with tempfile.TemporaryDirectory(prefix="bh-") as name:
        running = Platform(Path(name), is_embedded=is_embedded, profile=profile)
        try:
            running.start()
            yield running
        finally:
            running.stop()


def rest_traders(port: int, tokens: list[str], *headers: str) -> list[Order]:
    """Return clients over REST."""
    return [RestTrader(port, token, *headers).order for token in tokens]


async def measure(running: Platform, tokens: list[str], scale: int) -> None:
    """Measure REST on its two ways, and the socket."""
    port = running.port
    lean = rest_traders(port, tokens)
    await closed_loop(lean, 1_000 // scale)
    await measure_fixed("rest", running, lean, scale)
    for clients in (1, 16, 64):
        processors = running.processors()
        took, rate = await closed_loop(lean[:clients], (1_000 if clients == 1 else 10_000) // scale)
        show(f"rest_{clients}_p50_ms", statistics.median(took), "ms")
        show(f"rest_{clients}_p99_ms", p99(took), "ms")
        if clients == 64:
            show("rest_per_s", rate, "orders/s")
            show_processors("rest", processors, len(took))
    # A header that only the island knows how to answer.
    island = rest_traders(port, tokens, 'if-none-match: "x"')
    took, rate = await closed_loop(island[:16], 3_000 // scale)
    show("island_16_p99_ms", p99(took), "ms")
    show("island_per_s", rate, "orders/s")
    sockets = [SocketTrader(await socket_connect(port, token)) for token in tokens]
    await socket_loop(sockets, 1_000 // scale)
    processors = running.processors()
    took, rate = await socket_loop(sockets, 40_000 // scale)
    show("ws_64_p99_ms", p99(took), "ms")
    show("ws_orders_per_s", rate, "orders/s")
    show_processors("ws", processors, len(took))


async def measure_fixed(name: str, running: Platform, orders: list[Order], scale: int) -> None:
    """Measure 300 orders a second, whatever the answers do."""
    processors = running.processors()
    took = await open_loop(orders, 300, 15 / scale)
    show(f"{name}_300_p50_ms", statistics.median(took), "ms")
    show(f"{name}_300_p99_ms", p99(took), "ms")
    show_processors(f"{name}_300", processors, len(took))


def show_processors(name: str, processors: Processors, orders: int) -> None:
    """Print where the processors went, the load itself among them."""
    print(f"# {name}: processor time of one order: {processors.told(orders)}", flush=True)


async def measure_embedded(running: Platform, tokens: list[str], scale: int) -> None:
    """Measure the default of one process at a fixed rate."""
    port = running.port
    lean = rest_traders(port, tokens)
    await closed_loop(lean, 1_000 // scale)
    await measure_fixed("embedded", running, lean, scale)


async def measure_bare(port: int, scale: int) -> None:
    """Measure the server with nothing behind it."""
    orders = [RestTrader(port, "x" * 400).order for _ in range(USERS)]
    await closed_loop(orders, 2_000 // scale)
    _, rate = await closed_loop(orders, 40_000 // scale)
    show("bare_asgi_per_s", rate, "requests/s")


def bare_asgi(scale: int) -> None:
    """Run the bare callable under the same server and measure it."""
    port = 17_200 + os.getpid() % 1_000
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "uvicorn", "bench.bare_asgi:application"),
            *("--port", str(port), "--log-level", "critical", "--no-access-log"),
        ],
        cwd=REPOSITORY,
    )
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                uvloop.run(_probe(port))
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        uvloop.run(asyncio.wait_for(measure_bare(port, scale), _MEASURE_S))
    finally:
        process.terminate()
        process.wait()


async def _probe(port: int) -> None:
    (await http_connect(port)).close()


async def _until_trading(port: int, token: str) -> None:
    """Wait until the engine knows the instrument and has a price: definitions and feed come after the start."""
    trader = RestTrader(port, token)
    deadline = time.monotonic() + _READY_S
    while True:
        try:
            await trader.order()
            await trader.order()
        except RuntimeError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.5)
        else:
            return


async def _signed_in(running: Platform, scale: int, *, is_embedded: bool) -> None:
    tokens = await running.tokens()
    await _until_trading(running.port, tokens[0])
    work = measure_embedded if is_embedded else measure
    async with asyncio.timeout(_MEASURE_S):
        await work(running, tokens, scale)
    if not is_embedded:
        print(running.run("-m", "bench.bare_gateway", "--seconds", str(5 / scale)).strip())


def main() -> None:
    """Measure everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=int, default=1, help="divide the number of orders by this")
    parser.add_argument("--profile", action="store_true", help="profile the web process only")
    options = parser.parse_args()
    print(
        "# limits of requests and messages are off; 64 users open and close one lot in turn",
        flush=True,
    )
    profile = str(Path(tempfile.gettempdir()) / "bench-http.prof") if options.profile else ""
    with platform(is_embedded=False, profile=profile) as running:
        uvloop.run(_signed_in(running, options.scale, is_embedded=False))
    if profile:
        import pstats

        pstats.Stats(profile).sort_stats("tottime").print_stats(40)
        return
    with platform(is_embedded=True) as running:
        uvloop.run(_signed_in(running, options.scale, is_embedded=True))
    bare_asgi(options.scale)


if __name__ == "__main__":
    main()
