"""The Python client against the running platform: exact numbers, retries that never trade twice, a stream that misses nothing."""

import asyncio
import base64
import json
import re
import subprocess
import sys
from calendar import monthrange
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.utils import timezone
from websockets.asyncio.server import ServerConnection, serve

from cryptocfd.embedded.processes import wait_until
from tests.integration.product import Client as Visitor
from tests.integration.product import Product

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "clients" / "python"))

from cryptocfd_client import (  # noqa: E402 - it is a package of its own and not installed here.
    REMOVE,
    AccountEvent,
    AccountSnapshot,
    ApiError,
    AsyncClient,
    Client,
    Ed25519Key,
    HmacKey,
    OutcomeUnknownError,
    PriceUpdate,
    Stream,
    Token,
)
from cryptocfd_client.requests import write  # noqa: E402 - as above.

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def product() -> Iterator[Product]:
    product = Product()
    try:
        yield product.start()
    finally:
        product.close()


@pytest.fixture(scope="module")
def visitors(product: Product) -> list[Visitor]:
    # All at once: a management command takes a while on a busy machine.
    return product.clients(16)


@pytest.fixture
def visitor(visitors: list[Visitor]) -> Visitor:
    """A user of whom no other test knows."""
    visitor = visitors.pop()
    visitor.post("/auth/ensure-user")
    return visitor


@pytest.fixture
def client(product: Product, visitor: Visitor) -> Iterator[Client]:
    with Client(product.url, Token(visitor.token)) as client:
        yield client


def test_an_order_lives_and_every_number_is_exact(client: Client) -> None:
    seen = client.preview("BTC", "buy", "0.01", 10)
    order = client.create_order("BTC", "buy", Decimal("0.01"), 10, request_id="mine")
    client.modify_order(order["orderId"], take_profit=order["price"] * 2)
    (listed,) = client.open_orders()["message"]
    client.modify_order(order["orderId"], take_profit=REMOVE)
    closed = client.close_order(order["orderId"])["order"]

    (account,) = client.accounts()
    told = client.events(account["accountId"], after=2)

    assert seen["isAccepted"] is True
    assert [row["orderId"] for row in client.orders(state="filled")["message"]] == [
        order["orderId"]
    ]
    assert told["events"][0]["d"]["type"] == "PositionOpened"
    assert told["events"][-1]["d"]["balance"] == closed["balance"]
    assert client.events(account["accountId"], after=10**6)["reset"] is True
    assert client.instruments()[0]["status"] == "open"
    assert (order["requestId"], order["quantity"]) == ("mine", Decimal("0.01000"))
    assert listed["takeProfit"] == order["price"] * 2
    assert client.balance()["message"] == closed["balance"]
    assert (
        closed["balance"]
        == Decimal(10_000) - order["commission"] + closed["pnl"] - closed["commission"]
    )
    assert client.request("mine")["answer"]["orderId"] == order["orderId"]


def test_refusals_are_told_by_their_code(client: Client) -> None:
    with pytest.raises(ApiError) as refused:
        client.create_order("BTC", "buy", "0.01", 1000)

    assert (refused.value.status, refused.value.code) == (400, "LEVERAGE_INVALID")
    assert refused.value.data["leverageMax"] > 0
    with pytest.raises(TypeError, match="float"):
        client.create_order("BTC", "buy", 0.01, 10)


def test_the_async_client_has_the_same_calls(product: Product, visitor: Visitor) -> None:
    async def trade() -> tuple[Any, Any]:
        async with AsyncClient(product.url, Token(visitor.token)) as client:
            order = await client.create_order("ETH", "sell", "0.1", 5)
            return order, await client.close_all()

    order, closed = asyncio.run(trade())

    assert [row["orderId"] for row in closed["orders"]] == [order["orderId"]]


