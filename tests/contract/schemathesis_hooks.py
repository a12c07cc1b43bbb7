"""Signs schemathesis in, lends it what is there at the moment, and counts what became of what it sent.

It tries everything, ending its own session too, so it has many and takes the next one then. What needs a PIN is asked by a device of its
own whose PIN is known, since wrong ones, of which it sends many, lock a device. What each person can do once is asked by somebody new.

Only data that fits the document is changed, and not all of it: what is refused stays refused.
"""

import atexit
import json
import os
import random
from collections import Counter, defaultdict, deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx
import schemathesis

from tests.contract import schemathesis_people as people
from tests.contract.schemathesis_orders import TAKEN, OpenOrders
from tests.contract.schemathesis_rules import Rules
from tests.contract.signals import PIN

TOKENS = "SCHEMATHESIS_TOKENS"
_ADDRESS: Final = os.environ["SCHEMATHESIS_ADDRESS"]
_DEVICES = "/api/v1/auth/devices/"
_PIN_ASKED = ("/api/v1/keys", "/api/v1/accounts/{account_id}/withdrawals")
_CASH = (
    "/api/v1/accounts/{account_id}/withdrawals",
    "/api/v1/accounts/{account_id}/deposits",
)
_CREATE = "POST /api/v1/trade/create"
# What is made once and named afterwards: by operation, what its answer calls it and how addresses do.
_MADE: Final = {
    "POST /api/v1/keys": ("keyId", "public_id"),
    "POST /api/v1/accounts/{account_id}/statements": ("statementId", "statement_id"),
}
# The one that schemathesis.toml names.
_DEMO_ACCOUNT = 1001
_ID_OF_EXAMPLES = "my-order-1"
# How often good data names what is there. Examples always do; in the stateful phase mostly the links themselves bring it.
_LENT: Final = {"examples": 1.0, "stateful": 0.2}
_LENT_ELSE = 0.8

_tokens = deque(os.environ[TOKENS].split(","))
_orders = OpenOrders(_ADDRESS, _DEMO_ACCOUNT)
_rules = Rules(httpx.get(f"{_ADDRESS}/api/v1/supportedAssets", timeout=60).json()["data"])
_dice = random.Random(1)  # noqa: S311 - the same in each run.
_made: dict[str, str] = {}
# By phase and operation: how often it answered with which status.
_met: defaultdict[str, defaultdict[str, Counter[int]]] = defaultdict(lambda: defaultdict(Counter))


def _asks_a_pin(case: Any) -> bool:
    return case.method == "POST" and case.path in _PIN_ASKED


def _name(case: Any) -> str:
    """Return the operation of a case; the two directions of margin count as two."""
    action = case.body.get("action") if isinstance(case.body, dict) else None
    name = f"{case.method} {case.path}"
    return f"{name} {action}" if action in ("add", "remove") else name


def _phase(case: Any) -> str:
    return case.meta.phase.name.value if case.meta else ""


def _is_good(case: Any) -> bool:
    return case.meta is not None and case.meta.generation.mode.is_positive


@schemathesis.auth(refresh_interval=None)
class AccessToken:
    """The access token of a session that still lives."""

    def get(self, case: Any, _context: Any) -> str:
        if _is_good(case) and _name(case) in people.OF_NEW_PEOPLE:
            return people.new_token()
        return os.environ["SCHEMATHESIS_PIN_TOKEN"] if _asks_a_pin(case) else _tokens[0]

    def set(self, case: Any, data: str, _context: Any) -> None:
        case.headers = {**(case.headers or {}), "Authorization": f"Bearer {data}"}


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: Any) -> None:
    """Ask for real money where it is, tell the PIN where it must be told, name what is there, and let each example be a request of its own.

    An absent or wrong PIN, and a request that is repeated, have tests of their own.
    """
    if case.path.startswith(_CASH) and case.path_parameters.get("account_id") == _DEMO_ACCOUNT:
        case.path_parameters["account_id"] = int(os.environ["SCHEMATHESIS_LIVE_ACCOUNT"])
    if _asks_a_pin(case) and isinstance(case.body, dict) and isinstance(case.body.get("pin"), str):
        case.body["pin"] = PIN
    is_good = _is_good(case)
    if is_good:
        people.fit(_name(case), case)
    is_lent = is_good and _dice.random() < _LENT.get(_phase(case), _LENT_ELSE)
    if is_lent:
        _lend(case)
    if is_good and _phase(case) == "stateful" and _dice.random() < 0.5:
        _begin(case)
    new = uuid4().hex
    for part, name in ((case.headers, "Idempotency-Key"), (case.body, "clientOrderId")):
        if isinstance(part, Mapping) and (
            part.get(name) == _ID_OF_EXAMPLES or (is_lent and name in part)
        ):
            part[name] = new


def _lend(case: Any) -> None:
    """Name an order that is open, or a key or statement that was made."""
    # Whether what a link has brought is still there is a check of its own.
    if _phase(case) != "stateful":
        for name in _made.keys() & (case.path_parameters or {}).keys():
            case.path_parameters[name] = _made[name]
    if case.method != "POST" or not isinstance(case.body, dict) or "orderId" not in case.body:
        return
    found = _orders.fit(case.path, case.body, _tokens[0])
    if found:
        account = {"accountId": _DEMO_ACCOUNT} if "accountId" in case.body else {}
        case.body = case.body | found | account


def _begin(case: Any) -> None:
    """Begin a chain of links by an order that is taken, or a list with something in it."""
    if _name(case) == _CREATE:
        case.body = dict(_dice.choice(TAKEN))
    elif (
        case.method == "GET" and case.path.startswith("/api/v1/trade/") and not case.path_parameters
    ):
        case.query = {}


@schemathesis.hook
def after_call(_context: Any, case: Any, response: Any) -> None:
    """Count what was answered; keep what was made; look whether a device that was signed out was the own one."""
    name = _name(case)
    _met[_phase(case)][name][response.status_code] += 1
    if name in _MADE and response.status_code < 300:
        answered, asked = _MADE[name]
        _made[asked] = response.json()["data"][answered]
    if not (case.method == "DELETE" and case.path.startswith(_DEVICES)):
        return
    while len(_tokens) > 1:
        headers = {"Authorization": f"Bearer {_tokens[0]}"}
        if httpx.post(f"{_ADDRESS}/api/v1/auth/verify-user", headers=headers).status_code == 200:
            return
        _tokens.popleft()


@schemathesis.check
def refusal_is_explained(_context: Any, response: Any, case: Any) -> None:
    """Hold that a 400 for good data has a reason in that data."""
    # Chains of links go other ways each time; what they send is of the same shapes.
    if _is_good(case) and response.status_code == 400 and _phase(case) != "stateful":
        failure = response.json()
        if not _rules.explain(_name(case), case, failure["code"]):
            raise AssertionError(f"refused without a reason: {failure['message']}")


@atexit.register
def _tell() -> None:
    Path(os.environ["SCHEMATHESIS_MET"]).write_text(json.dumps(_met))
