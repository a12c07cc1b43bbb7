"""The reference cards of the landing page: what the OpenAPI document says about each part of the interface."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.urls import reverse
from drf_spectacular.generators import SchemaGenerator

_BASE: Final = "/api/v1"
_METHODS: Final = ("get", "post", "put", "patch", "delete")
# Operations that a card names; the explorer has all of them.
_NAMED_MAX: Final = 4
# What a newcomer looks for stands on the cards, in this order.
_NAMED_FIRST: Final = (
    ("POST", "/auth/login"),
    ("GET", "/auth/verify"),
    ("POST", "/auth/mobile/pin"),
    ("GET", "/supportedAssets"),
    ("GET", "/prices/latest"),
    ("GET", "/candles"),
    ("GET", "/balance"),
    ("GET", "/accounts"),
    ("POST", "/trade/create"),
    ("GET", "/trade/open"),
    ("POST", "/trade/close"),
)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the interface."""

    method: str
    # Without the base path.
    path: str
    # Where the explorer shows it.
    url: str


@dataclass(frozen=True, slots=True)
class ApiCard:
    """One part of the interface."""

    title: str
    text: str
    operations: tuple[Operation, ...]

    @property
    def named(self) -> tuple[Operation, ...]:
        """Return the operations that stand on the card."""
        return self.operations[:_NAMED_MAX]

    @property
    def unnamed_count(self) -> int:
        """Return how many more there are."""
        return len(self.operations) - len(self.named)


# Title, what it is for, first parts of its paths.
_PARTS: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    (
        "Authentication",
        "Sign-in by mail, sessions for phones with a PIN, tokens that are renewed and can be taken back.",
        ("auth",),
    ),
    (
        "Market data",
        "What is traded and on which terms, the newest prices, and candles of every interval.",
        ("supportedAssets", "prices", "candles"),
    ),
    (
        "Accounts",
        "Balance and margin live from the engine, demo and live accounts, ledger and statements.",
        ("balance", "accounts", "kyc", "keys"),
    ),
    (
        "Trading",
        "Every kind of order, previews before it, changes after it, and a receipt for each fill.",
        ("trade",),
    ),
)


@functools.cache
def api_cards() -> tuple[ApiCard, ...]:
    """Return the cards, counted from the document that /api/schema/ serves."""
    document = SchemaGenerator().get_schema(request=None, public=True)
    paths: Mapping[str, Any] = document["paths"]
    return tuple(
        ApiCard(title, text, _operations(paths, first_parts)) for title, text, first_parts in _PARTS
    )


def _operations(
    paths: Mapping[str, Mapping[str, Any]], first_parts: tuple[str, ...]
) -> tuple[Operation, ...]:
    explorer = reverse("docs")
    found = []
    for path, item in paths.items():
        short = path.removeprefix(_BASE)
        if short.lstrip("/").split("/")[0] not in first_parts:
            continue
        for method in _METHODS:
            if method in item:
                operation = item[method]
                anchor = f"#/{operation['tags'][0]}/{operation['operationId']}"
                found.append(Operation(method.upper(), short, explorer + anchor))
    rank = {name: number for number, name in enumerate(_NAMED_FIRST)}
    found.sort(key=lambda one: rank.get((one.method, one.path), len(rank)))
    return tuple(found)
