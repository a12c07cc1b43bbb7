"""Effects outside the database: decided in a transaction, carried out by the worker afterwards, at least once.

How to use it: write ``@outbox_task def notice_mail(*, ...)`` in a tasks.py, and call ``outbox_add(notice_mail, key=..., ...)`` in the transaction
that causes it. The row stands or falls with that transaction; the relay hands it to the queue under the row's id, and
the worker marks it when it is done. A worker that dies between effect and mark does it again: a mail may come twice, but
is never lost. Failures are tried again with growing pauses, and given up after a day.
"""

import logging
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final, TypeVar

import django_rq
from django.db import DatabaseError, close_old_connections, connection, transaction
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


def outbox_task(function: Task) -> Task:
    """Declare a function that the outbox may call; its keyword arguments must be plain JSON values."""
    setattr(function, _MARK, True)
    return function


def outbox_add(task: Callable[..., None], *, key: str, **payload: Any) -> None:
    """Write an effect in the caller's transaction.

    ``key`` is what makes it the same effect: a second one with that key is left out, so a cause may be processed again.
    """
    if not getattr(task, _MARK, False):
        raise TypeError(f"{task!r} is not declared with @outbox_task")
    effect = OutboxEffect(
        task=f"{task.__module__}.{task.__qualname__}",
        payload=payload,
        key=key,
        due_at=timezone.now(),
    )
    OutboxEffect.objects.bulk_create([effect], ignore_conflicts=True)


def outbox_run(effect_id: int) -> None:
    """Carry out one effect, if that is still to be done: the job of the queue."""
    with transaction.atomic():
        effect = (
            OutboxEffect.objects.select_for_update(skip_locked=True)
            .filter(pk=effect_id, done_at__isnull=True, given_up_at__isnull=True)
            .first()
        )
        # Done already, or another worker is at it.
        if effect is None:
            return
        try:
            # A savepoint, so that what a failed task has written does not stay.
            with transaction.atomic():
                _task_of(effect)(**effect.payload)
        except Exception as error:
            # Whatever it is: the row keeps it, and the next attempt comes by itself.
            logger.exception("an effect failed", extra={"effect": effect.pk, "task": effect.task})
            _note_failure(effect, error)
        else:
            effect.done_at = timezone.now()
        effect.save(update_fields=["done_at", "given_up_at", "due_at", "failures", "last_error"])


def _task_of(effect: OutboxEffect) -> Callable[..., None]:
    task: Callable[..., None] = import_string(effect.task)
    if not getattr(task, _MARK, False):
        # Whoever can write rows must not be able to call just anything.
        raise TypeError(f"{effect.task} is not declared with @outbox_task")
    return task


def _note_failure(effect: OutboxEffect, error: Exception) -> None:
    effect.failures += 1
    effect.last_error = f"{type(error).__name__}: {error}"[:500]
    now = timezone.now()
    pause_s = min(_PAUSE_S * 2 ** (effect.failures - 1), _PAUSE_S_MAX)
    effect.due_at = now + timedelta(seconds=pause_s)
    if effect.failures >= _FAILURES_MAX:
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
