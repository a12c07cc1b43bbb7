"""Margin calls, stop-outs and negative balances: the last step of every entry (rules L1-L6)."""

from engine.core.decide.checks import can_fill
from engine.core.decide.closing import close_position
from engine.core.decide.work import Work, receipt
from engine.core.figures import Figures, closing_ticks, figures, unrealised_micros
from engine.core.ledger import insurance_postings
from engine.core.liquidation import largest_loss, largest_margin, smallest_slice_units
from engine.core.margin import is_at_or_below, is_recovered, margin_level_bps
from engine.core.rearm import guard, rearm
from engine.core.state import Account, Instrument, Position, entity_id
from engine.messages.events import (
    MarginCallCleared,
    MarginCallRaised,
    NegativeBalanceCovered,
    OrderCancelled,
    StopOutPending,
    StopOutResumed,
    StopOutStarted,
)
from engine.values import CancelReason, CloseReason, StopOutStrategy


def check_margins(work: Work, cause: Instrument | None) -> None:
    """Check every account that this entry touched, by account id, and arm its bands anew.

    ``cause`` is the instrument whose quote the receipts name when an account holds no nearer one.
    Source: docs/ENGINE.md, rule L1.
    """
    state, touched = work.state, work.touched
    by_id = state.accounts.by_id
    for account_id in sorted(touched) if len(touched) > 1 else touched:
        # A subscript that may decode costs more than a question.
        account = by_id.get(account_id) or by_id[account_id]
        if guard(state, account):
            continue
        sums = _check_margin(work, account, cause, may_stop_out=touched[account_id])
        rearm(state, account, sums)


def _check_margin(
    work: Work, account: Account, cause: Instrument | None, *, may_stop_out: bool
) -> Figures:
    """Raise or clear the call, stop out, resume, cover what a flat account owes, and return the figures it ends with.

    A gap through both levels gives both events. A stop-out starts only from a fresh quote, cash, swap or close.
    """
    terms = account.terms
    sums = figures(work.state, account)
    is_called = is_at_or_below(sums.cross_equity, sums.used_margin, terms.margin_call_level_bps)
    if not (is_called or account.is_margin_call or account.is_stop_out_pending):
        # Above the call level it is above stop-out too (rule D3), and nothing is to be cleared.
        return _cover_negative_balance(work, account, sums)
    if is_called and not account.is_margin_call:
        _raise_call(work, account, sums, cause)
    is_out = is_at_or_below(sums.cross_equity, sums.used_margin, terms.stop_out_level_bps)
    if is_out and may_stop_out:
        _stop_out(work, account, sums, cause)
        sums = figures(work.state, account)
        is_out = is_at_or_below(sums.cross_equity, sums.used_margin, terms.stop_out_level_bps)
    if account.is_margin_call and is_recovered(
        sums.cross_equity, sums.used_margin, terms.margin_call_level_bps
    ):
        work.emit(
            MarginCallCleared(
                account=account.account,
                seq=account.seq + 1,
                equity_micros=sums.cross_equity,
                used_margin_micros=sums.used_margin,
            )
        )
    if account.is_stop_out_pending and not is_out:
        work.emit(
            StopOutResumed(
                account=account.account,
                seq=account.seq + 1,
                equity_micros=sums.cross_equity,
                used_margin_micros=sums.used_margin,
            )
        )
    return _cover_negative_balance(work, account, sums)


def _raise_call(work: Work, account: Account, sums: Figures, cause: Instrument | None) -> None:
    work.emit(
        MarginCallRaised(
            account=account.account,
            seq=account.seq + 1,
            equity_micros=sums.cross_equity,
            used_margin_micros=sums.used_margin,
            margin_level_bps=margin_level_bps(sums.cross_equity, sums.used_margin),
            receipt=receipt(
                "L1",
                _cause(work, account, cause),
                margin_call_level_bps=account.terms.margin_call_level_bps,
            ),
        )
    )


