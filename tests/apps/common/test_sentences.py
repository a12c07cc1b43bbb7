"""What a request is refused with says what was expected and what was found."""

from decimal import Decimal
from typing import Any

import pytest

from apps.auth.serializers import KeyWishSerializer
from apps.common.serializers import StrictSerializer
from apps.trade.serializers.inputs import (
    EventsSerializer,
    OpenPageSerializer,
    OrderCreateSerializer,
    OrderDetailSerializer,
)

ORDER = {"symbol": "BTC", "type": "buy", "quantity": 1, "leverage": 1}


@pytest.mark.parametrize(
    ("shape", "data", "sentences"),
    [
        (OpenPageSerializer, {"limit": 0}, {"limit": "expected at least 1, found 0"}),
        (OpenPageSerializer, {"limit": "101"}, {"limit": "expected at most 100, found 101"}),
        (OpenPageSerializer, {"limit": ""}, {"limit": "expected a whole number, found ''"}),
        (
            OpenPageSerializer,
            {"type": "BUY", "symbol": ""},
            {
                "type": "expected one of buy, sell, found 'BUY'",
                "symbol": "expected a value, found blank text",
            },
        ),
        (
            OpenPageSerializer,
            {"symbol": "x" * 33},
            {"symbol": "expected at most 32 characters, found 33"},
        ),
        (
            OpenPageSerializer,
            {"startTime": "2026-11-27T04:00:00"},
            {
                "startTime": "expected milliseconds since 1970 or a time with its zone, such as"
                " 2030-01-31T12:00:00Z, found '2026-11-27T04:00:00'"
            },
        ),
        (
            OpenPageSerializer,
            {"endTime": "0725-02-20T23:57:41Z", "startTime": 10**15},
            {
                "endTime": "expected a time from 1970 to 2255, found '0725-02-20T23:57:41Z'",
                "startTime": "expected milliseconds since 1970, at most 9007199254740, found"
                " 1000000000000000",
            },
        ),
        (
            KeyWishSerializer,
            {"name": "k", "algorithm": "hmac", "scopes": "read", "expiresAt": "tomorrow"},
            {
                "scopes": "expected a list",
                "expiresAt": "expected a time such as 2030-01-31T12:00:00Z",
            },
        ),
        (
            KeyWishSerializer,
            {"name": "k", "algorithm": "hmac", "scopes": []},
            {"scopes": "expected at least 1 entries, found 0"},
        ),
        (EventsSerializer, {"accountId": None}, {"accountId": "expected a value, found null"}),
        (
            OrderDetailSerializer,
            {"orderId": "7"},
            {"orderId": "expected an order id such as 1001-1, found '7'"},
        ),
        (
            OrderCreateSerializer,
            ORDER | {"type": "y" * 10_000},
            {"type": "expected one of buy, sell, found '" + "y" * 41},
        ),
        (
            OrderCreateSerializer,
            {"symbol": "BTC", "type": "buy", "quantity": Decimal(1)},
            {"leverage": "expected a value, found none"},
        ),
    ],
)
def test_a_refusal_says_what_was_expected_and_found(
    shape: type[StrictSerializer], data: dict[str, Any], sentences: dict[str, str]
) -> None:
    serializer = shape(data=data)

    assert serializer.is_valid() is False
    assert {name: " ".join(texts) for name, texts in serializer.errors.items()} == sentences
