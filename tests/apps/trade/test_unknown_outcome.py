"""After a time-out nobody knows the outcome: the client is told so with the id by which it learns it, and the outcome is final."""

from typing import Any

import pytest

from apps.common.exact_json import json_decode
from cryptocfd.embedded.processes import wait_until
from tests.apps.live import Live, live_platform

pytestmark = pytest.mark.integration

TIMEOUT_MS = 500
BUY = {"symbol": "BTC", "type": "buy", "quantity": "0.1", "leverage": 10, "clientOrderId": "late"}


@pytest.fixture
def live(transactional_db, log_redis_url, redis_url, stream_prefix, tmp_path):
    with live_platform(
        stream_prefix, log_redis_url, redis_url, tmp_path, timeout_ms=TIMEOUT_MS
    ) as live:
        yield live


def asked(live: Live, client: Any) -> dict[str, Any]:
    live.project()
    answer = json_decode(client.get("/api/v1/trade/requests/late").content)
    found: dict[str, Any] = answer["data"]
    return found


def test_a_request_that_timed_out_is_resolved_by_its_id(live):
    user, account = live.user()
    live.price(100_000, 100_010)
    client = live.client(user)
    live.engine_stop()

    unknown = client.post("/api/v1/trade/create", BUY)
    live.engine_start()
    assert wait_until(lambda: asked(live, client).get("status") == "rejected", seconds=20)
    outcome = asked(live, client)
    again = client.post("/api/v1/trade/create", BUY)

    told = json_decode(unknown.content)
    assert (unknown.status_code, told["code"]) == (408, "OUTCOME_UNKNOWN")
    assert (told["requestId"], told["data"]) == ("late", {"timeoutMs": TIMEOUT_MS})
    # It came to the engine after its deadline, so it is refused for good, under the same id too.
    assert outcome["error"]["code"] == "EXPIRED"
    answer = json_decode(again.content)
    assert (again.status_code, answer["code"], answer["requestId"]) == (400, "EXPIRED", "late")
    assert account.id == outcome["accountId"]
