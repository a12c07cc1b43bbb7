"""Holds engine, read models, ledger and journal against each other while they work: every five minutes, some accounts at a time.

The whole proof is `replay --verify --from-journal` and `verify_ledger`; this notices between two of them that something has been
changed by a foreign hand, or by a fault of ours.
"""

import asyncio
import logging
import os
import socket
import threading
from typing import Final

import msgspec
from django.conf import settings
from django.db import DatabaseError, close_old_connections
from redis import Redis
from redis.exceptions import RedisError

from apps.common.clock import now_us
from apps.common.engine_gateway import EngineGateway
from apps.common.errors import ServiceError
from apps.trade import selectors
from apps.trade.selectors import AccountSum
from engine.messages.views import AccountQuery, AccountView, AnyView

logger = logging.getLogger(__name__)

_EVERY_S: Final = 300.0
# What a start has to do is done by then.
_FIRST_S: Final = 60.0
# All accounts have their turn; a look costs the engine some milliseconds.
_ACCOUNTS: Final = 200
# Of an old journal a first look counts the end only.
_OUTPUTS: Final = 100_000
_TIMEOUT_S: Final = 5.0
# A process that has not looked for so long has ended.
_BELIEVED_US: Final = 900_000_000


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What the newest look of one process has found."""

    # Wall clock, microseconds.
    at_us: int
    # Sentences, each about an account or a shard.
    differences: tuple[str, ...]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Report).decode


def _reports_key() -> str:
    return f"{settings.STREAM_PREFIX}reconciliation"


def differences_reported(client: Redis) -> set[str]:
    """Return what the processes that look have found and not found right again; errors: RedisError, msgspec.DecodeError."""
    since_us = now_us() - _BELIEVED_US
    reports = [_decode(raw) for raw in client.hvals(_reports_key())]
    return {text for one in reports if one.at_us > since_us for text in one.differences}


class Reconciliation:
    """The looks of one process; one for the whole installation is enough, and more do no harm."""

    def __init__(self, gateway: EngineGateway) -> None:
        self._gateway = gateway
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._stopping = threading.Event()
        # The last account that was looked at, and up to where the journal of each chain was counted.
        self._account = 0
        self._counted: dict[tuple[int, int], int] = {}
        # By account or chain, until it is found to be right again.
        self._differences: dict[object, str] = {}

    def run(self) -> None:
        """Look until stop(); what cannot be reached is looked at the next time."""
        pause_s = _FIRST_S
        while not self._stopping.wait(pause_s):
            pause_s = _EVERY_S
            try:
                self.look()
            except (DatabaseError, RedisError, ServiceError) as error:
                logger.warning("nothing could be reconciled", extra={"error": repr(error)})
            finally:
                close_old_connections()

    def stop(self) -> None:
        """End run()."""
        self._stopping.set()

    def look(self) -> tuple[str, ...]:
        """Look at the new outputs and the next accounts; return every difference that stands.

        Errors: DatabaseError, RedisError, ServiceError.
        """
        known = set(self._differences.values())
        self._count_journal()
        self._compare_accounts()
        differences = tuple(self._differences.values())
        for text in differences:
            if text not in known:
                logger.critical("the records differ", extra={"difference": text})
        with Redis.from_url(settings.REDIS_URL, socket_timeout=_TIMEOUT_S) as client:
            report = _encode(Report(at_us=now_us(), differences=differences))
            client.hset(_reports_key(), self._name, report)
            client.expire(_reports_key(), _BELIEVED_US // 1_000_000)
        return differences

    def _note(self, what: object, difference: str) -> None:
        if difference:
            self._differences[what] = difference
        else:
            self._differences.pop(what, None)

    def _count_journal(self) -> None:
        layouts = selectors.layouts()
        for row in layouts[-1] if layouts else ():
            chain = (row.layout, row.shard)
            if chain in self._differences:
                # Counted again until it is whole.
                self._counted.pop(chain, None)
            after = self._counted.get(chain, max(0, row.n - _OUTPUTS))
            missing = (row.n - after) - selectors.journal_count(
                layout=row.layout, shard=row.shard, after=after, upto=row.n
            )
            self._counted[chain] = row.n
            self._note(
                chain,
                f"the journal of shard {row.shard} lacks {missing} of its outputs after {after} up to {row.n}"
                if missing
                else "",
            )

    def _compare_accounts(self) -> None:
        sums = selectors.account_sums(after=self._account, limit=_ACCOUNTS)
        self._account = sums[-1].account if len(sums) == _ACCOUNTS else 0
        views = self._gateway.run(self._views(sums))
        for one, view in zip(sums, views, strict=True):
            self._note(one.account, _difference(one, view))

    async def _views(self, sums: list[AccountSum]) -> list[AnyView]:
        # After the read models were read: the engine is never behind them.
        return list(
            await asyncio.gather(
                *(self._gateway.query(AccountQuery(account=one.account)) for one in sums)
            )
        )


def _difference(one: AccountSum, view: AnyView) -> str:
    """Return in a sentence how the records of an account differ; empty when they agree as far as they can be compared."""
    name = f"account {one.account}"
    if one.ledger_micros != one.balance_micros:
        return f"the postings of {name} sum to {one.ledger_micros}, its balance is {one.balance_micros}"
    if not isinstance(view, AccountView):
        return f"the engine does not know {name}"
    if view.seq < one.seq:
        return f"the engine knows {name} up to event {view.seq}, the read models up to {one.seq}"
    # With more events the engine is ahead, as it may be; the next turn compares again.
    if view.seq == one.seq and view.balance_micros != one.balance_micros:
        return f"the engine's balance of {name} is {view.balance_micros}, that of the read models {one.balance_micros}"
    return ""
