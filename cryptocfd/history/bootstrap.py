"""Whether a log and a database may be started upon: an empty one beside the other's history is a wrong address or a lost server.

Not a beginning: a platform on half of its past would give the accounts of the log to the first newcomers.
"""

import logging
from collections.abc import Callable

from django.conf import settings
from django.db import DatabaseError, connection
from redis import Redis

from apps.common.engine_layout import layout_read
from apps.trade import selectors
from apps.trade.models import ProjectorOffset
from apps.trade.services.projection.standing import journal_lacks
from cryptocfd.embedded.errors import SetupError
from cryptocfd.engine_config import engine_config, log_asked
from cryptocfd.history.errors import HistoryError
from cryptocfd.history.journal import JournalHistory, entry_text, journal_length
from cryptocfd.history.restore import log_restore
from cryptocfd.history.tools import log_client, progress_bar
from engine.messages.streams import CHECKPOINT_NUMBER, FIRST_LAYOUT, checkpoint_key

logger = logging.getLogger(__name__)

BOOTSTRAP_HELP = "make a new log from the journal if the log is empty, and start upon it"

Say = Callable[[str], None]


def bootstrap_check(*, is_asked: bool, say: Say = lambda _line: None) -> None:
    """Refuse a log and a journal that do not belong together; if asked (`--bootstrap`), restore an empty log instead.

    A database that cannot be reached hinders no start: the projector refuses such outputs too.
    Errors: SetupError.
    """
    try:
        missing = journal_ahead()
        if not missing:
            database_check()
    except DatabaseError as error:
        logger.warning("the journal cannot be compared with the log", extra={"error": repr(error)})
        return
    finally:
        connection.close()
    if not missing:
        return
    if is_asked:
        restore_from_journal(say=say)
        return
    raise SetupError(
        f"{missing} Check LOG_REDIS_URL, STREAM_PREFIX and DATABASE_URL. If the log's server has lost its data, start "
        "with --bootstrap, which makes a new log from the journal (or run `python manage.py engine "
        "restore --from-journal`)."
    )


def database_check() -> None:
    """Refuse a database that lacks what this log's outputs were projected to; asked before anything is written into it.

    A database that nobody has migrated is an empty one. Errors: SetupError, DatabaseError.
    """
    is_migrated = ProjectorOffset._meta.db_table in connection.introspection.table_names()  # noqa: SLF001 - Django's documented API.
    offsets = [row for rows in selectors.layouts() for row in rows] if is_migrated else []
    prefix = settings.STREAM_PREFIX

    def lacking(client: Redis) -> str:
        layout = layout_read(client, prefix)
        return "" if layout is None else journal_lacks(client, prefix, layout, offsets)

    fault = log_asked(lacking)
    if fault:
        raise SetupError(
            f"{fault} Check DATABASE_URL, LOG_REDIS_URL and STREAM_PREFIX. If the database is lost, restore a backup of it "
            "(pg_restore; docs/OPERATIONS.md, When the database is lost): the projector adds what the log still holds. To begin "
            "anew on purpose, begin with an empty log and no snapshots too (another DATA_DIR)."
        )


def journal_ahead() -> str:
    """Return in a sentence how the journal is ahead of the log; empty when it is not.

    Errors: DatabaseError, SetupError.
    """
    layouts = selectors.layouts()
    if not layouts:
        return ""
    prefix = engine_config().prefix

    def ahead(client: Redis) -> str:
        layout = _layout_number(client, prefix)
        if layout > layouts[-1][0].layout:
            # A reshard whose first outputs are not projected yet.
            return ""
        for row in layouts[-1]:
            number = int(client.hget(checkpoint_key(prefix, row.shard), CHECKPOINT_NUMBER) or 0)
            if row.n > number:
                return (
                    f"The journal holds {row.n} outputs of shard {row.shard}, but the log's checkpoint says "
                    f"{number}: the log is empty, old, or another one."
                )
        return ""

    return log_asked(ahead)


def _layout_number(client: Redis, prefix: str) -> int:
    layout = layout_read(client, prefix)
    return FIRST_LAYOUT if layout is None else layout.number


def restore_from_journal(*, say: Say = lambda _line: None) -> JournalHistory:
    """Make a new log from the journal, with a progress bar.

    Errors: SetupError.
    """
    try:
        with log_client() as client, progress_bar("journal", journal_length()) as advance:
            history = log_restore(client, engine_config(), say=say, advance=advance)
    except HistoryError as error:
        raise SetupError(str(error)) from error
    for number, item in enumerate(history.shards):
        position = item.shard.position
        say(
            f"shard {number} restored to output {position.number} at {entry_text(position)}, state "
            f"{item.machine.state_hash().hex()[:16]}"
        )
    return history
