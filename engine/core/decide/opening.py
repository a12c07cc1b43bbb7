"""Opening a position: what it costs, whether it may, and the fill (rules P1-P3, M1, M2, R12)."""

import msgspec

from engine.core.decide.checks import check_leverage, check_positions_limit, check_quantity
from engine.core.decide.work import Work, rejected
from engine.core.figures import figures, floor_margin, gross_notional
from engine.core.ledger import fill_postings
from engine.core.liquidation import is_crossed, liquidation_ticks
from engine.core.margin import (
    commission_micros,
    initial_margin,
    notional_micros,
    tier_index,
)
from engine.core.state import Account, Instrument, PendingOrder, State, entity_id
from engine.messages.events import PositionOpened, Receipt
from engine.messages.rejects import RejectCode
from engine.messages.replies import Rejected
from engine.values import Direction, MarginMode, OrderType

# Reading a member off its enum costs as much as a call, and every order comes by here.
_LONG, _SHORT = Direction.LONG, Direction.SHORT
_CROSS, _ISOLATED = MarginMode.CROSS, MarginMode.ISOLATED


class Opening(msgspec.Struct, frozen=True, gc=False):
    """What is to be opened."""

    order_type: OrderType
    is_buy: bool
    is_cross: bool
    quantity_units: int
    leverage: int
    # 0: absent.
    stop_loss_ticks: int = 0
    take_profit_ticks: int = 0
    trailing_ticks: int = 0


class Relief(msgspec.Struct, frozen=True, gc=False):
    """What a close in the same command gives back before an opening is judged (a reversal)."""

    free_margin: int = 0
    notional: int = 0
    net_units: int = 0


class Cost(msgspec.Struct, frozen=True, gc=False):
    """What an opening costs at the current quote, micro-USD and ticks."""

    price_ticks: int
    closing_ticks: int
    notional: int
    margin: int
    commission: int
    spread_cost: int
    # Isolated liquidation price; 0: none.
    liquidation_ticks: int
    # Number of the tier whose leverage was asked for, from 1.
    tier: int = 1


NO_RELIEF = Relief()


def opening_of(order: PendingOrder) -> Opening:
    """Return what a pending order opens."""
    return Opening(
        order.order_type,
        order.is_buy,
        order.is_cross,
        order.quantity_units,
        order.leverage,
        order.stop_loss_ticks,
        order.take_profit_ticks,
        order.trailing_ticks,
    )


def opening_cost(
    account: Account, instrument: Instrument, opening: Opening, price_ticks: int = 0
) -> Cost:
    """Return what an opening costs at a price with the present spread; 0: the current opening price.

    Rounding: margin and commission up; notional and spread cost are exact.
    Source: docs/ENGINE.md, rules M1, M6, R12.
    """
    units = opening.quantity_units
    # Of one tick.
    value = units * instrument.k
    spread_ticks = instrument.ask - instrument.bid
    if opening.is_buy:
        price_ticks = price_ticks or instrument.ask
        closing = price_ticks - spread_ticks
    else:
        price_ticks = price_ticks or instrument.bid
        closing = price_ticks + spread_ticks
    notional = price_ticks * value
    margin = initial_margin(notional, opening.leverage)
    found_ticks = 0
    if not opening.is_cross:
        found_ticks = liquidation_ticks(
            is_long=opening.is_buy,
            entry_ticks=price_ticks,
            quantity_units=units,
            margin_micros=margin,
            tiers=instrument.spec.tiers,
            commission_ppm=account.terms.commission_ppm,
            k=instrument.k,
        )
    return Cost(
        price_ticks,
        closing,
        notional,
        margin,
        commission_micros(notional, account.terms.commission_ppm),
        spread_ticks * value,
        found_ticks,
    )


def check_opening(
    state: State,
    account: Account,
    instrument: Instrument,
    opening: Opening,
    relief: Relief = NO_RELIEF,
    *,
    is_settled: bool = True,
) -> Cost | Rejected:
    """Return what an opening costs; refuse it above tiers, exposure caps or free margin, or if liquidated at once (rule R12).

    ``is_settled``: no band has been hit that is not spent yet, so a worst case is known without looking at prices.
    """
    cost = opening_cost(account, instrument, opening)
    holdings = state.holdings_of(account)
    spec = instrument.spec
    tiers = spec.tiers
    gross = gross_notional(holdings, instrument) - relief.notional + cost.notional
    tier = tiers[0]
    if gross > tier.notional_cap_micros:
        index = tier_index(tiers, gross)
        tier = tiers[index]
        cost = msgspec.structs.replace(cost, tier=index + 1)
    if gross > tier.notional_cap_micros:
        return rejected(
            RejectCode.NOTIONAL_ABOVE_TIERS,
            notional_micros=gross,
            notional_micros_max=tier.notional_cap_micros,
        )
    if opening.leverage > tier.leverage_max:
        return rejected(
            RejectCode.LEVERAGE_ABOVE_TIER,
            leverage=opening.leverage,
            leverage_max=tier.leverage_max,
            notional_micros=gross,
        )
    if 0 < spec.exposure_account_micros_max < gross:
        return rejected(
            RejectCode.EXPOSURE_ACCOUNT,
            notional_micros=gross,
            notional_micros_max=spec.exposure_account_micros_max,
        )
    if spec.exposure_house_micros_max:
        refusal = _check_house(instrument, opening, cost, relief)
        if refusal:
            return refusal
    required = cost.margin + cost.commission + cost.spread_cost
    if not is_settled or floor_margin(holdings, account) < required:
        refusal = _check_free_margin(state, account, cost, relief)
        if refusal:
            return refusal
    return cost if opening.is_cross else _check_liquidation(opening, cost) or cost


