"""One socket: reads messages, checks who speaks, hands operations to the services, writes frames.

An ASGI application of its own instead of a Channels consumer: no task or layer stands between a message and its service.
"""

import asyncio
import contextlib
import contextvars
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from django.conf import settings
from django.db import DatabaseError
from rest_framework.exceptions import ValidationError

from apps.auth.facade import AuthenticatedUser, session_user, token_identity
from apps.common.direct_socket import direct_socket_of, framed_bytes
from apps.common.envelope import service_failure, success
from apps.common.errors import STORE_AWAY, ServiceError, StoreAwayError
from apps.common.exact_json import json_decode, json_encode
from apps.common.requests import request_id_make
from apps.market.facade import CandleKey, Subscription, prices_subscribe
from apps.profile.facade import AccountInfo, account_for_async
from apps.trade.consumers import limits
from apps.trade.consumers.account_feed import AccountFeed
from apps.trade.consumers.channels import after_of, channels_of
from apps.trade.consumers.frames import (
    form_require,
    invalid_error,
    reply_to,
    request_validated,
)
from apps.trade.consumers.origins import headers_of, session_key_of
from apps.trade.operations import OPERATIONS, Asked, Operation

logger = logging.getLogger(__name__)

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Handler = Callable[["TradingSocket", Message], Awaitable[object]]