def test_statements_are_of_a_day_a_month_or_a_range_sync_and_async(
    product: Product, visitor: Visitor, client: Client
) -> None:
    account = client.balance()["accountId"]
    # One period for all, also where midnight is near.
    today = timezone.now().date()
    yesterday = today - timedelta(days=1)
    month = f"{today:%Y-%m}"
    periods: list[tuple[date, int, dict[str, Any]]] = [
        (today, 1, {"day": today}),
        (today.replace(day=1), monthrange(today.year, today.month)[1], {"month": month}),
        (yesterday, 2, {"first_day": yesterday, "last_day": today.isoformat()}),
    ]

    async def ask_async() -> list[Any]:
        async with AsyncClient(product.url, Token(visitor.token)) as other:
            return [await other.statement(account, **period) for *_, period in periods]

    told = [client.statement(account, **period) for *_, period in periods]

    for statements in (told, asyncio.run(ask_async())):
        for statement, (first, days, _) in zip(statements, periods, strict=True):
            start, end = (datetime.fromisoformat(statement[name]) for name in ("from", "to"))
            assert (statement["accountId"], start.date(), end - start) == (
                account,
                first,
                timedelta(days=days),
            )
    for refused in ({}, {"day": today, "month": month}, {"first_day": today}):
        with pytest.raises(ApiError) as error:
            client.statement(account, **refused)
        assert (error.value.status, error.value.code) == (400, "INVALID")


class Flaky(httpx.BaseTransport):
    """Hands requests on and loses the first answers, as a broken line does."""

    def __init__(self, losses: int) -> None:
        self._inner = httpx.HTTPTransport()
        self.losses = losses
        self.sent: list[bytes] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request.content)
        response = self._inner.handle_request(request)
        if self.losses:
            self.losses -= 1
            response.read()
            response.close()
            raise httpx.ReadError("the line broke")
        return response

    def close(self) -> None:
        self._inner.close()


def flaky(client: Client, url: str, losses: int) -> Flaky:
    transport = Flaky(losses)
    client._http.close()
    client._http = httpx.Client(base_url=url, transport=transport)
    return transport


def test_a_lost_answer_is_asked_for_again_and_trades_once(product: Product, client: Client) -> None:
    transport = flaky(client, product.url, losses=2)

    order = client.create_order("BTC", "buy", "0.01", 10)

    assert len(transport.sent) == 3
    assert len(set(transport.sent)) == 1
    assert [row["orderId"] for row in client.open_orders()["message"]] == [order["orderId"]]


def test_what_stays_unknown_is_named(product: Product, client: Client, monkeypatch) -> None:
    monkeypatch.setattr("cryptocfd_client.attempts._PAUSE_S", 0.01)
    flaky(client, product.url, losses=5)

    with pytest.raises(OutcomeUnknownError) as unknown:
        client.create_order("BTC", "buy", "0.01", 10, request_id="lost")

    assert unknown.value.request_id == "lost"
    assert client.request("lost")["status"] == "accepted"


def refusing(retry_after: str, sent: list[str]) -> httpx.MockTransport:
    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.url.path)
        body = {"success": False, "code": "RATE_LIMITED", "message": "too fast"}
        return httpx.Response(429, headers={"Retry-After": retry_after}, json=body)

    return httpx.MockTransport(answer)


@pytest.mark.parametrize(("retry_after", "told_s"), [("31", 31), ("9" * 400, 999_999)])
def test_a_long_retry_after_is_left_to_the_caller(retry_after: str, told_s: int) -> None:
    sent: list[str] = []
    client, other = Client("http://localhost"), AsyncClient("http://localhost")
    client._http = httpx.Client(base_url="http://localhost", transport=refusing(retry_after, sent))
    other._http = httpx.AsyncClient(
        base_url="http://localhost", transport=refusing(retry_after, sent)
    )

    with pytest.raises(ApiError) as refused:
        client.balance()
    with pytest.raises(ApiError) as refused_async:
        asyncio.run(other.balance())

    assert (refused.value.code, refused.value.retry_after_s) == ("RATE_LIMITED", told_s)
    assert refused_async.value.retry_after_s == told_s
    assert len(sent) == 2


