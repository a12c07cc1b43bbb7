"""Queries and their answers. They never enter the log: an answer is a pure function of the state at ``as_of``."""

import msgspec

from engine.messages.commands import AccountId, PlaceOrder
from engine.messages.rejects import RejectCode
from engine.values import (
    AccountKind,
    AccountStatus,
    Direction,
    MarginMode,
    OrderType,
    Side,
    TimeInForce,
)


class AccountQuery(msgspec.Struct, frozen=True, gc=False, tag=True, kw_only=True):
    """Ask for the whole of an account."""

    account: AccountId


class PreviewQuery(msgspec.Struct, frozen=True, gc=False, tag=True, kw_only=True):
    """Ask what an order would cost and whether it would be accepted; nothing is placed."""

    order: PlaceOrder


class PositionView(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One open position at the closing side's last price."""

    position_id: str
    symbol: str
    direction: Direction
    quantity_units: int
    entry_price_ticks: int
    # Closing price now, ticks; None without an accepted quote.
    price_ticks: int | None
    leverage: int
    margin_mode: MarginMode
    margin_micros: int
    notional_micros: int
    pnl_unrealised_micros: int
    swap_micros: int
    commission_micros: int
    stop_loss_ticks: int | None
    take_profit_ticks: int | None
    trailing_ticks: int | None
    # Liquidation price of an isolated position; None: there is none.
    liquidation_ticks: int | None
    opened_at_us: int


class OrderView(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One pending order."""

    order_id: str
    symbol: str
    side: Side
    order_type: OrderType
    quantity_units: int
    leverage: int
    margin_mode: MarginMode
    price_ticks: int | None
    stop_price_ticks: int | None
    # Whether the stop of a stop-limit order was reached.
    is_activated: bool
    time_in_force: TimeInForce
    expires_at_us: int | None
    stop_loss_ticks: int | None
    take_profit_ticks: int | None
    trailing_ticks: int | None
    placed_at_us: int


class StopOutPrice(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Where one symbol must go for a cross stop-out if only it moves and its spread stays."""

    symbol: str
    # Bid at which the level is reached (asks move alike); None: no price of this symbol alone does it.
    bid_ticks: int | None
    ask_ticks: int | None


class AccountView(msgspec.Struct, frozen=True, gc=False, tag=True, kw_only=True):
    """The whole of an account with live figures, as the state knew it at ``as_of``."""

    # Stream id of the last applied entry, and its logical time.
    as_of: str
    as_of_us: int
    account: int
    owner_id: int
    # Last event of the account.
    seq: int
    cash_seq: int
    kind: AccountKind
    status: AccountStatus
    group: str
    margin_mode: MarginMode
    leverage_cap: int
    margin_call_level_bps: int
    stop_out_level_bps: int
    is_margin_call: bool
    is_stop_out_pending: bool
    balance_micros: int
    isolated_margin_micros: int
    cross_equity_micros: int
    equity_micros: int
    used_margin_micros: int
    free_margin_micros: int
    withdrawable_micros: int
    pnl_unrealised_micros: int
    # Cross equity / used margin; None while no margin is used.
    margin_level_bps: int | None
    positions: tuple[PositionView, ...]
    orders: tuple[OrderView, ...]
    stop_out_prices: tuple[StopOutPrice, ...]


class PreviewView(msgspec.Struct, frozen=True, gc=False, tag=True, kw_only=True):
    """What an order would cost at the state of ``as_of``."""

    as_of: str
    as_of_us: int
    account: int
    symbol: str
    # The refusal that the order would get now; None: it would be accepted.
    code: RejectCode | None
    data: dict[str, int | str]
    # Figures are None where they cannot be told (no quote, unknown symbol).
    price_ticks: int | None = None
    notional_micros: int | None = None
    margin_micros: int | None = None
    commission_micros: int | None = None
    spread_cost_micros: int | None = None
    # Financing of one night at the opening price; positive is paid to the client.
    swap_night_micros: int | None = None
    free_margin_after_micros: int | None = None
    # Isolated: where it would be liquidated. None: nowhere, or a cross order.
    liquidation_ticks: int | None = None
    # Cross: bid (long) or ask (short) of a stop-out if only this symbol moves.
    stop_out_ticks: int | None = None
    # Largest quantity that the free margin, tiers and limits allow now.
    quantity_units_max: int | None = None
    leverage_max: int | None = None


class NotFound(msgspec.Struct, frozen=True, gc=False, tag=True, kw_only=True):
    """No such account on this shard."""

    as_of: str
    account: int


AnyQuery = AccountQuery | PreviewQuery
AnyView = AccountView | PreviewView | NotFound