class TradingSocket:
    """One client's connection."""

    def __init__(self, scope: Message, receive: Receive, send: Send) -> None:
        self._loop = asyncio.get_running_loop()
        self._headers = headers_of(scope)
        self._receive = receive
        self._asgi_send = send
        self._direct = direct_socket_of(scope)
        self._user: AuthenticatedUser | None = None
        # Asks again who is there; None before anybody has proved it.
        self._identify: Callable[[], Awaitable[AuthenticatedUser | None]] | None = None
        # Set once somebody has; from then on the session is looked at, however early that was.
        self._known = asyncio.Event()
        self._rate = limits.MessageRate(settings.SOCKET_MESSAGES_PER_SECOND, self._loop.time())
        self._prices: Subscription | None = None
        # None: all symbols.
        self._symbols: set[str] | None = set()
        self._accounts: dict[int, AccountFeed] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        # Operations that wait for their answers.
        self._operations: set[asyncio.Task[None]] = set()
        # Whether a message that came by ASGI is in work; what comes meanwhile waits for its turn.
        self._is_busy = False
        self._context = contextvars.copy_context()
        self._is_closed = False

    @classmethod
    async def serve(cls, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one connection; the ASGI application."""
        if (await receive())["type"] == "websocket.connect":
            await cls(scope, receive, send).run()

    async def run(self) -> None:
        """Serve until one side ends it."""
        await self._asgi_send({"type": "websocket.accept"})
        try:
            if key := session_key_of(self._headers):
                await self._signed_in_by_cookie(key)
            self._background(self._watch())
            if self._direct is not None:
                self._direct.hear(self._taken)
            while (message := await self._receive())["type"] == "websocket.receive":
                self._is_busy = True
                await self._message(message)
                self._is_busy = False
        finally:
            self._end()

    # --- frames out -------------------------------------------------------------------------------------------------

    async def _text(self, text: str) -> None:
        if not self._is_closed:
            await self._asgi_send({"type": "websocket.send", "text": text})

    async def _frame(self, frame: dict[str, object]) -> None:
        raw = json_encode(frame)
        if self._direct is not None and self._direct.is_clear() and not self._is_closed:
            self._direct.write(framed_bytes(raw))
        else:
            await self._text(raw.decode())

    async def _close(self, code: int) -> None:
        if not self._is_closed:
            self._is_closed = True
            await self._asgi_send({"type": "websocket.close", "code": code})

    # --- messages in ------------------------------------------------------------------------------------------------

    def _taken(self, text: str) -> bool:
        """Start the operation that a message asks for, at once; leave every other message to its turn."""
        # Most names of operations have a dot, and nothing that comes as often as an acknowledgement has one.
        if self._is_busy or self._is_closed or "." not in text:
            return False
        # What is to be refused is so in its turn, which waits for a client who does not read.
        now_s = self._loop.time()
        if (
            len(text) > limits.MESSAGE_BYTES_MAX
            or len(self._operations) >= limits.IN_FLIGHT_MAX
            or not self._rate.may_pass(now_s)
        ):
            return False
        try:
            request = json_decode(text)
        except ValueError:
            return False
        op = request.get("op") if type(request) is dict else None
        if type(op) is not str or op not in _OPERATIONS:
            return False
        self._rate.take(now_s)
        self._operate(request, self._context.copy())
        return True

    async def _message(self, message: Message) -> None:
        raw = message.get("text") or message.get("bytes") or ""
        if len(raw) > limits.MESSAGE_BYTES_MAX:
            await self._close(limits.CLOSE_TOO_LARGE)
            return
        if not self._rate.take(self._loop.time()):
            await self._too_fast()
            return
        try:
            request = json_decode(raw)
        except ValueError as error:
            await self._error(None, ServiceError("MALFORMED", f"a message must be JSON: {error}"))
            return
        if not isinstance(request, dict):
            await self._error(None, ServiceError("MALFORMED", "a message must be a JSON object"))
            return
        await self._request(request)

    async def _request(self, request: Message) -> None:
        op = request.get("op")
        handler = _HANDLERS.get(op) if isinstance(op, str) else None
        if handler is None:
            known = ", ".join(sorted(_HANDLERS))
            error = ServiceError("OP_UNKNOWN", f"op must be one of {known}, was {str(op)[:40]!r}")
            await self._error(request, error)
        elif op in _OPERATIONS:
            # Operations wait for the engine; meanwhile the socket goes on listening.
            if len(self._operations) >= limits.IN_FLIGHT_MAX:
                text = f"at most {limits.IN_FLIGHT_MAX} operations of one socket may wait for their answers"
                await self._error(request, ServiceError("RATE_LIMITED", text, http_status=429))
                return
            self._operate(request)
        else:
            await self._answer(handler, request)

    def _operate(self, request: Message, context: contextvars.Context | None = None) -> None:
        work = self._answer(TradingSocket._operation, request)
        task = self._loop.create_task(work, context=context)
        self._operations.add(task)
        task.add_done_callback(self._operations.discard)

    async def _answer(self, handler: Handler, request: Message) -> None:
        try:
            form_require(request)
            data = await handler(self, request)
        except ServiceError as error:
            await self._error(request, error)
        except ValidationError as error:
            await self._error(request, invalid_error(error))
        except STORE_AWAY as error:
            _store_is_away(error)
            await self._error(request, StoreAwayError())
        except Exception:
            # The outermost loop of one request: our bug must not end the client's other business.
            logger.exception("an operation failed", extra={"op": request.get("op")})
            text = (
                "something failed on our side; nothing is known about the outcome of this request"
            )
            await self._error(request, ServiceError("INTERNAL", text, http_status=500))
        else:
            if data is not None:
                await self._frame(reply_to(request) | success(data))

    async def _error(self, request: Message | None, error: ServiceError) -> None:
        await self._frame(reply_to(request) | service_failure(error))

    async def _too_fast(self) -> None:
        if self._rate.refused > limits.REFUSALS_MAX:
            await self._close(limits.CLOSE_TOO_MANY)
            return
        text = f"at most {settings.SOCKET_MESSAGES_PER_SECOND} messages a second are read; this one was not"
        await self._error(None, ServiceError("RATE_LIMITED", text, http_status=429))

    # --- who is there -----------------------------------------------------------------------------------------------

    async def _signed_in(
        self, identify: Callable[[], Awaitable[AuthenticatedUser | None]]
    ) -> AuthenticatedUser | None:
        user = await identify()
        if user is None or (self._user is not None and self._user.id != user.id):
            return None
        if self._user is None:
            if limits.sockets_by_user[user.session_owner_id] >= settings.SOCKETS_PER_USER:
                raise ServiceError(
                    "RATE_LIMITED",
                    f"a user may have at most {settings.SOCKETS_PER_USER} sockets",
                    http_status=429,
                )
            limits.sockets_by_user[user.session_owner_id] += 1
        self._user, self._identify = user, identify
        self._known.set()
        return user

    async def _signed_in_by_cookie(self, key: str) -> None:
        try:
            await self._signed_in(lambda: session_user(key))
        except ServiceError as error:
            await self._error(None, error)
            await self._close(limits.CLOSE_TOO_MANY)
        except STORE_AWAY as error:
            _store_is_away(error)
            await self._error(None, StoreAwayError())
            await self._close(limits.CLOSE_LATER)

    async def _watch(self) -> None:
        """Close the socket of a visitor who does not sign in, and of a user whose session has ended."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limits.AUTH_SECONDS):
                await self._known.wait()
        while await self._is_signed_in():  # noqa: ASYNC110 - nothing tells of a session that ends elsewhere.
            await asyncio.sleep(limits.RECHECK_SECONDS)
        await self._close(limits.CLOSE_UNAUTHORISED)

    async def _is_signed_in(self) -> bool:
        try:
            return await self._user_if_same() is not None
        except DatabaseError as error:
            # While nobody can tell, prices and events go on; operations ask for themselves and are refused.
            logger.warning("a session could not be checked", extra={"error": repr(error)})
            return True

    async def _user_if_same(self) -> AuthenticatedUser | None:
        """Return who is there; None after the session's end, or once it shows somebody else's account than at the beginning."""
        user = await self._identify() if self._identify is not None else None
        return user if user is None or self._user is None or user.id == self._user.id else None

    async def _user_now(self) -> AuthenticatedUser:
        user = await self._user_if_same()
        if user is None:
            raise ServiceError(
                "NOT_AUTHENTICATED", 'sign in first: {"op":"auth","token":...}', http_status=401
            )
        return user

    # --- operations -------------------------------------------------------------------------------------------------

    async def _auth(self, request: Message) -> object:
        token = request.get("token")
        if not isinstance(token, str):
            raise ServiceError("INVALID", "token: expected an access token")
        try:
            user = await self._signed_in(token_identity(token))
        except ServiceError as error:
            # One socket too many: no operation and no price is for it.
            await self._error(request, error)
            await self._close(limits.CLOSE_TOO_MANY)
            return None
        if user is None:
            raise ServiceError(
                "NOT_AUTHENTICATED", "the access token is wrong or has ended", http_status=401
            )
        return {"userId": user.id}

    async def _ping(self, request: Message) -> object:
        await self._frame({"ch": "pong", "t": request.get("t")})
        return None

    async def _ack(self, request: Message) -> object:
        frame = request.get("frame")
        if not isinstance(frame, int) or isinstance(frame, bool):
            raise ServiceError("INVALID", "frame: expected the number of a frame")
        if self._prices is not None:
            self._prices.ack(frame)
        return None

    async def _subscribe(self, request: Message) -> object:
        # 1. Whatever refuses a message refuses it here, before the first of its channels is open.
        wanted, after = channels_of(request), after_of(request)
        accounts = [await self._account_of(account_id) for account_id in wanted.accounts]
        self._candles_count(wanted.candles)
        # 2. From here on only a part of the platform that is away can be in the way.
        if wanted.has_prices:
            self._prices_change(None if wanted.has_all_symbols else wanted.symbols)
        for key in wanted.candles:
            await self._stream().candles_add(key)
        for account in accounts:
            await self._account_add(account, after=after.get(str(account.id)))
        return {"channels": wanted.names}

    async def _unsubscribe(self, request: Message) -> object:
        named = channels_of(request)
        if named.has_all_symbols:
            self._symbols = set()
        elif self._symbols is not None:
            # Who hears all hears these as a part of it, and goes on.
            self._symbols -= named.symbols
        for account_id in named.accounts:
            if feed := self._accounts.pop(account_id, None):
                feed.close()
        if self._prices is not None:
            self._prices.update(self._symbols)
            for key in named.candles:
                self._prices.candles_remove(key)
            if self._symbols == set() and not self._prices.candles:
                # Of the feed hears who takes something from it.
                self._prices.close()
                self._prices = None
        return {"channels": named.names}

    def _prices_change(self, added: set[str] | None) -> None:
        if added is None or self._symbols is None:
            self._symbols = None
        else:
            self._symbols |= added
        self._stream().update(self._symbols)

    def _stream(self) -> Subscription:
        """Return this socket's share of prices and candles, which begins with the first channel of either."""
        if self._prices is None:
            self._prices = prices_subscribe(
                self._text, self._symbols, on_stalled=self._stalled, direct=self._direct
            )
        return self._prices

    async def _stalled(self) -> None:
        await self._close(limits.CLOSE_TOO_SLOW)

    def _candles_count(self, added: list[CandleKey]) -> None:
        present = self._prices.candles if self._prices is not None else frozenset()
        if len(present | set(added)) > limits.SUBSCRIPTIONS_MAX:
            raise ServiceError(
                "RATE_LIMITED",
                f"a socket has at most {limits.SUBSCRIPTIONS_MAX} candle channels: unsubscribe from one first",
                http_status=429,
            )

    async def _account_of(self, account_id: int) -> AccountInfo:
        return await account_for_async((await self._user_now()).id, account_id)

    async def _account_add(self, account: AccountInfo, *, after: int | None) -> None:
        if account.id in self._accounts:
            return
        feed = AccountFeed(
            account,
            self._frame,
            on_overflow=lambda: self._background(self._close(limits.CLOSE_TOO_SLOW)),
        )
        self._accounts[account.id] = feed
        try:
            await feed.start(after=after)
        except BaseException:
            self._accounts.pop(account.id, None)
            raise

    async def _operation(self, request: Message) -> object:
        operation = _OPERATIONS[request["op"]]
        user = await self._user_now()
        if operation.is_write and user.viewer_id:
            text = "you look at somebody else's account: nothing can be changed"
            raise ServiceError("VIEW_ONLY", text, http_status=403)
        data = request_validated(operation.shape, request)
        # A request without an id cannot be asked again; it still gets one, so that its outcome can be found.
        chosen = data.get("clientOrderId")
        asked = Asked(user.id, chosen or request_id_make(), data, is_repeatable=bool(chosen))
        return await operation.run(asked)

    # --- the end ----------------------------------------------------------------------------------------------------

    def _background(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _end(self) -> None:
        self._is_closed = True
        for task in self._tasks | self._operations:
            task.cancel()
        for feed in self._accounts.values():
            feed.close()
        if self._prices is not None:
            self._prices.close()
        if self._user is not None:
            limits.sockets_by_user[self._user.session_owner_id] -= 1


_OPERATIONS: dict[str, Operation] = {operation.op: operation for operation in OPERATIONS}
_HANDLERS: dict[str, Handler] = {
    "auth": TradingSocket._auth,  # noqa: SLF001 - its own class.
    "ping": TradingSocket._ping,  # noqa: SLF001 - as above.
    "ack": TradingSocket._ack,  # noqa: SLF001 - as above.
    "subscribe": TradingSocket._subscribe,  # noqa: SLF001 - as above.
    "unsubscribe": TradingSocket._unsubscribe,  # noqa: SLF001 - as above.
    **dict.fromkeys(_OPERATIONS, TradingSocket._operation),  # noqa: SLF001 - as above.
}


def _store_is_away(error: Exception) -> None:
    logger.warning("a store cannot be reached", extra={"error": repr(error)})
