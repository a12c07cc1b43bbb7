"""Speaks to a running platform's socket as docs/asyncapi.yaml has it, and returns every frame that comes back."""

import asyncio
import itertools
import json
from collections.abc import Iterator
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from apps.common.exact_json import json_decode
from tests.apps.trade.test_asyncapi import EXAMPLES
from tests.contract.contract_walk import BUY

_SECONDS = 40
# Frames of the server that come by themselves.
UNASKED = {"prices", "candles", "status", "account"}
# What ends the conversation, or is no question.
_WITHOUT_REPLY = {"auth", "ack", "ping"}


async def frames_of(url: str, token: str, account: int) -> list[dict[str, Any]]:
    """Sign in, subscribe to everything, say every example of the document, and hear until each kind of frame has come."""
    async with asyncio.timeout(_SECONDS), connect(url) as socket:
        frames: list[dict[str, Any]] = []
        await socket.send(json.dumps({"op": "auth", "token": token}))
        channels = ["prices:BTCUSDT", "candles:BTCUSDT:1m", f"account:{account}"]
        for message in _said(account, channels):
            await socket.send(json.dumps(message))
            if message["op"] not in _WITHOUT_REPLY:
                await _heard(socket, frames, "reply", message["id"])
        await socket.send(json.dumps({"op": "ping", "t": 7}))
        await _heard(socket, frames, "pong", None)
        while not {frame["ch"] for frame in frames} >= UNASKED:
            frames.append(json_decode(await socket.recv()))
        return frames


def _said(account: int, channels: list[str]) -> Iterator[dict[str, Any]]:
    numbers = itertools.count(1)
    own = {"accountId": account}
    yield {"op": "subscribe", "channels": channels, "id": next(numbers)}
    yield BUY | {"op": "order.create", "id": next(numbers)} | own
    for _, example in EXAMPLES:
        if example.get("op", "auth") not in {*_WITHOUT_REPLY, "subscribe", "unsubscribe"}:
            yield example | ({} if "accountId" not in example else own) | {"id": next(numbers)}
    yield {"op": "unsubscribe", "channels": ["candles:ETHUSDT:1h"], "id": next(numbers)}


async def _heard(
    socket: ClientConnection, frames: list[dict[str, Any]], channel: str, number: int | None
) -> None:
    while True:
        frames.append(json_decode(await socket.recv()))
        if frames[-1]["ch"] == channel and frames[-1].get("id") == number:
            return
