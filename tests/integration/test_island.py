"""The synchronous part of the site as the ASGI server meets it: one hop, limits, files, and answers to strangers."""

import asyncio
import json
from collections.abc import AsyncIterator, MutableMapping
from typing import Any

import httpx
import pytest
import pytest_asyncio
from django.conf import settings

from cryptocfd.island import Island

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


async def test_who_never_ends_a_body_is_told_so_and_holds_no_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cryptocfd.island._BODY_SECONDS", 0.1)
    island = Island()
    told: list[dict[str, Any]] = []
    said = iter([{"type": "http.request", "body": b"{", "more_body": True}])

    async def receive() -> dict[str, Any]:
        for message in said:
            return message
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: MutableMapping[str, Any]) -> None:
        told.append(dict(message))

    scope = {"type": "http", "method": "POST", "path": "/api/v1/auth/login", "headers": []}
    await asyncio.wait_for(island(scope, receive, send), 30)
    island.close()

    start, body = told
    assert (start["status"], (b"connection", b"close") in start["headers"]) == (400, True)
    assert json.loads(body["body"])["code"] == "MALFORMED"
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
