"""A local server that speaks the venue's wire format for history: pages of klines, weights, refusals."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

MINUTE_MS = 60_000


class KlineVenue:
    """What the server has; minutes that `is_missing` names were never traded."""

    def __init__(self, first_ms: int, last_ms: int) -> None:
        self.first_ms, self.last_ms = first_ms, last_ms
        self.missing: set[int] = set()
        # Answers to give before the real ones: status and headers.
        self.refusals: list[tuple[int, dict[str, str]]] = []
        self.weight = 2
        self.asked: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.exchange_info: object = {}
        self.body: bytes | None = None

    def klines(self, query: dict[str, str]) -> list[list[object]]:
        start = max(int(query["startTime"]), self.first_ms)
        start += -start % MINUTE_MS
        found: list[list[object]] = []
        while start <= min(int(query["endTime"]), self.last_ms) and len(found) < int(
            query["limit"]
        ):
            if start not in self.missing:
                found.append(self.kline(start))
            start += MINUTE_MS
        return found

    @staticmethod
    def kline(open_ms: int) -> list[object]:
        price = 77_000 + open_ms // MINUTE_MS % 1_000
        prices = [f"{price}.10", f"{price + 9}.00", f"{price - 7}.00", f"{price + 1}.50"]
        return [open_ms, *prices, "1.5", open_ms + MINUTE_MS - 1, "9", 42, "1", "1", "0"]


@contextmanager
def kline_server(venue: KlineVenue) -> Iterator[str]:
    """Serve the venue and yield its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            venue.asked.append(query)
            venue.paths.append(parts.path)
            status, headers = venue.refusals.pop(0) if venue.refusals else (200, {})
            is_history = parts.path.endswith("/klines")
            answer = venue.klines(query) if is_history and status == 200 else venue.exchange_info
            raw = venue.body if venue.body is not None else json.dumps(answer).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("x-mbx-used-weight-1m", str(venue.weight))
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
