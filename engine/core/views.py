"""Account view and order preview: pure functions over the state (rules V1-V3)."""

from typing import NamedTuple

import msgspec

from engine.core.decide.checks import find_account, leverage_cap
from engine.core.decide.opening import Cost, Opening, check_opening, opening_cost
from engine.core.decide.orders import check_order, fills_at_once, opening_of_command
from engine.core.decide.work import Work, rejected
from engine.core.figures import Figures, closing_ticks, figures, gross_notional, unrealised_micros
from engine.core.margin import (
    BPS,
    margin_level_bps,
    notional_micros,
    swap_micros,
    tier_index,
    withdrawable_micros,
)
from engine.core.state import Account, Instrument, PendingOrder, Position, State, entity_id
from engine.messages.commands import PlaceOrder
from engine.messages.rejects import RejectCode
from engine.messages.replies import Rejected
from engine.messages.views import (
    AccountView,
    NotFound,
    OrderView,
    PositionView,
    PreviewView,
    StopOutPrice,
)
from engine.rounding import ceil_div, floor_div
from engine.values import Direction, MarginMode, Side, text_from_entry_id


def account_view(state: State, account_id: int) -> AccountView | NotFound:
    """Return the whole of an account with live figures (rule V1)."""
    account = state.accounts.get(account_id)
    as_of = text_from_entry_id(state.entry_id)
    if account is None:
        return NotFound(as_of=as_of, account=account_id)
    sums = figures(state, account)
    unrealised = sum(
        unrealised_micros(state.instruments[position.instrument], position)
        for position in account.positions.values()
    )
    return AccountView(
        as_of=as_of,
        as_of_us=state.now_us,
        account=account.account,
        owner_id=account.owner_id,
        seq=account.seq,
        cash_seq=account.cash_seq,
        kind=account.kind,
        status=account.status,
        group=account.terms.group,
        margin_mode=MarginMode.CROSS if account.is_cross else MarginMode.ISOLATED,
        leverage_cap=leverage_cap(account),
        margin_call_level_bps=account.terms.margin_call_level_bps,
        stop_out_level_bps=account.terms.stop_out_level_bps,
        is_margin_call=account.is_margin_call,
        is_stop_out_pending=account.is_stop_out_pending,
        balance_micros=account.balance_micros,
        isolated_margin_micros=sums.isolated_margin,
        cross_equity_micros=sums.cross_equity,
        equity_micros=account.balance_micros + unrealised,
        used_margin_micros=sums.used_margin,
        free_margin_micros=sums.free_margin,
        withdrawable_micros=withdrawable_micros(
            account.balance_micros, sums.isolated_margin, sums.cross_unrealised, sums.used_margin
        ),
        pnl_unrealised_micros=unrealised,
        margin_level_bps=(
            margin_level_bps(sums.cross_equity, sums.used_margin) if sums.used_margin else None
        ),
        positions=tuple(
            _position_view(state, account.positions[k]) for k in sorted(account.positions)
        ),
        orders=tuple(_order_view(state, account.orders[k]) for k in sorted(account.orders)),
        stop_out_prices=_stop_out_prices(state, account, sums),
    )


def _position_view(state: State, position: Position) -> PositionView:
    instrument = state.instruments[position.instrument]
    price_ticks = closing_ticks(instrument, is_long=position.is_long)
    return PositionView(
        position_id=entity_id(position.account, position.k),
        symbol=instrument.spec.symbol,
        direction=Direction.LONG if position.is_long else Direction.SHORT,
        quantity_units=position.quantity_units,
        entry_price_ticks=position.price_ticks,
        price_ticks=price_ticks or None,
        leverage=position.leverage,
        margin_mode=MarginMode.CROSS if position.is_cross else MarginMode.ISOLATED,
        margin_micros=position.margin_micros,
        notional_micros=notional_micros(price_ticks, position.quantity_units, instrument.k),
        pnl_unrealised_micros=unrealised_micros(instrument, position),
        swap_micros=position.swap_micros,
        commission_micros=position.commission_micros,
        stop_loss_ticks=position.stop_loss_ticks or None,
        take_profit_ticks=position.take_profit_ticks or None,
        trailing_ticks=position.trailing_ticks or None,
        liquidation_ticks=position.liquidation_ticks or None,
        opened_at_us=position.opened_at_us,
    )


def _order_view(state: State, order: PendingOrder) -> OrderView:
    return OrderView(
        order_id=entity_id(order.account, order.k),
        symbol=state.instruments[order.instrument].spec.symbol,
        side=Side.BUY if order.is_buy else Side.SELL,
        order_type=order.order_type,
        quantity_units=order.quantity_units,
        leverage=order.leverage,
        margin_mode=MarginMode.CROSS if order.is_cross else MarginMode.ISOLATED,
        price_ticks=order.price_ticks or None,
        stop_price_ticks=order.stop_price_ticks or None,
        is_activated=order.is_activated,
        time_in_force=order.time_in_force,
        expires_at_us=order.expires_at_us or None,
        stop_loss_ticks=order.stop_loss_ticks or None,
        take_profit_ticks=order.take_profit_ticks or None,
        trailing_ticks=order.trailing_ticks or None,
        placed_at_us=order.placed_at_us,
    )


def _net_units(account: Account) -> dict[int, int]:
    """Return net cross units by instrument index."""
    net: dict[int, int] = {}
    for position in account.positions.values():
        if position.is_cross:
            signed = position.quantity_units if position.is_long else -position.quantity_units
            net[position.instrument] = net.get(position.instrument, 0) + signed
    return net


