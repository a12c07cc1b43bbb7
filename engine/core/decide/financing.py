"""ChargeSwap: overnight financing of one symbol, page by page (rule M7)."""

from engine.core.decide.checks import can_fill
from engine.core.decide.closing import close_position, position_liquidation
from engine.core.decide.definitions import PAGE_ACCOUNTS, page_accounts
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

# One account can add some six hundred events (swaps, cancels, closes), and a page must stay below a thousand.
PAGE_EVENTS = 300


def charge_swap(work: Work, command: ChargeSwap) -> Accepted | Rejected:
    """Post financing to every position of a page that was open at the rollover; once per position and rollover."""
    instrument = work.state.instrument_by_symbol.get(command.symbol)
    if instrument is None:
        return rejected(RejectCode.SYMBOL_UNKNOWN, symbol=command.symbol)
    last = command.after_account
    for scanned, account in enumerate(page_accounts(work.state, command.after_account)):
        if scanned >= PAGE_ACCOUNTS or len(work.events) >= PAGE_EVENTS:
            return Accepted(next_account=last)
        for k in sorted(account.positions):
            position = account.positions[k]
            is_meant = position.instrument == instrument.index
            if is_meant and is_due(position, command.rollover_day):
                _charge(work, account, instrument, position, command)
        last = account.account
    return Accepted()


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
                account,
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
    work.filled[instrument.index] = None
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
