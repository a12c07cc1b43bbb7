"""Refusals that several commands share, each a function that returns the refusal or None (rules R1-R12)."""

from engine.core.decide.work import Work, rejected
from engine.core.state import Account, Instrument, PendingOrder, Position, State, entity_k
from engine.messages.commands import AccountCommand, Command, PostCash
from engine.messages.rejects import RejectCode
from engine.messages.replies import Rejected
from engine.rounding import floor_div
from engine.values import (
    LEVERAGE_MAX,
    POSITIONS_MAX,
    AccountStatus,
    Actor,
    TradingMode,
)

# Entry time may run ahead of the engine's wall clock by this much before opens are refused.
CLOCK_AHEAD_US_MAX = 5_000_000
_PPM = 1_000_000

# Reading a member off its enum costs as much as a call, and every order comes by here.
_CLIENT = Actor.CLIENT
_ACTIVE = AccountStatus.ACTIVE
_SUSPENDED = AccountStatus.SUSPENDED
_OPEN = TradingMode.OPEN
_HALTED = TradingMode.HALTED


def check_deadline(work: Work, command: Command) -> Rejected | None:
    """Refuse a client's command past its deadline at the recorded wall clock; cash has none (rules R3, A5)."""
    deadline = command.deadline_us
    if (
        0 < deadline < work.decided_at_us
        and command.actor is _CLIENT
        and type(command) is not PostCash
    ):
        return rejected(RejectCode.EXPIRED, deadline_us=deadline, decided_at_us=work.decided_at_us)
    return None


def find_account(state: State, command: AccountCommand) -> Account | Rejected:
    """Return the account of a command, or the refusal of an unknown or foreign one (rule R4)."""
    try:
        account = state.accounts.by_id[command.account]
    except KeyError:
        return rejected(RejectCode.ACCOUNT_UNKNOWN, account=command.account)
    if command.actor is _CLIENT and command.user_id != account.owner_id:
        return rejected(RejectCode.NOT_OWNER, account=command.account)
    return account


def check_may_fill(account: Account) -> Rejected | None:
    """Refuse opens on accounts that may only reduce; a pending order that fires meets this too (rule R5)."""
    if account.status is not _ACTIVE:
        is_suspended = account.status is _SUSPENDED
        code = RejectCode.ACCOUNT_SUSPENDED if is_suspended else RejectCode.ACCOUNT_CLOSE_ONLY
        return rejected(code, account=account.account)
    if account.is_stop_out_pending:
        return rejected(RejectCode.STOP_OUT_PENDING, account=account.account)
    return None


def check_may_open(work: Work, account: Account) -> Rejected | None:
    """Refuse commands that open on such accounts, and while the log's clock runs ahead of the engine's (rule R5)."""
    refusal = check_may_fill(account)
    ahead_us = work.entry_time_us - work.decided_at_us
    if refusal is None and ahead_us > CLOCK_AHEAD_US_MAX:
        return rejected(RejectCode.CLOCK_AHEAD, ahead_us=ahead_us, ahead_us_max=CLOCK_AHEAD_US_MAX)
    return refusal


def check_may_reduce(account: Account, actor: Actor) -> Rejected | None:
    """Refuse a suspended account's clients; operators may always reduce (rule R5)."""
    if account.status is _SUSPENDED and actor is _CLIENT:
        return rejected(RejectCode.ACCOUNT_SUSPENDED, account=account.account)
    return None


def find_order(account: Account, order_id: str) -> PendingOrder | Rejected:
    """Return a pending order of the account (rule R6)."""
    order = account.orders.get(entity_k(account.account, order_id))
    return order or rejected(RejectCode.ORDER_UNKNOWN, order_id=order_id)


def find_position(account: Account, position_id: str) -> Position | Rejected:
    """Return an open position of the account (rule R6)."""
    position = account.positions.get(entity_k(account.account, position_id))
    return position or rejected(RejectCode.POSITION_UNKNOWN, position_id=position_id)


def check_not_halted(instrument: Instrument) -> Rejected | None:
    """Refuse everything on a halted instrument (rule R7)."""
    if instrument.trading_mode is _HALTED:
        return rejected(RejectCode.INSTRUMENT_HALTED, symbol=instrument.spec.symbol)
    return None


def check_mode_open(instrument: Instrument) -> Rejected | None:
    """Refuse opens on an instrument that is halted or may only be closed (rule R7)."""
    if instrument.trading_mode is _OPEN:
        return None
    is_halted = instrument.trading_mode is _HALTED
    code = RejectCode.INSTRUMENT_HALTED if is_halted else RejectCode.INSTRUMENT_CLOSE_ONLY
    return rejected(code, symbol=instrument.spec.symbol)


def check_quantity(instrument: Instrument, quantity_units: int) -> Rejected | None:
    """Refuse a quantity below the minimum, above the maximum or off the step (rule R8)."""
    spec = instrument.spec
    is_valid = (
        spec.quantity_min_units <= quantity_units <= spec.quantity_max_units
        and quantity_units % spec.quantity_step_units == 0
    )
    if is_valid:
        return None
    return rejected(
        RejectCode.QUANTITY_INVALID,
        quantity_units=quantity_units,
        quantity_min_units=spec.quantity_min_units,
        quantity_max_units=spec.quantity_max_units,
        quantity_step_units=spec.quantity_step_units,
    )


