"""The contract's table and the whole document against the running platform.

Each route of the table is asked for real, with each of its parameters, by both ways: what old clients send must be taken, and what comes
back must have the names of the table and the shape of the document. The lean way and the island are told apart by a header that
only the island knows how to answer. Then schemathesis tries every operation of the document, with data that fits it and data that does not:
all checks are on, and what schemathesis.toml changes of the defaults says why. `make nightly-api` gives it more time and new seeds.
"""

import asyncio
import json
import os
import secrets
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from cryptocfd.openapi.links import LINKS
from tests.apps.trade.test_asyncapi import plain, validator
from tests.contract.contract_walk import (
    BUY,
    Asker,
    accounts,
    ask_again,
    read,
    real_money,
    sign_in,
    trade,
)
from tests.contract.links import Follower
from tests.contract.signals import CODES, PEOPLE, PIN, READY
from tests.contract.socket_walk import UNASKED, frames_of
from tests.integration.product import Client, Product

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3_600)]

REPOSITORY = Path(__file__).resolve().parents[2]
ISLAND = {"If-None-Match": '"nothing"'}
# Of one round of the long form; the access tokens live longer than this. In CI a round has a number of examples instead, so that
# the same is tried on every machine.
SECONDS = int(os.environ.get("SCHEMATHESIS_SECONDS", "0"))
EXAMPLES = 9
ROUNDS = int(os.environ.get("SCHEMATHESIS_ROUNDS", "1"))
SEED = 1
# How often it may sign itself out.
SESSIONS = 60
# No test of limits, and a slow machine is no fault.
SETTINGS = {
    "API_LIMITS_WRITE": "",
    "API_LIMITS_READ": "",
    "API_LIMITS_PUBLIC": "",
    "LOGIN_LIMITS_PER_IP": "100000/s",
    "SESSION_TOKEN_LIMITS": "100000/s",
    "REFRESH_LIMITS_PER_IP": "100000/s",
    "ORDER_TIMEOUT_MS": "20000",
    "SOCKET_MESSAGES_PER_SECOND": "1000",
    "PAYMENT_PROVIDERS": "bank,test",
}


@dataclass
class Installation:
    """A running platform whose staff is at work."""

    product: Product
    # By address: what stands in for the second factor of a member of the staff, each once.
    codes: dict[str, list[str]]
    # Where the staff hands out sign-in links of new people.
    links: str


@pytest.fixture(scope="module")
def installation():
    product, staff = Product(**SETTINGS), None
    try:
        product.start()
        staff = product.beside("shell", "-c", "from tests.contract.staff_at_work import run; run()")
        codes, links, said = {}, "", []
        while READY not in (line := staff.stdout.readline()):
            said.append(line)
            assert line, f"the staff does not come to work: {''.join(said)}"
            if line.startswith(CODES):
                _, email, *codes[email] = line.split()
            elif line.startswith(PEOPLE):
                links = line.split()[1]
        yield Installation(product, codes, links)
    finally:
        if staff is not None:
            staff.kill()
            staff.communicate()
        product.close()


@pytest.fixture
def asker_of(installation):
    made: list[Asker] = []

    def make(token: str, headers: dict[str, str]) -> Asker:
        made.append(Asker(installation.product, token, headers))
        return made[-1]

    yield make
    for asker in made:
        asker.http.close()


def test_every_route_of_the_table_answers_for_real(installation, asker_of):
    asker, email = asker_of("", {}), "charlie@example.com"
    sign_in(installation.product, asker, email, installation.codes[email].pop())
    account = asker.ask("POST /auth/ensure-user")["accountId"]
    trade(asker, account)
    read(asker, account)
    accounts(asker, account)
    ask_again(asker, account)
    real_money(asker)

    assert asker.faults == [], "\n".join(map(str, asker.faults))
    assert asker.missing() == {}


