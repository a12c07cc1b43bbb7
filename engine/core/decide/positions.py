"""Positions: stops, closes of every kind, and isolated margin (rules C1-C6, M8, T3)."""

from msgspec import UnsetType

from engine.core.decide.checks import (
    can_fill,
    check_leverage,
    check_may_open,
    check_may_reduce,
    check_mode_open,
    check_not_halted,
    check_part,
    check_quantity,
    check_quote,
    check_slippage,
    check_stops,
    find_position,
)
from engine.core.decide.closing import close_at, close_position
from engine.core.decide.opening import (
    Opening,
    Relief,
    check_opening,
    open_position,
    trailing_stop_loss,
)
from engine.core.decide.work import Work, rejected
from engine.core.figures import closing_ticks, unrealised_micros
from engine.core.margin import commission_micros, notional_micros
from engine.core.state import Account, Instrument, Position, entity_id
from engine.messages import commands as cmd
from engine.messages.events import PositionModified
from engine.messages.rejects import RejectCode
from engine.messages.replies import Accepted, Rejected
from engine.values import Actor, CloseReason, Direction, OrderType, ProfitFilter


def _reason(actor: Actor) -> CloseReason:
    return CloseReason.CLIENT if actor is Actor.CLIENT else CloseReason.OPERATOR


def close_one(work: Work, account: Account, command: cmd.ClosePosition) -> Accepted | Rejected:
    """Close a position, whole or in part, at the closing price (rules C1, P2)."""
    refusal = check_may_reduce(account, command.actor)
    if refusal:
        return refusal
    position = find_position(account, command.position_id)
    if type(position) is Rejected:
        return position
    instrument = work.state.instruments[position.instrument]
    units = command.quantity_units or position.quantity_units
    refusal = (
        check_not_halted(instrument)
        or check_part(instrument, position, units)
        or check_quote(work, instrument)
        or check_slippage(
            is_buy=not position.is_long,
            price_ticks=closing_ticks(instrument, is_long=position.is_long),
            expected_ticks=command.expected_price_ticks or command.quoted_price_ticks,
            slippage_ppm=command.slippage_ppm,
        )
    )
    if refusal:
        return refusal
    close_position(work, account, position, units=units, reason=_reason(command.actor), rule="C1")
    return Accepted()


def close_all(work: Work, account: Account, command: cmd.CloseAll) -> Accepted | Rejected:
    """Close every position that passes the filters, by id; those that cannot fill are named (rule C2)."""
    if command.symbol is not None and command.symbol not in work.state.instrument_by_symbol:
        return rejected(RejectCode.SYMBOL_UNKNOWN, symbol=command.symbol)
    refusal = check_may_reduce(account, command.actor)
    if refusal:
        return refusal
    passed_over = []
    for k in sorted(account.positions):
        position = account.positions[k]
        instrument = work.state.instruments[position.instrument]
        if not _is_meant(instrument, position, command):
            continue
        if can_fill(work, instrument):
            close_position(
                work,
                account,
                position,
                units=position.quantity_units,
                reason=_reason(command.actor),
                rule="C2",
            )
        else:
            passed_over.append(entity_id(account.account, k))
    return Accepted(passed_over=tuple(passed_over))


def _is_meant(instrument: Instrument, position: Position, command: cmd.CloseAll) -> bool:
    if command.symbol not in (None, instrument.spec.symbol):
        return False
    direction = Direction.LONG if position.is_long else Direction.SHORT
    if command.direction not in (None, direction):
        return False
    unrealised = unrealised_micros(instrument, position)
    if command.profit is ProfitFilter.WINNERS:
        return unrealised > 0
    return command.profit is ProfitFilter.ALL or unrealised < 0


def close_by(work: Work, account: Account, command: cmd.CloseBy) -> Accepted | Rejected:
    """Close two opposite cross positions against each other at the older one's entry price (rule C3)."""
    refusal = check_may_reduce(account, command.actor)
    if refusal:
        return refusal
    one = find_position(account, command.position_id)
    if type(one) is Rejected:
        return one
    other = find_position(account, command.other_position_id)
    if type(other) is Rejected:
        return other
    is_valid = (
        one.instrument == other.instrument
        and one.is_long != other.is_long
        and one.is_cross
        and other.is_cross
    )
    if not is_valid:
        return rejected(
            RejectCode.CLOSE_BY_INVALID,
            position_id=command.position_id,
            other_position_id=command.other_position_id,
        )
    instrument = work.state.instruments[one.instrument]
    units = min(one.quantity_units, other.quantity_units)
    # One of them is closed whole, which always passes.
    refusal = (
        check_not_halted(instrument)
        or check_part(instrument, one, units)
        or check_part(instrument, other, units)
    )
    if refusal:
        return refusal
    older, newer = sorted((one, other), key=lambda position: (position.opened_at_us, position.k))
    price_ticks = older.price_ticks
    for position in (older, newer):
        close_at(
            work,
            account,
            position,
            units,
            CloseReason.CLOSE_BY,
            "C3",
            {},
            price_ticks=price_ticks,
            is_free=True,
        )
    return Accepted()


