"""Specifications that commands carry and events record: instruments, groups, account terms."""

from typing import Annotated

import msgspec
from msgspec import Meta

from engine.values import (
    LEVERAGE_MAX,
    SAFE_INTEGER_MAX,
    SourceClass,
    StopOutStrategy,
    TradingMode,
)

# Wire integers stay within what every JSON client reads exactly; anything larger is MALFORMED.
Count = Annotated[int, Meta(ge=0, le=SAFE_INTEGER_MAX)]
Signed = Annotated[int, Meta(ge=-SAFE_INTEGER_MAX, le=SAFE_INTEGER_MAX)]
Symbol = Annotated[str, Meta(min_length=1, max_length=32)]
Name = Annotated[str, Meta(min_length=1, max_length=64)]
Text = Annotated[str, Meta(max_length=256)]


class Tier(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One leverage tier: what holds for a notional up to its cap."""

    # Largest notional of this tier, micro-USD.
    notional_cap_micros: Count
    # Highest leverage, whole number.
    leverage_max: Annotated[int, Meta(ge=1, le=LEVERAGE_MAX)]
    # Maintenance rate of this tier, parts per million of notional; with the largest commission below the whole.
    maintenance_ppm: Annotated[int, Meta(ge=0, le=800_000)]
    # Amount that keeps maintenance margin continuous at the tier's lower border, micro-USD.
    maintenance_amount_micros: Count


class InstrumentSpec(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The contract specification of one instrument."""

    # Name on the wire, such as "BTCUSDT".
    symbol: Symbol
    # The traded coin, such as "BTC".
    base: Name
    # Grows with each change of the specification.
    version: Count
    # Decimals of one price tick; with quantity_decimals at most 6.
    price_decimals: Annotated[int, Meta(ge=0, le=6)]
    # Decimals of one quantity unit.
    quantity_decimals: Annotated[int, Meta(ge=0, le=6)]
    # Smallest, stepwise and largest quantity of one order, units.
    quantity_min_units: Annotated[int, Meta(ge=1, le=SAFE_INTEGER_MAX)]
    quantity_step_units: Annotated[int, Meta(ge=1, le=SAFE_INTEGER_MAX)]
    quantity_max_units: Annotated[int, Meta(ge=1, le=SAFE_INTEGER_MAX)]
    # Least distance of stop loss and take profit from the closing price, ticks.
    stop_distance_ticks: Count
    # Tiers by rising notional cap.
    tiers: Annotated[tuple[Tier, ...], Meta(min_length=1, max_length=64)]
    # Yearly financing, ppm of notional; positive is paid to the client.
    swap_long_ppm: Annotated[int, Meta(ge=-10_000_000, le=10_000_000)]
    swap_short_ppm: Annotated[int, Meta(ge=-10_000_000, le=10_000_000)]
    # Oldest quote that may fill, microseconds.
    quote_age_us_max: Annotated[int, Meta(ge=1, le=SAFE_INTEGER_MAX)]
    # Largest gross open notional of one account, micro-USD; 0 is no cap.
    exposure_account_micros_max: Count = 0
    # Largest net open notional of all clients of this shard, micro-USD; 0 is no cap.
    exposure_house_micros_max: Count = 0


class GroupSpec(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Terms shared by a group of accounts."""

    # Name of the group, such as "standard".
    name: Name
    # Grows with each change of the specification.
    version: Count
    # Commission per side, ppm of notional.
    commission_ppm: Annotated[int, Meta(ge=0, le=100_000)]
    # Highest leverage of the group, whole number.
    leverage_cap: Annotated[int, Meta(ge=1, le=LEVERAGE_MAX)] = LEVERAGE_MAX
    # Margin levels of the warning and of the stop-out, basis points (10000 = 100 %).
    margin_call_level_bps: Annotated[int, Meta(ge=1, le=1_000_000)] = 10_000
    stop_out_level_bps: Annotated[int, Meta(ge=1, le=1_000_000)] = 5_000
    # Which positions a stop-out closes first.
    stop_out_strategy: StopOutStrategy = StopOutStrategy.LARGEST_LOSS
    # Whether the insurance account pays a negative balance of a flat account.
    negative_balance_protection: bool = True
    # Name of the legal regime that the terms follow, for display.
    regime: Text = ""


class Terms(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A group's terms as one account holds them: state of the account from its page on."""

    # Group and version that the terms were copied from.
    group: str
    version: int
    # As in GroupSpec.
    commission_ppm: int
    leverage_cap: int
    margin_call_level_bps: int
    stop_out_level_bps: int
    stop_out_strategy: StopOutStrategy
    negative_balance_protection: bool


class InstrumentState(msgspec.Struct, frozen=True, gc=False):
    """What an instrument is now: its specification, trading mode and pinned source class."""

    spec: InstrumentSpec
    trading_mode: TradingMode
    source_class: SourceClass
