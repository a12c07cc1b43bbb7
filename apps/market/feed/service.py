"""The feed: runs the sources, decides which one serves which instrument, and publishes what the guards admit.

Life of a quote: source -> guards -> newest per symbol -> (every FEED_BATCH_MS) one log entry per source, (every 50 ms) one
price batch to the web. The entries are cut by the time of the quotes on the injected clock, not by when the process gets to it: a
tape that is told in its own time, at any speed, gives the same entries. An instrument is served by the first source of FEEDS that has its pinned class, covers it and can be
reached; when there is none, it stays without quotes, and the state says so.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Self

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import DatabaseError
from redis.exceptions import RedisError

from apps.common.cancellation import cancel_all
from apps.market.clock import Clock, WallClock
from apps.market.feed.base import RawQuote, Source, SourceUnavailableError
from apps.market.feed.classes import (
    classes_find,
    in_own_connection,
    read_instruments,
    sources_of_settings,
)
from apps.market.feed.clocks import ClockWatch
from apps.market.feed.feeder import Feeder
from apps.market.feed.guards import Guards, are_near
from apps.market.feed.markup import with_markup
from apps.market.feed.pins import source_classes_pin
from apps.market.feed.publisher import Publisher
from apps.market.prices import FeedStatus
from apps.market.selectors import InstrumentInfo
from engine.messages.commands import Quote

logger = logging.getLogger(__name__)

_WEB_SECONDS: Final = 0.05
_LEASE_SECONDS: Final = 0.5
_STATUS_SECONDS: Final = 1.0
_CONFIRM_SECONDS: Final = 0.25
# A quote of a living connection is confirmed when it has been silent for this long.
_QUIET_US: Final = 1_000_000
_UNAVAILABLE_SECONDS: Final = 30.0
# Specifications and pins that an operator has changed are read within this time.
_INSTRUMENTS_SECONDS: Final = 5.0
# An empty catalogue is looked at again this soon.
_CATALOGUE_SECONDS: Final = 0.5
# A quote of another source of the same class denies this one's while it is this young.
_WITNESS_US: Final = 3_000_000


class FeedService:
    """The feed part of `serve`; run() on any event loop, stop() from any thread."""

    def __init__(
        self,
        *,
        sources_build: Callable[[Mapping[str, InstrumentInfo]], Sequence[Source]],
        publisher: Publisher,
        batch_ms: int,
        clock: Clock,
        clocks: ClockWatch | None = None,
        may_write_log: Callable[[], bool] = lambda: True,
    ) -> None:
        """Take the sources in order of preference, as a function of the instruments, and the way out.

        `clocks` holds the clock against the log's. `may_write_log` holds the log back until the engine knows the
        instruments: before that it would have to record every quote as refused.
        """
        self._sources_build = sources_build
        self._publisher = publisher
        self._batch_us = batch_ms * 1000
        self._clock = clock
        self._clocks = clocks or ClockWatch(clock, time.monotonic)
        self._may_write_log = may_write_log
        self._instruments: dict[str, InstrumentInfo] = {}
        self._feeders: list[Feeder] = []
        self._serving: dict[str, Feeder] = {}
        self._latest: dict[str, Quote] = {}
        self._is_log_reachable = True
        self._is_writing = False
        # Whether another feed held the lease when this one asked last.
        self._is_waiting = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._is_stop_asked = False

    @classmethod
    def from_settings(cls, *, may_write_log: Callable[[], bool] = lambda: True) -> Self:
        """Build the feed that the settings describe."""
        clock = WallClock()
        return cls(
            sources_build=lambda instruments: sources_of_settings(instruments, clock),
            publisher=Publisher(
                log_redis_url=settings.LOG_REDIS_URL,
                redis_url=settings.REDIS_URL,
                prefix=settings.STREAM_PREFIX,
                shards=settings.ENGINE_SHARDS,
                monotonic=time.monotonic,
            ),
            batch_ms=settings.FEED_BATCH_MS,
            clock=clock,
            may_write_log=may_write_log,
        )

    async def run(self) -> None:
        """Feed until stop() is called.

        Errors: whatever a source or the service raises by a fault of ours; contact lost to venues or servers is not one.
        """
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        if self._is_stop_asked:
            return
        await self._prepare()
        with contextlib.suppress(RedisError, OSError):
            await self._keep_lease()
        loops: list[tuple[Callable[[], Awaitable[None]], float]] = [
            (self._keep_lease, _LEASE_SECONDS),
            (self._write_log_in_time, 0.0),
            (self._publish_prices, _WEB_SECONDS),
            (self._confirm_quiet, _CONFIRM_SECONDS),
            (self._publish_status, _STATUS_SECONDS),
            (self._reread_instruments, _INSTRUMENTS_SECONDS),
        ]
        tasks: list[asyncio.Task[object]] = [
            asyncio.create_task(self._repeat(step, pause)) for step, pause in loops
        ]
        tasks += [asyncio.create_task(self._drive(feeder)) for feeder in self._feeders]
        stopping: asyncio.Task[object] = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait((stopping, *tasks), return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    # None of them ends by itself but through a fault of ours, which must be heard.
                    task.result()
        finally:
            await cancel_all((stopping, *tasks))
            for feeder in self._feeders:
                feeder.source.close()
            await self._close_publisher()

    def stop(self) -> None:
        """Ask run() to end; from any thread, also before it has begun."""
        self._is_stop_asked = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stopping.set)

    async def _prepare(self) -> None:
        """Pin what has no class yet, then read the instruments with their pins."""
        infos = await self._instruments_await()
        self._instruments = {info.symbol: info for info in infos}
        sources = list(self._sources_build(self._instruments))
        if found := await classes_find(infos, sources):
            await sync_to_async(in_own_connection)(lambda: source_classes_pin(found))
            infos = await read_instruments()
            self._instruments.update((info.symbol, info) for info in infos)
        self._feeders = [Feeder(source, Guards(self._instruments)) for source in sources]
        for feeder in self._feeders:
            feeder.wanted = self._wanted_by(feeder)

    async def _instruments_await(self) -> tuple[InstrumentInfo, ...]:
        """Return the instruments; on a fresh installation another process adds them after this one has begun."""
        while not (infos := await read_instruments()) and not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), _CATALOGUE_SECONDS)
        return infos

    def _wanted_by(self, feeder: Feeder) -> frozenset[str]:
        source_class = feeder.source.source_class
        every = self._instruments.values()
        return frozenset(info.symbol for info in every if info.source_class is source_class)

    async def _reread_instruments(self) -> None:
        """Take over what operators have changed: specifications, and by SetPriceSource the class of an instrument."""
        try:
            infos = await read_instruments()
        except DatabaseError as error:
            logger.warning("instruments cannot be read", extra={"error": type(error).__name__})
            return
        for info in infos:
            before = self._instruments.get(info.symbol)
            self._instruments[info.symbol] = info
            if before is not None and before.source_class is not info.source_class:
                # A price of the former class must not be confirmed as one of the new.
                self._latest.pop(info.symbol, None)
                self._serving.pop(info.symbol, None)
                for feeder in self._feeders:
                    feeder.forget(info.symbol)
        for feeder in self._feeders:
            wanted = self._wanted_by(feeder)
            if wanted != feeder.wanted:
                feeder.wanted = wanted
                feeder.moved.set()

    # --- from the sources ------------------------------------------------------------------------

    async def _drive(self, feeder: Feeder) -> None:
        """Run one source for ever; when it is lost, the next one serves, and this one is asked again later."""
        while True:
            feeder.moved.clear()
            # What it serves is decided anew whenever an instrument came to its class or left it.
            serving = asyncio.create_task(self._serve(feeder))
            moved = asyncio.create_task(feeder.moved.wait())
            try:
                await asyncio.wait((serving, moved), return_when=asyncio.FIRST_COMPLETED)
                if serving.done():
                    # Only by a fault of ours.
                    await serving
            finally:
                await cancel_all((serving, moved))

    async def _serve(self, feeder: Feeder) -> None:
        if not feeder.wanted:
            # Pinned to other classes, all of them: not even contact is made.
            feeder.state, feeder.covered = "idle", frozenset()
            self._assign()
            await asyncio.Event().wait()
        while True:
            feeder.state = "connecting"
            try:
                feeder.covered = frozenset(await feeder.source.open()) & feeder.wanted
                feeder.state, feeder.reason = "live", ""
                self._assign()
                async with contextlib.aclosing(feeder.source.quotes(feeder.covered)) as batches:
                    async for batch in batches:
                        self._take(feeder, batch)
                message = "the source has ended"
                raise SourceUnavailableError(message)  # noqa: TRY301 - ending is one more loss
            except SourceUnavailableError as error:
                feeder.state, feeder.reason = "unavailable", str(error)
                feeder.covered = frozenset()
                self._assign()
                logger.warning(
                    "feed source unavailable",
                    extra={"source": feeder.source.name, "reason": str(error)},
                )
            await self._clock.sleep(_UNAVAILABLE_SECONDS)

    def _assign(self) -> None:
        """Let the first source that covers an instrument serve it."""
        serving: dict[str, Feeder] = {}
        for feeder in self._feeders:
            for symbol in feeder.covered:
                serving.setdefault(symbol, feeder)
        self._serving = serving

    def _take(self, feeder: Feeder, batch: list[RawQuote]) -> None:
        if not self._clocks.agrees():
            feeder.guards.distrust(batch)
            return
        now_us = self._clock.now_us()
        for raw in batch:
            if self._serving.get(raw.symbol) is not feeder:
                feeder.heard[raw.symbol] = raw
            elif self._is_denied(feeder, raw, now_us):
                feeder.guards.contradict(raw.symbol)
            elif feeder.guards.admit(raw, now_us):
                bid_ticks, ask_ticks = with_markup(raw, self._instruments[raw.symbol])
                self._put(feeder, Quote(raw.symbol, bid_ticks, ask_ticks, raw.ts_us), now_us)

    def _is_denied(self, feeder: Feeder, raw: RawQuote, now_us: int) -> bool:
        """Return whether another source of the same class has lately said something else."""
        info = self._instruments.get(raw.symbol)
        return info is not None and any(
            other is not feeder
            and other.source.source_class is feeder.source.source_class
            and (said := other.heard.get(raw.symbol)) is not None
            and now_us - said.ts_us <= _WITNESS_US
            and not are_near(info, said, raw)
            for other in self._feeders
        )

    def _put(self, feeder: Feeder, quote: Quote, now_us: int) -> None:
        self._latest[quote.symbol] = quote
        # A quote may claim to be a little ahead of us; the others need not wait for that.
        feeder.put(quote, min(quote.ts_us, now_us) // self._batch_us)

    async def _confirm_quiet(self) -> None:
        """State again, with a new time, what has not changed on a living connection; else thin coins would go stale."""
        if not self._clocks.agrees():
            return
        now_us = self._clock.now_us()
        for symbol, feeder in self._serving.items():
            quote = self._latest.get(symbol)
            if (
                quote is not None
                and now_us - quote.ts_us >= _QUIET_US
                and feeder.source.is_live(symbol)
                and feeder.guards.is_confirmable(symbol)
            ):
                feeder.guards.confirmed(symbol, now_us)
                self._put(feeder, Quote(symbol, quote.bid_ticks, quote.ask_ticks, now_us), now_us)

    # --- to the log and the web --------------------------------------------------------------------

    async def _repeat(self, step: Callable[[], Awaitable[None]], pause: float) -> None:
        """Take one step after the other; a server that is away is asked again at the next one."""
        while True:
            try:
                await step()
            except (RedisError, OSError) as error:
                logger.warning(
                    "feed cannot publish",
                    extra={"step": step.__name__, "error": type(error).__name__},
                )
                await self._clock.sleep(_LEASE_SECONDS)
            await self._clock.sleep(pause)

    async def _keep_lease(self) -> None:
        try:
            asked = self._clocks.monotonic()
            self._clocks.compare(await self._publisher.log_time_us(), asked)
            epoch = self._publisher.epoch
            await self._publisher.keep_lease()
            if self._publisher.epoch != epoch:
                self._clocks.log_is_new()
            if not self._publisher.holds_lease and not self._is_waiting:
                logger.warning(
                    "another feed writes the log: this one waits for its end and writes nothing"
                )
            self._is_waiting = not self._publisher.holds_lease
        except (RedisError, OSError):
            self._is_log_reachable = False
            raise

    async def _write_log_in_time(self) -> None:
        """Write when a stretch of time has ended; the next call waits for the next one."""
        await self._clock.sleep((self._batch_us - self._clock.now_us() % self._batch_us) / 1e6)
        await self._write_log()

    async def _write_log(self) -> None:
        """Write the entries of all stretches that have ended."""
        was_writing = self._is_writing
        self._is_writing = (
            self._publisher.holds_lease and self._clocks.agrees() and self._may_write_log()
        )
        if not self._clocks.agrees():
            # Old by the time that they do, and perhaps of a time that never was.
            for feeder in self._feeders:
                feeder.for_log.clear()
        if not self._is_writing:
            return
        if not was_writing:
            # Whoever begins to write, begins with the newest prices.
            for feeder in self._feeders:
                feeder.merge()
        stretch = self._clock.now_us() // self._batch_us
        for feeder in self._feeders:
            entries = feeder.finished(stretch)
            if not entries:
                continue
            quotes = [tuple(entry.values()) for entry in entries]
            try:
                await self._publisher.write_log(
                    feeder.source.name, feeder.source.source_class, quotes
                )
            except (RedisError, OSError):
                # Whether it was written is unknown; the same prices go again under the next number, newer ones first.
                feeder.give_back(entries)
                self._is_log_reachable = False
                raise
            self._is_log_reachable = True
            self._clocks.wrote(self._publisher.entry_ms)

    async def _publish_prices(self) -> None:
        if not self._publisher.holds_lease:
            return
        for feeder in self._feeders:
            if not feeder.for_web:
                continue
            batch, feeder.for_web = feeder.for_web, {}
            await self._publisher.publish_prices(
                feeder.source.name,
                feeder.source.source_class,
                tuple(batch.values()),
                self._clock.now_us(),
            )

    async def _publish_status(self) -> None:
        # A feed that waits for another one's lease says nothing; one that has lost the log says so.
        has_lost_log = self._publisher.epoch > 0 and not self._is_log_reachable
        if self._publisher.holds_lease or has_lost_log:
            await self._publisher.publish_status(self._status())

    def _status(self) -> FeedStatus:
        now_us = self._clock.now_us()
        counts = dict.fromkeys(map(id, self._feeders), 0)
        for feeder in self._serving.values():
            counts[id(feeder)] += 1
        return FeedStatus(
            at_us=now_us,
            epoch=self._publisher.epoch,
            sequence=self._publisher.sequence,
            is_log_reachable=self._is_log_reachable,
            clock_skew_us=self._clocks.skew_us(),
            sources=tuple(feeder.status(counts[id(feeder)]) for feeder in self._feeders),
            unserved=tuple(symbol for symbol in self._instruments if symbol not in self._serving),
            stale=tuple(
                info.symbol
                for info in self._instruments.values()
                if info.symbol not in self._latest
                or now_us - self._latest[info.symbol].ts_us > info.quote_age_us_max
            ),
        )

    async def _close_publisher(self) -> None:
        try:
            await self._publisher.close()
        except (RedisError, OSError) as error:
            # The lease lapses by itself.
            logger.info("feed lease not returned", extra={"error": type(error).__name__})
