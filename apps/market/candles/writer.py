"""Turns the log into candles: reads the quotes of shard 0's input stream, to which every quote is copied, and stores minutes.

The position in the log is stored with the candles, in the same statement: after any crash each quote is in its candle exactly once.
Four times a second the changed minutes are told to the web processes, and once a second they are stored.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import psycopg
import redis
from django.conf import settings
from django.db import Error as DjangoDatabaseError
from django.db import close_old_connections
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from apps.market.candles.builder import CandleBuilder, Key, LogQuotes
from apps.market.candles.candle import Candle
from apps.market.candles.memory import CandleBatch
from apps.market.candles.store import CandleStore
from apps.market.selectors import instruments_read
from engine.messages.codec import MalformedError, decode_message
from engine.messages.commands import UpdateQuotes
from engine.messages.streams import IN_MESSAGE, candles_channel, input_stream
from engine.values import entry_id_from_text

logger = logging.getLogger(__name__)

_READ_MAX: Final = 1_000
_BLOCK_MS: Final = 100
# Least time between two readings: beside a thousand orders a second each would wake this for nothing.
_PACE_SECONDS: Final = 0.05
_TELL_SECONDS: Final = 0.25
_STORE_SECONDS: Final = 1.0
# A log without quotes moves the stored position too: whoever reads on from before what was trimmed has missed something.
_POSITION_SECONDS: Final = 60.0
# A catch-up stores earlier, so that its memory is bounded.
_UNSTORED_MAX: Final = 5_000
_PAUSE_SECONDS: Final = 0.5
_SOCKET_SECONDS: Final = 5
_BEGINNING: Final = "0-0"
# The program's advisory lock: one writer of candles per database.
_LOCK: Final = 7_306_001


class CandleWriter:
    """The candles part of `serve`; run() in a thread, stop() from any."""

    def __init__(
        self,
        *,
        prefix: str | None = None,
        log_redis_url: str | None = None,
        redis_url: str | None = None,
        store_connect: Callable[[], CandleStore] = CandleStore.connect,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the addresses, by default those of the settings; nothing is connected before run()."""
        prefix = settings.STREAM_PREFIX if prefix is None else prefix
        self._stream = input_stream(prefix, 0, settings.ENGINE_SHARDS)
        self._channel = candles_channel(prefix)
        self._log = _client(settings.LOG_REDIS_URL if log_redis_url is None else log_redis_url)
        # Entries as the server sends them: most are of no interest, and a dictionary was made of each.
        self._log.set_response_callback("XREAD", lambda answer: answer)
        self._rest = _client(settings.REDIS_URL if redis_url is None else redis_url)
        self._store_connect = store_connect
        self._monotonic = monotonic
        self._stopped = threading.Event()
        self._store: CandleStore | None = None
        self._builder = CandleBuilder()
        # Up to where the log was read, and up to where that is stored.
        self._position = self._stored = _BEGINNING
        self._lost_spans = 0
        self._stored_at = self._told_at = 0.0

    def run(self) -> None:
        """Write candles until stopped; blocks. Lost servers are waited for, and read again from the stored position."""
        try:
            while not self._stopped.is_set():
                try:
                    if self.begin():
                        while not self._stopped.is_set():
                            if self.step(_BLOCK_MS) < _READ_MAX:
                                self._stopped.wait(_PACE_SECONDS)
                        self._store_now()
                except (psycopg.Error, DjangoDatabaseError, RedisError, OSError) as error:
                    logger.warning("the candle writer waits", extra={"error": repr(error)})
                finally:
                    self.end()
                    # The instruments came by Django's own line, which may be as dead as ours.
                    close_old_connections()
                self._stopped.wait(_PAUSE_SECONDS)
        finally:
            self._log.close()
            self._rest.close()

    def stop(self) -> None:
        """End run() after storing what it has."""
        self._stopped.set()

    def write_available(self) -> int:
        """Write all that is in the log now, without waiting, and return how many entries; for tests and drains."""
        if self._store is None and not self.begin():
            return 0
        count = 0
        while read := self.step(None):
            count += read
        self._store_now()
        self._tell()
        return count

    # --- one connection's life -----------------------------------------------------------------------------------

    def begin(self) -> bool:
        """Connect, and go on from where the stored candles end; False while another writer is at work."""
        store = self._store = self._store_connect()
        locked = store.connection.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK]).fetchone()
        if not (locked and locked[0]):
            return False
        self._builder = CandleBuilder()
        self._builder.newest = store.newest([info.symbol for info in instruments_read()])
        self._stored = store.position() or _BEGINNING
        self._position = self._position_checked(self._stored)
        return True

    def end(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None

    def _position_checked(self, stored: str) -> str:
        """Return where to read on, and count what is gone: a log that was wiped or trimmed below the position."""
        if not self._log.exists(self._stream):
            return _BEGINNING
        info: Any = self._log.xinfo_stream(self._stream)
        position = entry_id_from_text(stored)
        if position > entry_id_from_text(info["last-generated-id"].decode()):
            logger.warning("the log begins anew, and so does the candle writer")
            self._lost_spans += 1
            return _BEGINNING
        # Trimming leaves no trace but the first entry that is left ("max-deleted-entry-id" tells of XDEL only).
        first = info["first-entry"][0] if info["first-entry"] else info["last-generated-id"]
        if info["entries-added"] > info["length"] and position < entry_id_from_text(first.decode()):
            # Backfill fills what is missing; diagnostics show it until then.
            logger.warning("entries were trimmed before the candle writer had read them")
            self._lost_spans += 1
        return stored

    # --- the loop --------------------------------------------------------------------------------------------------

    def step(self, block_ms: int | None) -> int:
        """Read, build, and when it is time, tell and store. Return how many entries were read."""
        answer: Any = self._log.xread({self._stream: self._position}, _READ_MAX, block_ms)
        entries: Sequence[tuple[bytes, Sequence[bytes]]] = answer[0][1] if answer else ()
        if entries:
            self._take(entries)
        now = self._monotonic()
        if now - self._told_at >= _TELL_SECONDS and self._builder.untold:
            self._told_at = now
            self._tell()
        waited = now - self._stored_at
        is_time = waited >= _STORE_SECONDS and self._builder.unstored
        if is_time or waited >= _POSITION_SECONDS or len(self._builder.unstored) >= _UNSTORED_MAX:
            self._stored_at = now
            self._store_now()
        return len(entries)

    def _take(self, entries: Sequence[tuple[bytes, Sequence[bytes]]]) -> None:
        quotes = [
            LogQuotes(int(entry_id.partition(b"-")[0]), message)
            for entry_id, fields in entries
            if (message := _quotes_of(fields)) is not None
        ]
        builder, store = self._builder, self._store
        for entry in quotes:
            # Asked per entry: what an earlier one of this batch has begun is not missing.
            if (missing := builder.missing((entry,))) and store is not None:
                builder.give(missing, store.minutes(missing))
            builder.take(entry)
        self._position = entries[-1][0].decode()

    def _store_now(self) -> None:
        builder, store = self._builder, self._store
        if store is None or not (
            builder.unstored or self._lost_spans or self._position != self._stored
        ):
            return
        keys = sorted(builder.unstored)
        store.write(
            [(symbol, builder.candles[symbol, open_ms], None) for symbol, open_ms in keys],
            entry_id=self._position,
            lost_spans=self._lost_spans,
            ahead_quotes=builder.ahead,
        )
        self._stored = self._position
        builder.unstored.clear()
        builder.ahead = self._lost_spans = 0
        if reopened := [key for key in keys if not builder.is_hot(key)]:
            times = [open_ms for _, open_ms in reopened]
            store.refresh(min(times), max(times))
        # Told once more when stored: who has begun to listen meanwhile, or reads the database, now has the last word.
        builder.untold.update(key for key in keys if key[1] < builder.newest[key[0]])
        builder.forget_old()

    def _tell(self) -> None:
        """Tell the web processes what has changed; an older minute only when it is stored, since they will read it."""
        builder = self._builder
        keys = builder.untold - {key for key in builder.unstored if not builder.is_hot(key)}
        if not keys:
            return
        hot: dict[str, list[Candle]] = {}
        reopened: set[str] = set()
        for symbol, open_ms in sorted(keys):
            if builder.is_hot((symbol, open_ms)):
                hot.setdefault(symbol, []).append(builder.candles[symbol, open_ms])
            else:
                reopened.add(symbol)
        batch = CandleBatch(candles=hot, reopened=tuple(sorted(reopened)))
        self._rest.publish(self._channel, msgspec.json.encode(batch))
        builder.untold -= keys
        builder.forget_old()


def reopened_tell(redis_url: str, prefix: str, symbols: Sequence[str]) -> None:
    """Tell the web processes that history of these symbols has changed in the database."""
    with _client(redis_url) as client:
        batch = CandleBatch(candles={}, reopened=tuple(symbols))
        client.publish(candles_channel(prefix), msgspec.json.encode(batch))


def _quotes_of(fields: Sequence[bytes]) -> UpdateQuotes | None:
    # Most other entries are commands of clients, which need not be decoded for this.
    raw = next((fields[i + 1] for i in range(0, len(fields), 2) if fields[i] == IN_MESSAGE), b"")
    if b'"UpdateQuotes"' not in raw[:64]:
        return None
    try:
        message = decode_message(raw)
    except MalformedError:
        # The engine refuses it too, by a recorded output.
        return None
    return message if isinstance(message, UpdateQuotes) else None


def _client(url: str) -> redis.Redis:
    return redis.Redis.from_url(
        url, protocol=2, retry=Retry(NoBackoff(), 0), socket_timeout=_SOCKET_SECONDS
    )


__all__ = ["CandleWriter", "Key", "reopened_tell"]