def _check_house(
    instrument: Instrument, opening: Opening, cost: Cost, relief: Relief
) -> Rejected | None:
    cap = instrument.spec.exposure_house_micros_max
    before = instrument.net_units - relief.net_units
    after = before + (opening.quantity_units if opening.is_buy else -opening.quantity_units)
    exposure = notional_micros(cost.price_ticks, abs(after), instrument.k)
    if exposure <= cap or abs(after) <= abs(before):
        return None
    return rejected(RejectCode.EXPOSURE_HOUSE, notional_micros=exposure, notional_micros_max=cap)


def _check_free_margin(
    state: State, account: Account, cost: Cost, relief: Relief
) -> Rejected | None:
    free = figures(state, account).free_margin + relief.free_margin
    required = cost.margin + cost.commission + cost.spread_cost
    if required <= free:
        return None
    return rejected(
        RejectCode.FREE_MARGIN_INSUFFICIENT,
        required_micros=required,
        free_margin_micros=free,
        margin_micros=cost.margin,
        commission_micros=cost.commission,
        spread_cost_micros=cost.spread_cost,
    )


def _check_liquidation(opening: Opening, cost: Cost) -> Rejected | None:
    if not is_crossed(
        is_long=opening.is_buy,
        closing_ticks=cost.closing_ticks,
        liquidation_ticks=cost.liquidation_ticks,
    ):
        return None
    return rejected(
        RejectCode.WOULD_LIQUIDATE,
        liquidation_ticks=cost.liquidation_ticks,
        price_ticks=cost.closing_ticks,
    )


def check_fill(
    work: Work, account: Account, instrument: Instrument, opening: Opening
) -> Cost | Rejected:
    """Return what the fill of a pending order costs; refuse it as a new order with these terms would be now (rule P3)."""
    return (
        check_quantity(instrument, opening.quantity_units)
        or check_leverage(account, opening.leverage)
        or check_positions_limit(account)
        or check_opening(work.state, account, instrument, opening, is_settled=not work.is_quotes)
    )


def open_position(
    work: Work,
    account: Account,
    instrument: Instrument,
    opening: Opening,
    cost: Cost,
    k: int,
    rule: str,
) -> str:
    """Fill an opening at the cost that check_opening found at this quote, and return the position's id."""
    position_id = entity_id(account.account, k)
    commission = cost.commission
    stop_loss_ticks = opening.stop_loss_ticks
    if opening.trailing_ticks and not stop_loss_ticks:
        stop_loss_ticks = trailing_stop_loss(
            is_long=opening.is_buy,
            closing_ticks=cost.closing_ticks,
            trailing_ticks=opening.trailing_ticks,
        )
    work.emit_opened(
        account,
        instrument,
        k,
        PositionOpened(
            account=account.account,
            seq=account.seq + 1,
            position_id=position_id,
            fill_id=f"{position_id}.1",
            symbol=instrument.spec.symbol,
            direction=_LONG if opening.is_buy else _SHORT,
            order_type=opening.order_type,
            quantity_units=opening.quantity_units,
            price_ticks=cost.price_ticks,
            leverage=opening.leverage,
            margin_mode=_CROSS if opening.is_cross else _ISOLATED,
            margin_micros=cost.margin,
            commission_micros=commission,
            stop_loss_ticks=stop_loss_ticks or None,
            take_profit_ticks=opening.take_profit_ticks or None,
            trailing_ticks=opening.trailing_ticks or None,
            liquidation_ticks=cost.liquidation_ticks,
            opened_at_us=work.now_us,
            balance_micros=account.balance_micros - commission,
            postings=fill_postings(account, 0, commission, 0),
            receipt=Receipt(
                rule,
                instrument.quote,
                instrument.previous,
                {
                    "notional_micros": cost.notional,
                    "margin_micros": cost.margin,
                    "commission_micros": commission,
                    "tier": cost.tier,
                },
            ),
        ),
    )
    return position_id


def trailing_stop_loss(*, is_long: bool, closing_ticks: int, trailing_ticks: int) -> int:
    """Return the stop loss that a trailing distance sets from a closing price, at least one tick (rule T3)."""
    if is_long:
        return max(1, closing_ticks - trailing_ticks)
    return closing_ticks + trailing_ticks