def test_a_short_retry_after_is_waited_for() -> None:
    sent: list[str] = []
    client = Client("http://localhost")
    client._http = httpx.Client(base_url="http://localhost", transport=refusing("0", sent))

    with pytest.raises(ApiError, match="RATE_LIMITED"):
        client.balance()

    assert len(sent) == 5


def test_a_write_has_an_id_of_its_own() -> None:
    first, second = write("/trade/cancelAll", {}), write("/trade/cancelAll", {})

    assert first.request_id != second.request_id
    assert first.request_id.encode() in first.body


def test_the_stream_resumes_without_a_gap(
    product: Product, client: Client, visitor: Visitor
) -> None:
    account = client.balance()["accountId"]

    async def until(stream: Stream, kind: type, count: int) -> list[Any]:
        found: list[Any] = []
        async with asyncio.timeout(60):
            async for update in stream:
                if isinstance(update, kind):
                    found.append(update)
                if len(found) == count:
                    break
        return found

    stream = Stream(product.socket_url, token=visitor.token, prices=["BTCUSDT"], accounts=[account])
    prices = asyncio.run(until(stream, PriceUpdate, 2))
    snapshots = asyncio.run(
        until(Stream(product.socket_url, visitor.token, (), [account]), AccountSnapshot, 1)
    )
    resumed = Stream(product.socket_url, visitor.token, (), [account], {account: snapshots[0].seq})
    order = client.create_order("BTC", "buy", "0.01", 10)
    client.close_order(order["orderId"])
    events = asyncio.run(until(resumed, AccountEvent, 2))

    assert all(price.bid < price.ask for price in prices)
    assert [event.data["type"] for event in events] == ["PositionOpened", "PositionClosed"]
    assert [event.seq for event in events] == [snapshots[0].seq + 1, snapshots[0].seq + 2]
    assert resumed.last_seq == {account: snapshots[0].seq + 2}


def test_the_stream_asks_for_the_next_token_when_one_has_ended() -> None:
    price = {"ch": "prices", "n": 1, "d": [["BTCUSDT", "1.0", "2.0", 3]]}
    heard: list[Any] = []
    given = iter(["first", "second"])

    async def serve_one(socket: ServerConnection) -> None:
        heard.append(json.loads(await socket.recv())["token"])
        await socket.recv()
        await socket.send(json.dumps(price))
        await socket.recv()
        await socket.close(4401)

    async def token() -> str:
        return next(given)

    async def talk() -> str:
        async with serve(serve_one, "127.0.0.1", 0) as server:
            url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/"
            updates = aiter(Stream(url, token, prices=["BTCUSDT"]))
            async with asyncio.timeout(60):
                await anext(updates)
                await anext(updates)
                await updates.aclose()
                kept = aiter(Stream(url, "kept", prices=["BTCUSDT"]))
                await anext(kept)
                with pytest.raises(ApiError) as ended:
                    await anext(kept)
            return ended.value.code

    assert asyncio.run(talk()) == "NOT_AUTHENTICATED"
    assert heard == ["first", "second", "kept"]


def test_the_stream_takes_more_symbols_than_a_message_may_have_channels(
    product: Product, client: Client, visitor: Visitor
) -> None:
    symbols = [price["asset"] for price in client.prices()][:60]

    async def hear() -> set[str]:
        found: set[str] = set()
        async with asyncio.timeout(60):
            async for update in Stream(product.socket_url, visitor.token, prices=symbols):
                assert isinstance(update, PriceUpdate)
                found.add(update.symbol)
                if len(found) == len(symbols):
                    break
        return found

    assert len(symbols) == 60
    assert asyncio.run(hear()) == set(symbols)


def test_tokens_are_refreshed_once_and_never_by_a_repeat(
    product: Product, client: Client, visitor: Visitor
) -> None:
    device = visitor.get("/auth/mobile/session-token")

    pair = client.refresh(device["refreshToken"])
    with Client(product.url, Token(pair["accessToken"])) as refreshed:
        balance = refreshed.balance()
    transport = flaky(client, product.url, losses=1)
    with pytest.raises(OutcomeUnknownError, match="nobody has answered"):
        client.refresh(pair["refreshToken"])

    assert balance["balance"] == 10_000
    assert len(transport.sent) == 1


