"""The plain order: at the market, cross margin, well within every limit. One straight way that says yes or nothing.

Nearly every order is one, and asking it a dozen questions one by one takes most of its time. What is not plain, or is to be
refused, goes the general way (orders.check_order), which alone knows reasons and their precedence. Both lead to the same
fill: a test tells whole histories with and without this module and compares every byte.
"""

from engine.core.decide.checks import CLOCK_AHEAD_US_MAX
from engine.core.decide.opening import Cost, Opening
from engine.core.decide.work import Work
from engine.core.figures import floor_margin, gross_notional
from engine.core.margin import PPM
from engine.core.state import Account, Instrument
from engine.messages.commands import PlaceOrder
from engine.rounding import ceil_div
from engine.values import (
    POSITIONS_MAX,
    AccountStatus,
    OrderType,
    TimeInForce,
    TradingMode,
)

# Reading a member off its enum costs as much as a call, and every order comes by here.
_ACTIVE = AccountStatus.ACTIVE
_MARKET = OrderType.MARKET
_GTC = TimeInForce.GTC
_OPEN = TradingMode.OPEN


def plain_cost(
    work: Work, account: Account, instrument: Instrument, command: PlaceOrder, opening: Opening
) -> Cost | None:
    """Return what an order costs that passes rules R5-R12, O1, O4, P2 and P4 without a doubt; None: look closer.

    Rounding: margin and commission up, as opening_cost() does.
    """
    spec = instrument.spec
    quote = instrument.quote
    units, leverage = opening.quantity_units, opening.leverage
    if (
        quote is None
        or work.now_us - instrument.ts_us > spec.quote_age_us_max
        or quote.source_class is not instrument.source_class
        or instrument.trading_mode is not _OPEN
        or opening.order_type is not _MARKET
        or not opening.is_cross
        or account.status is not _ACTIVE
        or account.is_stop_out_pending
        or work.entry_time_us - work.decided_at_us > CLOCK_AHEAD_US_MAX
        or not spec.quantity_min_units <= units <= spec.quantity_max_units
        or units % spec.quantity_step_units
        or leverage > account.leverage_cap
        or leverage > account.terms.leverage_cap
        or len(account.positions) >= POSITIONS_MAX
        or command.time_in_force is not _GTC
        or command.expires_at_us is not None
        or command.price_ticks is not None
        or command.stop_price_ticks is not None
        or opening.trailing_ticks
    ):
        return None
    bid, ask = instrument.bid, instrument.ask
    expected = command.expected_price_ticks or command.quoted_price_ticks or 0
    if opening.is_buy:
        price, closing = ask, bid
        adverse = ask - expected
        below, above = opening.stop_loss_ticks, opening.take_profit_ticks
    else:
        price, closing = bid, ask
        adverse = expected - bid
        below, above = opening.take_profit_ticks, opening.stop_loss_ticks
    least = spec.stop_distance_ticks or 1
    slippage_ppm = command.slippage_ppm
    if (
        below > closing - least
        or 0 < above < closing + least
        or (expected and slippage_ppm is not None and adverse * PPM > slippage_ppm * expected)
    ):
        return None
    value = units * instrument.k
    notional = price * value
    margin = ceil_div(notional, leverage)
    commission = ceil_div(notional * account.terms.commission_ppm, PPM)
    spread_cost = (ask - bid) * value
    holdings = work.state.holdings_of(account)
    tier = spec.tiers[0]
    gross = gross_notional(holdings, instrument) + notional
    house_cap = spec.exposure_house_micros_max
    if (
        gross > tier.notional_cap_micros
        or 0 < spec.exposure_account_micros_max < gross
        or (house_cap and (abs(instrument.net_units) + units) * price * instrument.k > house_cap)
        or leverage > tier.leverage_max
        or margin + commission + spread_cost > floor_margin(holdings, account)
    ):
        return None
    return Cost(price, closing, notional, margin, commission, spread_cost, 0)
