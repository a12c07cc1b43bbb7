"""The lean way and the island answer alike: the same requests through both, with a real engine behind."""

import gzip
import json
from typing import Any

import pytest
from django.db import connection
from rest_framework.test import APIClient

from apps.auth.facade import login_link_create
from apps.auth.services.identities import session_cache
from apps.common import rate_limits
from apps.common.answer_headers import answer_headers
from apps.common.exact_json import json_decode
from apps.common.rate_limits import rate_limits_close
from apps.market.facade import candles_are_asked
from cryptocfd.island import Island
from cryptocfd.lean import Lean
from cryptocfd.lean import _prices as lean_prices
from cryptocfd.lean import _reader_id as lean_reader_id
from tests.apps.live import live_platform

pytestmark = pytest.mark.integration

BUY = {"symbol": "BTC", "type": "buy", "quantity": 0.1, "leverage": 10}
COMPARED = (
    "content-type",
    "x-content-type-options",
    "x-frame-options",
    "referrer-policy",
    "cross-origin-opener-policy",
    "www-authenticate",
    "retry-after",
    "strict-transport-security",
)


@pytest.fixture
def live(transactional_db, log_redis_url, redis_url, stream_prefix, tmp_path):
    with live_platform(stream_prefix, log_redis_url, redis_url, tmp_path) as live:
        yield live


class Ways:
    """One request through the lean way, or through the island alone."""

    def __init__(self, live: Any, token: str) -> None:
        self._live = live
        self.token = token
        self.run = live.gateway.run
        self.island = Island()
        self.taken: list[str] = []
        self.scheme = "http"
        # Sent after the others.
        self.more_headers: list[tuple[bytes, bytes]] = []

        async def island(scope: Any, receive: Any, send: Any) -> None:
            self.taken.append("island")
            await self.island(scope, receive, send)

        self._apps = {"lean": Lean(island), "island": island}

    def scope(self, path: str, raw: bytes = b"", **headers: str) -> dict[str, Any]:
        """Return what the server says of a request."""
        sent = {
            "host": "localhost",
            "content-type": "application/json",
            "content-length": str(len(raw)),
            "authorization": f"Bearer {self.token}",
        } | {name.replace("_", "-"): value for name, value in headers.items()}
        return {
            "type": "http",
            "http_version": "1.1",
            "method": "POST",
            "scheme": self.scheme,
            "path": f"/api/v1/{path}",
            "raw_path": f"/api/v1/{path}".encode(),
            "query_string": b"",
            "root_path": "",
            "client": ("127.0.0.1", 1),
            "server": ("localhost", 80),
            "headers": [(n.encode(), v.encode()) for n, v in sent.items()] + self.more_headers,
        }

    def ask(
        self, way: str, path: str, body: bytes | dict[str, Any], **headers: str
    ) -> tuple[int, dict[str, str], Any]:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        scope = self.scope(path, raw, **headers)
        messages: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": raw, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            messages.append(message)

        self._live.gateway.run(self._apps[way](scope, receive, send))
        found = {n.decode(): v.decode() for n, v in messages[0]["headers"]}
        content = b"".join(m.get("body", b"") for m in messages[1:])
        is_json = found["content-type"].startswith("application/json")
        return messages[0]["status"], found, json_decode(content) if is_json else content


@pytest.fixture
def ways(live, settings):
    session_cache.clear()
    user, account = live.user()
    live.price(100_000, 100_010)
    token = APIClient().get(login_link_create(user.email).url).json()["data"]["accessToken"]
    ways = Ways(live, token)
    ways.account = account.id
    yield ways
    live.gateway.run(rate_limits_close())
    ways.island.close()
    session_cache.clear()


