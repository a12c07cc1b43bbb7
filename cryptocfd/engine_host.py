"""Which part runs where: the compositions of the platform, their start and their stop in order.

In one process (`serve`) the web part starts everything; grown, each part has a process of its own (`serve --only`).
All of them run the same classes, and nothing below this module knows how it is composed.
"""

import asyncio
import gc
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from django.conf import settings

from apps.auth.facade import revocations_reader
from apps.common.channel_reader import ChannelReader
from apps.common.engine_gateway import EngineGateway, gateway_install
from apps.common.occasional_gateway import OccasionalGateway
from apps.common.outbox import OutboxRelay
from apps.common.rate_limits import rate_limits_close
from apps.market.facade import (
    CandleWriter,
    FeedService,
    SimulatedHistory,
    SwapRelay,
    definitions_heard,
    price_stream_start,
    price_stream_stop,
)
from apps.profile.tasks import CashRelay
from apps.trade.projector import Projector, output_from_journal
from cryptocfd.bootstrap import Bootstrap
from cryptocfd.embedded.errors import SetupError
from cryptocfd.engine_config import engine_config, layout_check
from cryptocfd.history.bootstrap import bootstrap_check
from cryptocfd.history.recorded import JournalOutputs
from cryptocfd.order_latency import MeasuredGateway
from cryptocfd.parts import Part, Service, stop_all
from cryptocfd.reconciliation import Reconciliation
from cryptocfd.schedule import ScheduleService
from cryptocfd.worker import WorkerService
from engine.adapters.compose import build_runner
from engine.messages.health import EngineState
from engine.runtime.runner import Runner

logger = logging.getLogger(__name__)

# How many young objects more than died are born before the collector looks at them.
_YOUNG_OBJECTS = 10_000

PART_NAMES = ("web", "engine", "feed", "projector", "worker")

# First words of the parts that nobody waits for while orders are answered: on a busy machine they give way.
_PATIENT_PARTS = (
    "projector",
    "cash",
    "worker",
    "outbox",
    "schedule",
    "swap",
    "history",
    "reconciliation",
)

# All background parts together have this long to end; `serve` promises five seconds for everything.
_STOP_SECONDS = 3.5
_ENGINE_LIVE_SECONDS = 60.0
_POLL_SECONDS = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """What the command line says about the engines (and the projector) of one process."""

    # The one shard to run; None: all of them.
    shard: int | None = None
    # Whether to follow the shard's active engine until it is gone.
    is_standby: bool = False
    # Folder of the snapshots; None: the one in DATA_DIR.
    snapshot_dir: Path | None = None
    # Whether an empty log beside a journal is restored instead of refused.
    bootstrap: bool = False


