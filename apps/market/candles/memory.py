"""The newest minutes in the memory of this web process, fed by the candle writer's pub/sub.

A minute that is told replaces the one that was known. What is older than the hot span only says which symbols to read anew.
"""

import logging
from collections.abc import Callable, Collection
from functools import cache
from typing import Final

import msgspec
from django.conf import settings

from apps.common.channel_reader import ChannelReader
from apps.market.candles.builder import KEPT_MS
from apps.market.candles.candle import Candle
from engine.messages.streams import candles_channel

logger = logging.getLogger(__name__)


class CandleBatch(msgspec.Struct, frozen=True, kw_only=True):
    """Minutes on their way to the web processes."""

    # Symbol -> minutes that have changed, whole, in the order of time.
    candles: dict[str, list[Candle]]
    # Symbols whose stored history has changed.
    reopened: tuple[str, ...] = ()


CandleListener = Callable[[str, list[Candle]], None]
ReopenListener = Callable[[Collection[str] | None], None]

_decoder: Final = msgspec.json.Decoder(CandleBatch)


class CandleMemory:
    """The newest minutes of every symbol. Used on one event loop only."""

    def __init__(self, *, redis_url: str, prefix: str) -> None:
        """Take the place of the pub/sub; nothing is connected before start()."""
        self._channel = candles_channel(prefix)
        self._reader = ChannelReader(
            redis_url, {self._channel: self.take}, on_connected=self._connected, name="candles"
        )
        self._minutes: dict[str, dict[int, Candle]] = {}
        self._candle_listeners: list[CandleListener] = []
        self._reopen_listeners: list[ReopenListener] = []

    async def start(self) -> None:
        """Begin to read; returns when the channel is subscribed to, or after a second when the server is away."""
        await self._reader.start()

    async def stop(self) -> None:
        """Stop reading."""
        await self._reader.stop()

    def listen(self, on_candles: CandleListener, on_reopened: ReopenListener) -> None:
        """Call the first with a symbol's changed minutes, the second with the symbols (None: all) to read anew."""
        self._candle_listeners.append(on_candles)
        self._reopen_listeners.append(on_reopened)

    def minutes(self, symbol: str) -> dict[int, Candle]:
        """Return the newest minutes of a symbol by their beginning, those that were told since the start."""
        return self._minutes.get(symbol, {})

    def take(self, raw: bytes) -> None:
        """Take one message of the writer."""
        try:
            batch = _decoder.decode(raw)
        except msgspec.DecodeError:
            logger.warning("candle batch unreadable")
            return
        for symbol, candles in batch.candles.items():
            known = self._minutes.setdefault(symbol, {})
            known.update((candle.open_ms, candle) for candle in candles)
            oldest_ms = max(known) - KEPT_MS
            for open_ms in [one for one in known if one <= oldest_ms]:
                del known[open_ms]
            for listener in self._candle_listeners:
                listener(symbol, candles)
        if batch.reopened:
            self._reopened(batch.reopened)

    async def _connected(self, _client: object) -> None:
        # Messages of the time without a connection are lost, so nothing that was known can be trusted.
        self._minutes.clear()
        self._reopened(None)

    def _reopened(self, symbols: Collection[str] | None) -> None:
        for listener in self._reopen_listeners:
            listener(symbols)


@cache
def candle_memory() -> CandleMemory:
    """Return the newest minutes of this process, as the settings place their source."""
    return CandleMemory(redis_url=settings.REDIS_URL, prefix=settings.STREAM_PREFIX)
