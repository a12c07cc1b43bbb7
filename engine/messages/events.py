"""Events: what happened. Past tense; each is the whole truth that evolve() needs, and cannot fail to apply.

Events of one account carry its id and its gapless ``seq``. Events that move money carry a posting group that sums to zero.
"""

import msgspec

from engine.messages.definitions import GroupSpec, InstrumentSpec, Terms
from engine.messages.rejects import RejectCode
from engine.values import (
    AccountKind,
    AccountStatus,
    CancelReason,
    CashKind,
    CloseReason,
    Direction,
    MarginMode,
    OrderType,
    Side,
    SourceClass,
    TimeInForce,
    TradingMode,
)


class Posting(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One debit or credit of a posting group."""

    # Ledger account with its book, such as "demo:client:1001" or "demo:house:pnl".
    ledger: str
    # Signed micro-USD; a group sums to zero.
    amount_micros: int


class ReceiptQuote(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A quote as a receipt keeps it."""

    symbol: str
    bid_ticks: int
    ask_ticks: int
    # Source time, microseconds.
    ts_us: int
    source: str
    source_class: SourceClass
    # Quote sequence: feed epoch and number of the entry within it.
    feed_epoch: int
    sequence: int


class Receipt(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Why something happened: the rule, its inputs, and the quotes around it."""

    # Rule of docs/ENGINE.md, such as "P1".
    rule: str
    # The quote that caused it, and the accepted one before.
    quote: ReceiptQuote | None = None
    previous_quote: ReceiptQuote | None = None
    # Named inputs of the rule: thresholds, margins, levels, tier. Unit in each name.
    inputs: dict[str, int] = {}


class Event(msgspec.Struct, frozen=True, gc=False, tag=True, kw_only=True, omit_defaults=True):
    """Base of all events."""


class AccountEvent(Event, frozen=True, gc=False, tag=True):
    """An event of one account."""

    account: int
    # Gapless per account, from 1.
    seq: int


class AccountOpened(AccountEvent, frozen=True, gc=False, tag=True, kw_only=True):
    """An account exists."""

    owner_id: int
    kind: AccountKind
    margin_mode: MarginMode
    leverage_cap: int
    terms: Terms
    opened_at_us: int


class AccountTermsChanged(AccountEvent, frozen=True, gc=False, tag=True, kw_only=True):
    """New terms reached the account, or new tiers its isolated positions."""

    terms: Terms
    # New liquidation prices of isolated positions: (position id, ticks; 0 is none).
    liquidations: tuple[tuple[str, int], ...] = ()


class AccountStatusChanged(AccountEvent, frozen=True, gc=False, tag=True, kw_only=True):
    """The account may do more or less than before."""

    status: AccountStatus


class AccountLeverageCapChanged(AccountEvent, frozen=True, gc=False, tag=True, kw_only=True):
    """The account's own leverage cap changed."""

    leverage_cap: int


class CashPosted(AccountEvent, frozen=True, gc=False, tag=True, kw_only=True):
    """Cash moved."""

    cash_seq: int
    kind: CashKind
    amount_micros: int
    method: str
    reference: str
    # Balance after the event, micro-USD.
    balance_micros: int
    postings: tuple[Posting, ...]


class CashRefused(AccountEvent, frozen=True, gc=False, tag=True, kw_only=True):
    """A cash command was refused; its cash_seq is consumed."""

    cash_seq: int
    kind: CashKind
    amount_micros: int
    method: str
    reference: str
    code: RejectCode
    data: dict[str, int | str] = {}


class OrderPlaced(AccountEvent, frozen=True, gc=False, tag=True, kw_only=True):
    """A pending order waits for its price."""

    order_id: str
    symbol: str
    side: Side
    order_type: OrderType
    quantity_units: int
    leverage: int
    margin_mode: MarginMode
    price_ticks: int | None = None
    stop_price_ticks: int | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    expires_at_us: int | None = None
    stop_loss_ticks: int | None = None
    take_profit_ticks: int | None = None
    trailing_ticks: int | None = None
    placed_at_us: int


class OrderModified(AccountEvent, frozen=True, gc=False, tag=True, kw_only=True):
    """A pending order has new terms; all of them are stated."""

    order_id: str
    quantity_units: int
    price_ticks: int | None = None
    stop_price_ticks: int | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    expires_at_us: int | None = None
    stop_loss_ticks: int | None = None
    take_profit_ticks: int | None = None
    trailing_ticks: int | None = None


class StopLimitActivated(AccountEvent, frozen=True, gc=False, tag=True, kw_only=True):
    """The stop of a stop-limit order was reached; it waits as a limit order now."""

    order_id: str
    receipt: Receipt


class OrderCancelled(AccountEvent, frozen=True, gc=False, tag=True, kw_only=True):
    """A pending order is gone."""

    order_id: str
    cancel_reason: CancelReason


class OrderExpired(AccountEvent, frozen=True, gc=False, tag=True, kw_only=True):
    """A pending order reached its end of life."""

    order_id: str
    expires_at_us: int


class OrderRejected(AccountEvent, frozen=True, gc=False, tag=True, kw_only=True):
    """A pending order fired and could not be filled; it is gone."""

    order_id: str
    code: RejectCode
    data: dict[str, int | str] = {}
    receipt: Receipt


# A call with more than fifteen keywords makes a dictionary of them first: so the first fields of the two events that every
# fill brings are given by place.


class OpeningFill(AccountEvent, frozen=True, gc=False, tag=True):
    """The fields of PositionOpened that are given by place."""

    position_id: str
    fill_id: str
    symbol: str
    direction: Direction
    order_type: OrderType
    quantity_units: int
    price_ticks: int
    leverage: int
    margin_mode: MarginMode
    # Initial margin, micro-USD.
    margin_micros: int
    commission_micros: int


class PositionOpened(OpeningFill, frozen=True, gc=False, tag=True, kw_only=True):
    """An order was filled; the position has the order's id."""

    stop_loss_ticks: int | None = None
    take_profit_ticks: int | None = None
    trailing_ticks: int | None = None
    # Liquidation price of an isolated position, ticks; 0 is none.
    liquidation_ticks: int = 0
    opened_at_us: int
    balance_micros: int
    postings: tuple[Posting, ...]
    receipt: Receipt


class PositionModified(AccountEvent, frozen=True, gc=False, tag=True, kw_only=True):
    """Stop loss, take profit and trailing stop of a position; all of them are stated."""

    position_id: str
    stop_loss_ticks: int | None = None
    take_profit_ticks: int | None = None
    trailing_ticks: int | None = None


class TrailingStopMoved(AccountEvent, frozen=True, gc=False, tag=True, kw_only=True):
    """A trailing stop followed the price in the client's favour."""

    position_id: str
    stop_loss_ticks: int
    receipt: Receipt


class ClosingFill(AccountEvent, frozen=True, gc=False, tag=True):
    """The fields of PositionClosed that are given by place."""

    position_id: str
    fill_id: str
    symbol: str
    direction: Direction
    close_reason: CloseReason
    # Closed now, and what remains open (0: the position is gone).
    quantity_units: int
    remaining_units: int
    entry_price_ticks: int
    price_ticks: int
    # Realised P&L before commission, micro-USD.
    pnl_micros: int
    commission_micros: int


class PositionClosed(ClosingFill, frozen=True, gc=False, tag=True, kw_only=True):
    """A position or a part of it was closed."""

    # What the insurance account paid because the position's own margin was exhausted.
    insured_micros: int = 0
    # Margin of what remains, micro-USD, and its liquidation price (0 is none).
    margin_micros: int
    liquidation_ticks: int = 0
    closed_at_us: int
    balance_micros: int
    postings: tuple[Posting, ...]
    receipt: Receipt


class PositionMarginChanged(AccountEvent, frozen=True, gc=False, tag=True, kw_only=True):
    """Margin was moved into or out of an isolated position; no money left the account."""

    position_id: str
    # Signed micro-USD.
    amount_micros: int
    margin_micros: int
    liquidation_ticks: int


class MarginCallRaised(AccountEvent, frozen=True, gc=False, tag=True, kw_only=True):
    """The margin level fell to the call level."""

    equity_micros: int
    used_margin_micros: int
    margin_level_bps: int
    receipt: Receipt


class MarginCallCleared(AccountEvent, frozen=True, gc=False, tag=True, kw_only=True):
    """The margin level recovered five points above the call level, or nothing is left to margin."""

    equity_micros: int
    used_margin_micros: int


class StopOutStarted(AccountEvent, frozen=True, gc=False, tag=True, kw_only=True):
    """The margin level fell to the stop-out level; positions are closed in the same entry."""

    equity_micros: int
    used_margin_micros: int
    margin_level_bps: int
    receipt: Receipt


class StopOutPending(AccountEvent, frozen=True, gc=False, tag=True, kw_only=True):
    """Only positions that cannot fill now are left; the account is closed to opens."""

    equity_micros: int
    used_margin_micros: int


class StopOutResumed(AccountEvent, frozen=True, gc=False, tag=True, kw_only=True):
    """A pending stop-out ended: the level is above it again, or the account is flat."""

    equity_micros: int
    used_margin_micros: int


class NegativeBalanceCovered(AccountEvent, frozen=True, gc=False, tag=True, kw_only=True):
    """The insurance account paid what a flat account owed."""

    amount_micros: int
    balance_micros: int
    postings: tuple[Posting, ...]


class SwapCharged(AccountEvent, frozen=True, gc=False, tag=True, kw_only=True):
    """Overnight financing was posted; positive amounts are paid to the client."""

    position_id: str
    rollover_day: int
    nights: int
    amount_micros: int
    # Part of a charge that the insurance account paid because an isolated position's margin was exhausted.
    insured_micros: int = 0
    # Margin and liquidation price of the position after it.
    margin_micros: int
    liquidation_ticks: int = 0
    balance_micros: int
    postings: tuple[Posting, ...]
    receipt: Receipt


class InstrumentDefined(Event, frozen=True, gc=False, tag=True, kw_only=True):
    """An instrument has this specification."""

    spec: InstrumentSpec
    trading_mode: TradingMode
    source_class: SourceClass


class TradingModeSet(Event, frozen=True, gc=False, tag=True, kw_only=True):
    """An instrument allows more or less than before."""

    symbol: str
    trading_mode: TradingMode


class PriceSourceSet(Event, frozen=True, gc=False, tag=True, kw_only=True):
    """An instrument takes prices of this class; its last quote values, but cannot fill any more."""

    symbol: str
    source_class: SourceClass


class GroupDefined(Event, frozen=True, gc=False, tag=True, kw_only=True):
    """A group has this specification."""

    spec: GroupSpec


class QuoteRefused(Event, frozen=True, gc=False, tag=True, kw_only=True):
    """A quote was not accepted; every other quote of its entry was."""

    symbol: str
    code: RejectCode
    bid_ticks: int
    ask_ticks: int
    ts_us: int


class EntrySkipped(Event, frozen=True, gc=False, tag=True, kw_only=True):
    """The entry was passed over by an operator's SkipEntry; it changed nothing."""

    entry_id: str


class ChainEnd(msgspec.Struct, frozen=True, gc=False):
    """Where the chain of one shard of the layout before ended; hashes as hexadecimal text."""

    shard: int
    # Last input entry, and number and chain hash of the last output.
    entry_id: str
    number: int
    chain: str
    state_hash: str


class Resharded(Event, frozen=True, gc=False, tag=True, kw_only=True):
    """A layout begins: the first output of each of its chains, which goes on from all chains of the layout before."""

    # Number of the layout, from 2, and the shard of it whose chain begins.
    layout: int
    shard: int
    shards: int
    # Every chain of the layout before, by shard.
    ended: tuple[ChainEnd, ...]
    # Hash of the state that this shard begins with.
    state_hash: str


AnyAccountEvent = (
    AccountOpened
    | AccountTermsChanged
    | AccountStatusChanged
    | AccountLeverageCapChanged
    | CashPosted
    | CashRefused
    | OrderPlaced
    | OrderModified
    | StopLimitActivated
    | OrderCancelled
    | OrderExpired
    | OrderRejected
    | PositionOpened
    | PositionModified
    | TrailingStopMoved
    | PositionClosed
    | PositionMarginChanged
    | MarginCallRaised
    | MarginCallCleared
    | StopOutStarted
    | StopOutPending
    | StopOutResumed
    | NegativeBalanceCovered
    | SwapCharged
)
AnyEvent = (
    AnyAccountEvent
    | InstrumentDefined
    | TradingModeSet
    | PriceSourceSet
    | GroupDefined
    | QuoteRefused
    | EntrySkipped
    | Resharded
)
