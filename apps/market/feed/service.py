"""The feed: runs the sources, decides which one serves which instrument, and publishes what the guards admit.

Life of a quote: source -> guards -> newest per symbol -> (every FEED_BATCH_MS) one log entry per source, (every 50 ms) one
price batch to the web. An instrument is served by the first source of FEEDS that has its pinned class, covers it and can be
reached; when there is none, it stays without quotes, and the state says so.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self, TypeVar

from asgiref.sync import async_to_sync, sync_to_async
from django.conf import settings
from django.db import close_old_connections
from redis.exceptions import RedisError

from apps.common.cancellation import cancel_all
from apps.market.clock import Clock, WallClock
from apps.market.feed.base import RawQuote, Source, SourceUnavailableError
from apps.market.feed.guards import Guards
from apps.market.feed.pins import source_classes_pin
from apps.market.feed.publisher import Publisher
from apps.market.feed.sources import sources_from
from apps.market.prices import FeedStatus, SourceStatus
from apps.market.selectors import InstrumentInfo, instruments_read
from engine.messages.commands import Quote
from engine.values import SourceClass

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

_WEB_SECONDS: Final = 0.05
_LEASE_SECONDS: Final = 0.5
_STATUS_SECONDS: Final = 1.0
_CONFIRM_SECONDS: Final = 0.25
# A quote of a living connection is confirmed when it has been silent for this long.
_QUIET_US: Final = 1_000_000
_UNAVAILABLE_SECONDS: Final = 30.0


@dataclass(slots=True)
class _Feeder:
    """One source at work."""

    source: Source
    guards: Guards
    state: str = "idle"
    reason: str = ""
    covered: frozenset[str] = frozenset()
    # Newest admitted quotes that the log, and that the web, have not got yet.
    for_log: dict[str, Quote] = field(default_factory=dict)
    for_web: dict[str, Quote] = field(default_factory=dict)


class FeedService:
    """The feed part of `serve`; run() on any event loop, stop() from any thread."""

    def __init__(
        self,
        *,
        sources_build: Callable[[Mapping[str, InstrumentInfo]], Sequence[Source]],
        publisher: Publisher,
        batch_ms: int,
        clock: Clock,
        may_write_log: Callable[[], bool] = lambda: True,
    ) -> None:
        """Take the sources in order of preference, as a function of the instruments, and the way out.

        `may_write_log` holds the log back until the engine knows the instruments: before that it would have to
        record every quote as refused.
        """
        self._sources_build = sources_build
        self._publisher = publisher
        self._batch_seconds = batch_ms / 1000
        self._clock = clock
        self._may_write_log = may_write_log
        self._instruments: dict[str, InstrumentInfo] = {}
        self._feeders: list[_Feeder] = []
        self._serving: dict[str, _Feeder] = {}
        self._latest: dict[str, Quote] = {}
        self._is_log_reachable = True
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._is_stop_asked = False

    @classmethod
    def from_settings(cls, *, may_write_log: Callable[[], bool] = lambda: True) -> Self:
        """Build the feed that the settings describe."""
        clock = WallClock()
        return cls(
            sources_build=lambda instruments: _sources_of_settings(instruments, clock),
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
            (self._write_log, self._batch_seconds),
            (self._publish_prices, _WEB_SECONDS),
            (self._confirm_quiet, _CONFIRM_SECONDS),
            (self._publish_status, _STATUS_SECONDS),
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
        infos = await _read_instruments()
        self._instruments = {info.symbol: info for info in infos}
        sources = list(self._sources_build(self._instruments))
        if found := await _classes_find(infos, sources):
            await sync_to_async(_in_own_connection)(lambda: source_classes_pin(found))
            infos = await _read_instruments()
            self._instruments.update((info.symbol, info) for info in infos)
        self._feeders = [_Feeder(source, Guards(self._instruments)) for source in sources]

    # --- from the sources ------------------------------------------------------------------------

    async def _drive(self, feeder: _Feeder) -> None:
        """Run one source for ever; when it is lost, the next one serves, and this one is asked again later."""
        wanted = {
            info.symbol
            for info in self._instruments.values()
            if info.source_class is feeder.source.source_class
        }
        if not wanted:
            # Pinned to other classes, all of them: not even contact is made.
            await self._stopping.wait()
            return
        while True:
            feeder.state = "connecting"
            try:
                feeder.covered = frozenset(await feeder.source.open()) & wanted
                feeder.state, feeder.reason = "live", ""
                self._assign()
                async for batch in feeder.source.quotes(feeder.covered):
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
        serving: dict[str, _Feeder] = {}
        for feeder in self._feeders:
            for symbol in feeder.covered:
                serving.setdefault(symbol, feeder)
        self._serving = serving

    def _take(self, feeder: _Feeder, batch: list[RawQuote]) -> None:
        now_us = self._clock.now_us()
        for raw in batch:
            if self._serving.get(raw.symbol) is feeder and feeder.guards.admit(raw, now_us):
                self._put(feeder, Quote(raw.symbol, raw.bid_ticks, raw.ask_ticks, raw.ts_us))

    def _put(self, feeder: _Feeder, quote: Quote) -> None:
        self._latest[quote.symbol] = quote
        feeder.for_log[quote.symbol] = quote
        feeder.for_web[quote.symbol] = quote

    async def _confirm_quiet(self) -> None:
        """State again, with a new time, what has not changed on a living connection; else thin coins would go stale."""
        now_us = self._clock.now_us()
        for symbol, feeder in self._serving.items():
            quote = self._latest.get(symbol)
            if (
                quote is not None
                and now_us - quote.ts_us >= _QUIET_US
                and feeder.source.is_live(symbol)
                and feeder.guards.is_confirmable(symbol)
            ):
                self._put(feeder, Quote(symbol, quote.bid_ticks, quote.ask_ticks, now_us))

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
            await self._publisher.keep_lease()
        except (RedisError, OSError):
            self._is_log_reachable = False
            raise

    async def _write_log(self) -> None:
        if not (self._publisher.holds_lease and self._may_write_log()):
            return
        for feeder in self._feeders:
            if not feeder.for_log:
                continue
            batch, feeder.for_log = feeder.for_log, {}
            try:
                await self._publisher.write_log(
                    feeder.source.name, feeder.source.source_class, tuple(batch.values())
                )
            except (RedisError, OSError):
                # Whether it was written is unknown; the same prices go again under the next number, newer ones first.
                feeder.for_log = batch | feeder.for_log
                self._is_log_reachable = False
                raise
            self._is_log_reachable = True

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
            sources=tuple(_source_status(feeder, counts[id(feeder)]) for feeder in self._feeders),
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


def source_classes_decide() -> None:
    """Pin the source class of every instrument that has none yet, by asking the sources of the settings.

    Blocks for some seconds on the first start with a venue in FEEDS and no network; returns at once when all are pinned.
    """
    infos = instruments_read()
    instruments = {info.symbol: info for info in infos}
    sources = _sources_of_settings(instruments, WallClock())
    if found := async_to_sync(_classes_find)(infos, sources):
        source_classes_pin(found)


async def _classes_find(
    infos: Sequence[InstrumentInfo], sources: Sequence[Source]
) -> dict[str, SourceClass]:
    """Return, for each instrument without a class, that of the first source that can serve it."""
    missing = {info.symbol for info in infos if info.source_class is None}
    found: dict[str, SourceClass] = {}
    for source in sources:
        if missing <= found.keys():
            break
        try:
            covered = await source.open()
        except SourceUnavailableError as error:
            logger.info(
                "feed source cannot serve", extra={"source": source.name, "reason": str(error)}
            )
            continue
        for symbol in missing.intersection(covered):
            found.setdefault(symbol, source.source_class)
    return found


async def _read_instruments() -> tuple[InstrumentInfo, ...]:
    return await sync_to_async(_in_own_connection)(instruments_read)


def _in_own_connection(action: Callable[[], _T]) -> _T:
    """Run a database action in a helper thread without leaving its connection behind."""
    try:
        return action()
    finally:
        close_old_connections()


def _sources_of_settings(instruments: Mapping[str, InstrumentInfo], clock: Clock) -> list[Source]:
    return sources_from(
        settings.FEEDS,
        instruments=instruments,
        data_dir=Path(settings.DATA_DIR),
        base_dir=Path(settings.BASE_DIR),
        clock=clock,
    )


def _source_status(feeder: _Feeder, symbols: int) -> SourceStatus:
    refusals = {reason.value: count for reason, count in feeder.guards.refusals.items()}
    if feeder.source.malformed:
        refusals["malformed"] = feeder.source.malformed
    return SourceStatus(
        name=feeder.source.name,
        source_class=feeder.source.source_class,
        state=feeder.state,
        reason=feeder.reason,
        symbols=symbols,
        accepted=feeder.guards.accepted,
        refusals=refusals,
    )
