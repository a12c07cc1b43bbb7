"""Gives simulated instruments an invented past, once each, and takes it away when their prices are of another class.

Beside the candle writer, in a thread that gives way: nobody's start waits for it. An instrument's past is written as soon as the first
minute of its quotes is stored, those at the head of the lists first, since they are what a newcomer looks at.
"""

import logging
import threading
from typing import Final

import psycopg
from django.conf import settings
from django.db import DatabaseError
from redis.exceptions import RedisError

from apps.market.backfill.invented import history_invent
from apps.market.candles.simulated import (
    Beginning,
    beginnings,
    histories,
    histories_aggregate,
    history_decline,
    history_write,
)
from apps.market.candles.store import CandleStore
from apps.market.candles.writer import reopened_tell
from apps.market.feed.classes import in_own_connection
from apps.market.feed.sources import simulator_seed
from apps.market.selectors import InstrumentInfo, instruments_read
from engine.values import SourceClass

logger = logging.getLogger(__name__)

# How soon it is looked whether the first quotes have come, and later whether a class has changed, as the feed does.
_FIRST_SECONDS: Final = 1.0
_CLASSES_SECONDS: Final = 5.0


class SimulatedHistory:
    """The part of `serve` that keeps invented pasts; run() in a thread, stop() from any."""

    def __init__(self) -> None:
        """Take the settings; nothing is connected before run()."""
        self._stopped = threading.Event()
        # The classes of which everything has been done.
        self._settled: dict[str, SourceClass | None] = {}

    def run(self) -> None:
        """Work until stopped; blocks. A server that is away is waited for."""
        while not self._stopped.is_set():
            pause = _CLASSES_SECONDS
            try:
                pause = _CLASSES_SECONDS if self.step() else _FIRST_SECONDS
            except (psycopg.Error, DatabaseError, RedisError, OSError) as error:
                logger.warning("the simulated history waits", extra={"error": repr(error)})
            self._stopped.wait(pause)

    def stop(self) -> None:
        """End run() after the instrument that it works on."""
        self._stopped.set()

    def step(self) -> bool:
        """Do what there is to do now; False while an instrument's first quotes are waited for."""
        infos = in_own_connection(instruments_read)
        classes = {info.symbol: info.source_class for info in infos}
        if not any(classes.values()):
            # The catalogue comes with the first start, and classes with the first feed.
            return False
        if classes == self._settled:
            return True
        store = CandleStore.connect()
        try:
            is_settled = self._keep(store, infos)
        finally:
            store.close()
        if is_settled:
            self._settled = classes
        return is_settled

    def _keep(self, store: CandleStore, infos: tuple[InstrumentInfo, ...]) -> bool:
        known = {one.symbol: one for one in histories(store)}
        for info in infos:
            one = known.get(info.symbol)
            has_past = one is not None and one.span_ms is not None
            is_simulated = info.source_class is SourceClass.SIMULATED
            if has_past and not is_simulated and history_decline(store, info.symbol):
                self._tell(info)
        # Also of a run that was stopped before it came to this.
        histories_aggregate(store)
        seed = simulator_seed(settings.FEEDS) if settings.SIMULATED_HISTORY else None
        if seed is None:
            return True
        wanted = [
            info
            for info in infos
            if info.source_class is SourceClass.SIMULATED and info.symbol not in known
        ]
        firsts = beginnings(store, [info.symbol for info in wanted])
        for info in wanted:
            if self._stopped.is_set():
                return False
            if first := firsts.get(info.symbol):
                self._make(store, info, seed, first)
        histories_aggregate(store)
        return len(firsts) == len(wanted)

    def _make(self, store: CandleStore, info: InstrumentInfo, seed: int, first: Beginning) -> None:
        if history_write(store, info.symbol, first, history_invent(info, seed, first)):
            self._tell(info)

    def _tell(self, info: InstrumentInfo) -> None:
        reopened_tell(settings.REDIS_URL, settings.STREAM_PREFIX, [info.symbol])
