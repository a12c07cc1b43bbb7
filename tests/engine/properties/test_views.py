"""Queries tell the truth: a preview is what then happens, and a stop-out price is where the level is reached."""

from copy import deepcopy

import msgspec

from engine.messages import commands as c
from engine.messages.events import PositionOpened
from engine.messages.rejects import RejectCode
from engine.messages.replies import Rejected
from engine.messages.views import AccountQuery, AccountView, NotFound, PreviewQuery, PreviewView
from tests.engine.properties.comparing import Comparison, tell
from tests.engine.properties.histories import Seeded, Storyteller, seeds_from
from tests.engine.properties.naive_state import Order

SEEDS = seeds_from(4_000, 40)
# What the account is asked before the order itself; a preview of a foreign account is not answered at all.
UNANSWERED = (RejectCode.ACCOUNT_UNKNOWN, RejectCode.NOT_OWNER)


def view_of(comparison: Comparison, account: int) -> AccountView:
    view = comparison.machine.answer(AccountQuery(account=account))
    assert isinstance(view, AccountView)
    return view


def order_now(storyteller: Storyteller) -> tuple[int, c.PlaceOrder, int]:
    """Return an order that is decided at the very time of the last entry."""
    order = msgspec.structs.replace(storyteller.place_order(), deadline_us=0)
    storyteller.sequence += 1
    return storyteller.ms << 21 | storyteller.sequence, order, storyteller.ms * 1000


def test_a_preview_is_what_the_order_then_meets() -> None:
    for seed in SEEDS:
        for number, (comparison, storyteller) in enumerate(tell(Seeded(seed), 80)):
            if number % 3:
                continue
            entry = order_now(storyteller)
            before = comparison.machine.dump()

            preview = comparison.machine.answer(PreviewQuery(order=entry[1]))

            assert comparison.machine.dump() == before
            outcome = comparison.step(*entry)
            assert outcome is not None
            check_preview(comparison, entry[1], preview, outcome.reply, outcome.events)


def check_preview(comparison, order, preview, reply, events) -> None:
    if isinstance(preview, NotFound):
        assert reply.code in UNANSWERED
        return
    assert isinstance(preview, PreviewView)
    assert preview.code == (reply.code if isinstance(reply, Rejected) else None)
    if isinstance(reply, Rejected):
        assert preview.data == reply.data
    opened = [e for e in events if isinstance(e, PositionOpened)]
    if opened:
        check_opened(comparison, order, preview, opened[0])
    if opened and len(events) == 1:
        check_account_after(view_of(comparison, order.account), order, preview)


def check_account_after(view: AccountView, order, preview) -> None:
    stop_out = [row for row in view.stop_out_prices if row.symbol == order.symbol]
    opened = max(view.positions, key=lambda p: int(p.position_id.split("-")[1]))
    is_cross = opened.margin_mode == "cross"
    # An isolated position bears its spread itself, but the rule asks the account to have it too.
    borne = 0 if is_cross else preview.spread_cost_micros
    assert view.free_margin_micros == preview.free_margin_after_micros + borne
    if is_cross:
        (row,) = stop_out
        assert preview.stop_out_ticks == (row.bid_ticks if order.side == "buy" else row.ask_ticks)


def check_opened(comparison, order, preview, opened) -> None:
    assert preview.price_ticks == opened.price_ticks
    assert preview.margin_micros == opened.margin_micros
    assert preview.commission_micros == opened.commission_micros
    assert (preview.liquidation_ticks or 0) == opened.liquidation_ticks
    assert preview.quantity_units_max >= order.quantity_units
    assert preview.leverage_max >= order.leverage


def test_the_largest_quantity_is_accepted_and_one_step_more_is_not() -> None:
    checked = 0
    for seed in SEEDS:
        for comparison, storyteller in tell(Seeded(seed), 60):
            order = storyteller.place_order()
            oracle = comparison.oracle
            preview = comparison.machine.answer(PreviewQuery(order=order))
            if not isinstance(preview, PreviewView) or preview.quantity_units_max is None:
                continue
            spec = oracle.instruments[order.symbol].spec

            a = oracle.accounts[order.account]
            most = preview.quantity_units_max

            wish = as_order(order, a.mode)
            wish.qty = max(most, spec.quantity_min_units)
            assert bool(oracle.fill_code(a, wish)) == (most == 0)
            wish.qty = most + spec.quantity_step_units
            is_largest = wish.qty > spec.quantity_max_units or wish.qty < spec.quantity_min_units
            assert is_largest or oracle.fill_code(a, wish)
            checked += 1
    assert checked > 500


def as_order(order: c.PlaceOrder, default_mode: str) -> Order:
    """Return the fill that an order would be, as the oracle sees it."""
    sign = 1 if order.side == "buy" else -1
    mode = order.margin_mode or default_mode
    none = (None,) * 3
    return Order(
        0, order.symbol, sign, "market", 0, order.leverage, mode, None, None, "gtc", None, *none
    )


def test_at_a_stop_out_price_the_level_is_reached_and_one_tick_before_it_is_not() -> None:
    checked = 0
    for seed in SEEDS:
        for comparison, _ in tell(Seeded(seed), 60):
            for account, a in comparison.oracle.accounts.items():
                if comparison.oracle.is_below(a):
                    continue
                for row in view_of(comparison, account).stop_out_prices:
                    check_stop_out_price(comparison, account, row)
                    checked += row.bid_ticks is not None
    assert checked > 500


def check_stop_out_price(comparison, account: int, row) -> None:
    there = deepcopy(comparison.oracle)
    a, i = there.accounts[account], there.instruments[row.symbol]
    if row.bid_ticks is None:
        i.bid, i.ask = 1, 1 + i.ask - i.bid
        net = sum(
            p.sign * p.qty
            for p in a.positions.values()
            if p.symbol == row.symbol and p.mode == "cross"
        )
        assert net == 0 or (net > 0 and not there.is_below(a))
        return
    towards = 1 if row.bid_ticks > i.bid else -1
    assert row.ask_ticks - row.bid_ticks == i.ask - i.bid
    i.bid, i.ask = row.bid_ticks, row.ask_ticks
    assert there.is_below(a)
    i.bid, i.ask = i.bid - towards, i.ask - towards
    assert not there.is_below(a)


def test_an_unknown_account_is_not_found() -> None:
    *_, (comparison, storyteller) = tell(Seeded(0), 5)
    order = msgspec.structs.replace(storyteller.place_order(), account=999)

    answers = [
        comparison.machine.answer(query)
        for query in (AccountQuery(account=999), PreviewQuery(order=order))
    ]

    assert [type(answer) for answer in answers] == [NotFound, NotFound]
    assert {answer.account for answer in answers} == {999}
