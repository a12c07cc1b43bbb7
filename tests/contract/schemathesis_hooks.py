"""Signs schemathesis in, and counts which operations took what it sent.

It tries everything, ending its own session too, so it has many and takes the next one then. What needs a PIN is asked by a device of its
own whose PIN is known, since wrong ones, of which it sends many, lock a device.
"""

import atexit
import json
import os
from collections import Counter, deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import schemathesis

from tests.contract.signals import PIN

TOKENS = "SCHEMATHESIS_TOKENS"
_DEVICES = "/api/v1/auth/devices/"
_PIN_ASKED = ("/api/v1/keys", "/api/v1/accounts/{account_id}/withdrawals")

_tokens = deque(os.environ[TOKENS].split(","))
_CASH = (
    "/api/v1/accounts/{account_id}/withdrawals",
    "/api/v1/accounts/{account_id}/deposits",
)
# The one that schemathesis.toml names.
_DEMO_ACCOUNT = 1001
_ID_OF_EXAMPLES = "my-order-1"
_met: Counter[str] = Counter()


def _asks_a_pin(case: Any) -> bool:
    return case.method == "POST" and case.path in _PIN_ASKED


@schemathesis.auth(refresh_interval=None)
class AccessToken:
    """The access token of a session that still lives."""

    def get(self, case: Any, _context: Any) -> str:
        return os.environ["SCHEMATHESIS_PIN_TOKEN"] if _asks_a_pin(case) else _tokens[0]

    def set(self, case: Any, data: str, _context: Any) -> None:
        case.headers = {**(case.headers or {}), "Authorization": f"Bearer {data}"}


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: Any) -> None:
    """Ask for real money where it is, tell the PIN where it must be told, and let each example be a request of its own, under an id of its own.

    An absent or wrong PIN, and a request that is repeated, have tests of their own.
    """
    for part, name in ((case.headers, "Idempotency-Key"), (case.body, "clientOrderId")):
        if isinstance(part, Mapping) and part.get(name) == _ID_OF_EXAMPLES:
            part[name] = uuid4().hex
    if case.path.startswith(_CASH) and case.path_parameters.get("account_id") == _DEMO_ACCOUNT:
        case.path_parameters["account_id"] = int(os.environ["SCHEMATHESIS_LIVE_ACCOUNT"])
    if _asks_a_pin(case) and isinstance(case.body, dict) and isinstance(case.body.get("pin"), str):
        case.body["pin"] = PIN


@schemathesis.hook
def after_call(_context: Any, case: Any, response: Any) -> None:
    """Count what was taken; look whether a device that was signed out was the own one."""
    _met[f"{case.method} {case.path}"] += response.status_code < 300
    if not (case.method == "DELETE" and case.path.startswith(_DEVICES)):
        return
    base = str(response.request.url).partition("/api/v1/")[0]
    while len(_tokens) > 1:
        headers = {"Authorization": f"Bearer {_tokens[0]}"}
        if httpx.post(f"{base}/api/v1/auth/verify-user", headers=headers).status_code == 200:
            return
        _tokens.popleft()


@atexit.register
def _tell() -> None:
    Path(os.environ["SCHEMATHESIS_MET"]).write_text(json.dumps(_met))
