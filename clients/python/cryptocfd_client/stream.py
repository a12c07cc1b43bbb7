"""The WebSocket: prices and account events, with acknowledgement, reconnection and resumption.

After a lost line the stream comes back by itself and asks for the events after the last one seen, so that none is missed and none comes
twice; what the platform cannot bridge arrives as a snapshot with `is_reset`.
"""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from cryptocfd_client.errors import ApiError, OutcomeUnknownError
from cryptocfd_client.requests import decoded

# A line that has served for as long as the first pause was no failure.
_PAUSE_S = 0.5
_PAUSE_S_MAX = 30.0
_OPEN_S = 10.0
# After this close code the session or its token has ended: coming back with the same one would change nothing.
_UNAUTHORISED = 4401
# Statuses of a refusal that passes: the engine changes over, a part of the platform is away, too many lines are open.
_PASSING = frozenset({408, 429, 503})


class _PassingError(Exception):
    """The platform cannot serve this line now."""


@dataclass(frozen=True, slots=True)
class PriceUpdate:
    """The newest price of one symbol."""

    symbol: str
    bid: Decimal
    ask: Decimal
    # Milliseconds since 1970.
    time_ms: int


@dataclass(frozen=True, slots=True)
class AccountSnapshot:
    """The whole of an account at one event."""

    account_id: int
    seq: int
    # Whether it replaces everything that was known before.
    is_reset: bool
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class AccountEvent:
    """One event of an account; its numbers have no gaps."""

    account_id: int
    seq: int
    data: dict[str, Any]


Update = PriceUpdate | AccountSnapshot | AccountEvent


class _Pauses:
    """How long to stay away after a line has ended: longer each time, until one has served for a while."""

    def __init__(self) -> None:
        self._next_s = _PAUSE_S
        self._served_since_s: float | None = None

    def served(self) -> None:
        """Note that the line serves: it has taken the subscription, or brings what was subscribed to."""
        if self._served_since_s is None:
            self._served_since_s = time.monotonic()

    def after_line(self, *, has_token_ended: bool) -> float:
        """Return the pause before the next line, seconds; none at all where just the token of a line that served has ended.

        A server that takes every line and ends it at once is no better than one that takes none.
        """
        since_s, self._served_since_s = self._served_since_s, None
        if since_s is not None and time.monotonic() - since_s >= _PAUSE_S:
            self._next_s = _PAUSE_S
            if has_token_ended:
                return 0.0
        longest_s, self._next_s = self._next_s, min(_PAUSE_S_MAX, self._next_s * 2)
        # Spread, so that all who were cut off together do not come back together.
        return random.uniform(0.5, 1.0) * longest_s  # noqa: S311 - no secret.


@dataclass(slots=True)
class Stream:
    """Yields updates for ever: `async for update in Stream(url, token=..., prices=["BTCUSDT"], accounts=[1001])`."""

    # Such as wss://example.com/ws/
    url: str
    # An access token; or what returns, or awaits, the one of the moment, since tokens end after ten minutes. Nobody gets prices for
    # longer than ten seconds without one.
    token: str | Callable[[], str | Awaitable[str]] = field(repr=False)
    prices: Sequence[str] = ()
    accounts: Sequence[int] = ()
    # Last event that was seen, by account; kept up to date, and may be given to resume an earlier stream.
    last_seq: dict[int, int] = field(default_factory=dict)

    async def __aiter__(self) -> AsyncIterator[Update]:
        """Connect, and come back after every loss, every refusal that passes and the end of a token that can be had anew.

        Errors: ApiError after any other refusal.
        """
        pauses = _Pauses()
        ended: str | None = None
        while True:
            token, has_token_ended = "", False
            try:
                async with connect(self.url, open_timeout=_OPEN_S) as socket:
                    token = await self._token(ended)
                    await self._begin(socket, token)
                    async for text in socket:
                        frame = decoded(text.encode() if isinstance(text, str) else text)
                        # An account where nothing happens has no updates: that it is followed is told by the answer alone.
                        if frame.get("op") == "subscribe" and frame.get("success") is True:
                            pauses.served()
                        async for update in self._updates(socket, frame):
                            pauses.served()
                            yield update
            except ConnectionClosed as closed:
                has_token_ended = closed.rcvd is not None and closed.rcvd.code == _UNAUTHORISED
                if has_token_ended and not callable(self.token):
                    raise ApiError(
                        401, {"code": "NOT_AUTHENTICATED", "message": "the session has ended"}
                    ) from closed
            except (OSError, TimeoutError, InvalidHandshake, OutcomeUnknownError, _PassingError):
                pass
            ended = token if has_token_ended else None
            await asyncio.sleep(pauses.after_line(has_token_ended=has_token_ended))

    async def _token(self, ended: str | None) -> str:
        token = self.token() if callable(self.token) else self.token
        if not isinstance(token, str):
            token = await token
        if token == ended:
            # Not renewed yet; after one pause it is shown again, so that one that never will be is refused.
            raise _PassingError
        return token

    async def _begin(self, socket: ClientConnection, token: str) -> None:
        await socket.send(json.dumps({"op": "auth", "token": token}))
        # One channel for all symbols: a message may name fifty channels.
        channels = [f"prices:{','.join(self.prices)}"] if self.prices else []
        channels += [f"account:{account}" for account in self.accounts]
        after = {str(account): seq for account, seq in self.last_seq.items()}
        message = {"op": "subscribe", "channels": channels}
        await socket.send(json.dumps(message | ({"after": after} if after else {})))

    async def _updates(
        self, socket: ClientConnection, frame: dict[str, Any]
    ) -> AsyncIterator[Update]:
        channel = frame.get("ch")
        if channel == "prices":
            for symbol, bid, ask, time_ms in frame["d"]:
                yield PriceUpdate(symbol, Decimal(bid), Decimal(ask), time_ms)
            await socket.send(json.dumps({"op": "ack", "frame": frame["n"]}))
        elif channel == "account":
            account, seq = frame["id"], frame["seq"]
            # A repeat after a reconnection says nothing new.
            if "snapshot" in frame:
                self.last_seq[account] = seq
                yield AccountSnapshot(account, seq, frame.get("reset", False), frame["snapshot"])
            elif seq > self.last_seq.get(account, 0):
                self.last_seq[account] = seq
                yield AccountEvent(account, seq, frame["d"])
        elif channel == "reply" and frame.get("success") is False:
            status = int(frame.get("statusCode", 400))
            raise _PassingError if status in _PASSING else ApiError(status, frame)
