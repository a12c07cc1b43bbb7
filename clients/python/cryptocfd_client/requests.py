"""Every operation as a request: built here once for the sync and the async client.

Writes get an id if the caller gives none, so that they can be sent again without being carried out twice.
"""

import json
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlencode
from uuid import uuid4

BASE = "/api/v1"
# A number as the caller has it; floats are refused, since their digits are not what they look like.
Number = Decimal | int | str
# A date, or its text such as 2026-11-26.
Day = date | str


@dataclass(frozen=True, slots=True)
class Request:
    """One request, ready to be sent as often as it takes."""

    method: str
    # Path with the query.
    target: str
    body: bytes
    # Empty for reads.
    request_id: str
    # Whether it may be sent again while nobody answers.
    is_repeatable: bool = True

    @property
    def may_change(self) -> bool:
        """Return whether it is a write."""
        return bool(self.request_id) or not self.is_repeatable


def part(text: str) -> str:
    """Return text as one part of an address, whatever signs it has."""
    return quote(text, safe="")


def read(path: str, **query: Any) -> Request:
    """Return a read; parameters that are None are left out."""
    given = {name: value for name, value in query.items() if value is not None}
    target = f"{BASE}{path}" + (f"?{urlencode(given)}" if given else "")
    return Request("GET", target, b"", "")


def write(path: str, body: dict[str, Any], request_id: str | None = None) -> Request:
    """Return a write under the given id, or a new one; fields that are None are left out."""
    identity = request_id or uuid4().hex
    given = {name: _plain(value) for name, value in body.items() if value is not None}
    raw = json.dumps(given | {"clientOrderId": identity}).encode()
    return Request("POST", f"{BASE}{path}", raw, identity)


def ask(path: str, body: dict[str, Any]) -> Request:
    """Return a POST that changes nothing."""
    given = {name: _plain(value) for name, value in body.items() if value is not None}
    return Request("POST", f"{BASE}{path}", json.dumps(given).encode(), "")


def once(path: str, body: dict[str, Any]) -> Request:
    """Return a POST that is sent a single time, since it has no id by which a second one would be known."""
    return Request("POST", f"{BASE}{path}", json.dumps(body).encode(), "", is_repeatable=False)


class Remove:
    """Takes a stop loss, take profit or trailing stop away: pass REMOVE."""


REMOVE = Remove()


def _plain(value: Any) -> Any:
    if isinstance(value, Remove):
        return None
    if isinstance(value, float):
        raise TypeError(
            f"pass {value!r} as Decimal, int or text: a float has other digits than it shows"
        )
    return str(value) if isinstance(value, Decimal) else value


def decoded(raw: bytes) -> Any:
    """Decode an answer; numbers with a point become Decimal."""
    return json.loads(raw, parse_float=Decimal)