CASES: list[tuple[str, Any, dict[str, str]]] = [
    ("trade/create", BUY | {"clientOrderId": "same"}, {}),
    ("trade/create", BUY | {"clientOrderId": "same", "quantity": 1}, {}),
    ("trade/create", BUY, {"idempotency_key": "same"}),
    ("trade/create", BUY | {"clientOrderId": "a"}, {"idempotency_key": "b"}),
    ("trade/create", BUY, {"idempotency_key": "no good"}),
    ("trade/create", BUY | {"leverage": 1000, "clientOrderId": "far"}, {}),
    ("trade/create", BUY | {"quantity": "1e5"}, {}),
    ("trade/create", BUY | {"stoploss": 1}, {}),
    ("trade/create", BUY | {"quantity": True}, {}),
    ("trade/create", BUY | {"symbol": "NOPE"}, {}),
    ("trade/create", BUY | {"accountId": 1}, {}),
    ("trade/create", {}, {}),
    ("trade/create", b"{", {}),
    ("trade/create", b"[1]", {}),
    ("trade/create", b'{"quantity": 1e5}', {}),
    ("trade/create", b"\xff", {}),
    ("trade/create", b"[" * 5000, {}),
    ("trade/create", b" " * 70_000, {}),
    ("trade/create", BUY, {"authorization": "Bearer nonsense"}),
    ("trade/create", BUY, {"authorization": "Basic YTpi"}),
    ("trade/create", BUY, {"content_type": "text/plain"}),
    ("trade/create", BUY, {"host": "evil.example"}),
    ("trade/create", BUY, {"accept": "text/csv"}),
    ("trade/close", {"orderId": "9-9"}, {}),
    ("trade/close", {"orderId": "x"}, {}),
    ("trade/preview", BUY | {"quantity": "0.01", "leverage": 1000}, {}),
    ("trade/cancelAll", {"clientOrderId": "all"}, {}),
]


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_both_ways_answer_alike(ways, case):
    path, body, headers = case

    lean = ways.ask("lean", path, body, **headers)
    island = ways.ask("island", path, body, **headers)

    assert lean[0] == island[0]
    assert alike(lean[2]) == alike(island[2])
    assert {n: lean[1].get(n) for n in COMPARED} == {n: island[1].get(n) for n in COMPARED}