def test_the_island_answers_the_same_routes_as_the_lean_way(installation, asker_of):
    asker = asker_of(installation.product.client("bob@example.com").token, ISLAND)
    account = asker.ask("POST /auth/ensure-user")["accountId"]
    trade(asker, account)

    assert asker.faults == [], "\n".join(map(str, asker.faults))


def test_every_frame_of_the_socket_is_as_described(installation):
    product = installation.product
    bob = product.client("bob@example.com")
    account = bob.post("/auth/ensure-user")["accountId"]

    frames = asyncio.run(frames_of(product.socket_url, bob.token, account))

    faults = [
        (frame, error.message)
        for frame in frames
        for error in validator(frame["ch"]).iter_errors(plain(frame))
    ]
    assert faults == []
    assert {frame["ch"] for frame in frames} == {*UNASKED, "reply", "pong"}
    (opened,) = [
        frame for frame in frames if (frame.get("op"), frame.get("id")) == ("order.create", 2)
    ]
    assert opened["success"] is True


# --- links -----------------------------------------------------------------------------------------------------------

# What a link leaves to its user.
ADDED = {"trade_margin": {"amount": "5"}, "trade_modify": {"trailingDistance": "500"}}
LIMIT = BUY | {"orderType": "limit", "price": "1000"}
ISOLATED = BUY | {"marginMode": "isolated"}


def made(follower: Follower, order: dict[str, Any]) -> httpx.Response:
    return follower.ask("trade_create", {("body", name): value for name, value in order.items()})


def begun(follower: Follower, source: str, target: str) -> httpx.Response:
    """Return an answer of an operation from which a link leads on to another."""
    order = BUY
    if "trade_cancel" in (source, target) or source == "trade_pending":
        order = LIMIT
    elif "trade_margin" in (source, target):
        order = ISOLATED
    answer = made(follower, order)
    if source == "trade_create":
        return answer
    named = {("body", "orderId"): answer.json()["data"]["orderId"]}
    if source == "trade_closed":
        follower.ask("trade_close", named)
    if source in ("trade_open", "trade_pending", "trade_orders", "trade_closed"):
        # The newest is the first.
        return follower.ask(source, {})
    more = {("body", name): value for name, value in ADDED.get(source, {}).items()}
    return follower.ask(source, named | more)


def test_every_link_of_an_order_leads_on(installation):
    product = installation.product
    token = product.client("bob@example.com").token
    with httpx.Client(
        base_url=product.url, headers={"Authorization": f"Bearer {token}"}, timeout=30
    ) as http:
        follower = Follower(http, http.get("/api/schema/?format=json").json())
        http.post("/api/v1/auth/ensure-user")
        answered = {}
        for source in (name for name in LINKS if name.startswith("trade_")):
            for target, link in follower.links_of(source).items():
                answer = begun(follower, source, target)
                added = ADDED.get(target, {})
                if target == "trade_close_by":
                    side = "buy" if source == "trade_reverse" else "sell"
                    other = made(follower, BUY | {"type": side}).json()["data"]
                    added = {"otherOrderId": other["orderId"]}
                answer = follower.follow(link, answer, added)
                answered[source, target] = (answer.status_code, answer.text[:300])

    refused = {names: told for names, told in answered.items() if told[0] != 200}
    assert refused == {}, "\n".join(map(str, refused.items()))
    assert len(answered) == sum(
        len(steps) for name in LINKS if name.startswith("trade_") for steps in LINKS[name].values()
    )


# --- schemathesis ----------------------------------------------------------------------------------------------------


