"""One account's events on one socket: a snapshot or the missed events first, then every event after, without a gap."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from apps.common.engine_gateway import engine_gateway
from apps.common.errors import ServiceError
from apps.common.outputs import Output
from apps.profile import facade as profile
from apps.profile.facade import AccountInfo
from apps.trade.consumers.limits import EVENTS_RESUMED_MAX, EVENTS_WAITING_MAX
from apps.trade.services.history import events_read, seq_is_projected
from apps.trade.services.snapshots import account_snapshot, event_shape
from engine.messages.events import AccountEvent
from engine.messages.views import AccountView

_RESET_RETRY_S = 0.5

# Sends one frame; sets what the socket shall be closed with.
SendFrame = Callable[[dict[str, object]], Awaitable[None]]


class AccountFeed:
    """Follows one account for one socket.

    1. Live events are buffered from the very beginning.
    2. The snapshot names the last event that it contains. Who comes back gets the events after the last one that he has seen from
       the journal instead, up to what the engine had decided by then.
    3. Of the buffer, what comes after that is sent; then the live ones.
    After a gap in the stream, and where the journal cannot bridge what was missed, comes a snapshot with `reset`.
    """

    def __init__(
        self, account: AccountInfo, send: SendFrame, on_overflow: Callable[[], None]
    ) -> None:
        self._account = account
        self._send = send
        self._on_overflow = on_overflow
        # None: a gap.
        self._waiting: asyncio.Queue[Output | None] = asyncio.Queue(EVENTS_WAITING_MAX)
        self._symbols: dict[str, str] = {}
        self._seq = 0
        self._unsubscribe = engine_gateway().subscribe_account(account.id, self._heard)
        self._task: asyncio.Task[None] | None = None

    async def start(self, *, after: int | None) -> None:
        """Send the snapshot, or the events after one that the client has seen, and go on with events.

        Errors: EngineBusyError, AccountUnknownError; then nothing is followed.
        """
        try:
            if after is None:
                await self._snapshot(is_reset=False)
            else:
                await self._resume(after)
        except BaseException:
            self._unsubscribe()
            raise
        self._task = asyncio.create_task(self._pump())

    def close(self) -> None:
        """Follow the account no longer."""
        self._unsubscribe()
        if self._task is not None:
            self._task.cancel()

    def _heard(self, output: Output | None) -> None:
        try:
            self._waiting.put_nowait(output)
        except asyncio.QueueFull:
            # Events are never dropped silently: the client comes back and takes a new snapshot.
            self.close()
            self._on_overflow()

    async def _pump(self) -> None:
        while True:
            output = await self._waiting.get()
            if output is None:
                await self._reset()
                continue
            for event in output.events:
                if isinstance(event, AccountEvent) and event.account == self._account.id:
                    await self._tell(event, output)

    async def _tell(self, event: AccountEvent, output: Output) -> None:
        if event.seq <= self._seq:
            return
        self._seq = event.seq
        symbol = getattr(event, "symbol", None)
        entity = getattr(event, "position_id", None) or getattr(event, "order_id", None)
        if symbol and entity:
            self._symbols[entity] = symbol
        shape = event_shape(event, self._symbols)
        await self._send(
            {
                "ch": "account",
                "id": self._account.id,
                "seq": event.seq,
                "d": shape | {"asOf": output.output_id},
            }
        )
        if getattr(event, "remaining_units", None) == 0 and entity:
            self._symbols.pop(entity, None)

    async def _resume(self, after: int) -> None:
        view = await profile.account_view(self._account)
        missed = view.seq - after
        is_bridged = 0 <= missed <= EVENTS_RESUMED_MAX and (
            not missed or await seq_is_projected(self._account.id, view.seq)
        )
        events = []
        if is_bridged and missed:
            events = await events_read(account_id=self._account.id, seq=after, limit=missed)
        # Each of them: a record that is being put right, or another one than a moment ago, may lack some.
        if not is_bridged or [seq for seq, _ in events] != list(range(after + 1, view.seq + 1)):
            await self._snapshot(is_reset=True)
            return
        self._remember(view)
        for seq, shape in events:
            await self._send({"ch": "account", "id": self._account.id, "seq": seq, "d": shape})

    async def _reset(self) -> None:
        while True:
            with contextlib.suppress(ServiceError):
                await self._snapshot(is_reset=True)
                return
            await asyncio.sleep(_RESET_RETRY_S)

    async def _snapshot(self, *, is_reset: bool) -> None:
        view = await profile.account_view(self._account)
        self._remember(view)
        frame: dict[str, object] = {
            "ch": "account",
            "id": view.account,
            "seq": view.seq,
            "snapshot": account_snapshot(view),
        }
        if is_reset:
            frame["reset"] = True
        await self._send(frame)

    def _remember(self, view: AccountView) -> None:
        self._seq = view.seq
        self._symbols = {p.position_id: p.symbol for p in view.positions}
        self._symbols |= {o.order_id: o.symbol for o in view.orders}