def alike(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer without what each request has of its own: its id, and the entry that it was answered at."""
    data = answer.get("data")
    if isinstance(data, dict) and "asOf" in data:
        data = data | {"asOf": ""}
    return answer | {"requestId": "", "data": data}


def test_a_header_that_is_there_twice_means_the_same_on_both_ways(ways):
    ways.more_headers = [(b"idempotency-key", b"one"), (b"idempotency-key", b"other")]

    answers = [ways.ask(way, "trade/create", BUY) for way in ("lean", "island")]

    assert [(status, answer["code"]) for status, _, answer in answers] == [(400, "INVALID")] * 2


def test_s35_behind_https_every_way_tells_browsers_to_stay_there(ways, settings):
    settings.SECURE_HSTS_SECONDS = 31_536_000
    settings.SECURE_HSTS_INCLUDE_SUBDOMAINS = settings.SECURE_HSTS_PRELOAD = True
    answer_headers.cache_clear()
    ways.island.close()
    ways.island, ways.scheme = Island(), "https"

    found = [ways.ask(way, "trade/create", BUY)[1] for way in ("lean", "island")]
    candles = dict(candles_sent(ways)[0]["headers"])

    answer_headers.cache_clear()
    assert {name: found[0].get(name) for name in COMPARED} == {
        name: found[1].get(name) for name in COMPARED
    }
    assert found[0]["strict-transport-security"] == "max-age=31536000; includeSubDomains; preload"
    assert candles[b"strict-transport-security"].decode() == found[0]["strict-transport-security"]


def test_a_body_in_chunks_is_read_and_a_packed_one_is_refused(ways):
    raw = json.dumps(BUY).encode()
    scope = ways.scope("trade/create", raw)
    scope["headers"] = [header for header in scope["headers"] if header[0] != b"content-length"]
    chunks = [
        {"type": "http.request", "body": raw[:9], "more_body": True},
        {"type": "http.request", "body": raw[9:], "more_body": False},
    ]
    told: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return chunks.pop(0)

    async def send(message: dict[str, Any]) -> None:
        told.append(message)

    ways.run(ways.island(scope, receive, send))
    packed = ways.ask("lean", "trade/create", gzip.compress(raw), content_encoding="gzip")

    assert told[0]["status"] == 200
    assert json_decode(told[1]["body"])["data"]["status"] == "filled"
    assert (packed[0], packed[2]["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert "Content-Encoding" in packed[2]["message"]


def test_candles_are_given_to_who_takes_json_and_all_others_are_told_alike(ways):
    asked = [
        ways.scope("candles", accept=accept) | {"method": "GET"}
        for accept in ("", "*/*", "application/json", "text/csv", "text/html,*/*")
    ]

    assert [candles_are_asked(scope) for scope in asked] == [True, True, True, False, False]
    assert APIClient().get("/api/v1/candles?symbol=BTC", HTTP_ACCEPT="text/csv").status_code == 406


def test_an_order_takes_the_lean_way_and_a_browser_the_island(ways):
    status, _, answer = ways.ask("lean", "trade/create", BUY)
    taken_lean = list(ways.taken)
    ways.ask("lean", "trade/create", BUY, cookie="session=x")
    ways.ask("lean", "trade/create", BUY, accept="text/html")

    assert (status, answer["data"]["accountId"]) == (200, ways.account)
    assert (taken_lean, ways.taken) == ([], ["island", "island"])


def test_the_limit_holds_over_both_ways_together(ways, settings):
    settings.API_LIMITS_WRITE = ["2/h"]

    statuses = [
        ways.ask(way, "trade/cancelAll", {}) for way in ("lean", "island", "lean", "island")
    ]

    assert [status for status, _, _ in statuses] == [200, 200, 429, 429]
    assert {answer["code"] for _, _, answer in statuses[2:]} == {"RATE_LIMITED"}
    assert all(3500 < int(headers["retry-after"]) <= 3601 for _, headers, _ in statuses[2:])


def test_a_parameter_that_nothing_reads_is_refused_on_every_way(ways):
    """`closeAll?symbol=BTC` must not close everything, and candles of a misspelt interval be others."""
    asked = ways.scope("prices/latest") | {"method": "GET", "query_string": b"symbol=BTC&nosuch"}
    lean = ways.run(lean_prices(asked))
    island = APIClient().get("/api/v1/prices/latest?symbol=BTC&nosuch")
    candles = json_decode(candles_sent(ways, "1&intervall=1h")[1]["body"])
    reader = APIClient(headers={"authorization": f"Bearer {ways.token}"})
    write = reader.post("/api/v1/trade/closeAll?symbol=BTC", {}, format="json")

    assert json_decode(lean[2]) == json_decode(island.content)
    assert lean[0] == 400
    assert json_decode(lean[2])["data"]["fields"] == dict.fromkeys(
        ("nosuch", "symbol"), "unknown parameter; the parameters are: symbols"
    )
    assert (candles["code"], list(candles["data"]["fields"])) == ("INVALID", ["intervall"])
    assert write.json()["message"] == "symbol: unknown parameter; none is taken here"


def candles_asked(ways: Ways, limit: str = "1", **headers: str) -> tuple[int, str]:
    """Ask for candles on their own way; return the status and the code."""
    messages = candles_sent(ways, limit, **headers)
    answer = json_decode(messages[1]["body"])
    return messages[0]["status"], answer.get("code", "")


def candles_sent(ways: Ways, limit: str = "1", **headers: str) -> list[dict[str, Any]]:
    """Ask for candles on their own way; return what was sent."""
    query = f"symbol=BTCUSDT&interval=1m&limit={limit}".encode()
    scope = ways.scope("candles", **headers) | {"method": "GET", "query_string": query}
    messages: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        messages.append(message)

    ways.run(Lean(ways.island).candles(scope, send))
    return messages


def test_candles_are_counted_by_user_or_by_address(ways, settings):
    settings.API_LIMITS_READ = ["2/h"]
    settings.API_LIMITS_PUBLIC = ["1/h"]

    assert [candles_asked(ways) for _ in range(3)] == [(200, "")] * 2 + [(429, "RATE_LIMITED")]
    nobody = [candles_asked(ways, authorization="") for _ in range(2)]
    assert nobody == [(200, ""), (429, "RATE_LIMITED")]


@pytest.mark.parametrize(
    ("limit", "passes"), [("500", 4), ("501", 2), ("1000", 2), ("1001", 2), ("x", 4), ("", 4)]
)
def test_s23_candles_count_by_how_many_are_asked_for(ways, settings, limit, passes):
    settings.API_LIMITS_READ = ["4/h"]

    codes = [candles_asked(ways, limit)[1] for _ in range(passes + 1)]

    assert codes.count("RATE_LIMITED") == 1
    assert codes[-1] == "RATE_LIMITED"


def test_s23_a_statement_counts_as_many_requests(ways, settings):
    settings.API_LIMITS_READ = ["225/h"]
    reader = APIClient(headers={"authorization": f"Bearer {ways.token}"})
    addresses = [
        f"/api/v1/accounts/{ways.account}/{path}&day=2026-01-01"
        for path in (
            "statement?fileFormat=csv",
            "statement?fileFormat=pdf",
            "performance?",
            "statement?fileFormat=xlsx",
            "statement?",
        )
    ]

    statuses = [reader.get(address).status_code for address in addresses]
    others = [reader.get("/api/v1/balance").status_code for _ in range(6)]

    assert statuses == [200, 200, 200, 200, 429]
    assert others == [200] * 5 + [429]


def test_without_anybody_to_count_candles_are_read(ways, settings):
    settings.API_LIMITS_READ = ["1/h"]
    settings.REDIS_URL = "redis://127.0.0.1:1"

    assert [candles_asked(ways) for _ in range(2)] == [(200, "")] * 2


def test_while_nobody_can_be_known_a_reader_is_nobody(ways, monkeypatch):
    asked = ways.scope("candles")
    assert ways.run(lean_reader_id(asked)) is not None
    session_cache.clear()
    monkeypatch.setitem(connection.settings_dict, "HOST", "/nowhere")

    assert ways.run(lean_reader_id(asked)) is None


def test_s50_without_anybody_to_count_money_waits_and_public_prices_stay(ways, settings):
    settings.API_LIMITS_WRITE = settings.API_LIMITS_READ = ["100/s"]
    settings.API_LIMITS_PUBLIC = ["100/s"]
    rate_limits._script.cache_clear()
    settings.REDIS_URL = "redis://127.0.0.1:1"

    status, headers, answer = ways.ask("lean", "trade/create", BUY)

    assert (status, answer["code"], headers["retry-after"]) == (503, "UNAVAILABLE", "2")
    reader = APIClient(headers={"authorization": f"Bearer {ways.token}"})
    # Nobody feeds prices here, and that is all that is wrong with the last of them.
    public = [reader.get(f"/api/v1/{path}") for path in ("", "supportedAssets", "prices/latest")]
    private = [reader.get(f"/api/v1/{path}") for path in ("balance", "trade/open", "accounts")]
    rate_limits._script.cache_clear()
    lean = ways.run(lean_prices({"client": ("127.0.0.1", 1), "query_string": b""}))
    assert [answer.status_code for answer in public[:2]] == [200, 200]
    feedless = {json_decode(public[2].content)["code"], json_decode(lean[2])["code"]}
    assert feedless == {"FEED_UNAVAILABLE"}
    assert {json_decode(answer.content)["code"] for answer in private} == {"UNAVAILABLE"}
