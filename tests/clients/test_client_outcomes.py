"""What the Python client makes of answers that a healthy platform does not give: an unknown outcome is never told as a refusal."""

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from websockets.asyncio.server import ServerConnection, serve

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "clients" / "python"))

from cryptocfd_client import (
    ApiError,
    AsyncClient,
    Client,
    OutcomeUnknownError,
    PriceUpdate,
    Stream,
)

pytestmark = pytest.mark.timeout(60)

# One attempt's end: what the line raises, or a status with a body.
Step = type[httpx.RequestError] | tuple[int, Any]
LOST = httpx.ReadTimeout
PAGE = "<html>Bad gateway</html>"


def refusal(status: int, code: str, **more: Any) -> Step:
    body = {"success": False, "statusCode": status, "message": "no", "code": code, "data": {}}
    return status, body | more


def decided(status: int, code: str) -> Step:
    """A refusal of the engine, which names the request."""
    return refusal(status, code, requestId="sent")


class Script:
    """Answers each request by the next step; keeps what was sent."""

    def __init__(self, *steps: Step) -> None:
        self.steps = list(steps)
        self.ids: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        sent = json.loads(request.content or b"{}").get("clientOrderId", "")
        self.ids.append(sent)
        step = self.steps.pop(0)
        if isinstance(step, type):
            raise step("lost", request=request)
        status, body = step
        if isinstance(body, str):
            return httpx.Response(status, text=body)
        if isinstance(body, dict) and body.get("requestId") == "sent":
            body = body | {"requestId": sent}
        return httpx.Response(status, json=body)


def order(client: Any) -> Any:
    return client.create_order("BTC", "buy", "0.01", 10)


Call = Callable[[Any], Any]


def said_by_both(call: Call, *steps: Step) -> tuple[Any, list[str]]:
    """Return what the sync client returns or raises, and the ids that were sent; the async one must do the same."""
    script, other = Script(*steps), Script(*steps)
    client, async_client = Client("http://localhost"), AsyncClient("http://localhost")
    client._http = httpx.Client(base_url="http://localhost", transport=httpx.MockTransport(script))
    async_client._http = httpx.AsyncClient(
        base_url="http://localhost", transport=httpx.MockTransport(other)
    )

    async def awaited() -> Any:
        return await call(async_client)

    said, said_async = _ended(lambda: call(client)), _ended(lambda: asyncio.run(awaited()))
    assert (type(said), getattr(said, "status", None)) == (
        type(said_async),
        getattr(said_async, "status", None),
    )
    assert len(script.ids) == len(other.ids)
    # Every step was needed, and all of them were sent under one id.
    assert (script.steps, len(set(script.ids))) == ([], 1)
    return said, script.ids


