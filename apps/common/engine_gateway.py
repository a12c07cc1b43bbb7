"""The gateway to the engine: the sole writer of commands, and the one place where their answers are awaited.

One gateway per process, on one event loop; sync code reaches it by the twins. How it keeps its promises:
 1. Whoever asks is registered under (shard, account, request id) before the command leaves: answers were seen to arrive
    before the server had confirmed the XADD.
 2. The same key and content asked again while the first is under way waits for that answer; other content waits until the
    first is decided, and is then refused by the engine.
 3. Every entry carries a tag of this process and a number, so an answer finds exactly its own question.
 4. No answer in time means unknown, not failed. Nothing is ever sent twice from here.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, TypeVar
from uuid import uuid4

import msgspec
from redis.exceptions import RedisError

from apps.common.account_events import AccountCallback, AccountEvents, SharedCallback
from apps.common.admission import HealthWatch, admit
from apps.common.clock import now_us
from apps.common.engine_queries import EngineQueries
from apps.common.errors import EngineBusyError, EngineTimeoutError
from apps.common.gateway_wire import CommandWriter, OutputReader, all_up
from apps.common.output_lookup import JournalReader, OutputLookup
from apps.common.outputs import Output
from engine.messages import codec
from engine.messages.commands import (
    AnyAccountCommand,
    AnyCommand,
    AnyDefinitionCommand,
    ChargeSwap,
    DefineGroup,
    DefineInstrument,
    DefinitionCommand,
)
from engine.messages.replies import Accepted, Duplicate, Rejected
from engine.messages.streams import (
    IN_GATEWAY,
    IN_MESSAGE,
    IN_VERSION,
    health_key,
    input_stream,
    output_stream,
    shard_of,
)
from engine.messages.views import AnyQuery, AnyView
from engine.values import Actor

logger = logging.getLogger(__name__)
T = TypeVar("T")

_SWEEP_S = 0.05
_START_TIMEOUT_S = 15.0
# Grace of the sync twins over the gateway's own time-outs.
_SYNC_GRACE_S = 5.0
_VERSION = str(codec.WIRE_VERSION).encode()
_PagedCommand = DefineInstrument | DefineGroup | ChargeSwap

_CLIENT: Final = Actor.CLIENT

_Key = tuple[int, int, str]


class _Pending:
    """A command under way and all who wait for its answer."""

    __slots__ = ("command", "expires_s", "key", "waiters")

    def __init__(self, key: _Key, command: AnyCommand, expires_s: float) -> None:
        self.key = key
        self.command = command
        self.expires_s = expires_s
        self.waiters: list[asyncio.Future[Output]] = []


class EngineGateway:
    """Sends commands and queries to the engine and brings every answer to its asker."""

    def __init__(
        self,
        *,
        log_url: str,
        redis_url: str,
        prefix: str = "",
        shards: int = 1,
        timeout_ms: int = 3_000,
        journal: JournalReader | None = None,
        clock_us: Callable[[], int] = now_us,
    ) -> None:
        self.id = uuid4().hex[:12]
        self._prefix = prefix
        self._shards = shards
        self._timeout_ms = timeout_ms
        self._clock_us = clock_us
        self._tag = f"{self.id}:".encode()
        self._count = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        # By number of the tag, oldest first; by key for those who ask again.
        self._pending: dict[int, _Pending] = {}
        self._by_key: dict[_Key, _Pending] = {}
        self._account_events = AccountEvents()
        self._side_tasks: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        self._inputs = [input_stream(prefix, s, shards).encode() for s in range(shards)]
        outputs = [output_stream(prefix, s, shards) for s in range(shards)]
        self._lookup = OutputLookup(log_url, outputs, journal)
        self._writer = CommandWriter(log_url, "gateway-writer")
        self._reader = self._reader_make(log_url, outputs)
        self._queries = EngineQueries(
            redis_url, gateway_id=self.id, prefix=prefix, shards=shards, timeout_ms=timeout_ms
        )
        self._health = HealthWatch(redis_url, [health_key(prefix, s) for s in range(shards)])
        self._tasks = (
            self._writer,
            self._reader,
            self._queries.writer,
            self._queries.listener,
            self._health,
        )

    def _reader_make(self, log_url: str, outputs: Sequence[str]) -> OutputReader:
        return OutputReader(log_url, outputs, self._on_outputs)

    # --- life -------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Connect on the running loop; returns when every answer from now on will be heard.

        Errors: redis TimeoutError when the servers cannot be reached.
        """
        self._loop = asyncio.get_running_loop()
        for task in self._tasks:
            task.start()
        try:
            await all_up(self._tasks, _START_TIMEOUT_S)
        except BaseException:
            await self.stop()
            raise
        self._sweeper = self._loop.call_later(_SWEEP_S, self._sweep)

    async def stop(self) -> None:
        """Close the connections; who still waits is told that the outcome is unknown."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for task in self._tasks:
            await task.stop()
        await self._lookup.close()
        for number in list(self._pending):
            self._expire(number)

    def start_in_thread(self) -> None:
        """Start on a loop of its own, for processes that have none; errors as start."""
        loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=loop.run_forever, name="gateway", daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.start(), loop).result()

    def stop_thread(self) -> None:
        """Stop what start_in_thread started."""
        if self._loop is None or self._thread is None:
            return
        asyncio.run_coroutine_threadsafe(self.stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._thread = None

    @property
    def pending_count(self) -> int:
        """Return how many commands are under way."""
        return len(self._pending)

    def is_pending(self, account: int, request_id: str) -> bool:
        """Return whether a request of an account is under way from this process."""
        return (shard_of(account, self._shards), account, request_id) in self._by_key

    async def output_last(self, account: int) -> tuple[int, str]:
        """Return the shard of an account and the id of the newest output that stands in its stream.

        Errors: EngineBusyError when the log cannot be reached.
        """
        shard = shard_of(account, self._shards)
        try:
            return shard, await self._lookup.last(shard)
        except (RedisError, OSError) as error:
            raise EngineBusyError("the log cannot be reached") from error

    # --- commands ---------------------------------------------------------------------------------------------------

    async def send(self, command: AnyCommand) -> Output:
        """Send a command and return the output that decided it, the first one if it was decided before.

        A definition goes to every shard, page by page, and returns the first refusal or else the first shard's output.
        Errors: EngineTimeoutError, outcome unknown; EngineBusyError, nothing was sent.
        """
        if not isinstance(command, DefinitionCommand):
            account = command.account
            shard = shard_of(account, self._shards) if self._shards > 1 else 0
            return await self._send_keyed(
                (shard, account, command.request_id), self._with_deadline(command)
            )
        outputs = await asyncio.gather(
            *(self._send_pages(shard, command) for shard in range(self._shards))
        )
        return next((o for o in outputs if isinstance(o.reply, Rejected)), outputs[0])

    def send_sync(self, command: AnyCommand) -> Output:
        """Send from a thread that is not the gateway's; as send."""
        return self.run(self.send(command))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the gateway's loop and wait for it in this thread; errors are the coroutine's own."""
        if self._loop is None:
            work.close()
            raise EngineBusyError("the gateway has not started")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(self._timeout_ms / 1000 * 2 + _SYNC_GRACE_S)
        except TimeoutError:
            future.cancel()
            raise EngineTimeoutError(request_id="", timeout_ms=self._timeout_ms) from None

    def _with_deadline(self, command: AnyAccountCommand) -> AnyAccountCommand:
        if command.actor is _CLIENT and not command.deadline_us:
            deadline_us = self._clock_us() + self._timeout_ms * 1000
            return msgspec.structs.replace(command, deadline_us=deadline_us)
        return command

    async def _send_pages(self, shard: int, command: AnyDefinitionCommand) -> Output:
        first = output = await self._send_keyed((shard, 0, command.request_id), command)
        while isinstance(output.reply, Accepted) and output.reply.next_account:
            if not isinstance(command, _PagedCommand):
                break
            after = output.reply.next_account
            page = msgspec.structs.replace(
                command, after_account=after, request_id=f"{command.request_id}/{after}"
            )
            output = await self._send_keyed((shard, 0, page.request_id), page)
        return output if isinstance(output.reply, Rejected) else first

    async def _send_keyed(self, key: _Key, command: AnyCommand) -> Output:
        while (pending := self._by_key.get(key)) is not None:
            if codec.content_digest(pending.command) == codec.content_digest(command):
                return await self._waiter(pending)
            # Settled either way: whether the first was decided or timed out does not concern this one.
            await asyncio.wait([self._waiter(pending)])
        admit(command, pending=len(self._pending), report=self._health.reports.get(key[0]))
        self._count += 1
        number = self._count
        expires_s = self._running_loop.time() + self._timeout_ms / 1000
        pending = _Pending(key, command, expires_s)
        self._pending[number] = pending
        self._by_key[key] = pending
        self._writer.submit(
            (
                b"XADD",
                self._inputs[key[0]],
                b"*",
                IN_VERSION,
                _VERSION,
                IN_MESSAGE,
                codec.encode(command),
                IN_GATEWAY,
                self._tag + str(number).encode(),
            ),
            lambda reason: self._refused(number, reason),
        )
        return await self._waiter(pending)

    def _waiter(self, pending: _Pending) -> asyncio.Future[Output]:
        # A future for each asker: one who gives up takes nothing from the others.
        future: asyncio.Future[Output] = self._running_loop.create_future()
        pending.waiters.append(future)
        return future

    @property
    def _running_loop(self) -> asyncio.AbstractEventLoop:
        # Kept since the start: to ask asyncio for it takes a call of the kernel each time.
        return self._loop or asyncio.get_running_loop()

    # --- answers ----------------------------------------------------------------------------------------------------

    def _on_outputs(self, outputs: list[Output]) -> None:
        for output in outputs:
            if output.gateway.startswith(self._tag):
                # A number that is not under way any more was answered after its time-out: the same id asks again.
                self._answered(int(output.gateway[len(self._tag) :]), output)
            self._account_events.tell(output)

    def _answered(self, number: int, output: Output) -> None:
        if number in self._pending and isinstance(output.reply, Duplicate):
            task = asyncio.get_running_loop().create_task(
                self._answer_with_first(number, output.reply.output_id)
            )
            self._side_tasks.add(task)
            task.add_done_callback(self._side_tasks.discard)
            return
        self._settle(number, output=output)

    async def _answer_with_first(self, number: int, output_id: str) -> None:
        pending = self._pending.get(number)
        if pending is None:
            return
        try:
            first = await self._lookup.find(*pending.key, output_id)
        except Exception:
            # The outermost loop of this task: who waits gets its time-out, and the same id asks again.
            logger.exception("the first answer could not be read", extra={"output_id": output_id})
            return
        if first is None:
            logger.error(
                "an answered request has no output in stream or journal",
                extra={"output_id": output_id},
            )
            return
        self._settle(number, output=first)

    def _settle(
        self, number: int, *, output: Output | None = None, error: Exception | None = None
    ) -> None:
        pending = self._pending.pop(number, None)
        if pending is None:
            return
        if self._by_key.get(pending.key) is pending:
            del self._by_key[pending.key]
        for future in pending.waiters:
            if future.done():
                continue
            if output is not None:
                future.set_result(output)
            elif error is not None:
                future.set_exception(error)

    def _refused(self, number: int, reason: str) -> None:
        pending = self._pending.get(number)
        if pending is not None:
            request_id = pending.command.request_id
            self._settle(number, error=EngineBusyError(reason, request_id=request_id))

    def _expire(self, number: int) -> None:
        request_id = self._pending[number].command.request_id
        self._settle(
            number, error=EngineTimeoutError(request_id=request_id, timeout_ms=self._timeout_ms)
        )

    def _sweep(self) -> None:
        # All have the same time-out, so the oldest come first and the first young one ends the search.
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        overdue = []
        for number, pending in self._pending.items():
            if pending.expires_s > now_s:
                break
            overdue.append(number)
        for number in overdue:
            self._expire(number)
        self._sweeper = loop.call_later(_SWEEP_S, self._sweep)

    # --- account events and queries ---------------------------------------------------------------------------------

    def subscribe_account(self, account: int, callback: AccountCallback) -> Callable[[], None]:
        """Call back on the gateway's loop with every output that names the account; returns how to end it.

        None instead of an output says that some may have been missed: take a new snapshot.
        """
        return self._account_events.subscribe(account, callback)

    def subscribe_shared(self, callback: SharedCallback) -> None:
        """Call back on the gateway's loop with every output of a command that names no account: definitions and modes."""
        self._account_events.shared.append(callback)

    async def query(self, query: AnyQuery, *, after: str = "") -> AnyView:
        """Ask the engine outside the log; `after` is an output id that the answer must include.

        Errors: EngineBusyError when nobody answers, EngineQueryRefusedError when the engine cannot; nothing has changed then.
        """
        return await self._queries.ask(query, after=after)

    def query_sync(self, query: AnyQuery, *, after: str = "") -> AnyView:
        """Ask from a thread that is not the gateway's; as query."""
        return self.run(self.query(query, after=after))


class _Installed:
    """The gateway of this process."""

    gateway: EngineGateway | None = None


def gateway_install(gateway: EngineGateway | None) -> None:
    """Make a started gateway the one of this process, or take it away; for the composition root and tests."""
    _Installed.gateway = gateway


def engine_gateway() -> EngineGateway:
    """Return the gateway of this process.

    Errors: EngineBusyError when none has started.
    """
    if _Installed.gateway is None:
        raise EngineBusyError("this process has no gateway to the engine")
    return _Installed.gateway
