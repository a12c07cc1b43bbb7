"""Remembers for two seconds what a row in PostgreSQL said, so that hot paths need no query, and reads many rows at once.

What is asked for again and again is read anew in the background before its time is over: who trades never waits for the
database, and a thousand users cost a few queries a second instead of a thousand.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Generic, TypeVar

from channels.db import database_sync_to_async

logger = logging.getLogger(__name__)

BELIEVED_SECONDS: Final = 2.0
# An answer that is asked for when it is that old is read anew, together with others after a moment.
_RENEW_SECONDS: Final = 1.0
_GATHER_SECONDS: Final = 0.2
_ENTRIES_MAX: Final = 20_000

K = TypeVar("K")
V = TypeVar("V")


class _Entry(Generic[V]):
    __slots__ = ("read_s", "value")

    def __init__(self, read_s: float, value: V) -> None:
        self.read_s = read_s
        self.value = value


class Believed(Generic[K, V]):
    """Answers by key, each believed for two seconds."""

    def __init__(
        self,
        read: Callable[[Iterable[K], Mapping[K, V]], Mapping[K, V]],
        *,
        is_believed: Callable[[V], bool] = lambda _value: True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take what reads: it gets keys and what they said before, where that is known, and answers every key.

        `is_believed` says of which answers nothing is remembered.
        """
        self._read = read
        self._is_believed = is_believed
        self._clock = clock
        self._entries: dict[K, _Entry[V]] = {}
        # Counts what was forgotten: an answer that was read before that is not remembered after it.
        self._forgotten = 0
        self._batch: _Batch[K, V] | None = None

    def get(self, key: K) -> V:
        """Return the answer of a key; reads the database unless it is remembered."""
        entry = self._entries.get(key)
        if entry is not None and self._clock() < entry.read_s + BELIEVED_SECONDS:
            return entry.value
        return self.read((key,))[key]

    def recall(self, key: K) -> V | None:
        """Return the answer of a key if it is remembered; on an event loop, which reads it anew in time."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        age_s = self._clock() - entry.read_s
        if age_s >= BELIEVED_SECONDS:
            return None
        if age_s >= _RENEW_SECONDS:
            self._batch_now().renew(key)
        return entry.value

    async def get_async(self, key: K) -> V:
        """Return the same as get; what is remembered costs no thread, what is not is read together with what others miss.

        Errors: those of the reading.
        """
        value = self.recall(key)
        return value if value is not None else await self._batch_now().want(key)

    def read(self, keys: Iterable[K]) -> Mapping[K, V]:
        """Read some answers in this thread, and remember them."""
        forgotten = self._forgotten
        now_s = self._clock()
        known = {key: entry.value for key in keys if (entry := self._entries.get(key)) is not None}
        found = self._read(keys, known)
        if len(self._entries) + len(found) > _ENTRIES_MAX:
            # Everything is read again within two seconds anyway, so forgetting all is cheap.
            self._entries.clear()
        if forgotten == self._forgotten:
            for key, value in found.items():
                if self._is_believed(value):
                    self._entries[key] = _Entry(now_s, value)
                else:
                    self._entries.pop(key, None)
        return found

    def forget(self, key: K) -> None:
        """Read a key anew next time."""
        self._forgotten += 1
        self._entries.pop(key, None)

    def forget_where(self, condition: Callable[[V], bool]) -> None:
        """Read all those anew whose answers fulfil a condition."""
        self._forgotten += 1
        # A copy, since other threads add entries meanwhile.
        for key, entry in list(self._entries.items()):
            if condition(entry.value):
                self._entries.pop(key, None)

    def clear(self) -> None:
        """Read everything anew."""
        self._forgotten += 1
        self._entries.clear()

    def _batch_now(self) -> "_Batch[K, V]":
        loop = asyncio.get_running_loop()
        # A process has one loop that asks; tests have one after the other.
        if self._batch is None or self._batch.loop is not loop:
            self._batch = _Batch(self, loop)
        return self._batch


class _Batch(Generic[K, V]):
    """Gathers the keys that one event loop asks for, and reads them one batch after the other."""

    def __init__(self, believed: Believed[K, V], loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._believed = believed
        self._wanted: dict[K, asyncio.Future[V]] = {}
        self._renewals: set[K] = set()
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def want(self, key: K) -> V:
        """Wait for the answer of a key."""
        future = self._wanted.get(key)
        if future is None:
            future = self._wanted[key] = self.loop.create_future()
        self._start()
        # One who gives up takes nothing from the others.
        return await asyncio.shield(future)

    def renew(self, key: K) -> None:
        """Read a key anew soon; nobody waits for it."""
        self._renewals.add(key)
        if self._timer is None:
            self._timer = self.loop.call_later(_GATHER_SECONDS, self._start)

    def _start(self) -> None:
        if self._task is None:
            self._task = self.loop.create_task(self._run())

    async def _run(self) -> None:
        try:
            # What else is asked for in this turn of the loop comes along.
            await asyncio.sleep(0)
            while self._wanted or self._renewals:
                await self._read_once()
        finally:
            self._task = None

    async def _read_once(self) -> None:
        wanted, self._wanted = self._wanted, {}
        keys = wanted.keys() | self._renewals
        self._renewals.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        # Any thread will do: bound to one, all would queue behind the requests of the browsable API.
        read = database_sync_to_async(self._believed.read, thread_sensitive=False)
        try:
            found = await read(keys)
        except Exception as error:  # noqa: BLE001 - it is raised where somebody waits for the answer.
            logger.warning("rows could not be read anew", extra={"error": repr(error)})
            for future in wanted.values():
                future.set_exception(error)
                # Who waited may have gone.
                future.exception()
            return
        for key, future in wanted.items():
            future.set_result(found[key])
