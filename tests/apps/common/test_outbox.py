"""The outbox on real PostgreSQL and Valkey: an effect stands or falls with its cause, and is carried out once."""

import django_rq
import pytest
from django.db import transaction
from django.utils import timezone
from rq import SimpleWorker
from rq.timeouts import TimerDeathPenalty

from apps.common.models import OutboxEffect
from apps.common.outbox import OutboxRelay, outbox_add, outbox_run, outbox_task

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

carried_out: list[str] = []


@outbox_task
def note(*, word: str) -> None:
    carried_out.append(word)


@outbox_task
def fail(*, word: str) -> None:
    OutboxEffect.objects.create(task="x", key=word, due_at=timezone.now())
    raise OSError("the mail server is away")


def undeclared(*, word: str) -> None:
    carried_out.append(word)


@pytest.fixture(autouse=True)
def queue(redis_url, settings):
    carried_out.clear()
    queue = django_rq.get_queue()
    queue.empty()
    yield queue
    queue.delete(delete_jobs=True)


class Worker(SimpleWorker):
    death_penalty_class = TimerDeathPenalty


def work(queue) -> None:
    Worker([queue], connection=queue.connection, serializer=queue.serializer).work(burst=True)


def test_an_effect_is_carried_out_once_however_often_it_is_handed_over(queue):
    outbox_add(note, key="k1", word="a")
    outbox_add(note, key="k1", word="again")
    relay = OutboxRelay()

    assert (relay.relay_once(), relay.relay_once()) == (1, 0)
    (job_id,) = queue.job_ids
    effect = OutboxEffect.objects.get()
    assert job_id == f"outbox-{effect.pk}-0"
    work(queue)
    outbox_run(effect.pk)

    assert carried_out == ["a"]
    assert OutboxEffect.objects.get().done_at is not None
    assert relay.relay_once() == 0


def test_an_effect_falls_with_its_transaction():
    with transaction.atomic():
        outbox_add(note, key="k1", word="a")
        assert OutboxEffect.objects.exists()
        transaction.set_rollback(True)

    assert not OutboxEffect.objects.exists()


def test_a_lost_queue_loses_no_effect(queue):
    outbox_add(note, key="k1", word="a")
    relay = OutboxRelay()
    relay.relay_once()
    queue.delete(delete_jobs=True)

    assert relay.relay_once() == 1
    work(queue)

    assert carried_out == ["a"]


def test_a_failed_effect_leaves_nothing_and_waits_for_its_next_attempt(queue, caplog):
    outbox_add(fail, key="k1", word="left")
    relay = OutboxRelay()
    relay.relay_once()
    work(queue)

    effect = OutboxEffect.objects.get()
    assert (effect.failures, effect.done_at) == (1, None)
    assert effect.last_error == "OSError: the mail server is away"
    assert effect.due_at > timezone.now()
    assert relay.relay_once() == 0

    for _ in range(15):
        outbox_run(effect.pk)
    effect.refresh_from_db()
    assert effect.failures == 16
    assert effect.given_up_at is not None
    outbox_run(effect.pk)
    effect.refresh_from_db()
    assert effect.failures == 16


def test_only_declared_functions_are_called():
    with pytest.raises(TypeError, match="not declared"):
        outbox_add(undeclared, key="k1", word="a")
    effect = OutboxEffect.objects.create(
        task="os.system", payload={"command": "true"}, key="k2", due_at=timezone.now()
    )

    outbox_run(effect.pk)

    effect.refresh_from_db()
    assert effect.last_error.startswith("TypeError: os.system is not declared")
