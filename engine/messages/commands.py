"""Commands: what the engine is asked to do. Imperative names; decided in core/decide, never here."""

from typing import Annotated, final, get_args

import msgspec
from msgspec import UNSET, Meta, UnsetType

from engine.messages.definitions import (
    Count,
    GroupSpec,
    InstrumentSpec,
    Name,
    Signed,
    Symbol,
    Text,
)
from engine.values import (
    AccountKind,
    AccountStatus,
    Actor,
    CashKind,
    Direction,
    MarginMode,
    OrderType,
    ProfitFilter,
    Side,
    SourceClass,
    TimeInForce,
    TradingMode,
)

AccountId = Annotated[int, Meta(ge=1, le=2**40 - 1)]
RequestId = Annotated[str, Meta(min_length=1, max_length=64)]
EntityId = Annotated[str, Meta(min_length=3, max_length=40)]
PositiveCount = Annotated[int, Meta(ge=1, le=2**53 - 1)]
# Absent: leave as it is; null: remove; number: set.
PriceChange = PositiveCount | None | UnsetType


class Command(
    msgspec.Struct,
    frozen=True,
    gc=False,
    tag=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
):
    """What every command carries."""

    # Chosen by the sender; the same id and content is answered once and for all.
    request_id: RequestId
    actor: Actor = Actor.CLIENT
    # The client who asks; checked against the account's owner. 0 for operators and the system.
    user_id: Count = 0
    # Wall-clock time after which a client's command is refused as EXPIRED, microseconds; 0 is never.
    deadline_us: Count = 0
    # The operator who asks, and why.
    staff_id: Count = 0
    reason: Text = ""


class AccountCommand(Command, frozen=True, gc=False, tag=True, kw_only=True, omit_defaults=True):
    """A command of one account; its shard follows from the account id."""

    account: AccountId


class DefinitionCommand(Command, frozen=True, gc=False, tag=True, kw_only=True, omit_defaults=True):
    """A command without an account: sent to every shard under one request id."""

    # Namespace of the request id, such as "catalogue".
    source: Name


class OpenAccount(AccountCommand, frozen=True, gc=False, tag=True, kw_only=True):
    """Open a trading account for a user, with the terms of a group."""

    owner_id: Count
    kind: AccountKind
    group: Name
    margin_mode: MarginMode = MarginMode.CROSS
    leverage_cap: Annotated[int, Meta(ge=1, le=100)] = 100


class PostCash(AccountCommand, frozen=True, gc=False, tag=True, kw_only=True):
    """Move cash into or out of an account; decided once per cash_seq, which has no window and no deadline."""

    # The account's next number, from 1.
    cash_seq: PositiveCount
    kind: CashKind
    # Positive micro-USD; an adjustment may be negative.
    amount_micros: Signed
    # Where the cash comes from or goes to: names the ledger account cash:<method>.
    method: Annotated[str, Meta(min_length=1, max_length=32, pattern="^[a-z0-9_-]+$")]
    # The provider's reference or the request's id.
    reference: Text = ""


class PlaceOrder(AccountCommand, frozen=True, gc=False, tag=True, kw_only=True):
    """Place an order. Prices in ticks, quantity in units, absent prices are None."""

    symbol: Symbol
    side: Side
    quantity_units: PositiveCount
    leverage: PositiveCount
    order_type: OrderType = OrderType.MARKET
    # None: the account's default mode.
    margin_mode: MarginMode | None = None
    # Limit price of limit and stop-limit orders.
    price_ticks: PositiveCount | None = None
    # Stop price of stop and stop-limit orders.
    stop_price_ticks: PositiveCount | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    # End of a GTD order, microseconds UTC.
    expires_at_us: PositiveCount | None = None
    stop_loss_ticks: PositiveCount | None = None
    take_profit_ticks: PositiveCount | None = None
    # Distance of a trailing stop behind the closing price.
    trailing_ticks: PositiveCount | None = None
    # The price that the client saw; with slippage_ppm it guards a market order.
    expected_price_ticks: PositiveCount | None = None
    # The gateway's last quote, used where expected_price_ticks is absent; not part of the content.
    quoted_price_ticks: PositiveCount | None = None
    # Largest adverse difference from the expected price, ppm of it; None: any.
    slippage_ppm: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None


