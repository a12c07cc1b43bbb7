"""Rules V1-V3: account view, stop-out prices, previews."""

import msgspec

from engine.messages.commands import PlaceOrder
from engine.messages.views import AccountQuery, NotFound, PreviewQuery, PreviewView
from tests.engine.scenarios.story import CLIENT, Story

BEGIN = """
    account 1 1000.00
    quote BTCUSDT 60000.0 60010.0 ETHUSDT 3000.00 3000.10
    """


def preview(story: Story, **fields: object) -> PreviewView | NotFound:
    body = {"type": "PlaceOrder", "request_id": "p", "user_id": CLIENT, "account": 1}
    body |= {"symbol": "BTCUSDT", "side": "buy", "quantity_units": 10_000, "leverage": 100}
    return story.machine.answer(PreviewQuery(order=msgspec.convert(body | fields, PlaceOrder)))


def test_unknown_accounts_are_not_found() -> None:
    story = Story()

    assert isinstance(story.machine.answer(AccountQuery(account=9)), NotFound)
    assert isinstance(preview(story), NotFound)


def test_stop_out_price_is_where_it_happens() -> None:
    story = (
        Story()
        .tell(BEGIN)
        .tell("""
        open P 1 BTCUSDT buy 0.10 x20
        open Q 1 ETHUSDT sell 0.10 x20
        """)
    )
    view = story.machine.answer(AccountQuery(account=1))
    by_symbol = {row.symbol: row for row in view.stop_out_prices}

    bid, ask = by_symbol["BTCUSDT"].bid_ticks, by_symbol["BTCUSDT"].ask_ticks
    story.tell(f"""
        quote BTCUSDT {(bid + 1) / 10} {(ask + 1) / 10} -> MarginCallRaised
        quote BTCUSDT {bid / 10} {ask / 10} -> StopOutStarted; PositionClosed position_id=P; MarginCallCleared
        """)


def test_stop_out_price_of_a_short_lies_above() -> None:
    story = Story().tell(BEGIN).tell("open P 1 BTCUSDT sell 0.10 x20")
    (row,) = story.machine.answer(AccountQuery(account=1)).stop_out_prices

    story.tell(f"""
        quote BTCUSDT {(row.bid_ticks - 1) / 10} {(row.ask_ticks - 1) / 10} -> MarginCallRaised
        quote BTCUSDT {row.bid_ticks / 10} {row.ask_ticks / 10} -> StopOutStarted; PositionClosed; MarginCallCleared
        """)


def test_hedges_and_deep_pockets_have_no_stop_out_price() -> None:
    story = (
        Story()
        .tell(BEGIN)
        .tell("""
        open P 1 BTCUSDT buy 0.01 x20
        open Q 1 ETHUSDT buy 0.10 x20
        open R 1 ETHUSDT sell 0.10 x20
        """)
    )
    rows = story.machine.answer(AccountQuery(account=1)).stop_out_prices

    assert [(row.symbol, row.bid_ticks) for row in rows] == [("BTCUSDT", None), ("ETHUSDT", None)]


def test_preview_tells_what_the_order_then_does() -> None:
    story = Story().tell(BEGIN)
    found = preview(story)

    assert (found.code, found.price_ticks, found.margin_micros) == (None, 600_100, 60_010_000)
    assert (found.commission_micros, found.spread_cost_micros) == (2_400_400, 1_000_000)
    assert (found.free_margin_after_micros, found.leverage_max) == (936_589_600, 100)
    assert found.swap_night_micros == -1_666_945
    assert (found.liquidation_ticks, found.stop_out_ticks) == (None, 503_341 - 1)
    story.tell("""
        open P 1 BTCUSDT buy 0.10 x100 -> PositionOpened margin=60.01 commission=2.4004
        state 1 free_margin=936.5896
        """)


def test_preview_of_an_isolated_order_shows_its_liquidation_price() -> None:
    found = preview(Story().tell(BEGIN), leverage=10, margin_mode="isolated")

    assert (found.liquidation_ticks, found.stop_out_ticks) == (542_476, None)


def test_preview_of_a_pending_order_is_at_its_own_price() -> None:
    story = Story().tell(BEGIN)
    limit = preview(story, order_type="limit", price_ticks=500_000)
    stop = preview(story, order_type="stop", stop_price_ticks=700_000, side="sell")

    assert (limit.code, limit.price_ticks, limit.margin_micros) == (None, 500_000, 50_000_000)
    assert stop.code == "PRICE_INVALID"
    assert stop.price_ticks == 700_000


def test_preview_gives_the_refusal_and_the_largest_quantity() -> None:
    story = Story().tell(BEGIN)
    found = preview(story, quantity_units=1_000_000, leverage=20)

    assert found.code == "FREE_MARGIN_INSUFFICIENT"
    largest = found.quantity_units_max
    assert preview(story, quantity_units=largest, leverage=20).code is None
    assert (
        preview(story, quantity_units=largest + 100, leverage=20).code == "FREE_MARGIN_INSUFFICIENT"
    )
    poor = Story().tell("account 1 1.00\nquote BTCUSDT 60000.0 60010.0")
    assert preview(poor, leverage=1).quantity_units_max == 0


def test_preview_without_price_or_symbol_says_so() -> None:
    story = Story().tell("account 1 1000.00")

    assert preview(story).code == "QUOTE_STALE"
    assert preview(story, symbol="NOPE").code == "SYMBOL_UNKNOWN"
    assert preview(story).margin_micros is None


def test_views_name_the_entry_that_they_are_as_of() -> None:
    story = (
        Story().tell(BEGIN).tell("open O 1 BTCUSDT buy 0.10 x100 limit price=50000.0 sl=40000.0")
    )
    view = story.machine.answer(AccountQuery(account=1))

    assert view.as_of == f"{story.ms}-0"
    assert (view.orders[0].price_ticks, view.orders[0].stop_loss_ticks) == (500_000, 400_000)
    assert (view.orders[0].expires_at_us, view.orders[0].is_activated) == (None, False)