def reverse_position(
    work: Work, account: Account, command: cmd.ReversePosition
) -> Accepted | Rejected:
    """Close a position and open the opposite one; both or neither (rule C4)."""
    refusal = check_may_open(work, account)
    if refusal:
        return refusal
    position = find_position(account, command.position_id)
    if type(position) is Rejected:
        return position
    instrument = work.state.instruments[position.instrument]
    opening = Opening(
        OrderType.MARKET,
        not position.is_long,
        position.is_cross,
        position.quantity_units,
        position.leverage,
    )
    cost = (
        check_mode_open(instrument)
        or check_quantity(instrument, position.quantity_units)
        or check_leverage(account, position.leverage)
        or check_quote(work, instrument)
        or check_opening(
            work.state, account, instrument, opening, _relief(account, instrument, position)
        )
    )
    if type(cost) is Rejected:
        return cost
    close_position(
        work,
        account,
        position,
        units=position.quantity_units,
        reason=CloseReason.REVERSE,
        rule="C4",
    )
    created = open_position(work, account, instrument, opening, cost, account.next_k, "C4")
    return Accepted(created=(created,))


def _relief(account: Account, instrument: Instrument, position: Position) -> Relief:
    """Return what closing the position gives back before the opposite one is judged.

    Cross: its margin less the closing commission (its P&L is in the equity already). Isolated: margin + P&L -
    commission, at least nothing, because the insurance account pays beyond the margin.
    """
    price_ticks = closing_ticks(instrument, is_long=position.is_long)
    notional = notional_micros(price_ticks, position.quantity_units, instrument.k)
    commission = commission_micros(notional, account.terms.commission_ppm)
    if position.is_cross:
        freed = position.margin_micros - commission
    else:
        unrealised = unrealised_micros(instrument, position)
        freed = max(0, position.margin_micros + unrealised - commission)
    units = position.quantity_units if position.is_long else -position.quantity_units
    return Relief(free_margin=freed, notional=notional, net_units=units)


def modify_position(
    work: Work, account: Account, command: cmd.ModifyPosition
) -> Accepted | Rejected:
    """Set, change or remove stops; only what changes is judged against the last closing price (rule C5)."""
    refusal = check_may_reduce(account, command.actor)
    if refusal:
        return refusal
    position = find_position(account, command.position_id)
    if type(position) is Rejected:
        return position
    instrument = work.state.instruments[position.instrument]
    closing = closing_ticks(instrument, is_long=position.is_long)
    if closing == 0:
        return rejected(
            RejectCode.QUOTE_STALE,
            symbol=instrument.spec.symbol,
            quote_age_us=-1,
            quote_age_us_max=instrument.spec.quote_age_us_max,
        )
    refusal = check_stops(
        instrument,
        is_long=position.is_long,
        reference_ticks=closing,
        stop_loss_ticks=_changed(command.stop_loss_ticks),
        take_profit_ticks=_changed(command.take_profit_ticks),
        trailing_ticks=_changed(command.trailing_ticks),
    )
    if refusal:
        return refusal
    stop_loss = _final(command.stop_loss_ticks, position.stop_loss_ticks)
    trailing = _final(command.trailing_ticks, position.trailing_ticks)
    if trailing and not stop_loss:
        stop_loss = trailing_stop_loss(
            is_long=position.is_long, closing_ticks=closing, trailing_ticks=trailing
        )
    take_profit = _final(command.take_profit_ticks, position.take_profit_ticks)
    present = (position.stop_loss_ticks, position.take_profit_ticks, position.trailing_ticks)
    if (stop_loss, take_profit, trailing) != present:
        work.emit(
            PositionModified(
                account=account.account,
                seq=account.seq + 1,
                position_id=command.position_id,
                stop_loss_ticks=stop_loss or None,
                take_profit_ticks=take_profit or None,
                trailing_ticks=trailing or None,
            )
        )
    return Accepted()


def _changed(value: int | UnsetType | None) -> int | None:
    return None if isinstance(value, UnsetType) else value


def _final(value: int | UnsetType | None, current: int) -> int:
    return current if isinstance(value, UnsetType) else value or 0