class ModifyOrder(AccountCommand, frozen=True, gc=False, tag=True, kw_only=True):
    """Change a pending order; absent fields stay as they are."""

    order_id: EntityId
    price_ticks: PositiveCount | UnsetType = UNSET
    stop_price_ticks: PositiveCount | UnsetType = UNSET
    quantity_units: PositiveCount | UnsetType = UNSET
    stop_loss_ticks: PriceChange = UNSET
    take_profit_ticks: PriceChange = UNSET
    trailing_ticks: PriceChange = UNSET
    time_in_force: TimeInForce | UnsetType = UNSET
    expires_at_us: PositiveCount | UnsetType = UNSET


class CancelOrder(AccountCommand, frozen=True, gc=False, tag=True, kw_only=True):
    """Cancel one pending order."""

    order_id: EntityId


class CancelAll(AccountCommand, frozen=True, gc=False, tag=True, kw_only=True):
    """Cancel all pending orders of the account, or those of one symbol or side."""

    symbol: Symbol | None = None
    side: Side | None = None


class ModifyPosition(AccountCommand, frozen=True, gc=False, tag=True, kw_only=True):
    """Set, change or remove stop loss, take profit and trailing stop of a position."""

    position_id: EntityId
    stop_loss_ticks: PriceChange = UNSET
    take_profit_ticks: PriceChange = UNSET
    trailing_ticks: PriceChange = UNSET


class ClosePosition(AccountCommand, frozen=True, gc=False, tag=True, kw_only=True):
    """Close a position, whole or in part, at the closing price."""

    position_id: EntityId
    # None: the whole position.
    quantity_units: PositiveCount | None = None
    expected_price_ticks: PositiveCount | None = None
    quoted_price_ticks: PositiveCount | None = None
    slippage_ppm: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None


class CloseAll(AccountCommand, frozen=True, gc=False, tag=True, kw_only=True):
    """Close every position that passes the filters; those that cannot fill now are named in the reply."""

    symbol: Symbol | None = None
    direction: Direction | None = None
    profit: ProfitFilter = ProfitFilter.ALL


class CloseBy(AccountCommand, frozen=True, gc=False, tag=True, kw_only=True):
    """Close two opposite cross positions of one symbol against each other."""

    position_id: EntityId
    other_position_id: EntityId


class ReversePosition(AccountCommand, frozen=True, gc=False, tag=True, kw_only=True):
    """Close a position and open the opposite one of the same quantity, leverage and mode; both or neither."""

    position_id: EntityId


class AddMargin(AccountCommand, frozen=True, gc=False, tag=True, kw_only=True):
    """Move free margin into an isolated position."""

    position_id: EntityId
    amount_micros: PositiveCount


class RemoveMargin(AccountCommand, frozen=True, gc=False, tag=True, kw_only=True):
    """Take margin out of an isolated position."""

    position_id: EntityId
    amount_micros: PositiveCount


class SetAccountGroup(AccountCommand, frozen=True, gc=False, tag=True, kw_only=True):
    """Move an account to another group; it takes that group's terms."""

    group: Name


class SetAccountStatus(AccountCommand, frozen=True, gc=False, tag=True, kw_only=True):
    """Allow everything, closing only, or nothing."""

    status: AccountStatus


class SetAccountLeverageCap(AccountCommand, frozen=True, gc=False, tag=True, kw_only=True):
    """Set the account's own leverage cap; open positions keep theirs."""

    leverage_cap: Annotated[int, Meta(ge=1, le=100)]


