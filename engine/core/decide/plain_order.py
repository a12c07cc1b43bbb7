"""The plain order: at the market, cross margin, well within every limit. One straight way from the command to its fill.

Nearly every order is one, and passing it through a dozen functions takes most of its time. What is not plain, or is to be
refused, goes the general way (orders.place_order), which alone knows reasons and their precedence. Both lead to the same
bytes: a test tells whole histories with and without this module and compares every one.
"""

from engine.core.bands import QUEUES
from engine.core.decide.checks import CLOCK_AHEAD_US_MAX
from engine.core.decide.ending import finish
from engine.core.decide.work import Work
from engine.core.expiries import is_due
from engine.core.ledger import settle
from engine.core.margin import BPS, PPM
from engine.core.plain_fills import hold
from engine.core.state import Account, Holdings, Instrument, Position, State
from engine.core.triggers import ASK_RISES
from engine.messages.commands import PlaceOrder
from engine.messages.events import AnyEvent, PositionOpened, Receipt
from engine.values import (
    POSITIONS_MAX,
    AccountStatus,
    Actor,
    Direction,
    MarginMode,
    OrderType,
    Side,
    TimeInForce,
    TradingMode,
)

# Reading a member off its enum costs as much as a call, and every order comes by here.
_CLIENT = Actor.CLIENT
_ACTIVE = AccountStatus.ACTIVE
_BUY = Side.BUY
_CROSS = MarginMode.CROSS
_GTC = TimeInForce.GTC
_LONG, _SHORT = Direction.LONG, Direction.SHORT
_MARKET = OrderType.MARKET
_OPEN = TradingMode.OPEN


def plain_order(
    state: State, command: PlaceOrder, key: str, time_us: int, decided_at_us: int
) -> tuple[str, tuple[AnyEvent, ...]] | None:
    """Fill an order that passes rules R1-R12, O1, O4, P2 and P4 without a doubt, and return the position's id and what happened; None: look closer.

    The state already stands at the order's entry; with None nothing else has changed.
    """
    # What was not asked for since the start is decoded by the general way.
    account = state.accounts.by_id.get(command.account)
    instrument = state.instrument_by_symbol.get(command.symbol)
    if (
        account is None
        or instrument is None
        or command.order_type is not _MARKET
        or command.time_in_force is not _GTC
        or command.expires_at_us is not None
        or command.price_ticks is not None
        or command.stop_price_ticks is not None
        or command.trailing_ticks is not None
        or command.actor is not _CLIENT
        or command.user_id != account.owner_id
        or 0 < command.deadline_us < decided_at_us
        or time_us - decided_at_us > CLOCK_AHEAD_US_MAX
        or account.status is not _ACTIVE
        or account.is_stop_out_pending
        or len(account.positions) >= POSITIONS_MAX
        or instrument.trading_mode is not _OPEN
        or (state.expiries and is_due(state))
        or state.requests.get(key) is not None
    ):
        return None
    mode = command.margin_mode
    if not account.is_cross if mode is None else mode is not _CROSS:
        return None
    holdings = state.holdings.get(account.account) or state.holdings_of(account)
    cost = _cost(state, account, holdings, instrument, command)
    if cost is None:
        return None
    position_id = f"{holdings.entity_head}{account.next_k}"
    position, event = _fill(state, account, holdings, instrument, command, position_id, cost)
    hold(state, account, holdings, instrument, position)
    falls_bid, rises_bid, falls_ask, rises_ask = instrument.queues.tops
    if (
        not account.is_margin_call
        and account.account not in state.watched
        # guard() and is_touched(), written out.
        and (account.balance_micros - holdings.isolated_margin + holdings.floor_micros) * BPS
        > account.terms.margin_call_level_bps * holdings.used_margin
        and falls_bid < instrument.bid < rises_bid
        and falls_ask < instrument.ask < rises_ask
    ):
        return position_id, (event,)
    work = Work(state, state.now_us, time_us, decided_at_us, events=[event])
    work.filled[instrument.index] = instrument
    work.touched[account.account] = False
    finish(work)
    return position_id, tuple(work.events)


