"""Overnight financing: each rollover, which is midnight UTC, charges every instrument once, however late.

The engine charges a position at most once per rollover and only forwards (rule M7), so rollovers go to it one after the other and may
be sent again. A row in PostgreSQL says which ones it has answered for every instrument: what a restart, an outage or a week without a
worker has missed is made up for, each night by itself, since a position owes only the nights that it was open for.
"""

import logging
import threading
from datetime import date, timedelta
from typing import Final

from django.db import DatabaseError, close_old_connections
from redis.exceptions import RedisError

from apps.common.clock import datetime_from_us, now_us
from apps.common.engine_gateway import engine_gateway
from apps.common.errors import ServiceError
from apps.common.refusals import refusal_error
from apps.market.models import SwapRollover
from apps.market.selectors import instruments_read
from engine.messages.commands import ChargeSwap
from engine.messages.rejects import RejectCode
from engine.messages.replies import Rejected
from engine.values import Actor

logger = logging.getLogger(__name__)

# Namespace of the request ids (engine/messages, DefinitionCommand.source).
SWAP_SOURCE: Final = "swap"

_DAY: Final = timedelta(days=1)
_EPOCH_DAY: Final = date(1970, 1, 1)
_DAY_US: Final = 86_400_000_000
# An order that entered the log just before midnight is decided before its rollover.
_GRACE_US: Final = 1_000_000
_LOOK_SECONDS: Final = 60
_FAILED_SECONDS: Final = 5


class SwapRelay:
    """Charges rollovers as they come due; several relays are harmless."""

    def __init__(self) -> None:
        self._stopping = threading.Event()

    def run(self) -> None:
        """Charge until stop(); what cannot be reached yet is tried again."""
        while not self._stopping.is_set():
            try:
                swap_charge_due(at_us=now_us())
                pause = _seconds_to_next(now_us())
            except (ServiceError, DatabaseError, RedisError) as error:
                logger.warning("a rollover cannot be charged now", extra={"error": repr(error)})
                pause = _FAILED_SECONDS
            finally:
                close_old_connections()
            self._stopping.wait(pause)

    def stop(self) -> None:
        """End run() soon; from any thread."""
        self._stopping.set()


def swap_charge_due(*, at_us: int) -> list[date]:
    """Charge every rollover up to an instant that was not charged yet, oldest first, and return them.

    Errors: ServiceError when the engine gives no answer or refuses; what is left stays due.
    """
    charged = []
    for day in _due(_rollover_day(at_us)):
        count = _charge(day)
        SwapRollover.objects.bulk_create(
            [SwapRollover(day=day, instruments=count)], ignore_conflicts=True
        )
        logger.info("a rollover was charged", extra={"day": f"{day}", "instruments": count})
        charged.append(day)
    return charged


def _rollover_day(at_us: int) -> date:
    """Return the day whose first instant is the newest rollover."""
    return datetime_from_us(at_us - _GRACE_US).date()


def _seconds_to_next(at_us: int) -> float:
    left_us = _DAY_US - (at_us - _GRACE_US) % _DAY_US
    # A clock that is set or a machine that slept must not let it miss the night.
    return min(_LOOK_SECONDS, -(-left_us // 1_000_000))


def _due(today: date) -> list[date]:
    """Return the rollovers up to a day that are not charged; an installation begins with its first day, which owes nothing."""
    newest = SwapRollover.objects.order_by("-day").values_list("day", flat=True).first()
    if newest is None:
        SwapRollover.objects.bulk_create([SwapRollover(day=today)], ignore_conflicts=True)
        return []
    return [newest + _DAY * number for number in range(1, (today - newest).days + 1)]


def _charge(day: date) -> int:
    """Let the engine charge one rollover in every instrument that it knows, and return how many that were."""
    count = 0
    for info in instruments_read():
        if info.source_class is None:
            # No feed has served it yet, so nobody can hold it.
            continue
        command = ChargeSwap(
            request_id=f"{info.symbol}:{day}",
            actor=Actor.SYSTEM,
            source=SWAP_SOURCE,
            symbol=info.symbol,
            rollover_day=(day - _EPOCH_DAY).days,
            nights=1,
        )
        reply = engine_gateway().send_sync(command).reply
        if isinstance(reply, Rejected) and reply.code is not RejectCode.SYMBOL_UNKNOWN:
            raise refusal_error(reply, request_id=command.request_id)
        count += 1
    return count