class DefineInstrument(DefinitionCommand, frozen=True, gc=False, tag=True, kw_only=True):
    """Define or change an instrument; isolated liquidation prices follow page by page."""

    spec: InstrumentSpec
    # Used by the first definition only; later changes have commands of their own.
    trading_mode: TradingMode = TradingMode.OPEN
    source_class: SourceClass
    # Page: accounts above this id. The reply's next_account starts the next page.
    after_account: Count = 0


class SetTradingMode(DefinitionCommand, frozen=True, gc=False, tag=True, kw_only=True):
    """Open, restrict or halt one instrument, or all of them."""

    trading_mode: TradingMode
    # None: every instrument.
    symbol: Symbol | None = None


class SetPriceSource(DefinitionCommand, frozen=True, gc=False, tag=True, kw_only=True):
    """Let an instrument take prices of another source class; an operator's decision."""

    source_class: SourceClass
    # None: every instrument.
    symbol: Symbol | None = None


class DefineGroup(DefinitionCommand, frozen=True, gc=False, tag=True, kw_only=True):
    """Define or change a group; its accounts take the new terms page by page."""

    spec: GroupSpec
    after_account: Count = 0


class ChargeSwap(DefinitionCommand, frozen=True, gc=False, tag=True, kw_only=True):
    """Post overnight financing of one symbol, page by page; once per position and rollover."""

    symbol: Symbol
    # Days since 1970-01-01; the rollover is that day's 00:00 UTC.
    rollover_day: Annotated[int, Meta(ge=1, le=100_000)]
    nights: Annotated[int, Meta(ge=1, le=31)]
    after_account: Count = 0


class SkipEntry(DefinitionCommand, frozen=True, gc=False, tag=True, kw_only=True):
    """Pass over one entry of the log that halts the shard."""

    # Stream id "<ms>-<seq>" of the entry.
    entry_id: Annotated[str, Meta(min_length=3, max_length=40)]


class Quote(msgspec.Struct, frozen=True, array_like=True, gc=False, forbid_unknown_fields=True):
    """Bid and ask of one instrument at one instant."""

    symbol: str
    # Prices in ticks. Signed: a venue's zero or negative price is refused by rule, not by the codec.
    bid_ticks: Signed
    ask_ticks: Signed
    # Source time moved to the feed's clock, microseconds.
    ts_us: Count


@final
class UpdateQuotes(
    msgspec.Struct, frozen=True, gc=False, tag=True, kw_only=True, forbid_unknown_fields=True
):
    """One feed's conflated quotes. Not deduplicated by request id but by (feed_epoch, sequence)."""

    # Name of the source, such as "binance".
    source: str
    source_class: SourceClass
    # Grows with each start of the feed; sequence counts its entries from 1.
    feed_epoch: Count
    sequence: Count
    quotes: tuple[Quote, ...]


@final
class Tick(msgspec.Struct, frozen=True, gc=False, tag=True, forbid_unknown_fields=True):
    """Time passes; appended by the active engine after 250 ms without an entry."""


AnyAccountCommand = (
    OpenAccount
    | PostCash
    | PlaceOrder
    | ModifyOrder
    | CancelOrder
    | CancelAll
    | ModifyPosition
    | ClosePosition
    | CloseAll
    | CloseBy
    | ReversePosition
    | AddMargin
    | RemoveMargin
    | SetAccountGroup
    | SetAccountStatus
    | SetAccountLeverageCap
)
AnyDefinitionCommand = (
    DefineInstrument | SetTradingMode | SetPriceSource | DefineGroup | ChargeSwap | SkipEntry
)
# To look a type up costs a fraction of asking a message whether it is an instance of a base.
ACCOUNT_COMMANDS: frozenset[type] = frozenset(get_args(AnyAccountCommand))
AnyCommand = AnyAccountCommand | AnyDefinitionCommand
AnyMessage = AnyCommand | UpdateQuotes | Tick
# They tell of time and prices: nobody waits for an answer, and nothing may come of them.
UNANSWERED: frozenset[type] = frozenset({UpdateQuotes, Tick})
