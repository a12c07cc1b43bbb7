"""The socket of visitors: prices of a few symbols for our own pages, and nothing else."""

import asyncio
import json
from typing import Any

import pytest

from apps.trade.consumers import VisitorSocket
from apps.trade.consumers.limits import CLOSE_TOO_MANY
from apps.trade.consumers.visitor import CLOSE_FORBIDDEN, CLOSE_INVALID, SYMBOLS_MAX, _visitors

pytestmark = pytest.mark.integration

OWN_PAGE = ((b"host", b"localhost:8000"), (b"origin", b"http://localhost:8000"))
FOREIGN_PAGE = ((b"host", b"localhost:8000"), (b"origin", b"https://evil.example"))


@pytest.fixture
def visit(live):
    """Open a socket, say something on it, and return the code that it was closed with (None: it stayed open)."""

    def run(
        query: str, *texts: str, headers: tuple[tuple[bytes, bytes], ...] = OWN_PAGE
    ) -> int | None:
        async def conversation() -> int | None:
            inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
            outbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
            inbox.put_nowait({"type": "websocket.connect"})
            for text in texts:
                inbox.put_nowait({"type": "websocket.receive", "text": text})
            inbox.put_nowait({"type": "websocket.disconnect", "code": 1000})
            scope = {"type": "websocket", "headers": headers, "query_string": query.encode()}
            await asyncio.wait_for(VisitorSocket.serve(scope, inbox.get, outbox.put), 5)
            frames = [outbox.get_nowait() for _ in range(outbox.qsize())]
            codes = [frame["code"] for frame in frames if frame["type"] == "websocket.close"]
            return codes[0] if codes else None

        return live.gateway.run(conversation())

    return run


def test_a_page_of_ours_may_watch_and_acknowledge(visit):
    assert visit("symbols=BTCUSDT,BTC", json.dumps({"op": "ack", "frame": 3})) is None


def test_pages_of_others_are_turned_away(visit):
    assert visit("symbols=BTCUSDT", headers=FOREIGN_PAGE) == CLOSE_FORBIDDEN
    assert visit("symbols=BTCUSDT", headers=()) == CLOSE_FORBIDDEN


@pytest.mark.parametrize(
    "query", ["", "symbols=", "symbols=NOPE", "symbols=" + ",".join(["BTC"] * (SYMBOLS_MAX + 1))]
)
def test_symbols_must_be_few_and_traded(visit, query):
    assert visit(query) == CLOSE_INVALID


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "[]",
        '{"op": "subscribe", "channels": ["account:1"]}',
        '{"op": "ack", "frame": true}',
        '{"op": "ack", "frame": 1, "pad": "' + "x" * 256 + '"}',
    ],
)
def test_anything_but_an_acknowledgement_ends_it(visit, text):
    assert visit("symbols=BTC", text) == CLOSE_INVALID


def test_a_full_house_says_so(visit):
    guests = {object() for _ in range(1000)}
    _visitors.update(guests)

    try:
        assert visit("symbols=BTC") == CLOSE_TOO_MANY
    finally:
        _visitors.difference_update(guests)
