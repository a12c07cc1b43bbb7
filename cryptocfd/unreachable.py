"""What a command says when a server does not answer, instead of where in the code that was noticed."""

import psycopg
from django.conf import settings
from django.db import DatabaseError, OperationalError
from psycopg.errors import UndefinedTable
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

_HOW = (
    "start the platform (`make run`), or its servers alone (`python manage.py servers`), or check"
)


def sentence_of(error: BaseException) -> str | None:
    """Return what to do about a server that is away or empty; None for every other error."""
    if isinstance(error, RedisConnectionError | RedisTimeoutError):
        return (
            f"A Valkey server does not answer ({_first_line(error)}): {_HOW} LOG_REDIS_URL, REDIS_URL and DATA_DIR, which is "
            f"{settings.DATA_DIR}."
        )
    if not isinstance(error, DatabaseError | psycopg.Error):
        return None
    cause = error if isinstance(error, psycopg.Error) else error.__cause__
    if isinstance(cause, UndefinedTable):
        return (
            f"The database lacks a table ({_first_line(error)}): run `python manage.py migrate`, or check DATABASE_URL and "
            f"DATA_DIR, which is {settings.DATA_DIR}."
        )
    # What the server itself refuses has a code; what never reached it has none.
    is_away = isinstance(error, OperationalError | psycopg.OperationalError)
    if not is_away or getattr(cause, "sqlstate", None) is not None:
        return None
    return (
        f"The database does not answer ({_first_line(error)}): {_HOW} DATABASE_URL and DATA_DIR, which is "
        f"{settings.DATA_DIR}."
    )


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0].strip() or type(error).__name__
