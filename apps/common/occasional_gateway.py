"""The gateway of a process that only sends a command now and then: it reads outputs while it waits for an answer, and else none.

A web process needs every output for its sockets. Projector and worker would read each order of the whole platform beside it for the
few answers that are theirs.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hiredis import pack_command
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from typing_extensions import override

from apps.common.account_events import AccountCallback, AccountEvents
from apps.common.engine_gateway import EngineGateway
from apps.common.errors import EngineBusyError
from apps.common.gateway_wire import OutputReader, stream_end_of
from apps.common.outputs import Output
from apps.common.reply_link import ReplyLink
from engine.messages.commands import AnyCommand


class OccasionalReader(OutputReader):
    """Follows the output streams while somebody is asking, each time from their ends on."""

    def __init__(
        self,
        url: str,
        streams: Sequence[str],
        on_outputs: Callable[[list[Output]], None],
        on_begin: Callable[[], None],
    ) -> None:
        super().__init__(url, streams, on_outputs)
        # Called before the first output after a rest.
        self._on_begin = on_begin
        self._askers = 0
        # Done when the ends are known that were asked for after a rest, and those that are known so far.
        self._beginning: asyncio.Future[None] | None = None
        self._ends: list[bytes] = []

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Keep following within, once follow() has returned."""
        self._askers += 1
        try:
            yield
        finally:
            self._askers -= 1

    async def follow(self) -> None:
        """Return when every output from now on will be read; within asking().

        Errors: redis ConnectionError, or what else ended the connection meanwhile.
        """
        if self._beginning is None:
            if self.is_owed:
                return
            link = self._link
            if link is None or link.has_ended:
                raise RedisConnectionError("there is no connection")
            loop = asyncio.get_running_loop()
            self._beginning = loop.create_future()
            self._ends.clear()
            self.is_owed = True
            link.quiet_since_s = loop.time()
            for stream in self._streams:
                command: tuple[Any, ...] = (b"XINFO", b"STREAM", stream)
                link.write(pack_command(command))
        # Others wait for the same: one who gives up takes nothing from them.
        await asyncio.shield(self._beginning)

    @override
    def _ask(self, link: ReplyLink) -> None:
        self.is_owed = self._askers > 0
        if self.is_owed:
            super()._ask(link)

    @override
    def _on_replies(self, replies: list[Any]) -> None:
        link = self._link
        while replies and link is not None and self._beginning is not None:
            try:
                self._ends.append(stream_end_of(replies.pop(0)))
            except ResponseError as error:
                link.end(error)
                return
            if len(self._ends) == len(self._streams):
                self._last.update(zip(self._streams, self._ends, strict=True))
                self._on_begin()
                beginning, self._beginning = self._beginning, None
                self._ask(link)
                beginning.set_result(None)
        if replies:
            super()._on_replies(replies)

    @override
    def _failed(self, error: Exception) -> None:
        beginning, self._beginning = self._beginning, None
        if beginning is not None:
            self.is_owed = False
            beginning.set_exception(error)
            # Whoever waited may have given up already.
            beginning.exception()


class OccasionalGateway(EngineGateway):
    """Sends commands and queries like any gateway, but does not follow accounts."""

    _reader: OccasionalReader

    @override
    def _reader_make(self, log_url: str, outputs: Sequence[str]) -> OutputReader:
        return OccasionalReader(log_url, outputs, self._on_outputs, self._begin)

    def _begin(self) -> None:
        # The numbers of outputs go on where they like after a rest.
        self._account_events = AccountEvents()

    @override
    async def send(self, command: AnyCommand) -> Output:
        with self._reader.asking():
            try:
                async with asyncio.timeout(self._timeout_ms / 1000):
                    await self._reader.follow()
            except (RedisError, OSError) as error:
                # TimeoutError is an OSError.
                reason = f"the log cannot be reached ({type(error).__name__})"
                raise EngineBusyError(reason, request_id=command.request_id) from error
            return await super().send(command)

    @override
    def subscribe_account(self, account: int, callback: AccountCallback) -> Callable[[], None]:
        raise RuntimeError("this process's gateway does not follow accounts")