def check_part(instrument: Instrument, position: Position, quantity_units: int) -> Rejected | None:
    """Refuse a part that is off the step or leaves a remainder below the minimum; the whole always passes (rule R8)."""
    whole = position.quantity_units
    if quantity_units == whole:
        return None
    spec = instrument.spec
    is_valid = (
        quantity_units < whole
        and quantity_units % spec.quantity_step_units == 0
        and whole - quantity_units >= spec.quantity_min_units
    )
    if is_valid:
        return None
    return rejected(
        RejectCode.QUANTITY_INVALID,
        quantity_units=quantity_units,
        open_units=whole,
        quantity_min_units=spec.quantity_min_units,
        quantity_step_units=spec.quantity_step_units,
    )


def leverage_cap(account: Account) -> int:
    """Return the highest leverage that account, group and the public maximum allow."""
    return min(LEVERAGE_MAX, account.leverage_cap, account.terms.leverage_cap)


def check_leverage(account: Account, leverage: int) -> Rejected | None:
    """Refuse leverage above the account's, the group's or the public cap (rule R9)."""
    cap = leverage_cap(account)
    if 1 <= leverage <= cap:
        return None
    return rejected(RejectCode.LEVERAGE_INVALID, leverage=leverage, leverage_max=cap)


def check_positions_limit(account: Account) -> Rejected | None:
    """Refuse one position more than an account may hold (rule R10)."""
    if len(account.positions) < POSITIONS_MAX:
        return None
    return rejected(RejectCode.POSITIONS_LIMIT, positions_max=POSITIONS_MAX)


def can_fill(work: Work, instrument: Instrument) -> bool:
    """Return whether the instrument may fill now: not halted, a fresh quote of its own class (rule P4)."""
    return instrument.trading_mode is not _HALTED and check_quote(work, instrument) is None


def check_quote(work: Work, instrument: Instrument) -> Rejected | None:
    """Refuse a fill on no quote, a quote of another class, or one older than the instrument allows (rule P4)."""
    quote = instrument.quote
    spec = instrument.spec
    if quote is None:
        return rejected(
            RejectCode.QUOTE_STALE,
            symbol=spec.symbol,
            quote_age_us=-1,
            quote_age_us_max=spec.quote_age_us_max,
        )
    if quote.source_class is not instrument.source_class:
        return rejected(
            RejectCode.PRICE_SOURCE_MISMATCH,
            symbol=spec.symbol,
            expected=instrument.source_class.value,
            found=quote.source_class.value,
        )
    age_us = work.now_us - instrument.ts_us
    if age_us > spec.quote_age_us_max:
        return rejected(
            RejectCode.QUOTE_STALE,
            symbol=spec.symbol,
            quote_age_us=age_us,
            quote_age_us_max=spec.quote_age_us_max,
        )
    return None


def check_slippage(
    *, is_buy: bool, price_ticks: int, expected_ticks: int | None, slippage_ppm: int | None
) -> Rejected | None:
    """Refuse a fill that is worse than expected by more than the client allows; a better one is the client's (rule P2)."""
    if expected_ticks is None or slippage_ppm is None:
        return None
    adverse = price_ticks - expected_ticks if is_buy else expected_ticks - price_ticks
    if adverse * _PPM <= slippage_ppm * expected_ticks:
        return None
    return rejected(
        RejectCode.PRICE_MOVED,
        price_ticks=price_ticks,
        expected_price_ticks=expected_ticks,
        slippage_ppm_max=slippage_ppm,
        slippage_ppm=floor_div(adverse * _PPM, expected_ticks),
    )


def check_stops(
    instrument: Instrument,
    *,
    is_long: bool,
    reference_ticks: int,
    stop_loss_ticks: int | None,
    take_profit_ticks: int | None,
    trailing_ticks: int | None,
) -> Rejected | None:
    """Refuse stops on the wrong side of a reference price or nearer than the minimum distance (rule R11)."""
    least = instrument.spec.stop_distance_ticks or 1
    # Stops lie below this and above that, or on it.
    low, high = reference_ticks - least, reference_ticks + least
    below, above = (
        (stop_loss_ticks, take_profit_ticks) if is_long else (take_profit_ticks, stop_loss_ticks)
    )
    is_valid = (
        (below is None or below <= low)
        and (above is None or above >= high)
        and (trailing_ticks is None or least <= trailing_ticks < reference_ticks)
    )
    if is_valid:
        return None
    return rejected(
        RejectCode.STOPS_INVALID,
        reference_ticks=reference_ticks,
        stop_distance_ticks_min=least,
        stop_loss_ticks=stop_loss_ticks or 0,
        take_profit_ticks=take_profit_ticks or 0,
        trailing_ticks=trailing_ticks or 0,
    )
