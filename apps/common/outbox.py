"""Effects outside the database: decided in a transaction, carried out by the worker afterwards.

How to use it: write ``@outbox_task def notice_mail(*, ...)`` in a tasks.py, and call ``outbox_add(notice_mail, key=..., ...)`` in the transaction
that causes it. The row stands or falls with that transaction; the relay hands it to the queue under the row's id, and
the worker marks it when it is done. Failures are tried again with growing pauses, and given up after a day.

What happens when a worker dies between effect and mark depends on the effect. One that may be repeated (a file under the
row's own name) is done again. One that may not (a mail that a server has perhaps taken) is claimed before it begins, and a
claim whose worker is gone is given up as uncertain: the admin shows it, and a person decides.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

import django_rq
from django.db import DatabaseError, close_old_connections, connection, transaction
from django.db.models import Count, Min, Q
from django.utils import timezone
from django.utils.module_loading import import_string
from redis.exceptions import RedisError
from rq.exceptions import DuplicateJobError

from apps.common.models import OutboxEffect

logger = logging.getLogger(__name__)

Task = TypeVar("Task", bound=Callable[..., None])

_IDLE_S: Final = 0.5
_FAILED_S: Final = 2.0
_BATCH: Final = 200
_PAUSE_S: Final = 30
_PAUSE_S_MAX: Final = 3 * 3600
_FAILURES_MAX: Final = 16
# A job that nobody finished in this time is forgotten by the queue, and its row is handed over again.
_JOB_SECONDS: Final = 300
_MARK: Final = "is_outbox_task"
_REPEATABLE: Final = "is_repeatable"
# Advisory locks of effects in work: this number and the effect's own.
_LOCK_CLASS: Final = 7_306
_UNCERTAIN: Final = "uncertain: a worker died while this was on its way out; it may have left"


class NotSentError(Exception):
    """An effect that must not be repeated failed before anything left: it may be tried again."""


@dataclass(frozen=True, slots=True)
class Effect:
    """One effect to be written."""

    task: Callable[..., None]
    # What makes it the same effect.
    key: str
    # Keyword arguments of the task, plain JSON values.
    payload: Mapping[str, Any]
    # Not before this time; at once without one.
    due_at: datetime | None = None


def outbox_task(function: Task) -> Task:
    """Declare a function that the outbox may call; its keyword arguments must be plain JSON values."""
    setattr(function, _MARK, True)
    return function


def outbox_task_once(is_repeatable: Callable[..., bool]) -> Callable[[Task], Task]:
    """Declare a function that may not be repeated unless ``is_repeatable``, asked with the same arguments, says so.

    It raises NotSentError for a failure before which nothing has left; after any other failure it is not tried again.
    """

    def declare(function: Task) -> Task:
        setattr(function, _REPEATABLE, is_repeatable)
        return outbox_task(function)

    return declare


def outbox_add(task: Callable[..., None], *, key: str, **payload: Any) -> None:
    """Write an effect in the caller's transaction.

    ``key`` is what makes it the same effect: a second one with that key is left out, so a cause may be processed again.
    """
    outbox_add_all([Effect(task=task, key=key, payload=payload)])


def outbox_add_all(effects: Sequence[Effect]) -> None:
    """Write many effects in the caller's transaction, by one statement; known keys are left out."""
    now = timezone.now()
    rows = []
    for effect in effects:
        if not getattr(effect.task, _MARK, False):
            raise TypeError(f"{effect.task!r} is not declared with @outbox_task")
        rows.append(
            OutboxEffect(
                task=f"{effect.task.__module__}.{effect.task.__qualname__}",
                payload=dict(effect.payload),
                key=effect.key,
                due_at=effect.due_at or now,
            )
        )
    OutboxEffect.objects.bulk_create(rows, ignore_conflicts=True)


def outbox_run(effect_id: int) -> None:
    """Carry out one effect, if that is still to be done: the job of the queue."""
    with _locked(effect_id) as is_mine:
        # Otherwise another worker is at it.
        effect = _waiting(effect_id) if is_mine else None
        if effect is None:
            return
        if effect.claimed_at is not None:
            # Nobody holds the lock, so whoever claimed it is gone.
            effect.last_error, effect.given_up_at = _UNCERTAIN, timezone.now()
            effect.save(update_fields=["last_error", "given_up_at"])
            logger.error("an effect is uncertain", extra={"effect": effect.pk, "task": effect.task})
            return
        _carry_out(effect)


@dataclass(frozen=True, slots=True)
class OutboxFigures:
    """How many effects are in which state."""

    # To be carried out, and those of them that have failed before.
    waiting: int
    failing: int
    given_up: int
    # When the longest overdue one was due, None without one.
    overdue_since: datetime | None


def outbox_figures() -> OutboxFigures:
    """Return how many effects wait, fail and were given up."""
    waiting = OutboxEffect.objects.filter(done_at__isnull=True, given_up_at__isnull=True)
    found = waiting.aggregate(
        count=Count("pk"),
        failing=Count("pk", filter=Q(failures__gt=0)),
        oldest=Min("due_at", filter=Q(due_at__lte=timezone.now())),
    )
    given_up = OutboxEffect.objects.filter(given_up_at__isnull=False).count()
    return OutboxFigures(found["count"], found["failing"], given_up, found["oldest"])


