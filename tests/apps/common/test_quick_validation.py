"""The quick way and the serializer say the same about every request of every operation."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.common.quick_validation import quick_validated
from apps.trade.operations import OPERATIONS

PLAIN = {
    "symbol": "BTCUSDT",
    "type": "buy",
    "quantity": "0.10",
    "leverage": 10,
    "orderId": "1001-1",
    "otherOrderId": "1001-2",
    "requestId": "a-1",
    "amount": Decimal("1.50"),
    "accountId": 1001,
}
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(min_value=-(10**25), max_value=10**25),
    st.decimals(allow_nan=False, allow_infinity=False, places=3),
    st.sampled_from(
        ["buy", "sell", "limit", "gtc", "day", "-pnl", "all", "1001-1", "2030-01-01T00:00:00Z"]
    ),
    st.sampled_from(
        [
            "",
            " ",
            " BTC",
            "BTC ",
            "BTC",
            "1e5",
            "+1",
            "0.1",
            "\u0661",
            "1" * 50,
            "1001-1\n",
            "a\x00b",
        ]
    ),
    st.text(max_size=70),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


def requests(operation):
    names = [*operation.shape().fields, "unknown"]
    plain = {name: value for name, value in PLAIN.items() if name in names}
    return st.dictionaries(st.sampled_from(names), VALUES, max_size=3).map(
        lambda changes: plain | changes
    )


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.op)
@given(data=st.data())
def test_what_the_quick_way_takes_the_serializer_takes_alike(operation, data):
    request = data.draw(requests(operation))

    quick = quick_validated(operation.shape, request)

    if quick is not None:
        serializer = operation.shape(data=request)
        assert serializer.is_valid(), serializer.errors
        assert quick == dict(serializer.validated_data)
        assert {n: type(v) for n, v in quick.items()} == {
            n: type(v) for n, v in serializer.validated_data.items()
        }


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.op)
def test_a_plain_request_takes_the_quick_way(operation):
    names = set(operation.shape().fields)
    request = {name: value for name, value in PLAIN.items() if name in names}

    assert quick_validated(operation.shape, request) is not None


def test_everything_but_a_plain_object_is_left_to_the_serializer():
    shape = OPERATIONS[0].shape

    assert [quick_validated(shape, data) for data in (None, [], "x", 1)] == [None] * 4