def stop_out_move(sums: Figures, net_units: int, k: int, stop_out_bps: int) -> int | None:
    """Return the move in ticks of one symbol that brings the level to stop-out; None: no move does.

    Bid and ask move alike. Rounding: away from the present price, to the first tick at which the level is reached.
    Source: docs/ENGINE.md, rule V2.
    """
    if net_units == 0:
        return None
    deficit = stop_out_bps * sums.used_margin - sums.cross_equity * BPS
    per_tick = k * abs(net_units) * BPS
    return floor_div(deficit, per_tick) if net_units > 0 else ceil_div(-deficit, per_tick)


def _stop_out_prices(state: State, account: Account, sums: Figures) -> tuple[StopOutPrice, ...]:
    rows = []
    for index, net_units in sorted(_net_units(account).items()):
        instrument = state.instruments[index]
        move = stop_out_move(sums, net_units, instrument.k, account.terms.stop_out_level_bps)
        is_reachable = move is not None and instrument.bid + move > 0
        rows.append(
            StopOutPrice(
                symbol=instrument.spec.symbol,
                bid_ticks=instrument.bid + (move or 0) if is_reachable else None,
                ask_ticks=instrument.ask + (move or 0) if is_reachable else None,
            )
        )
    return tuple(rows)


def preview_view(state: State, command: PlaceOrder) -> PreviewView | NotFound:
    """Return what an order would cost now and whether it would be accepted (rule V3)."""
    as_of = text_from_entry_id(state.entry_id)
    account = find_account(state, command)
    if type(account) is Rejected:
        return NotFound(as_of=as_of, account=command.account)
    instrument = state.instrument_by_symbol.get(command.symbol)
    if instrument is None or instrument.bid == 0:
        refusal = (
            rejected(RejectCode.SYMBOL_UNKNOWN, symbol=command.symbol)
            if instrument is None
            else rejected(RejectCode.QUOTE_STALE, symbol=command.symbol)
        )
        return PreviewView(
            as_of=as_of,
            as_of_us=state.now_us,
            account=command.account,
            symbol=command.symbol,
            code=refusal.code,
            data=refusal.data,
        )
    return _preview(state, account, instrument, command)


class _Impact(NamedTuple):
    """The account after an opening, as far as a preview tells."""

    free_margin: int
    stop_out_ticks: int | None


def _preview(
    state: State, account: Account, instrument: Instrument, command: PlaceOrder
) -> PreviewView:
    work = Work(state, state.now_us, state.now_us, state.now_us)
    opening = opening_of_command(account, command)
    found = check_order(work, account, instrument, command, opening)
    refusal = found if type(found) is Rejected else None
    # A waiting order is shown at its own price; what fills at once costs what the market asks.
    waits_at_ticks = command.price_ticks or command.stop_price_ticks or 0
    own_ticks = 0 if fills_at_once(instrument, command) else waits_at_ticks
    cost = opening_cost(account, instrument, opening, own_ticks)
    impact = _impact(state, account, instrument, opening, cost)
    tiers = instrument.spec.tiers
    gross = gross_notional(state.holdings_of(account), instrument) + cost.notional
    spec = instrument.spec
    rate_ppm = spec.swap_long_ppm if opening.is_buy else spec.swap_short_ppm
    return PreviewView(
        as_of=text_from_entry_id(state.entry_id),
        as_of_us=state.now_us,
        account=account.account,
        symbol=command.symbol,
        code=refusal.code if refusal else None,
        data=refusal.data if refusal else {},
        price_ticks=cost.price_ticks,
        notional_micros=cost.notional,
        margin_micros=cost.margin,
        commission_micros=cost.commission,
        spread_cost_micros=cost.spread_cost,
        swap_night_micros=swap_micros(cost.notional, rate_ppm, 1),
        free_margin_after_micros=impact.free_margin,
        liquidation_ticks=cost.liquidation_ticks or None,
        stop_out_ticks=impact.stop_out_ticks,
        quantity_units_max=_quantity_max(state, account, instrument, opening),
        leverage_max=min(leverage_cap(account), tiers[tier_index(tiers, gross)].leverage_max),
    )


def _impact(
    state: State, account: Account, instrument: Instrument, opening: Opening, cost: Cost
) -> _Impact:
    sums = figures(state, account)
    free = sums.free_margin - cost.margin - cost.commission - cost.spread_cost
    if not opening.is_cross:
        return _Impact(free, None)
    after = msgspec.structs.replace(
        sums,
        cross_equity=sums.cross_equity - cost.commission - cost.spread_cost,
        used_margin=sums.used_margin + cost.margin,
    )
    signed = opening.quantity_units if opening.is_buy else -opening.quantity_units
    net_units = _net_units(account).get(instrument.index, 0) + signed
    move = stop_out_move(after, net_units, instrument.k, account.terms.stop_out_level_bps)
    ticks = 0 if move is None else cost.closing_ticks + move
    return _Impact(free, ticks if ticks > 0 else None)


def _quantity_max(state: State, account: Account, instrument: Instrument, opening: Opening) -> int:
    """Return the largest quantity that tiers, exposures and free margin allow now, units; 0: not even the minimum.

    Every limit grows with the quantity, so a binary search over the steps finds the border.
    """
    spec = instrument.spec
    low, high = 0, floor_div(spec.quantity_max_units, spec.quantity_step_units)
    while low < high:
        middle = floor_div(low + high + 1, 2)
        trial = msgspec.structs.replace(opening, quantity_units=middle * spec.quantity_step_units)
        if isinstance(check_opening(state, account, instrument, trial), Cost):
            low = middle
        else:
            high = middle - 1
    units = low * spec.quantity_step_units
    return units if units >= spec.quantity_min_units else 0
