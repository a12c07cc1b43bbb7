"""Closing a position, whole or in part: the fill and who pays it (rules P1, M5, M6, L5)."""

from engine.core.decide.work import Work
from engine.core.ledger import fill_postings, settle
from engine.core.liquidation import liquidation_ticks
from engine.core.margin import PPM, commission_micros, notional_micros, pnl_micros, released_margin
from engine.core.plain_fills import let_go
from engine.core.state import Account, Instrument, Position, entity_id
from engine.messages.definitions import Terms
from engine.messages.events import PositionClosed, Receipt
from engine.values import CloseReason, Direction

# Reading a member off its enum costs as much as a call, and every close comes by here.
_LONG, _SHORT = Direction.LONG, Direction.SHORT


def position_liquidation(
    terms: Terms, instrument: Instrument, position: Position, *, margin_micros: int, units: int
) -> int:
    """Return the liquidation price of a position with this margin and quantity; 0 for cross positions (rules M8, L5)."""
    if position.is_cross or units == 0:
        return 0
    if margin_micros == 0:
        # Exhausted: whatever the next quote that can fill, it reaches this price.
        return instrument.price_ticks_max if position.is_long else 1
    return liquidation_ticks(
        is_long=position.is_long,
        entry_ticks=position.price_ticks,
        quantity_units=units,
        margin_micros=margin_micros,
        tiers=instrument.spec.tiers,
        commission_ppm=terms.commission_ppm,
        k=instrument.k,
    )


def close_position(
    work: Work,
    account: Account,
    position: Position,
    *,
    units: int,
    reason: CloseReason,
    rule: str,
    **inputs: int,
) -> None:
    """Close ``units`` of a position at the current closing price; checks were made before."""
    if units == position.quantity_units:
        close_plainly(work, account, position, reason, rule, inputs)
    else:
        close_at(work, account, position, units, reason, rule, inputs)


def close_at(
    work: Work,
    account: Account,
    position: Position,
    units: int,
    reason: CloseReason,
    rule: str,
    inputs: dict[str, int],
    *,
    price_ticks: int = 0,
    is_free: bool = False,
) -> None:
    """Close ``units`` of a position at a price (0: the current closing price); checks were made before.

    An isolated position pays from the share of its margin that the close frees, then from the rest of its margin; what
    exceeds that the insurance account pays. ``is_free``: without commission (CloseBy).
    Rounding: freed margin down, commission up.
    Source: docs/ENGINE.md, rules M5, M6, L5.
    """
    instrument = work.state.instruments[position.instrument]
    is_long = position.is_long
    price = price_ticks or (instrument.bid if is_long else instrument.ask)
    entry = position.price_ticks
    pnl = pnl_micros(is_long, entry, price, units, instrument.k)
    notional = notional_micros(price, units, instrument.k)
    commission = 0 if is_free else commission_micros(notional, account.terms.commission_ppm)
    freed = released_margin(position.margin_micros, units, position.quantity_units)
    margin = position.margin_micros - freed
    insured = 0
    if not position.is_cross:
        excess = max(0, commission - pnl - freed)
        insured = max(0, excess - margin)
        margin -= excess - insured
    remaining = position.quantity_units - units
    position_id = entity_id(account.account, position.k)
    work.emit_closed(
        account,
        instrument,
        position,
        PositionClosed(
            account=account.account,
            seq=account.seq + 1,
            position_id=position_id,
            fill_id=f"{position_id}.{position.fills + 1}",
            symbol=instrument.spec.symbol,
            direction=_LONG if is_long else _SHORT,
            close_reason=reason,
            quantity_units=units,
            remaining_units=remaining,
            entry_price_ticks=entry,
            price_ticks=price,
            pnl_micros=pnl,
            commission_micros=commission,
            insured_micros=insured,
            margin_micros=margin,
            liquidation_ticks=0
            if position.is_cross
            else position_liquidation(
                account.terms, instrument, position, margin_micros=margin, units=remaining
            ),
            closed_at_us=work.now_us,
            balance_micros=account.balance_micros + pnl - commission + insured,
            postings=fill_postings(account, pnl, commission, insured),
            receipt=Receipt(rule, instrument.quote, instrument.previous, inputs),
        ),
    )


def close_plainly(
    work: Work,
    account: Account,
    position: Position,
    reason: CloseReason,
    rule: str,
    inputs: dict[str, int],
) -> None:
    """Close a whole position at the current price: what close_at() says and fills.close_fill() does, written out.

    Nearly every close is one, and a stop that fires is half made of it; a test compares both ways. Where the insurance account
    has to pay it is not plain.
    Rounding: commission up.
    """
    state = work.state
    instrument = state.instruments[position.instrument]
    account_id, k, entry = account.account, position.k, position.price_ticks
    units = position.quantity_units
    value = units * instrument.k
    if position.is_long:
        price, direction = instrument.bid, _LONG
        pnl = (price - entry) * value
    else:
        price, direction = instrument.ask, _SHORT
        pnl = (entry - price) * value
    commission = -(-price * value * account.terms.commission_ppm // PPM)
    if not position.is_cross and commission - pnl > position.margin_micros:
        close_at(work, account, position, units, reason, rule, inputs)
        return
    holdings = state.holdings.get(account_id) or state.holdings_of(account)
    let_go(state, account, holdings, instrument, position)
    work.filled[position.instrument] = instrument
    work.touched[account_id] = True
    postings = settle(state, account, holdings, pnl, commission)
    account.seq = seq = account.seq + 1
    position_id = f"{holdings.entity_head}{k}"
    work.events.append(
        # In the order of the fields, as far as they are given by place.
        PositionClosed(
            account_id,
            seq,
            position_id,
            f"{position_id}.{position.fills + 1}",
            instrument.spec.symbol,
            direction,
            reason,
            units,
            0,  # remaining
            entry,
            price,
            pnl,
            commission,
            margin_micros=0,
            closed_at_us=work.now_us,
            balance_micros=account.balance_micros,
            postings=postings,
            receipt=Receipt(rule, instrument.quote, instrument.previous, inputs),
        )
    )
