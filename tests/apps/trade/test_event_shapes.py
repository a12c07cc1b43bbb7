"""Events of an account as sockets and lists tell them."""

from decimal import Decimal

import pytest

from apps.trade.services.snapshots import event_shape
from engine.messages.events import OrderRejected, Receipt
from engine.messages.rejects import RejectCode

pytestmark = pytest.mark.django_db


def test_an_order_that_was_refused_at_its_price_tells_numbers_as_the_contract_does():
    event = OrderRejected(
        account=1001,
        seq=7,
        order_id="1001-3",
        code=RejectCode.FREE_MARGIN_INSUFFICIENT,
        data={"required_micros": 15_503_380_000, "free_margin_micros": 2_000_001},
        receipt=Receipt(rule="O1"),
    )

    shape = event_shape(event, {})

    assert shape == {
        "type": "OrderRejected",
        "orderId": "1001-3",
        "code": "FREE_MARGIN_INSUFFICIENT",
        "data": {"required": Decimal("15503.380000"), "freeMargin": Decimal("2.000001")},
    }
