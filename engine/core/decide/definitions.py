"""Definitions: instruments, groups, modes, price sources; applied to accounts page by page (rules D1-D5)."""

from bisect import bisect_right
from collections.abc import Callable, Iterator

from engine.core.decide.terms import terms_of, with_liquidations
from engine.core.decide.work import Work, rejected
from engine.core.state import Account, Instrument, State
from engine.messages import commands as cmd
from engine.messages.definitions import GroupSpec, InstrumentSpec
from engine.messages.events import (
    AccountTermsChanged,
    GroupDefined,
    InstrumentDefined,
    PriceSourceSet,
    TradingModeSet,
)
from engine.messages.rejects import RejectCode
from engine.messages.replies import Accepted, Rejected
from engine.values import DECIMALS_MAX

# No command yields more events: a page ends before its accounts could pass this, the margin checks after it included.
PAGE_EVENTS_MAX = 1_000
# What a margin check can say of one account beside the orders that it cancels and the positions that it closes.
CHECK_EVENTS_MAX = 6
PAGE_ACCOUNTS = 20_000
_CHANGE_EVENTS_MAX = 1 + CHECK_EVENTS_MAX


def page_accounts(state: State, after_account: int) -> Iterator[Account]:
    """Yield the accounts above an id, by id."""
    for index in range(bisect_right(state.account_ids, after_account), len(state.account_ids)):
        yield state.accounts.by_id[state.account_ids[index]]


def change_page(
    work: Work, after_account: int, change: Callable[[Account], AccountTermsChanged | None]
) -> int:
    """Bring a change to one page of accounts and return where the next page starts; 0: there is none."""
    # One definition stands before the page.
    spent = 1
    last = after_account
    for scanned, account in enumerate(page_accounts(work.state, after_account)):
        if scanned >= PAGE_ACCOUNTS or spent + _CHANGE_EVENTS_MAX > PAGE_EVENTS_MAX:
            return last
        event = change(account)
        if event is not None:
            work.emit(event)
            work.touch(account, may_stop_out=False)
            spent += _CHANGE_EVENTS_MAX
        last = account.account
    return 0


def define_instrument(work: Work, command: cmd.DefineInstrument) -> Accepted | Rejected:
    """Define or change an instrument; isolated liquidation prices follow page by page (rule D1)."""
    spec = command.spec
    instrument = work.state.instrument_by_symbol.get(spec.symbol)
    fault = _spec_fault(spec) or _change_fault(instrument, spec, command.after_account)
    if fault:
        return rejected(RejectCode.DEFINITION_INVALID, symbol=spec.symbol, fault=fault)
    if instrument is None or instrument.spec != spec:
        work.emit(
            InstrumentDefined(
                spec=spec,
                trading_mode=command.trading_mode
                if instrument is None
                else instrument.trading_mode,
                source_class=command.source_class
                if instrument is None
                else instrument.source_class,
            )
        )
    index = work.state.instrument_by_symbol[spec.symbol].index
    next_account = change_page(
        work,
        command.after_account,
        lambda account: with_liquidations(work, account, account.terms, index),
    )
    return Accepted(next_account=next_account)


def _spec_fault(spec: InstrumentSpec) -> str:
    """Return what is wrong with a specification in itself, or nothing."""
    if spec.price_decimals + spec.quantity_decimals > DECIMALS_MAX:
        return f"price and quantity decimals must sum to at most {DECIMALS_MAX}"
    if not spec.quantity_min_units <= spec.quantity_max_units:
        return "quantity_min must be at most quantity_max"
    if spec.quantity_min_units % spec.quantity_step_units:
        return "quantity_min must be a multiple of quantity_step"
    caps = [tier.notional_cap_micros for tier in spec.tiers]
    if caps != sorted(dict.fromkeys(caps)):
        return "tier caps must rise"
    return ""


def _change_fault(instrument: Instrument | None, spec: InstrumentSpec, after_account: int) -> str:
    """Return why a specification cannot follow the present one, or nothing."""
    if instrument is None:
        return "a first definition starts with the first page" if after_account else ""
    if instrument.spec == spec:
        return ""
    if after_account:
        return "a page must carry the present specification"
    if spec.version <= instrument.spec.version:
        return f"version must be above {instrument.spec.version}"
    same_decimals = (
        spec.price_decimals == instrument.spec.price_decimals
        and spec.quantity_decimals == instrument.spec.quantity_decimals
    )
    # Once quoted, for good: the last quote is in the old ticks, and another shard may hold positions that this one does not.
    if (instrument.bid or instrument.open_count) and not same_decimals:
        return "decimals cannot change once the instrument was quoted"
    return ""


def define_group(work: Work, command: cmd.DefineGroup) -> Accepted | Rejected:
    """Define or change a group; its accounts take the terms page by page (rule D3)."""
    spec = command.spec
    fault = _group_fault(work.state.groups.get(spec.name), spec, command.after_account)
    if fault:
        return rejected(RejectCode.DEFINITION_INVALID, group=spec.name, fault=fault)
    if work.state.groups.get(spec.name) != spec:
        work.emit(GroupDefined(spec=spec))
    terms = terms_of(spec)

    def change(account: Account) -> AccountTermsChanged | None:
        if account.terms.group != spec.name:
            return None
        return with_liquidations(work, account, terms)

    return Accepted(next_account=change_page(work, command.after_account, change))


def _group_fault(present: GroupSpec | None, spec: GroupSpec, after_account: int) -> str:
    if spec.stop_out_level_bps >= spec.margin_call_level_bps:
        return "the stop-out level must be below the margin-call level"
    if present is None:
        return "a first definition starts with the first page" if after_account else ""
    if present == spec:
        return ""
    if after_account:
        return "a page must carry the present specification"
    if spec.version <= present.version:
        return f"version must be above {present.version}"
    return ""


def set_trading_mode(work: Work, command: cmd.SetTradingMode) -> Accepted | Rejected:
    """Open, restrict or halt one instrument or all (rule D4)."""
    instruments = _named(work.state, command.symbol)
    if type(instruments) is Rejected:
        return instruments
    for instrument in instruments:
        if instrument.trading_mode is not command.trading_mode:
            work.emit(
                TradingModeSet(symbol=instrument.spec.symbol, trading_mode=command.trading_mode)
            )
    return Accepted()


def set_price_source(work: Work, command: cmd.SetPriceSource) -> Accepted | Rejected:
    """Let instruments take prices of another class; the last quote of the old one cannot fill any more (rule D5)."""
    instruments = _named(work.state, command.symbol)
    if type(instruments) is Rejected:
        return instruments
    for instrument in instruments:
        if instrument.source_class is not command.source_class:
            work.emit(
                PriceSourceSet(symbol=instrument.spec.symbol, source_class=command.source_class)
            )
    return Accepted()


def _named(state: State, symbol: str | None) -> list[Instrument] | Rejected:
    if symbol is None:
        return state.instruments
    instrument = state.instrument_by_symbol.get(symbol)
    if instrument is None:
        return rejected(RejectCode.SYMBOL_UNKNOWN, symbol=symbol)
    return [instrument]
