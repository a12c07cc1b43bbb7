"""Whether a log may be started upon: an empty one beside a journal is a wrong address or a lost server, not a beginning."""

import logging
from collections.abc import Callable

from django.db import DatabaseError, connection
from redis import Redis

from apps.common.engine_layout import layout_read
from apps.trade import selectors
from cryptocfd.embedded.errors import SetupError
from cryptocfd.engine_config import engine_config
from cryptocfd.history.errors import HistoryError
from cryptocfd.history.journal import JournalHistory, entry_text, journal_length
from cryptocfd.history.restore import log_restore
from cryptocfd.history.tools import log_client, progress_bar
from engine.messages.streams import CHECKPOINT_NUMBER, FIRST_LAYOUT, checkpoint_key

logger = logging.getLogger(__name__)

BOOTSTRAP_HELP = "make a new log from the journal if the log is empty, and start upon it"

Say = Callable[[str], None]


def bootstrap_check(*, is_asked: bool, say: Say = lambda _line: None) -> None:
    """Refuse a log that knows less than the journal; if asked (`--bootstrap`), restore an empty one instead.

    A database that cannot be reached hinders no start: the projector refuses such outputs too.
    Errors: SetupError.
    """
    try:
        missing = journal_ahead()
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


def journal_ahead() -> str:
    """Return in a sentence how the journal is ahead of the log; empty when it is not.

    Errors: DatabaseError, RedisError.
    """
    layouts = selectors.layouts()
    if not layouts:
        return ""
    prefix = engine_config().prefix
    with log_client() as client:
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
