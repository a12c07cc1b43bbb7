"""The journal as an engine reads it: where its output stream has lost something."""

import logging
from collections.abc import Sequence

from django.conf import settings
from django.db import DatabaseError, connection
from redis.exceptions import RedisError

from apps.common.engine_layout import layout_read
from apps.trade.services.projection.journal import journal_range
from cryptocfd.history.journal import engine_entry
from cryptocfd.history.tools import log_client
from engine.messages.streams import FIRST_LAYOUT
from engine.runtime.ports import Output

logger = logging.getLogger(__name__)


class JournalOutputs:
    """The outputs of one shard in PostgreSQL; connected only while they are read."""

    def __init__(self, shard: int) -> None:
        self._shard = shard

    def read(self, after: int, upto: int, limit: int) -> Sequence[Output]:
        """Return at most ``limit`` outputs with after < id <= upto, in order; none when the database cannot be reached."""
        try:
            with log_client() as client:
                layout = layout_read(client, settings.STREAM_PREFIX)
            outputs = journal_range(
                layout.number if layout else FIRST_LAYOUT,
                self._shard,
                after=after,
                upto=upto,
                limit=limit,
            )
        except (DatabaseError, RedisError) as error:
            # The recovery refuses what it lacks, and says so.
            logger.warning("the journal cannot be read", extra={"error": repr(error)})
            return []
        finally:
            connection.close()
        return [engine_entry(output)[1] for output in outputs]
