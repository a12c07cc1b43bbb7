"""ChargeSwap: overnight financing of one symbol, page by page (rule M7)."""

from engine.core.decide.checks import can_fill
from engine.core.decide.closing import close_position, position_liquidation
from engine.core.decide.definitions import (
    CHECK_EVENTS_MAX,
    PAGE_ACCOUNTS,
    PAGE_EVENTS_MAX,
    page_accounts,
)
from engine.core.decide.work import Work, receipt, rejected
from engine.core.figures import closing_ticks
from engine.core.ledger import swap_postings
from engine.core.state import Account, Instrument, Position, entity_id
from engine.core.swap import is_due, position_swap
from engine.messages.commands import ChargeSwap
from engine.messages.events import SwapCharged
from engine.messages.rejects import RejectCode
from engine.messages.replies import Accepted, Rejected
from engine.values import CloseReason


def charge_swap(work: Work, command: ChargeSwap) -> Accepted | Rejected:
    """Post financing to every position of a page that was open at the rollover; once per position and rollover."""
    instrument = work.state.instrument_by_symbol.get(command.symbol)
    if instrument is None:
        return rejected(RejectCode.SYMBOL_UNKNOWN, symbol=command.symbol)
    last = command.after_account
    spent = 0
    for scanned, account in enumerate(page_accounts(work.state, command.after_account)):
        due = _due(account, instrument, command.rollover_day)
        spent += _events_max(account, len(due))
        # One account alone stays below the limit, so every page has room for its first.
        if scanned >= PAGE_ACCOUNTS or spent > PAGE_EVENTS_MAX:
            return Accepted(next_account=last)
        for position in due:
            _charge(work, account, instrument, position, command)
        last = account.account
    return Accepted()


def _due(account: Account, instrument: Instrument, rollover_day: int) -> list[Position]:
    """Return the positions of an account that owe or earn a rollover, by id."""
    index = instrument.index
    due = [
        position
        for position in account.positions.values()
        if position.instrument == index and is_due(position, rollover_day)
    ]
    # Every account is looked at for every instrument, and most have none.
    return sorted(due, key=lambda position: position.k) if due else due


def _events_max(account: Account, due: int) -> int:
    """Return how many events the charge of an account can bring, trailing stops that wait and a stop-out included.

    At a command no pending order fires (rule T4), so every position ends at most once and none comes.
    """
    if not due:
        return 0
    moves = sum(1 for position in account.positions.values() if position.trailing_ticks)
    return due + moves + len(account.positions) + len(account.orders) + CHECK_EVENTS_MAX


def _charge(
    work: Work, account: Account, instrument: Instrument, position: Position, command: ChargeSwap
) -> None:
    price_ticks = closing_ticks(instrument, is_long=position.is_long)
    swap = position_swap(instrument, position, price_ticks, command.nights)
    if swap.amount == 0:
        return
    work.emit(
        SwapCharged(
            account=account.account,
            seq=account.seq + 1,
            position_id=entity_id(account.account, position.k),
            rollover_day=command.rollover_day,
            nights=command.nights,
            amount_micros=swap.amount,
            insured_micros=swap.insured,
            margin_micros=swap.margin,
            liquidation_ticks=position_liquidation(
                account.terms,
                instrument,
                position,
                margin_micros=swap.margin,
                units=position.quantity_units,
            ),
            balance_micros=account.balance_micros + swap.amount + swap.insured,
            postings=swap_postings(account, swap.amount, swap.insured),
            receipt=receipt(
                "M7",
                instrument,
                price_ticks=price_ticks,
                nights=command.nights,
                swap_long_ppm=instrument.spec.swap_long_ppm,
                swap_short_ppm=instrument.spec.swap_short_ppm,
            ),
        )
    )
    work.touch(account, may_stop_out=True)
    work.filled[instrument.index] = instrument
    is_exhausted = not position.is_cross and swap.amount < 0 and swap.margin == 0
    if is_exhausted and can_fill(work, instrument):
        close_position(
            work,
            account,
            position,
            units=position.quantity_units,
            reason=CloseReason.LIQUIDATION,
            rule="L5",
            margin_micros=0,
        )