def _cause(work: Work, account: Account, cause: Instrument | None) -> Instrument:
    """Return the instrument that a receipt names: the entry's if the account holds it, else its first one.

    Only an account with cross positions has a level to fall to, so there is one.
    """
    held = [work.state.instruments[p.instrument] for p in account.positions.values() if p.is_cross]
    return next((instrument for instrument in held if instrument is cause), held[0])


def _stop_out(work: Work, account: Account, sums: Figures, cause: Instrument | None) -> None:
    """Close by the group's strategy until the level is above stop-out (rules L2-L4)."""
    if not account.is_stop_out_pending:
        work.emit(
            StopOutStarted(
                account=account.account,
                seq=account.seq + 1,
                equity_micros=sums.cross_equity,
                used_margin_micros=sums.used_margin,
                margin_level_bps=margin_level_bps(sums.cross_equity, sums.used_margin),
                receipt=receipt(
                    "L2",
                    _cause(work, account, cause),
                    stop_out_level_bps=account.terms.stop_out_level_bps,
                ),
            )
        )
    for k in sorted(account.orders):
        work.emit(
            OrderCancelled(
                account=account.account,
                seq=account.seq + 1,
                order_id=entity_id(account.account, k),
                cancel_reason=CancelReason.STOP_OUT,
            )
        )
    if account.terms.stop_out_strategy is StopOutStrategy.CLOSE_ALL:
        for _, position in _candidates(work, account):
            _close(work, account, position, position.quantity_units)
    else:
        _close_until_restored(work, account)
    after = figures(work.state, account)
    is_out = is_at_or_below(after.cross_equity, after.used_margin, account.terms.stop_out_level_bps)
    if is_out and not account.is_stop_out_pending:
        work.emit(
            StopOutPending(
                account=account.account,
                seq=account.seq + 1,
                equity_micros=after.cross_equity,
                used_margin_micros=after.used_margin,
            )
        )


def _close_until_restored(work: Work, account: Account) -> None:
    """Close one position or slice after another, re-checking the level after each (rule L3)."""
    while candidates := _candidates(work, account):
        sums = figures(work.state, account)
        level_bps = account.terms.stop_out_level_bps
        if not is_at_or_below(sums.cross_equity, sums.used_margin, level_bps):
            return
        if account.terms.stop_out_strategy is StopOutStrategy.LARGEST_LOSS:
            position = largest_loss(candidates)
            _close(work, account, position, position.quantity_units)
            continue
        position = largest_margin(candidates)
        instrument = work.state.instruments[position.instrument]
        units = smallest_slice_units(
            position=position,
            closing_ticks=closing_ticks(instrument, is_long=position.is_long),
            k=instrument.k,
            commission_ppm=account.terms.commission_ppm,
            equity=sums.cross_equity,
            used_margin=sums.used_margin,
            stop_out_bps=level_bps,
            step_units=instrument.spec.quantity_step_units,
            minimum_units=instrument.spec.quantity_min_units,
        )
        _close(work, account, position, units)


def _candidates(work: Work, account: Account) -> list[tuple[int, Position]]:
    """Return the cross positions that can fill now, by id, each with its unrealised P&L."""
    found = []
    for k in sorted(account.positions):
        position = account.positions[k]
        instrument = work.state.instruments[position.instrument]
        if position.is_cross and can_fill(work, instrument):
            found.append((unrealised_micros(instrument, position), position))
    return found


def _close(work: Work, account: Account, position: Position, units: int) -> None:
    close_position(
        work,
        account,
        position,
        units=units,
        reason=CloseReason.STOP_OUT,
        rule="L3",
        stop_out_level_bps=account.terms.stop_out_level_bps,
    )


def _cover_negative_balance(work: Work, account: Account, sums: Figures) -> Figures:
    """Let the insurance account pay what an account without cross positions owes; return the figures then (rule L6)."""
    shortfall = sums.isolated_margin - account.balance_micros
    if shortfall <= 0 or sums.held or not account.terms.negative_balance_protection:
        return sums
    work.emit(
        NegativeBalanceCovered(
            account=account.account,
            seq=account.seq + 1,
            amount_micros=shortfall,
            balance_micros=account.balance_micros + shortfall,
            postings=insurance_postings(account, shortfall),
        )
    )
    return figures(work.state, account)
