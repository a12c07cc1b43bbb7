"""Signs schemathesis in: it tries everything, ending its own session too, so it has many and takes the next one then."""

import os
from collections import deque
from typing import Any

import httpx
import schemathesis

TOKENS = "SCHEMATHESIS_TOKENS"
_DEVICES = "/api/v1/auth/devices/"

_tokens = deque(os.environ[TOKENS].split(","))


@schemathesis.auth(refresh_interval=None)
class AccessToken:
    """The access token of a session that still lives."""

    def get(self, _case: Any, _context: Any) -> str:
        return _tokens[0]

    def set(self, case: Any, data: str, _context: Any) -> None:
        case.headers = {**(case.headers or {}), "Authorization": f"Bearer {data}"}


@schemathesis.hook
def after_call(_context: Any, case: Any, response: Any) -> None:
    """Look whether a device that was signed out was the own one."""
    if not (case.method == "DELETE" and case.path.startswith(_DEVICES)):
        return
    base = str(response.request.url).partition("/api/v1/")[0]
    while len(_tokens) > 1:
        headers = {"Authorization": f"Bearer {_tokens[0]}"}
        if httpx.post(f"{base}/api/v1/auth/verify-user", headers=headers).status_code == 200:
            return
        _tokens.popleft()