def outbox_is_given_up(key: str) -> bool:
    """Return whether the effect of that key was given up, so that nothing comes of it by itself."""
    return OutboxEffect.objects.filter(key=key, given_up_at__isnull=False).exists()


def outbox_try_again(effect_ids: Iterable[int]) -> int:
    """Let effects that were given up be tried anew, because a person wants it; return how many."""
    return OutboxEffect.objects.filter(pk__in=list(effect_ids), given_up_at__isnull=False).update(
        given_up_at=None, claimed_at=None, failures=0, due_at=timezone.now()
    )


@contextmanager
def _locked(effect_id: int) -> Iterator[bool]:
    # Of the session, not of a transaction: a claim must be durable before the effect begins. It falls with the worker's
    # connection, so a worker that dies leaves none behind.
    lock = [_LOCK_CLASS, effect_id % 2**31]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", lock)
        is_mine = bool(cursor.fetchone()[0])
    try:
        yield is_mine
    finally:
        if is_mine:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", lock)


def _waiting(effect_id: int) -> OutboxEffect | None:
    return OutboxEffect.objects.filter(
        pk=effect_id, done_at__isnull=True, given_up_at__isnull=True
    ).first()


def _carry_out(effect: OutboxEffect) -> None:
    is_claimed = False
    try:
        task = _task_of(effect)
        is_repeatable = getattr(task, _REPEATABLE, None)
        if is_repeatable is not None and not is_repeatable(**effect.payload):
            effect.claimed_at = timezone.now()
            effect.save(update_fields=["claimed_at"])
            is_claimed = True
        # What a task has written stands or falls with the mark.
        with transaction.atomic():
            task(**effect.payload)
            # What is done needs its arguments no more, and they may name people.
            effect.done_at, effect.payload = timezone.now(), {}
            effect.save(update_fields=["done_at", "payload"])
    except Exception as error:
        # Whatever it is: the row keeps it, and the next attempt comes by itself.
        logger.exception("an effect failed", extra={"effect": effect.pk, "task": effect.task})
        effect.done_at = None
        _note_failure(effect, error, may_retry=not is_claimed or isinstance(error, NotSentError))
        effect.save(update_fields=["claimed_at", "given_up_at", "due_at", "failures", "last_error"])


def _task_of(effect: OutboxEffect) -> Callable[..., None]:
    task: Callable[..., None] = import_string(effect.task)
    if not getattr(task, _MARK, False):
        # Whoever can write rows must not be able to call just anything.
        raise TypeError(f"{effect.task} is not declared with @outbox_task")
    return task


def _note_failure(effect: OutboxEffect, error: Exception, *, may_retry: bool) -> None:
    effect.failures += 1
    effect.claimed_at = None
    effect.last_error = f"{type(error).__name__}: {error}"[:500]
    now = timezone.now()
    pause_s = min(_PAUSE_S * 2 ** (effect.failures - 1), _PAUSE_S_MAX)
    effect.due_at = now + timedelta(seconds=pause_s)
    if not may_retry or effect.failures >= _FAILURES_MAX:
        effect.given_up_at = now


class OutboxRelay:
    """Hands what is due to the queue; several relays are harmless, since a job's id is its row's."""

    def __init__(self) -> None:
        self._stopped = threading.Event()

    def run(self) -> None:
        """Relay until stopped; blocks."""
        while not self._stopped.is_set():
            try:
                self.relay_once()
                pause_s = _IDLE_S
            except (DatabaseError, RedisError) as error:
                logger.warning("the outbox waits", extra={"error": repr(error)})
                connection.close()
                pause_s = _FAILED_S
            self._stopped.wait(pause_s)
        connection.close()

    def stop(self) -> None:
        """End run() soon; from any thread."""
        self._stopped.set()

    def relay_once(self) -> int:
        """Hand every effect that is due to the queue; return how many were new to it."""
        close_old_connections()
        waiting = OutboxEffect.objects.filter(
            done_at__isnull=True, given_up_at__isnull=True, due_at__lte=timezone.now()
        ).order_by("due_at", "id")
        count = 0
        for effect_id, failures in list(waiting.values_list("pk", "failures")[:_BATCH]):
            try:
                django_rq.get_queue().enqueue(
                    outbox_run,
                    effect_id,
                    # Of the attempt too: the job of a failed one may still be remembered when the next is due.
                    job_id=f"outbox-{effect_id}-{failures}",
                    unique=True,
                    job_timeout=_JOB_SECONDS,
                    ttl=_JOB_SECONDS,
                    result_ttl=0,
                    failure_ttl=0,
                    # rq's own description would write the payload into its log.
                    description=f"outbox effect {effect_id}",
                )
            except DuplicateJobError:
                continue
            count += 1
        return count
