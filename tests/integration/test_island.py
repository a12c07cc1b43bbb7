"""The synchronous part of the site as the ASGI server meets it: one hop, limits, files, and answers to strangers."""

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
import uvicorn
from django.conf import settings

from cryptocfd.island import Island
from cryptocfd.lean import Lean
from cryptocfd.web_server import port_bind

pytestmark = [pytest.mark.integration, pytest.mark.asyncio, pytest.mark.django_db(transaction=True)]


@pytest_asyncio.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    island = Island()
    transport = httpx.ASGITransport(app=island)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client
    island.close()


async def test_a_living_process_says_so_whatever_else_is_down(client: httpx.AsyncClient) -> None:
    answer = await client.get("/healthz")

    assert (answer.status_code, answer.json()) == (200, {"status": "alive"})


async def test_readiness_names_what_is_missing(client: httpx.AsyncClient) -> None:
    answer = await client.get("/readyz")

    checks = answer.json()["checks"]
    assert answer.status_code == 503
    assert answer.json()["status"] == "unavailable"
    assert checks["engine0"] == {"ok": False, "reason": "no engine reports"}
    assert checks["database"]["ok"]
    assert checks["log"]["ok"]


async def test_a_file_comes_whole_and_may_be_kept(client: httpx.AsyncClient) -> None:
    file = settings.BASE_DIR / "static" / "vendor" / "lightweight-charts.mjs"

    answer = await client.get("/static/vendor/lightweight-charts.mjs")

    assert answer.content == file.read_bytes()
    assert answer.headers["content-type"].startswith("text/javascript")


async def test_s25_a_body_beyond_every_limit_is_refused_before_it_is_read(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.post("/api/v1/auth/login", content=b"x" * (5 * 1024 * 1024 + 1))

    assert answer.status_code == 413
    assert answer.json() == {
        "success": False,
        "statusCode": 413,
        "message": "the body must have at most 5242880 bytes",
        "code": "TOO_LARGE",
        "data": {},
    }


@pytest.mark.parametrize("path", ["trade/create", "auth/login"], ids=["lean", "island"])
async def test_who_never_ends_a_body_is_told_so_and_holds_no_place(
    monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr("cryptocfd.island._BODY_SECONDS", 0.1)
    island = Island()
    server = uvicorn.Server(uvicorn.Config(Lean(island), lifespan="off", log_config=None))
    listener = port_bind("127.0.0.1", 0)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    head = f"POST /api/v1/{path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer x\r\n"
    writer.write(f"{head}Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{{".encode())

    # Until the server closes the line.
    answer = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    server.should_exit = True
    await serving
    island.close()

    start, _, body = answer.partition(b"\r\n\r\n")
    assert start.startswith(b"HTTP/1.1 400 ")
    assert b"connection: close" in start
    assert (json.loads(body)["code"], json.loads(body)["message"]) == (
        "MALFORMED",
        "the body must come within 0 s",
    )
    assert island._in_flight == 0


async def test_a_process_with_too_much_to_do_says_so_to_programs_and_to_people(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cryptocfd.island._IN_FLIGHT_MAX", 0)

    of_program = await client.get("/api/v1/accounts")
    of_person = await client.get("/trade/BTCUSDT")

    assert (of_program.status_code, of_program.headers["Retry-After"]) == (503, "1")
    assert (of_program.json()["success"], of_program.json()["code"]) == (False, "UNAVAILABLE")
    assert (of_person.status_code, of_person.text) == (
        503,
        "Too many requests wait: try again in a second.",
    )


async def test_an_unknown_address_answers_programs_and_people_in_their_language(
    client: httpx.AsyncClient,
) -> None:
    program = await client.get("/api/v1/nowhere")
    person = await client.get("/nowhere")

    assert (program.status_code, person.status_code) == (404, 404)
    assert program.json()["code"] == "NOT_FOUND"
    assert person.text.lstrip().lower().startswith("<!doctype html>")


async def test_s36_pages_forbid_foreign_scripts_and_frames(client: httpx.AsyncClient) -> None:
    answer = await client.get("/")

    policy = answer.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "'unsafe-inline'" not in policy
    assert "'nonce-" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_an_address_that_is_not_text_is_a_plain_refusal(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/v1/%ff%fe")

    assert answer.status_code in {400, 404}


async def test_s05_a_foreign_host_name_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.get("/", headers={"Host": "evil.example"})

    assert answer.status_code == 400
