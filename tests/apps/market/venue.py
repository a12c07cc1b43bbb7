"""A local server that speaks the venue's wire format: books by REST, best prices by WebSocket, and every misbehaviour."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response


def frame(symbol: str, bid: str, ask: str, number: int) -> str:
    """Return one message of the combined stream."""
    data = {"u": number, "s": symbol, "b": bid, "B": "1.5", "a": ask, "A": "0.25"}
    return json.dumps({"stream": f"{symbol.lower()}@bookTicker", "data": data})


def book(symbol: str, bid: str, ask: str) -> dict[str, str]:
    """Return one row of the books."""
    return {"symbol": symbol, "bidPrice": bid, "bidQty": "1", "askPrice": ask, "askQty": "1"}


class Venue:
    """What the server does; tests change it while it runs."""

    def __init__(self) -> None:
        self.port = 0
        self.books: object = [
            book("BTCUSDT", "77500.10000000", "77500.20000000"),
            book("ETHUSDT", "2120.01000000", "2120.02000000"),
            book("PEPEUSDT", "0.00000910", "0.00000911"),
            book("EOSUSDT", "0.00000000", "0.00000000"),
        ]
        # Whether a symbol is traded; all others are.
        self.statuses: dict[str, str] = {}
        self.rest_status = HTTPStatus.OK
        self.stream_status = HTTPStatus.SWITCHING_PROTOCOLS
        # Called for every new connection with its number, from 1.
        self.talk: Callable[[ServerConnection, int], object] = self.stay_silent
        self.refused = 0
        self.asked_streams: list[list[str]] = []

    @property
    def rest_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def stream_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @staticmethod
    async def stay_silent(connection: ServerConnection, _number: int) -> None:
        await connection.wait_closed()

    def answer(self, connection: ServerConnection, request: Request) -> Response | None:
        if "exchangeInfo" in request.path:
            names = [row["symbol"] for row in self.books] if isinstance(self.books, list) else []
            stated = [
                {"symbol": name, "status": self.statuses.get(name, "TRADING")} for name in names
            ]
            return connection.respond(HTTPStatus.OK, json.dumps({"symbols": stated}))
        if "ticker/bookTicker" in request.path:
            return connection.respond(self.rest_status, json.dumps(self.books))
        if self.stream_status is not HTTPStatus.SWITCHING_PROTOCOLS:
            self.refused += 1
            return connection.respond(self.stream_status, "no")
        return None

    async def handle(self, connection: ServerConnection) -> None:
        path = connection.request.path if connection.request else ""
        self.asked_streams.append(path.partition("streams=")[2].split("/"))
        await self.talk(connection, len(self.asked_streams))


@asynccontextmanager
async def running(venue: Venue) -> AsyncIterator[Server]:
    """Run the venue on a free port."""
    server = await serve(
        venue.handle, "127.0.0.1", venue.port, process_request=venue.answer, compression=None
    )
    venue.port = server.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        server.close()
        await server.wait_closed()
