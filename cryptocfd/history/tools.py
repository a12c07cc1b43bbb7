"""What the commands of this package share: servers that answer, an engine's configuration, and a progress bar."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import connections
from redis import Redis
from redis.exceptions import RedisError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from cryptocfd.embedded.configured import servers_configured
from cryptocfd.history.journal import Advance

_TIMEOUT_S = 10.0


@contextmanager
def servers_answer() -> Iterator[None]:
    """Start the embedded servers for the length of a command, unless a platform runs them or they are elsewhere.

    Errors: SetupError.
    """
    servers = servers_configured()
    if servers.is_empty or _log_answers():
        yield
        return
    servers.start()
    try:
        yield
    finally:
        connections.close_all()
        servers.stop()


def _log_answers() -> bool:
    try:
        with log_client() as client:
            return bool(client.ping())
    except RedisError:
        return False


def log_client() -> Redis:
    """Return a client of the log's server."""
    return Redis.from_url(settings.LOG_REDIS_URL, socket_timeout=_TIMEOUT_S)


@contextmanager
def progress_bar(title: str, total: int) -> Iterator[Advance]:
    """Show how far a long work has come; on something that is no terminal only the end is printed."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total)
        yield _advancing(bar, task)


def _advancing(bar: Bar, task: object) -> Callable[[int], None]:
    def advance(count: int) -> None:
        bar.advance(task, count)  # type: ignore[arg-type]  # rich's id is a plain int.

    return advance