def _ended(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except (ApiError, OutcomeUnknownError) as error:
        return error


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cryptocfd_client.attempts._PAUSE_S", 0.0)


@pytest.mark.parametrize(
    ("steps", "heard"),
    [
        ([LOST] * 5, None),
        ([refusal(408, "OUTCOME_UNKNOWN")] * 5, 408),
        ([refusal(500, "INTERNAL")] * 5, 500),
        ([(502, PAGE)] * 5, 502),
        ([(504, PAGE)] * 5, 504),
        # Without a code, and with one that says nothing about this request.
        ([(503, PAGE)] * 5, 503),
        ([refusal(503, "UNAVAILABLE")] * 5, 503),
        ([refusal(503, "QUERY_REFUSED")] * 5, 503),
        # A success that nobody can read.
        ([(200, PAGE)] * 5, 200),
        # What comes after an attempt that may have been carried out, and is about something else.
        ([LOST, refusal(401, "NOT_AUTHENTICATED")], 401),
        ([refusal(500, "INTERNAL"), refusal(403, "KEY_NETWORK_FORBIDDEN")], 403),
        ([(504, PAGE)] + [refusal(429, "RATE_LIMITED")] * 4, 429),
        ([LOST] + [refusal(503, "ENGINE_BUSY")] * 4, 503),
        ([LOST, (400, PAGE)], 400),
        # Refused before the engine: the lost attempt may have closed that very order.
        ([LOST, refusal(404, "POSITION_UNKNOWN")], 404),
        ([LOST, refusal(400, "SYMBOL_UNKNOWN")], 400),
    ],
)
def test_a_write_that_may_have_been_carried_out_is_never_told_as_refused(
    steps: list[Step], heard: int | None
) -> None:
    unknown, ids = said_by_both(order, *steps)

    assert type(unknown) is OutcomeUnknownError
    assert unknown.request_id == ids[0] != ""
    assert getattr(unknown.__cause__, "status", None) == heard


@pytest.mark.parametrize(
    ("steps", "code"),
    [
        ([refusal(401, "NOT_AUTHENTICATED")], "NOT_AUTHENTICATED"),
        ([refusal(503, "ENGINE_BUSY")] * 5, "ENGINE_BUSY"),
        ([refusal(429, "RATE_LIMITED")] * 5, "RATE_LIMITED"),
        # An attempt that reached nobody leaves nothing open.
        ([httpx.ConnectError, refusal(401, "NOT_AUTHENTICATED")], "NOT_AUTHENTICATED"),
        # Answers about the order itself, which hold for the attempts before.
        ([LOST, refusal(400, "INVALID")], "INVALID"),
        ([LOST, decided(400, "FREE_MARGIN_INSUFFICIENT")], "FREE_MARGIN_INSUFFICIENT"),
        ([(504, PAGE), decided(404, "POSITION_UNKNOWN")], "POSITION_UNKNOWN"),
        (
            [(502, PAGE), decided(409, "EXISTS_WITH_DIFFERENT_CONTENT")],
            "EXISTS_WITH_DIFFERENT_CONTENT",
        ),
        # Bodies that are no envelope.
        ([(400, ["no"])], "UNKNOWN"),
        ([(422, None)], "UNKNOWN"),
        ([(413, PAGE)], "UNKNOWN"),
    ],
)
def test_a_refused_write_is_told_with_its_id(steps: list[Step], code: str) -> None:
    refused, ids = said_by_both(order, *steps)

    assert type(refused) is ApiError
    assert (refused.code, refused.request_id) == (code, ids[0])


def test_an_answer_counts_whatever_came_before_it() -> None:
    filled = (200, {"success": True, "data": {"orderId": "1-1"}})

    said, _ = said_by_both(
        order, (500, ["no"]), LOST, (502, PAGE), refusal(503, "UNAVAILABLE"), filled
    )

    assert said == {"orderId": "1-1"}


def test_reads_and_refreshes_end_as_they_can() -> None:
    def balance(client: Any) -> Any:
        return client.balance()

    def refresh(client: Any) -> Any:
        return client.refresh("token")

    ends = [
        said_by_both(balance, refusal(500, "INTERNAL"))[0],
        said_by_both(balance, *[(502, ["no"])] * 5)[0],
        said_by_both(balance, LOST, refusal(401, "NOT_AUTHENTICATED"))[0],
        said_by_both(refresh, refusal(429, "RATE_LIMITED"))[0],
    ]
    lost, _ = said_by_both(refresh, (502, PAGE))

    assert [type(end) for end in ends] == [ApiError] * 4
    assert [end.status for end in ends] == [500, 502, 401, 429]
    assert (type(lost), lost.request_id) == (OutcomeUnknownError, "")


# --- the stream -------------------------------------------------------------------------------------------------------


def pauses_of(
    monkeypatch: pytest.MonkeyPatch, *, close_code: int, lived_s: float, tokens: list[str]
) -> tuple[list[float], list[str]]:
    """Return a stream's pauses between lines that are taken and ended without an update, and the tokens that they showed.

    Each line serves as long as it is told to, whatever the clock says; the last one brings a price.
    """
    pauses: list[float] = []
    shown: list[str] = []
    now_s = [0.0]
    price = {"ch": "prices", "n": 1, "d": [["BTCUSDT", "1.0", "2.0", 3]]}

    async def noted(pause_s: float) -> None:
        pauses.append(pause_s)
        await asyncio.sleep(0)

    def clock() -> float:
        # Asked at a line's beginning and at its end.
        now_s[0] += lived_s
        return now_s[0]

    monkeypatch.setattr("cryptocfd_client.stream.asyncio", SimpleNamespace(sleep=noted))
    monkeypatch.setattr("cryptocfd_client.stream.time", SimpleNamespace(monotonic=clock))
    given = iter(tokens)

    async def serve_one(socket: ServerConnection) -> None:
        shown.append(json.loads(await socket.recv())["token"])
        await socket.recv()
        await socket.send(json.dumps({"ch": "reply", "op": "auth", "success": True, "data": {}}))
        await socket.send(json.dumps({"ch": "reply", "op": "subscribe", "success": True}))
        if shown[-1] == tokens[-1]:
            await socket.send(json.dumps(price))
            await socket.wait_closed()
        await socket.close(close_code)

    async def talk() -> Any:
        async with serve(serve_one, "127.0.0.1", 0) as server:
            url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/"
            updates = aiter(Stream(url, lambda: next(given), accounts=[1001]))
            async with asyncio.timeout(30):
                first = await anext(updates)
                await updates.aclose()
            return first

    assert isinstance(asyncio.run(talk()), PriceUpdate)
    return pauses, shown


TOKENS = ["first", "second", "third", "fourth", "fifth"]


def test_a_quiet_stream_is_back_at_once_after_each_token(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses, shown = pauses_of(monkeypatch, close_code=4401, lived_s=600.0, tokens=TOKENS)

    assert (pauses, shown) == ([0.0] * 4, TOKENS)


def test_a_quiet_stream_forgets_its_earlier_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses, _ = pauses_of(monkeypatch, close_code=1012, lived_s=600.0, tokens=TOKENS)

    assert len(pauses) == 4
    assert all(0.25 <= pause_s <= 0.5 for pause_s in pauses)


@pytest.mark.parametrize("close_code", [1012, 4401])
def test_a_server_that_takes_lines_and_ends_them_at_once_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, close_code: int
) -> None:
    pauses, _ = pauses_of(monkeypatch, close_code=close_code, lived_s=0.0, tokens=TOKENS)

    assert len(pauses) == 4
    for longest_s, pause_s in zip((0.5, 1.0, 2.0, 4.0), pauses, strict=True):
        assert longest_s / 2 <= pause_s <= longest_s


def test_a_token_that_is_not_renewed_yet_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses, shown = pauses_of(
        monkeypatch, close_code=4401, lived_s=600.0, tokens=["first", "first", "second"]
    )

    assert shown == ["first", "second"]
    assert pauses[0] == 0.0
    assert 0.25 <= pauses[1] <= 0.5