class EngineHost:
    """The background parts of one process."""

    def __init__(
        self,
        part_names: frozenset[str],
        *,
        options: EngineOptions = EngineOptions(),
        progress: Callable[[str], None] = lambda _line: None,
        on_failure: Callable[[str], None] | None = None,
    ) -> None:
        """Take the parts; one that fails is reported to `on_failure`, and started again where nobody is to be told."""
        self._part_names = part_names
        self.options = options
        # Told of each step of the start.
        self.progress = progress
        self._on_failure = on_failure
        self._gateway: EngineGateway | None = None
        self._revocations: ChannelReader | None = None
        self._runners: list[Runner] = []
        self._parts: list[Part] = []
        self._bootstrap: Bootstrap | None = None
        self._is_stopped = threading.Event()

    @classmethod
    def for_web(cls) -> "EngineHost":
        """Return the host of a web process: with every part inside if ENGINE_MODE is embedded, else with none."""
        embedded = {"engine", "projector", "feed", "worker"}
        return cls(frozenset(embedded if settings.ENGINE_MODE == "embedded" else ()))

    # --- the web process ------------------------------------------------------------------------------------------

    async def web_start(self) -> None:
        """Start the parts, and the gateway and the prices on the running loop.

        Errors: SetupError when the engine cannot go live.
        """
        await asyncio.to_thread(layout_check)
        self._gateway = gateway_build()
        self._gateway.subscribe_shared(definitions_heard)
        await self._gateway.start()
        gateway_install(self._gateway)
        await asyncio.to_thread(self._parts_start)
        await price_stream_start()
        self._revocations = revocations_reader()
        await self._revocations.start()
        _objects_settle()

    async def web_stop(self) -> None:
        """Stop everything, prices and questions first, so that nobody asks a part that is gone."""
        if self._revocations is not None:
            await self._revocations.stop()
        await price_stream_stop()
        await rate_limits_close()
        await asyncio.to_thread(self._parts_stop)
        if self._gateway is not None:
            gateway_install(None)
            await self._gateway.stop()

    # --- a process without web ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the parts of a process that serves no HTTP.

        Errors: SetupError when the engine cannot go live.
        """
        if self._part_names & {"projector", "worker"}:
            self._gateway = gateway_build(OccasionalGateway)
            self._gateway.start_in_thread()
            gateway_install(self._gateway)
        self._parts_start()
        _objects_settle()

    def stop(self) -> None:
        """Stop the parts of a process that serves no HTTP."""
        self._parts_stop()
        if self._gateway is not None:
            gateway_install(None)
            self._gateway.stop_thread()

    def bootstrap_wait(self, seconds: float) -> bool:
        """Return whether everything is defined and seeded, at the latest after that time."""
        return self._bootstrap is None or self._bootstrap.done.wait(seconds)

    # --- parts ----------------------------------------------------------------------------------------------------

    def _parts_start(self) -> None:
        if "engine" in self._part_names:
            # First of all, since a log that is restored here would be none for a projector yet.
            layout_check(may_mark=True)
            bootstrap_check(is_asked=self.options.bootstrap, say=self.progress)
        if "projector" in self._part_names:
            self._start("projector", lambda: Projector(only=self.options.shard))
            self._start("cash relay", CashRelay)
        if "engine" in self._part_names:
            self._engines_start()
        if "worker" in self._part_names and (gateway := self._gateway) is not None:
            self._start("worker", WorkerService)
            self._start("outbox", OutboxRelay)
            self._start("schedule", ScheduleService)
            self._start("swap", SwapRelay)
            self._start("reconciliation", lambda: Reconciliation(gateway))
            # The same one after a failure: others wait for what it has told the engine.
            bootstrap = self._bootstrap = Bootstrap(gateway)
            self._start("bootstrap", lambda: bootstrap)
        if "feed" in self._part_names:
            is_defined = self._bootstrap.defined.is_set if self._bootstrap else lambda: True
            self._start("feed", lambda: _FeedInThread(is_defined))
            self._start("candles", CandleWriter)
            self._start("history", SimulatedHistory)

    def _engines_start(self) -> None:
        for shard in range(settings.ENGINE_SHARDS):
            runner = build_runner(engine_config(shard), recorded=JournalOutputs(shard))
            self._runners.append(runner)
            # Never again by itself: what stopped it is in the log for a person, and a second one would read the same.
            self._start(
                f"engine {shard}",
                partial(_EngineInThread, runner),
                on_failure=self._on_failure or (lambda _name: None),
            )
        engines = self._parts[-len(self._runners) :]
        deadline = _ENGINE_LIVE_SECONDS / _POLL_SECONDS
        while not all(runner.health().state is EngineState.LIVE for runner in self._runners):
            failed = next((part.failure for part in engines if part.failure), None)
            deadline -= 1
            if failed is not None or deadline < 0:
                self._parts_stop()
                raise SetupError(f"The engine does not go live: {failed or 'the log is too slow'}.")
            self._is_stopped.wait(_POLL_SECONDS)
        number = sum(runner.health().number for runner in self._runners)
        self.progress(f"engine live at output {number}")

    def _start(
        self,
        name: str,
        make: Callable[[], Service],
        *,
        on_failure: Callable[[str], None] | None = None,
    ) -> None:
        part = Part(
            name,
            make=make,
            on_failure=on_failure or self._on_failure,
            gives_way=name.split()[0] in _PATIENT_PARTS,
        )
        self._parts.append(part)
        part.start()

    def _parts_stop(self) -> None:
        # With the flow: whatever puts something in, then the engine, and last what reads its outputs.
        self._is_stopped.set()
        stages: list[list[Part]] = [[], [], []]
        for part in self._parts:
            kind = part.name.split()[0]
            stages[{"engine": 1, "projector": 2, "candles": 2}.get(kind, 0)].append(part)
        stop_all(stages, seconds=_STOP_SECONDS)
        self._parts.clear()


class _EngineInThread:
    def __init__(self, runner: Runner) -> None:
        self.run = runner.run
        self.stop = runner.request_stop


class _FeedInThread:
    def __init__(self, may_write_log: Callable[[], bool]) -> None:
        self._feed = FeedService.from_settings(may_write_log=may_write_log)
        self.stop = self._feed.stop

    def run(self) -> None:
        asyncio.run(self._feed.run())


def _objects_settle() -> None:
    # What lives now lives as long as the process. Looked at with every full collection, its 170,000 objects would stop all sockets
    # for a tenth of a second and more, and take a good part of the projector's time.
    gc.collect()
    gc.freeze()
    # An order makes no cycles, and 700 young objects are a dozen orders under way: looking at them that often was a thirtieth of
    # the web process's work, and a twentieth of the projector's.
    _, middle, old = gc.get_threshold()
    gc.set_threshold(_YOUNG_OBJECTS, middle, old)


def gateway_build(kind: type[EngineGateway] = MeasuredGateway) -> EngineGateway:
    """Return a gateway to the engine of the settings; nothing is connected before it is started."""
    return kind(
        log_url=settings.LOG_REDIS_URL,
        redis_url=settings.REDIS_URL,
        prefix=settings.STREAM_PREFIX,
        shards=settings.ENGINE_SHARDS,
        timeout_ms=settings.ORDER_TIMEOUT_MS,
        journal=output_from_journal,
    )
