"""Schemathesis against the running platform: every operation of the document, with data that fits it and data that does not.

All checks are on: no 5xx, no undocumented status, type or shape, no bad data taken, none that is good refused, no door open. What
schemathesis.toml changes of the defaults says why. `make nightly-api` gives it more time and new seeds.
"""

import os
import re
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.product import Client, Product

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3_600)]

REPOSITORY = Path(__file__).resolve().parents[2]
# Of one round of the long form; the access tokens live longer than this. In CI a round has a number of examples instead, so that
# the same is tried on every machine: about two minutes of it.
SECONDS = int(os.environ.get("SCHEMATHESIS_SECONDS", "0"))
EXAMPLES = 12
ROUNDS = int(os.environ.get("SCHEMATHESIS_ROUNDS", "1"))
SEED = 1
# How often it may sign itself out.
SESSIONS = 60
BUY = {"symbol": "BTC", "type": "buy", "quantity": "0.01", "leverage": 10}
# A staff member, so that what only staff may do is tried too; no test of limits, and a slow machine is no fault.
SETTINGS = {
    "API_LIMITS_WRITE": "",
    "API_LIMITS_READ": "",
    "API_LIMITS_PUBLIC": "",
    "LOGIN_LIMITS_PER_IP": "100000/s",
    "SESSION_TOKEN_LIMITS": "100000/s",
    "REFRESH_LIMITS_PER_IP": "100000/s",
    "ORDER_TIMEOUT_MS": "20000",
}
STAFF = 'from apps.auth.models import User; User.objects.filter(email="alice@example.com").update(is_staff=True)'


@pytest.fixture(scope="module")
def product():
    product = Product(**SETTINGS)
    try:
        product.start()
        product.manage("shell", "-c", STAFF)
        yield product
    finally:
        product.close()


def prepared(product: Product) -> Client:
    """Return a client of alice with something of everything that an address can name."""
    alice = product.client("alice@example.com")
    opened = alice.post("/trade/create", BUY)["orderId"]
    alice.post("/trade/create", BUY)
    alice.post("/trade/create", BUY | {"orderType": "limit", "price": "1000"})
    alice.post("/trade/close", {"orderId": opened})
    return alice


def run(product: Product, alice: Client, *, seed: int) -> subprocess.CompletedProcess[str]:
    tokens = [alice.get("/auth/mobile/session-token")["accessToken"] for _ in range(SESSIONS)]
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
            "SCHEMATHESIS_TOKENS": ",".join(tokens),
            "SCHEMATHESIS_HOOKS": "tests.contract.schemathesis_hooks",
        },
        capture_output=True,
        text=True,
        check=False,
    )


def test_nothing_that_schemathesis_tries_finds_a_fault(product: Product) -> None:
    alice = prepared(product)
    for number in range(ROUNDS):
        # In CI always the same; the long form tries something else each time.
        seed = SEED if ROUNDS == 1 else secrets.randbelow(2**31)
        done = run(product, alice, seed=seed)

        assert done.returncode == 0, f"round {number}, seed {seed}:\n{done.stdout}{done.stderr}"
        # A run that was turned away everywhere would prove nothing; a withdrawal needs a PIN, and so does a key.
        turned_away = re.search(r"Authentication failed: (\d+) operation", done.stdout)
        assert turned_away is None or int(turned_away[1]) <= 3, done.stdout
    assert "a view failed" not in product.text