# What needs more than a sign-in: staff with a second factor, a PIN, an open live account, an order that is open now, or somebody who
# has not done it yet.
TAKEN = {
    "GET /api/v1/auth/verify",
    "POST /api/v1/kyc",
    "POST /api/v1/kyc/documents",
    "POST /api/v1/candles/refresh",
    "POST /api/v1/keys",
    "POST /api/v1/accounts/{account_id}/deposits",
    "POST /api/v1/accounts/{account_id}/withdrawals",
    "GET /api/v1/accounts/{account_id}/statements/{statement_id}",
    "GET /api/v1/trade/orders/{order_id}",
    "GET /api/v1/trade/orders/{order_id}/receipt.pdf",
    "POST /api/v1/trade/create",
    "POST /api/v1/trade/close",
    "POST /api/v1/trade/closeAll",
    "POST /api/v1/trade/closeBy",
    "POST /api/v1/trade/cancel",
    "POST /api/v1/trade/cancelAll",
    "POST /api/v1/trade/modify",
    "POST /api/v1/trade/reverse",
    "POST /api/v1/trade/margin add",
    "POST /api/v1/trade/margin remove",
}


def tokens_of(alice: Client) -> list[str]:
    """Return tokens of many sessions; the device of the first has a PIN.

    Who tries to sign out devices begins with the lowest numbers and the newest ones, so it stands in the middle.
    """
    tokens = [alice.get("/auth/mobile/session-token")["accessToken"] for _ in range(SESSIONS)]
    alice.token = tokens.pop(SESSIONS // 2)
    alice.post("/auth/mobile/pin", {"pin": PIN})
    return [alice.token, *tokens]


def prepared(installation: Installation, asker: Asker) -> tuple[Client, int]:
    """Return a client of alice with something of everything that an address can name, and her account with real money."""
    email = "alice@example.com"
    alice = installation.product.client(email, factor=installation.codes[email].pop())
    opened = alice.post("/trade/create", BUY)["orderId"]
    alice.post("/trade/create", BUY)
    alice.post("/trade/create", BUY | {"orderType": "limit", "price": "1000"})
    alice.post("/trade/close", {"orderId": opened})
    asker.token = alice.token
    alice.post("/auth/mobile/pin", {"pin": PIN})
    live = real_money(asker)
    assert asker.faults == []
    return alice, live


def run(
    installation: Installation, alice: Client, live: int, met: Path, *, seed: int
) -> subprocess.CompletedProcess[str]:
    product, tokens = installation.product, tokens_of(alice)
    bound = ("--max-time", SECONDS) if SECONDS else ("--max-examples", EXAMPLES)
    return subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run"),
            f"{product.url}/api/schema/?format=json",
            *("--seed", str(seed), *map(str, bound)),
            *("--generation-database", "none", "--no-color", "--request-timeout", "60"),
        ],
        cwd=REPOSITORY,
        env=os.environ
        | {
            "SCHEMATHESIS_ADDRESS": product.url,
            "SCHEMATHESIS_TOKENS": ",".join(tokens[1:]),
            # The device whose PIN is known.
            "SCHEMATHESIS_PIN_TOKEN": tokens[0],
            "SCHEMATHESIS_LIVE_ACCOUNT": str(live),
            "SCHEMATHESIS_LINKS": installation.links,
            "SCHEMATHESIS_MET": str(met),
            "SCHEMATHESIS_HOOKS": "tests.contract.schemathesis_hooks",
        },
        capture_output=True,
        text=True,
        check=False,
    )


def test_nothing_that_schemathesis_tries_finds_a_fault(installation, asker_of, tmp_path) -> None:
    product = installation.product
    alice, live = prepared(installation, asker_of("", {}))
    met = tmp_path / "met.json"
    for number in range(ROUNDS):
        # In CI always the same; the long form tries something else each time.
        seed = SEED if ROUNDS == 1 else secrets.randbelow(2**31)
        done = run(installation, alice, live, met, seed=seed)

        assert done.returncode == 0, f"round {number}, seed {seed}:\n{done.stdout}{done.stderr}"
        # A run that was turned away everywhere would prove nothing.
        taken = {
            name
            for statuses in json.loads(met.read_text()).values()
            for name, counts in statuses.items()
            if min(counts) < "300"
        }
        assert taken >= TAKEN, (TAKEN - taken, met.read_text(), done.stdout)
    assert "a view failed" not in product.text
