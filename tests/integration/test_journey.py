"""The whole way of a trader through the real product: over REST, over the WebSocket, among many, and with kills in between."""

import asyncio
import json
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from websockets.asyncio.client import connect as connect_async
from websockets.sync.client import ClientConnection, connect

from apps.common.exact_json import json_decode
from cryptocfd.embedded.processes import wait_until
from cryptocfd.embedded.servers import EmbeddedServers
from tests.integration.product import Client, Product

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

TAPE = Path(__file__).resolve().parents[3] / "shared" / "market" / "btc_perp_1m_2022-01.csv"
BUY = {"symbol": "BTC", "type": "buy", "quantity": 0.1, "leverage": 10}
START = Decimal(10_000)
# Kills under a stream of orders; the seed makes their moments the same each time.
KILLS = 20
USERS = 200
SEED = 20_261_123


@contextmanager
def product(**options: Any) -> Iterator[Product]:
    made = Product(**options)
    try:
        yield made.start()
    finally:
        made.close()


@pytest.fixture(scope="module")
def on_tape(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A platform whose prices are the real tape where it is, else a small one with the same columns."""
    path = TAPE
    if not path.is_file():
        path = tmp_path_factory.mktemp("tape") / "tape.csv"
        minutes = [f"{m},{46000 + m},{46060 + m},{45960 + m},{46030 + m},1.5" for m in range(30)]
        path.write_text("\n".join(["timestamp,open,high,low,close,volume", *minutes]) + "\n")
    with product(feeds=f"replay:{path}?symbol=BTC&speed=5") as running:
        yield running
        assert running.stop() == 0


@pytest.fixture(scope="module")
def simulated() -> Iterator[Product]:
    """A platform that is killed and started again and again; its simulated prices move by themselves."""
    # Traders as fast as the platform: two hundred of them and the patient ones are faster than people may be.
    with product(is_forked=True, API_LIMITS_WRITE="", API_LIMITS_READ="") as running:
        yield running


def settled(opened: dict[str, Any], closed: dict[str, Any]) -> Decimal:
    """Return what a round trip must leave of the starting money."""
    return START - opened["commission"] + closed["pnl"] - closed["commission"]


def pnl_moved(read: Callable[[], Any]) -> bool:
    first = read()
    return wait_until(lambda: read() != first, seconds=20)


def test_a_trader_buys_and_closes_on_the_tape_to_the_micro(on_tape: Product) -> None:
    alice = on_tape.client("alice@example.com")

    prices = alice.get("/prices/latest?symbols=BTC")
    opened = alice.post("/trade/create", BUY)
    is_moving = pnl_moved(lambda: alice.get("/trade/open")["message"][0]["pnl"])
    closed = alice.post("/trade/close", {"orderId": opened["orderId"]})["order"]

    assert prices[0]["sourceClass"] == "replay"
    assert is_moving
    assert closed["pnl"] == (closed["closePrice"] - opened["price"]) * Decimal("0.1")
    assert alice.balance == settled(opened, closed)
    assert alice.get("/trade/open")["message"] == []
    history = alice.get("/trade/close")
    assert history["isCurrent"] is True
    assert [row["orderId"] for row in history["message"]] == [opened["orderId"]]
    assert history["message"][0]["pnl"] == closed["pnl"]


class Line:
    """A socket that is signed in and answers by id; everything else that comes is kept."""

    def __init__(self, connection: ClientConnection, client: Client) -> None:
        self._connection = connection
        self._ids = iter(range(1, 1_000_000))
        self.frames: list[dict[str, Any]] = []
        self.ask(op="auth", token=client.token)

    def ask(self, **message: Any) -> dict[str, Any]:
        number = next(self._ids)
        self._connection.send(json.dumps(message | {"id": number}))
        return self.until(lambda frame: frame.get("id") == number and frame["ch"] == "reply")

    def until(self, is_wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        while True:
            frame = json_decode(self._connection.recv(timeout=20))
            self.frames.append(frame)
            if is_wanted(frame):
                return frame


def test_the_same_through_the_socket(on_tape: Product) -> None:
    charlie = on_tape.client("charlie@example.com")
    account = charlie.get("/balance")["accountId"]
    with connect(on_tape.socket_url) as connection:
        line = Line(connection, charlie)
        line.ask(op="subscribe", channels=["prices:BTC", f"account:{account}"])
        first = line.until(lambda frame: frame["ch"] == "prices")["d"]
        line.until(lambda frame: frame["ch"] == "prices" and frame["d"] != first)

        opened = line.ask(op="order.create", **BUY)["data"]
        closed = line.ask(op="order.close", orderId=opened["orderId"])["data"]["order"]
        line.until(lambda frame: frame.get("d", {}).__class__ is dict and is_closing(frame))

    snapshot, *events = [frame for frame in line.frames if frame["ch"] == "account"]
    assert snapshot["snapshot"]["balance"] == START
    assert [frame["d"]["type"] for frame in events] == ["PositionOpened", "PositionClosed"]
    assert [frame["seq"] for frame in events] == [snapshot["seq"] + 1, snapshot["seq"] + 2]
    assert events[1]["d"]["balance"] == closed["balance"] == charlie.balance
    assert charlie.balance == settled(opened, closed)


def is_closing(frame: dict[str, Any]) -> bool:
    return frame["ch"] == "account" and frame["d"]["type"] == "PositionClosed"


async def _trade_over_rest(
    http: httpx.AsyncClient, client: Client, number: int
) -> tuple[int, Decimal, dict[str, Any], dict[str, Any], Decimal]:
    async def ask(method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        answer = await http.request(
            method, f"/api/v1{path}", json=body, headers={"Authorization": f"Bearer {client.token}"}
        )
        assert answer.status_code == 200, answer.text
        return json_decode(answer.content)["data"]

    account = (await ask("POST", "/auth/ensure-user"))["accountId"]
    # A quantity that nobody else asks for.
    quantity = Decimal(100 + number).scaleb(-5)
    order = {"symbol": "BTC", "type": "buy", "quantity": str(quantity), "leverage": 10}
    opened = await ask("POST", "/trade/create", order)
    closed = await ask("POST", "/trade/close", {"orderId": opened["orderId"]})
    balance = (await ask("GET", "/balance"))["message"]
    return account, quantity, opened, closed["order"], balance


async def _trade_over_sockets(url: str, client: Client, number: int) -> list[dict[str, Any]]:
    async with connect_async(url, open_timeout=30) as socket:
        order = {"symbol": "BTC", "type": "sell", "quantity": f"0.0{100 + number}", "leverage": 5}
        for message in (
            {"op": "auth", "token": client.token},
            {"op": "order.create", "id": number, **order},
        ):
            await socket.send(json.dumps(message))
        return [json_decode(await asyncio.wait_for(socket.recv(), 30)) for _ in range(2)]


def test_200_users_at_once_each_get_their_own_answers(simulated: Product) -> None:
    clients = simulated.clients(USERS)

    async def rest() -> list[Any]:
        limits = httpx.Limits(max_connections=USERS)
        async with httpx.AsyncClient(base_url=simulated.url, timeout=60, limits=limits) as http:
            return await asyncio.gather(
                *(_trade_over_rest(http, client, n) for n, client in enumerate(clients))
            )

    async def sockets() -> list[Any]:
        return await asyncio.gather(
            *(
                _trade_over_sockets(simulated.socket_url, client, n)
                for n, client in enumerate(clients)
            )
        )

    rounds = asyncio.run(rest())
    answers = asyncio.run(sockets())
    ledger = simulated.manage("verify_ledger")

    assert len({account for account, *_ in rounds}) == USERS
    for account, quantity, opened, closed, balance in rounds:
        assert (opened["accountId"], closed["accountId"]) == (account, account)
        assert (opened["quantity"], closed["quantity"]) == (quantity, quantity)
        assert closed["orderId"] == opened["orderId"] == f"{account}-1"
        assert balance == START - opened["commission"] + closed["pnl"] - closed["commission"]
    for number, (signed_in, created) in enumerate(answers):
        assert signed_in["success"] is True
        assert (created["id"], created["data"]["accountId"]) == (number, rounds[number][0])
        assert created["data"]["quantity"] == Decimal(f"0.0{100 + number}").quantize(
            Decimal("0.00001")
        )
    assert "sums to zero" in ledger


def test_killed_between_any_two_steps_everything_is_as_it_was(simulated: Product) -> None:
    alice = simulated.client("alice@example.com")

    def killed() -> None:
        simulated.kill()
        simulated.start()

    before = alice.balance
    killed()
    assert alice.balance == before == START
    opened = alice.post("/trade/create", BUY, key="buy")
    killed()
    (found,) = alice.get("/trade/open")["message"]
    assert (found["orderId"], found["price"]) == (opened["orderId"], opened["price"])
    assert alice.post("/trade/create", BUY, key="buy") == opened
    closed = alice.post("/trade/close", {"orderId": opened["orderId"]}, key="close")
    killed()
    assert alice.post("/trade/close", {"orderId": opened["orderId"]}, key="close") == closed
    assert alice.get("/trade/open")["message"] == []
    assert alice.balance == settled(opened, closed["order"])
    assert len(alice.get("/trade/close")["message"]) == 1


class Trader:
    """Opens and closes without pause; remembers what was answered, and asks again for what was not."""

    def __init__(self, client: Client, name: str) -> None:
        self._client = client
        self._name = name
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name)
        # Answers of accepted requests by their ids.
        self.opened: dict[str, dict[str, Any]] = {}
        self.closed: dict[str, dict[str, Any]] = {}
        # Codes of refusals, and answers that nobody foresaw.
        self.refused: Counter[str] = Counter()
        self.strange: list[tuple[int, dict[str, Any]]] = []
        self.asked_again = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(120)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        number = 0
        while not self._stopped.is_set():
            number += 1
            opened = self._resolve("/trade/create", BUY | {"quantity": "0.001"}, f"o{number}")
            if opened is None:
                continue
            self.opened[f"o{number}"] = opened
            closed = self._resolve("/trade/close", {"orderId": opened["orderId"]}, f"c{number}")
            if closed is not None:
                self.closed[f"c{number}"] = closed["order"]

    def _resolve(self, path: str, body: dict[str, Any], key: str) -> dict[str, Any] | None:
        """Ask with the same id until the outcome is known; None: refused."""
        while True:
            try:
                status, envelope = self._client.call("POST", path, body, key=key)
            except httpx.HTTPError:
                status, envelope = 0, {}
            if status == 200:
                data: dict[str, Any] = envelope["data"]
                return data
            if status in (0, 408, 503):
                self.asked_again += 1
                self._stopped.wait(0.05)
            elif status == 400:
                self.refused[envelope["code"]] += 1
                return None
            else:
                self.strange.append((status, envelope))
                return None


def test_killed_at_random_moments_under_orders_nothing_is_lost_or_doubled(
    simulated: Product,
) -> None:
    moments = random.Random(SEED)  # noqa: S311 - moments of a test, nothing secret.
    clients = simulated.clients(2, "patient")
    for client in clients:
        client.post("/auth/ensure-user")
    traders = [Trader(client, f"patient-{number}") for number, client in enumerate(clients)]
    for trader in traders:
        trader.start()
    for _ in range(KILLS):
        # Nothing to poll for: the moment itself is what is random.
        threading.Event().wait(moments.uniform(0.05, 1.0))
        simulated.kill()
        simulated.start(until="web listens")
    # A slow machine has answered little between two kills.
    wait_until(lambda: all(len(trader.opened) >= KILLS for trader in traders), seconds=60)
    for trader in traders:
        trader.stop()

    assert sum(trader.asked_again for trader in traders) >= KILLS
    for trader in traders:
        verify(simulated, trader)
    assert "equal to before" in simulated.manage("rebuild_read_models")
    assert "sums to zero" in simulated.manage("verify_ledger")


def verify(running: Product, trader: Trader) -> None:
    """Compare what a trader was told with the state, the history and the ledger."""
    client = trader._client
    account = client.get("/balance")["accountId"]
    spent = sum(o["commission"] for o in trader.opened.values())
    earned = sum(c["pnl"] - c["commission"] for c in trader.closed.values())
    told = Counter(order["orderId"] for order in trader.opened.values())
    still_open = {order["orderId"] for order in client.get("/trade/open?limit=100")["message"]}
    # Brings the read models up to date.
    assert client.get("/trade/close")["isCurrent"] is True
    url = EmbeddedServers(running.data_dir).layout.database_url
    with psycopg.connect(url) as database:
        recorded = Counter(
            position_id
            for (position_id,) in database.execute(
                "SELECT position_id FROM trade_fill WHERE account = %s AND NOT is_closing",
                [account],
            )
        )
        (gaps,) = database.execute(
            "SELECT max(n) - count(*) FROM trade_journalentry"
        ).fetchone() or (None,)
        # The night relay is at work: it has noted from which day on positions are charged.
        (nights,) = database.execute("SELECT count(*) FROM market_swaprollover").fetchone() or (0,)

    assert trader.strange == []
    assert set(trader.refused) <= {"QUOTE_STALE", "EXPIRED"}
    assert len(trader.opened) >= KILLS
    assert told == recorded, "an acknowledged order is missing, or one was made twice"
    assert still_open == set(told) - {o["orderId"] for o in trader.closed.values()}
    assert client.balance == START - spent + earned
    assert gaps == 0
    assert nights > 0