def test_the_stream_of_the_readme_tells_events(
    product: Product, client: Client, visitor: Visitor, capsys: pytest.CaptureFixture[str]
) -> None:
    account = client.balance()["accountId"]
    text = (REPOSITORY / "clients" / "python" / "README.md").read_text()
    (example,) = [
        code for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "Stream" in code
    ]
    example = example.replace("localhost:8000", f"127.0.0.1:{product.port}")
    names: dict[str, Any] = {}
    exec(example.replace("1001", str(account)), names)  # noqa: S102 - the example of this very repository.
    told: list[str] = []

    def is_told() -> bool:
        told.append(capsys.readouterr().out)
        return "PositionOpened" in "".join(told)

    async def watch() -> None:
        watching = asyncio.create_task(
            names["watch"](visitor.get("/auth/mobile/session-token")["refreshToken"])
        )
        # The order comes once the stream follows the account: until then it belongs to the snapshot.
        async with asyncio.timeout(60):
            while not is_told():
                await asyncio.to_thread(client.create_order, "BTC", "buy", "0.001", 10)
                await asyncio.sleep(0.5)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    asyncio.run(watch())


def test_the_stream_comes_back_after_a_refusal_that_passes() -> None:
    refusal = {"ch": "reply", "success": False, "statusCode": 503, "code": "ENGINE_BUSY"}
    price = {"ch": "prices", "n": 1, "d": [["BTCUSDT", "1.0", "2.0", 3]]}
    answers = [refusal, price, refusal | {"statusCode": 401, "code": "NOT_AUTHENTICATED"}]

    async def serve_one(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.recv()
        await socket.send(json.dumps(answers.pop(0)))
        await socket.wait_closed()

    async def first_of(url: str) -> Any:
        return await anext(aiter(Stream(url, "any", prices=["BTCUSDT"])))

    async def talk() -> tuple[Any, str]:
        async with serve(serve_one, "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            update = await first_of(f"ws://127.0.0.1:{port}/")
            with pytest.raises(ApiError) as refused:
                await first_of(f"ws://127.0.0.1:{port}/")
            return update, refused.value.code

    update, code = asyncio.run(talk())

    assert (update.symbol, update.bid) == ("BTCUSDT", Decimal("1.0"))
    assert code == "NOT_AUTHENTICATED"


def test_the_bot_runs(product: Product, visitor: Visitor) -> None:
    done = subprocess.run(
        [
            *(sys.executable, str(REPOSITORY / "examples" / "moving_average_bot.py")),
            *("--url", product.url, "--token", visitor.token, "--steps", "1"),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert any(words in done.stdout for words in ("nothing to do", "buy 0.001", "sell 0.001"))


def test_the_bot_says_what_it_lacks_and_outlives_a_platform_that_is_away() -> None:
    bot = [sys.executable, str(REPOSITORY / "examples" / "moving_average_bot.py"), "--steps", "1"]

    poor = subprocess.run(bot, capture_output=True, text=True, timeout=60, check=False)
    alone = subprocess.run(
        # Nobody listens there.
        [*bot, "--token", "x", "--url", "http://127.0.0.1:9"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert (poor.returncode, "--key-id" in poor.stderr) == (2, True)
    assert alone.stdout.startswith("nobody has answered")


PIN = "493021"


def cells_of_notebook() -> list[str]:
    notebook = json.loads((REPOSITORY / "examples" / "equity_curve.ipynb").read_text())
    return ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code"]


def key_of(visitor: Visitor, **wish: Any) -> dict[str, Any]:
    """Make an API key as a person does on a device with a PIN."""
    visitor.post("/auth/mobile/pin", {"pin": PIN})
    status, envelope = visitor.call("POST", "/keys", {"name": "bot", "pin": PIN} | wish)
    assert status == 201, envelope
    made: dict[str, Any] = envelope["data"]
    return made


def test_a_key_with_a_secret_signs_and_its_scopes_hold(
    product: Product, visitor: Visitor, monkeypatch
) -> None:
    made = key_of(visitor, algorithm="hmac", scopes=["read"])
    with Client(product.url, HmacKey(made["keyId"], made["secret"])) as reader:
        # Its colon is written as %3A in the address, and signed so.
        with pytest.raises(ApiError, match="REQUEST_UNKNOWN"):
            reader.request("a:1")
        balance = reader.balance()
        listed = reader.open_orders()["message"]
        with pytest.raises(ApiError) as refused:
            reader.create_order("BTC", "buy", "0.01", 10)
    stranger = Client(product.url, HmacKey(made["keyId"], "another secret"))
    with stranger, pytest.raises(ApiError) as unknown:
        stranger.balance()

    for name, value in (
        ("URL", product.url),
        ("KEY_ID", made["keyId"]),
        ("SECRET", made["secret"]),
    ):
        monkeypatch.setenv(f"CRYPTOCFD_{name}", value)
    names: dict[str, Any] = {}
    exec(cells_of_notebook()[0], names)  # noqa: S102 - the example of this very repository.
    names["client"].close()

    assert (balance["accountId"], listed) == (made["accountId"], [])
    assert names["balance"]["accountId"] == made["accountId"]
    assert refused.value.code == "KEY_SCOPE_MISSING"
    assert unknown.value.code == "SIGNATURE_INVALID"


def test_a_key_pair_trades_without_its_private_half_leaving(
    product: Product, visitor: Visitor
) -> None:
    private = Ed25519PrivateKey.generate()
    public = base64.b64encode(private.public_key().public_bytes_raw()).decode()
    made = key_of(visitor, algorithm="ed25519", publicKey=public, scopes=["read", "trade"])
    with Client(product.url, Ed25519Key(made["keyId"], private)) as trader:
        opened = trader.create_order("BTC", "buy", Decimal("0.01"), 10, request_id="signed")
        again = trader.create_order("BTC", "buy", Decimal("0.01"), 10, request_id="signed")
        closed = trader.close_order(opened["orderId"])["order"]

    assert made["secret"] is None
    assert (again["orderId"], closed["orderId"]) == (opened["orderId"], opened["orderId"])


def test_every_cell_of_the_notebook_runs_and_its_picture_shows_the_account(
    product: Product, visitor: Visitor, client: Client, monkeypatch, tmp_path
) -> None:
    order = client.create_order("BTC", "sell", "0.01", 5)
    client.close_order(order["orderId"])
    account = client.balance()["accountId"]
    history = ["PositionClosed", "PositionOpened", "CashPosted"]
    assert wait_until(
        lambda: [e["kind"] for e in client.ledger(account)["entries"]] == history, seconds=20
    )
    monkeypatch.setenv("CRYPTOCFD_URL", product.url)
    monkeypatch.setenv("CRYPTOCFD_TOKEN", visitor.token)
    # Drawn into memory; its fonts are nobody's business but this test's.
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path))
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.chdir(REPOSITORY / "examples")
    names: dict[str, Any] = {}

    for cell in cells_of_notebook():
        exec(cell, names)  # noqa: S102 - the example of this very repository.
    picture = tmp_path / "picture.png"
    names["figure"].savefig(picture)
    names["plt"].close("all")
    names["client"].close()

    balance, equity = names["axes"].get_lines()
    told = names["balance"]["balance"]
    assert [entry["balance"] for entry in names["entries"]][-1] == told
    balances = [float(entry["balance"]) for entry in names["entries"]]
    # After each event, and now.
    assert list(balance.get_ydata()) == [*balances, float(told)]
    # One day or, about midnight, two; nothing is open, so equity is balance.
    assert list(equity.get_ydata())[-1] == float(told)
    pixels = names["plt"].imread(picture)
    assert len({tuple(pixel) for pixel in pixels.reshape(-1, pixels.shape[-1]).tolist()}) > 10
