"""Margin of isolated positions: add and remove (rule M9)."""

from engine.core.decide.checks import check_may_reduce, check_quote, find_position
from engine.core.decide.closing import position_liquidation
from engine.core.decide.work import Work, rejected
from engine.core.figures import closing_ticks, figures, unrealised_micros
from engine.core.liquidation import is_crossed, margin_kept
from engine.core.state import Account, Instrument, Position
from engine.messages.commands import AddMargin, RemoveMargin
from engine.messages.events import PositionMarginChanged
from engine.messages.rejects import RejectCode
from engine.messages.replies import Accepted, Rejected


def _find_isolated(account: Account, position_id: str) -> Position | Rejected:
    position = find_position(account, position_id)
    if type(position) is Rejected or not position.is_cross:
        return position
    return rejected(RejectCode.POSITION_NOT_ISOLATED, position_id=position_id)


def add_margin(work: Work, account: Account, command: AddMargin) -> Accepted | Rejected:
    """Move free margin into an isolated position; no money leaves the account."""
    refusal = check_may_reduce(account, command.actor)
    if refusal:
        return refusal
    position = _find_isolated(account, command.position_id)
    if type(position) is Rejected:
        return position
    free = figures(work.state, account).free_margin
    if command.amount_micros > free:
        return rejected(
            RejectCode.FREE_MARGIN_INSUFFICIENT,
            required_micros=command.amount_micros,
            free_margin_micros=free,
        )
    _change(work, account, position, command.position_id, command.amount_micros)
    return Accepted()


def remove_margin(work: Work, account: Account, command: RemoveMargin) -> Accepted | Rejected:
    """Take margin out of an isolated position down to its initial margin after losses."""
    refusal = check_may_reduce(account, command.actor)
    if refusal:
        return refusal
    position = _find_isolated(account, command.position_id)
    if type(position) is Rejected:
        return position
    instrument = work.state.instruments[position.instrument]
    refusal = check_quote(work, instrument) or _check_removal(
        account, instrument, position, command.amount_micros
    )
    if refusal:
        return refusal
    _change(work, account, position, command.position_id, -command.amount_micros)
    return Accepted()


def _check_removal(
    account: Account, instrument: Instrument, position: Position, amount_micros: int
) -> Rejected | None:
    margin = position.margin_micros - amount_micros
    kept = margin_kept(
        position.price_ticks, position.quantity_units, position.leverage, instrument.k
    )
    available = margin + min(0, unrealised_micros(instrument, position))
    liquidation = position_liquidation(
        account.terms, instrument, position, margin_micros=margin, units=position.quantity_units
    )
    would_cross = is_crossed(
        is_long=position.is_long,
        closing_ticks=closing_ticks(instrument, is_long=position.is_long),
        liquidation_ticks=liquidation,
    )
    if available >= kept and not would_cross:
        return None
    return rejected(
        RejectCode.MARGIN_NOT_RELEASABLE,
        margin_micros=position.margin_micros,
        amount_micros=amount_micros,
        margin_kept_micros=kept,
        available_micros=available,
        liquidation_ticks=liquidation,
    )


def _change(
    work: Work, account: Account, position: Position, position_id: str, amount_micros: int
) -> None:
    instrument = work.state.instruments[position.instrument]
    margin = position.margin_micros + amount_micros
    work.emit(
        PositionMarginChanged(
            account=account.account,
            seq=account.seq + 1,
            position_id=position_id,
            amount_micros=amount_micros,
            margin_micros=margin,
            liquidation_ticks=position_liquidation(
                account.terms,
                instrument,
                position,
                margin_micros=margin,
                units=position.quantity_units,
            ),
        )
    )
    work.touch(account, may_stop_out=False)
