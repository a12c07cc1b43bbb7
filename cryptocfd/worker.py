"""The rq worker as a part: jobs run in its own thread, without signals and without a child process per job."""

import logging
import threading
from typing import Any

import django_rq
from django.db import close_old_connections
from redis.exceptions import RedisError
from rq import Queue, SimpleWorker
from rq.exceptions import StopRequested
from rq.executions import Execution
from rq.job import Job
from rq.timeouts import TimerDeathPenalty
from typing_extensions import override

logger = logging.getLogger(__name__)

_RETRY_SECONDS = 1.0


class ThreadWorker(SimpleWorker):
    """A worker that can live in any thread and ends within two seconds of being asked."""

    # The default interrupts a job that takes too long by SIGALRM, which only a main thread can receive.
    death_penalty_class = TimerDeathPenalty

    def __init__(self, queue: Queue, *, stopping: threading.Event) -> None:
        super().__init__(
            [queue],
            connection=queue.connection,
            serializer=queue.serializer,
            # rq waits for jobs as long as its time to live minus 15 s; so it looks up every second.
            worker_ttl=16,
        )
        self._stopping = stopping

    @override
    def _install_signal_handlers(self) -> None:
        """Leave the signals to the process, which stops its parts in order."""

    @override
    def perform_job(self, job: Job, queue: Queue, execution: Execution) -> bool:
        """Run one job; no request begins or ends here, so its database connection is given back by hand."""
        close_old_connections()
        try:
            return super().perform_job(job, queue, execution)
        finally:
            close_old_connections()

    @override
    def procline(self, message: str) -> None:
        """Leave the name of the process alone: it is not the worker's own."""

    @override
    def heartbeat(self, *args: Any, **kwargs: Any) -> None:
        """Report for duty; called between two waits and after each job, so the place to end."""
        if self._stopping.is_set():
            raise StopRequested
        super().heartbeat(*args, **kwargs)


class WorkerService:
    """Runs queued jobs until it is stopped; comes back after the queue's server was away."""

    def __init__(self) -> None:
        self._stopping = threading.Event()

    def run(self) -> None:
        """Work; blocks until stop()."""
        while not self._stopping.is_set():
            try:
                worker = ThreadWorker(django_rq.get_queue(), stopping=self._stopping)
                worker.work(logging_level="WARNING")
            except RedisError as error:
                logger.warning("the queue cannot be reached", extra={"error": repr(error)})
            self._stopping.wait(_RETRY_SECONDS)

    def stop(self) -> None:
        """Ask run() to end after the job in work."""
        self._stopping.set()
