"""What owners are told when a position is closed without their doing: stop-out, liquidation, and our own staff."""

from typing import Any

import pytest

from apps.auth.models import User
from apps.common.exact_json import json_decode
from apps.notifications.models import Delivery, Reach
from apps.notifications.services.sending import render
from engine.messages.commands import ClosePosition
from engine.values import Actor

pytestmark = pytest.mark.integration


class Trader:
    """Somebody with 10,000 USD of demo money, at a price of 10,000.0."""

    def __init__(self, live) -> None:
        self.live = live
        self.user, self.account = live.user()
        live.price(100_000, 100_000)

    def buy(self, quantity: str, **fields: Any) -> str:
        order = {"symbol": "BTC", "type": "buy", "quantity": quantity, "leverage": 50}
        answer = self.live.client(self.user).post("/api/v1/trade/create", order | fields)
        assert answer.status_code == 200, answer.content
        return json_decode(answer.content)["data"]["orderId"]

    def told(self) -> dict[str, Delivery]:
        """Return what was told by mail, by event."""
        self.live.project()
        rows = Delivery.objects.filter(user=self.user, channel="mail").order_by("id")
        return {row.event: row for row in rows}


@pytest.fixture
def trader(live) -> Trader:
    return Trader(live)


def words(delivery: Delivery, language: str = "en") -> str:
    return render(delivery, Reach(language=language), "mail.txt")


def test_a_stop_out_is_told_once_and_not_with_each_position(trader):
    orders = [trader.buy("10"), trader.buy("10")]

    trader.live.price(95_000, 95_000)

    told = trader.told()
    assert set(told) == {"margin_call", "stop_out"}
    facts = told["stop_out"].facts
    # Both fell by 500.0: 10,000 less commission and 10,000 lost on a margin of 4,000.
    assert facts["account"] == str(trader.account.id)
    assert facts["margin"] == "4000.000000"
    text = words(told["stop_out"])
    assert f"The margin level of account {trader.account.id} has fallen to" in text
    assert "positions were closed, the largest loss first" in text
    assert not any(order in text for order in orders)
    assert Delivery.objects.filter(event="stop_out").count() == 2


def test_a_liquidated_position_is_told_with_its_result(trader):
    order = trader.buy("1", marginMode="isolated")

    trader.live.price(97_000, 97_000)

    told = trader.told()
    assert set(told) == {"liquidated"}
    assert told["liquidated"].facts["order"] == order
    assert told["liquidated"].facts["price"] == "9700.0"
    text = words(told["liquidated"])
    assert f"The isolated position {order} of account {trader.account.id}" in text
    assert "1.00000 BTCUSDT was closed at 9,700.0" in text


def test_a_position_that_staff_has_closed_is_told_as_such(trader):
    order = trader.buy("0.1")
    bob = User.objects.create(email="bob@example.com", is_staff=True)

    trader.live.send(
        ClosePosition(
            request_id="close",
            account=trader.account.id,
            actor=Actor.OPERATOR,
            staff_id=bob.pk,
            reason="asked for by telephone",
            position_id=order,
        )
    )

    told = trader.told()
    assert set(told) == {"closed_by_staff"}
    text = words(told["closed_by_staff"])
    assert f"Our staff has closed order {order}" in text
    assert "Sell" not in text


def test_money_in_messages_is_read_in_cents_and_never_looks_better_than_it_is():
    facts = {"pnl": "-1234.561000", "symbol": "BTCUSDT", "price": "60010.0", "quantity": "0.10"}
    facts |= {"order": "1001-7", "account": "1001", "side": "Sell"}
    loss = Delivery(user=User(email="dora@example.com"), event="stop_loss_hit", facts=facts)
    gain = Delivery(user=loss.user, event="take_profit_hit", facts=facts | {"pnl": "1234.569999"})

    assert "Result: -1,234.57 USD." in words(loss)
    assert "1,234.56 USD" in words(gain)
    german = words(loss, "de")
    assert "-1.234,57 USD" in german
    assert "60.010,0" in german
    assert "1001-7" in german
