"""What a fill does to the state: positions come and go, sums and triggers with them. Part of evolve.py."""

from engine.core.arming import arm_position, disarm_order, disarm_position
from engine.core.expiries import forget_expiry
from engine.core.ledger import post
from engine.core.state import NO_BANDS, Account, Instrument, Position, State
from engine.messages import events as ev
from engine.values import Direction, MarginMode, check

# Reading a member off its enum costs as much as a call, and every order comes by here.
_LONG = Direction.LONG
_CROSS = MarginMode.CROSS


def remove_order(state: State, account: Account, k: int) -> None:
    """Take a pending order away: it was cancelled, has expired or was filled."""
    order = account.orders.pop(k)
    instrument = state.instruments[order.instrument]
    instrument.open_count -= 1
    disarm_order(instrument, order)
    forget_expiry(state, order)


def count_position(state: State, instrument: Instrument, position: Position, sign: int) -> None:
    """Keep the sums of an account, if they are kept, in step with a position that comes (1) or goes (-1)."""
    account_id = position.account
    holdings = state.holdings.get(account_id)
    if holdings is not None:
        holdings.add(instrument, position, sign, state.bands.get(account_id, NO_BANDS))


def open_fill(
    state: State, account: Account, instrument: Instrument, k: int, event: ev.PositionOpened
) -> None:
    """Evolve by a fill whose account, instrument and number are at hand; the account's sequence is the caller's."""
    if k == account.next_k:
        account.next_k = k + 1
    else:
        check(k in account.orders, "position id out of sequence")
        remove_order(state, account, k)
    is_long = event.direction is _LONG
    units = event.quantity_units
    # In the order of the fields: eighteen keywords would cost more than all the rest here.
    position = Position(
        account.account,
        k,
        instrument.index,
        is_long,
        event.margin_mode is _CROSS,
        units,
        event.price_ticks,
        event.leverage,
        event.margin_micros,
        event.stop_loss_ticks or 0,
        event.take_profit_ticks or 0,
        event.trailing_ticks or 0,
        event.liquidation_ticks,
        event.opened_at_us,
        1,  # fills
        0,  # swap_day
        0,  # swap_micros
        event.commission_micros,
    )
    account.positions[k] = position
    instrument.open_count += 1
    instrument.net_units += units if is_long else -units
    count_position(state, instrument, position, 1)
    arm_position(state, instrument, position)
    post(state, account, event.postings, event.balance_micros)


def close_fill(
    state: State,
    account: Account,
    instrument: Instrument,
    position: Position,
    event: ev.PositionClosed,
) -> None:
    """Evolve by a close whose position is at hand; the account's sequence is the caller's."""
    units, remaining = event.quantity_units, event.remaining_units
    check(position.quantity_units == units + remaining, "quantity differs")
    instrument.net_units -= units if position.is_long else -units
    disarm_position(instrument, position)
    count_position(state, instrument, position, -1)
    if remaining:
        position.quantity_units = remaining
        position.margin_micros = event.margin_micros
        position.liquidation_ticks = event.liquidation_ticks
        position.commission_micros += event.commission_micros
        position.fills += 1
        count_position(state, instrument, position, 1)
        arm_position(state, instrument, position)
    else:
        del account.positions[position.k]
        instrument.open_count -= 1
    post(state, account, event.postings, event.balance_micros)
