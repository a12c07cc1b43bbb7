"""Reads one earlier output by its id: from the output stream, or from the journal once the stream was trimmed."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError

from apps.common.gateway_wire import connection_make
from apps.common.outputs import Output, output_from_entry

# Reads the output that answered a request: shard, account, request id, output id. Blocking, called in a thread.
JournalReader = Callable[[int, int, str, str], Output | None]


class OutputLookup:
    """Finds outputs that were published before; one connection, used by one question at a time."""

    def __init__(
        self,
        url: str,
        streams: Sequence[str],
        journal: JournalReader | None,
    ) -> None:
        self._connection = connection_make(url)
        self._streams = [stream.encode() for stream in streams]
        self._journal = journal
        self._lock = asyncio.Lock()

    async def find(
        self, shard: int, account: int, request_id: str, output_id: str
    ) -> Output | None:
        """Return the output of that id that answered the request, None if neither stream nor journal has it.

        Errors: redis errors, and those of the journal's database.
        """
        entries = await self._read("XRANGE", self._streams[shard], output_id, output_id)
        if entries:
            output = output_from_entry(shard, *entries[0])
            # After a reshard another shard's output may have had that id.
            if (output.account, output.request_id) == (account, request_id):
                return output
        if self._journal is None:
            return None
        return await asyncio.to_thread(self._journal, shard, account, request_id, output_id)

    async def last(self, shard: int) -> str:
        """Return the id of the newest output of a shard, "0-0" before the first.

        Errors: redis errors.
        """
        entries = await self._read("XREVRANGE", self._streams[shard], "+", "-", "COUNT", "1")
        return entries[0][0].decode() if entries else "0-0"

    async def _read(self, *command: Any) -> Any:
        async with self._lock:
            try:
                return await self._read_once(*command)
            except RedisConnectionError:
                # A server that was started anew meanwhile shows only now. Reading may be repeated, unlike writing.
                return await self._read_once(*command)

    async def _read_once(self, *command: Any) -> Any:
        await self._connection.send_command(*command)
        return await self._connection.read_response(disable_decoding=True)

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.disconnect(nowait=True)
