"""What runs every night: each job once a day for the whole installation, whichever processes are up.

A job of the day has an id of that day, which the queue takes once only. So several processes may look, and one that was down at the
hour makes up for it later that day. (rq's own CronScheduler keeps its times in memory: two processes would run a job twice, one that
was down at the hour not at all; and it takes the process's signals for itself.)
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import django_rq
from redis.exceptions import RedisError
from rq.exceptions import DuplicateJobError

from apps.common.clock import now_us
from apps.market.tasks import candles_check, candles_retain

logger = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 60.0
# A job's id is taken for as long: into the next day, whatever has become of it.
_REMEMBERED_SECONDS: Final = 2 * 24 * 3600
_TIMEOUT_SECONDS: Final = 3600


@dataclass(frozen=True, slots=True)
class Nightly:
    """One job of every night."""

    name: str
    # From when of the day on, UTC.
    hour: int
    minute: int
    job: Callable[[], object]


NIGHTLY: Final = (
    Nightly("candles-check", 2, 10, candles_check),
    Nightly("candles-retain", 3, 10, candles_retain),
)


class ScheduleService:
    """The schedule as a part of the process that works off the queue."""

    def __init__(self) -> None:
        self._stopping = threading.Event()

    def run(self) -> None:
        """Queue what is due, until stop(); a queue that is away is asked again."""
        while not self._stopping.is_set():
            try:
                due_enqueue(now_us())
            except RedisError as error:
                logger.warning("the schedule cannot reach the queue", extra={"error": repr(error)})
            self._stopping.wait(_LOOK_SECONDS)

    def stop(self) -> None:
        """End run()."""
        self._stopping.set()


def due_enqueue(at_us: int) -> list[str]:
    """Queue the jobs of this day that are due and have not been queued yet; return their ids."""
    now = datetime.fromtimestamp(at_us // 1_000_000, UTC)
    queued = []
    for one in NIGHTLY:
        if (now.hour, now.minute) < (one.hour, one.minute):
            continue
        job_id = f"{one.name}-{now:%Y-%m-%d}"
        try:
            django_rq.get_queue().enqueue(
                one.job,
                job_id=job_id,
                unique=True,
                job_timeout=_TIMEOUT_SECONDS,
                result_ttl=_REMEMBERED_SECONDS,
                failure_ttl=_REMEMBERED_SECONDS,
            )
        except DuplicateJobError:
            continue
        queued.append(job_id)
    return queued