def _cost(
    state: State, account: Account, holdings: Holdings, instrument: Instrument, command: PlaceOrder
) -> tuple[int, int, int, int] | None:
    """Return price in ticks, notional, margin and commission, if quantity, prices, caps and free margin allow the order.

    Rounding: margin and commission up, as opening_cost() does.
    """
    spec, quote, terms = instrument.spec, instrument.quote, account.terms
    bid, ask = instrument.bid, instrument.ask
    units, leverage = command.quantity_units, command.leverage
    expected = command.expected_price_ticks or command.quoted_price_ticks
    if command.side is _BUY:
        price, closing, sign = ask, bid, 1
        below, above = command.stop_loss_ticks, command.take_profit_ticks
    else:
        price, closing, sign = bid, ask, -1
        below, above = command.take_profit_ticks, command.stop_loss_ticks
    slippage_ppm = command.slippage_ppm
    if (
        quote is None
        or quote.source_class is not instrument.source_class
        or state.now_us - instrument.ts_us > spec.quote_age_us_max
        or not spec.quantity_min_units <= units <= spec.quantity_max_units
        or units % spec.quantity_step_units
        or leverage > account.leverage_cap
        or leverage > terms.leverage_cap
        or (below and below > closing - (spec.stop_distance_ticks or 1))
        or (above and above < closing + (spec.stop_distance_ticks or 1))
        or (
            expected
            and slippage_ppm is not None
            and sign * (price - expected) * PPM > slippage_ppm * expected
        )
    ):
        return None
    value = units * instrument.k
    notional = price * value
    # Both rounded up.
    margin = -(-notional // leverage)
    commission = -(-notional * terms.commission_ppm // PPM)
    long_slot = instrument.index * QUEUES
    exposed = holdings.exposed
    gross = notional
    if exposure := exposed.get(long_slot):
        gross += exposure[1] * bid
    if exposure := exposed.get(long_slot + ASK_RISES):
        gross -= exposure[1] * ask
    if isolated := holdings.isolated:
        gross += isolated.get(long_slot, 0) * bid - isolated.get(long_slot + ASK_RISES, 0) * ask
    tier = spec.tiers[0]
    house_cap = spec.exposure_house_micros_max
    if (
        gross > tier.notional_cap_micros
        or leverage > tier.leverage_max
        or 0 < spec.exposure_account_micros_max < gross
        or (house_cap and (abs(instrument.net_units) + units) * price * instrument.k > house_cap)
        or margin + commission + (ask - bid) * value
        > account.balance_micros
        - holdings.isolated_margin
        + holdings.floor_micros
        - holdings.used_margin
    ):
        return None
    return price, notional, margin, commission


def _fill(
    state: State,
    account: Account,
    holdings: Holdings,
    instrument: Instrument,
    command: PlaceOrder,
    position_id: str,
    cost: tuple[int, int, int, int],
) -> tuple[Position, PositionOpened]:
    """Post the commission of the order, and return the position and what open_position() says of it."""
    price, notional, margin, commission = cost
    account_id, k = account.account, account.next_k
    units, leverage = command.quantity_units, command.leverage
    stop_loss, take_profit = command.stop_loss_ticks, command.take_profit_ticks
    is_long = command.side is _BUY
    now_us = state.now_us
    postings = settle(state, account, holdings, 0, commission)
    account.next_k = k + 1
    account.seq = seq = account.seq + 1
    # In the order of the fields: eighteen keywords would cost more than all the rest here.
    position = Position(
        account_id,
        k,
        instrument.index,
        is_long,
        True,  # noqa: FBT003 - cross
        units,
        price,
        leverage,
        margin,
        stop_loss or 0,
        take_profit or 0,
        0,  # trailing_ticks
        0,  # liquidation_ticks
        now_us,
        1,  # fills
        0,  # swap_day
        0,  # swap_micros
        commission,
    )
    inputs = {
        "notional_micros": notional,
        "margin_micros": margin,
        "commission_micros": commission,
        "tier": 1,
    }
    # By place again, as far as the event lets it.
    return position, PositionOpened(
        account_id,
        seq,
        position_id,
        position_id + ".1",
        command.symbol,
        _LONG if is_long else _SHORT,
        _MARKET,
        units,
        price,
        leverage,
        _CROSS,
        margin,
        commission,
        stop_loss_ticks=stop_loss,
        take_profit_ticks=take_profit,
        opened_at_us=now_us,
        balance_micros=account.balance_micros,
        postings=postings,
        receipt=Receipt("P1", instrument.quote, instrument.previous, inputs),
    )
