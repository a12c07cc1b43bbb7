"""The projector, the only writer of this app's tables: it reads outputs only, from its own offset row.

Its loop: read a batch of outputs, prove that it follows, write everything and the offset in one transaction.

Lost connections are waited out. An output that does not follow from the one before stops the projector: nothing unproven
gets into the journal.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import redis
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection, transaction
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from apps.common.engine_layout import LayoutError, layout_require
from apps.common.outputs import Output, output_from_entry
from apps.market import facade as market
from apps.notifications.facade import notify_all
from apps.profile import facade as profile
from apps.trade import selectors
from apps.trade.models import ProjectorOffset
from apps.trade.services.projection.house import house_days_add
from apps.trade.services.projection.journal import (
    journal_append,
    output_from_journal,
    statement_run,
)
from apps.trade.services.projection.ledger import ledger_append
from apps.trade.services.projection.notices import notice_wishes
from apps.trade.services.projection.read_models import read_models_apply
from apps.trade.services.projection.standing import CONSUMER, journal_lacks, log_lacks
from engine.messages.chain import CHAIN_GENESIS
from engine.messages.events import CashPosted, CashRefused, PriceSourceSet, TradingModeSet
from engine.messages.streams import consumers_key, output_stream
from engine.values import InvariantError, check, text_from_entry_id

__all__ = ["Projector", "output_from_journal"]

logger = logging.getLogger(__name__)

# As many as one transaction takes when it is behind: its statements cost the same for ten rows and for thousands.
_BATCH: Final = 2_000
_BLOCK_MS: Final = 500
# Least time between two transactions, and how much of its time the projector works at most: the history is late by a fifth of a
# second in a rush, and a transaction for each order would take a processor from the orders.
_PACE_S: Final = 0.04
_REST_FACTOR: Final = 3
_REST_S_MAX: Final = 0.2
_SOCKET_TIMEOUT_S: Final = 5
_PAUSE_S: Final = 0.5
_MOVE: Final = """
UPDATE trade_projectoroffset SET n = %s, output_id = %s, chain = %s
WHERE layout = %s AND shard = %s AND n = %s RETURNING n
"""
# Where this program's advisory locks begin; the shard is added.
_LOCK: Final = 7_305_000


class Projector:
    """Projects every shard, from where the offset rows stand."""

    def __init__(
        self,
        *,
        prefix: str | None = None,
        shards: int | None = None,
        only: int | None = None,
        probe: Callable[[str], None] = lambda _point: None,
    ) -> None:
        """Take the number of shards of the log; ``only`` is the one to project where each has a projector of its own.

        ``probe`` is told each point where a kill is tried in tests.
        """
        self._probe = probe
        self._prefix = settings.STREAM_PREFIX if prefix is None else prefix
        self._shards = settings.ENGINE_SHARDS if shards is None else shards
        self._streams = {
            output_stream(self._prefix, shard, self._shards).encode(): shard
            for shard in (range(self._shards) if only is None else (only,))
        }
        self._stopped = threading.Event()
        self._offsets: dict[int, ProjectorOffset] = {}
        self._redis = redis.Redis.from_url(
            settings.LOG_REDIS_URL,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=_SOCKET_TIMEOUT_S,
        )
        # Entries as the server sends them: a dictionary for each would be taken apart again.
        self._redis.set_response_callback("XREAD", lambda answer: answer)

    def run(self) -> None:
        """Project until stopped; blocks.

        Errors: InvariantError when an output does not follow from the one before; LayoutError.
        """
        try:
            while not self._stopped.is_set():
                try:
                    if self._lock():
                        self._follow()
                except (DatabaseError, InterfaceError, RedisError) as error:
                    logger.warning("the projector waits", extra={"error": repr(error)})
                    self._release()
                self._stopped.wait(_PAUSE_S)
        finally:
            self._release()
            self._redis.close()

    def stop(self) -> None:
        """End run() after the batch in work; from any thread."""
        self._stopped.set()

    def project_available(self) -> int:
        """Project what is there now without waiting, and return how many outputs; for tests and drains."""
        self._load_offsets()
        count = 0
        while projected := self._project_next(block_ms=None)[1]:
            count += projected
        return count

    def project_exclusively(self) -> bool:
        """Project what is there now, unless another projector is at work; return whether that was so."""
        try:
            if not self._lock():
                return False
            self.project_available()
        finally:
            self._release()
        return True

    def _follow(self) -> None:
        self._load_offsets()
        while not self._stopped.is_set():
            began_s = time.monotonic()
            read_s, count = self._project_next(block_ms=_BLOCK_MS)
            now_s = time.monotonic()
            if count < _BATCH:
                rest_s = min(_REST_S_MAX, _REST_FACTOR * (now_s - read_s))
                self._stopped.wait(max(rest_s, began_s + _PACE_S - now_s))

    def _project_next(self, *, block_ms: int | None) -> tuple[float, int]:
        """Project the next outputs; return when they had been read, and how many they were."""
        positions: dict[Any, Any] = {
            stream: text_from_entry_id(self._offsets[shard].output_id)
            for stream, shard in self._streams.items()
        }
        answer: Any = self._redis.xread(positions, count=_BATCH, block=block_ms) or ()
        read_s = time.monotonic()
        count = 0
        for stream, entries in answer:
            shard = self._streams[stream]
            outputs = [output_from_entry(shard, entry_id, fields) for entry_id, fields in entries]
            self._probe("after_read")
            self._project(self._offsets[shard], outputs)
            self._probe("after_commit")
            self._report(self._offsets[shard])
            count += len(outputs)
        return read_s, count

    def _project(self, offset: ProjectorOffset, outputs: Sequence[Output]) -> None:
        chain = bytes(offset.chain)
        for number, output in enumerate(outputs, start=offset.n + 1):
            if output.n != number:
                raise InvariantError(
                    f"OUTPUT_GAP: expected output {number} of shard {offset.shard}, found {output.n}"
                )
            chain = output.chain_after(chain)
            if output.chain != chain:
                raise InvariantError(
                    f"output {output.n} of shard {offset.shard} does not carry the hash of its chain"
                )
        last = outputs[-1]
        with transaction.atomic():
            # First, so that the row's lock keeps everybody else out until the end of the transaction.
            values = (last.n, last.entry_id, chain, offset.layout, offset.shard, offset.n)
            check(
                statement_run(_MOVE, values) == [(last.n,)],
                "another projector has moved the offset",
            )
            journal_append(offset.layout, outputs)
            self._probe("mid_transaction")
            ledger_append(offset.layout, outputs)
            house_days_add(outputs)
            owners = read_models_apply(offset.layout, outputs)
            _tell_other_apps(outputs)
            notify_all(notice_wishes(outputs, owners))
            self._probe("before_commit")
        offset.n, offset.output_id, offset.chain = last.n, last.entry_id, chain

    def _report(self, offset: ProjectorOffset) -> None:
        self._redis.hset(
            consumers_key(self._prefix, offset.shard),
            CONSUMER,
            text_from_entry_id(offset.output_id),
        )

    def _load_offsets(self) -> None:
        layout = layout_require(self._redis, self._prefix, self._shards)
        # Before the first row is written: a chain begun in the wrong place would break the proof of the history.
        offsets = [row for rows in selectors.layouts() for row in rows]
        for lacks in (log_lacks, journal_lacks):
            if fault := lacks(self._redis, self._prefix, layout, offsets):
                raise LayoutError(fault)
        for shard in self._streams.values():
            self._offsets[shard], _ = ProjectorOffset.objects.get_or_create(
                layout=layout.number,
                shard=shard,
                defaults={"n": 0, "output_id": 0, "chain": CHAIN_GENESIS},
            )
            # Before the first output too: whoever has reported nothing holds nothing back from being trimmed.
            self._report(self._offsets[shard])

    def _lock(self) -> bool:
        # A second projector waits here for the first one's end; the offset's compare-and-set guards what slips through.
        with connection.cursor() as cursor:
            for shard in self._streams.values():
                cursor.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK + shard])
                if not cursor.fetchone()[0]:
                    cursor.execute("SELECT pg_advisory_unlock_all()")
                    return False
        return True

    def _release(self) -> None:
        # Unlocked by hand, since a pool may give the same session to somebody else.
        try:
            if connection.is_usable():
                with connection.cursor() as cursor:
                    cursor.execute("SELECT pg_advisory_unlock_all()")
        except (DatabaseError, InterfaceError):
            logger.debug("the projector's session had ended already")
        connection.close()


def _tell_other_apps(outputs: Sequence[Output]) -> None:
    cash: list[profile.CashDecision] = []
    for output in outputs:
        for event in output.events:
            if type(event) is CashPosted or type(event) is CashRefused:
                cash.append(
                    profile.CashDecision(
                        account_id=event.account,
                        cash_seq=event.cash_seq,
                        kind=event.kind,
                        code=event.code if type(event) is CashRefused else None,
                        decided_at_us=output.decided_at_us,
                    )
                )
            elif type(event) is TradingModeSet:
                market.trading_mode_record(symbol=event.symbol, trading_mode=event.trading_mode)
            elif type(event) is PriceSourceSet:
                market.price_source_record(symbol=event.symbol, source_class=event.source_class)
    if cash:
        profile.cash_decided(cash)
