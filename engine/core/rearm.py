"""Arming of an account's bands and watch lists from its present figures (rules B1-B4)."""

from engine.core.arming import arm, stands
from engine.core.bands import Exposure, are_sound, band_prices
from engine.core.figures import Figures, figures
from engine.core.margin import BPS, RECOVERY_BPS
from engine.core.state import Account, State
from engine.core.triggers import BAND, trigger_parts

# A slot is instrument index * 4 + queue.
_QUEUE_BITS = 2
_QUEUE_MASK = 3


def rearm(state: State, account: Account, sums: Figures | None = None) -> None:
    """Replace an account's bands by those of its present figures (None: to be found).

    1. The cushion over the next level that matters: the call level, or the stop-out level once the call is raised.
    2. A cushion above zero gives bands; without one the account is watched: checked at each accepted quote of its symbols.
       Bands that hold this cushion too stay: after a close or a deposit nothing need be queued.
    3. While the call is raised, bands on the way up watch for its end.
    No output depends on when this happens (rule B4): a band only marks an account for an exact check.
    """
    held = exposures(state, account)
    bands: dict[int, int] = {}
    watched: tuple[int, ...] = ()
    if held:
        sums = sums or figures(state, account)
        terms = account.terms
        level = terms.stop_out_level_bps if account.is_margin_call else terms.margin_call_level_bps
        cushion = sums.cross_equity * BPS - level * sums.used_margin
        if cushion > 0:
            if _may_stay(state, account, held, cushion):
                return
            bands = band_prices(held, cushion, is_recovery=False)
        else:
            watched = tuple(dict.fromkeys(exposure[0] for exposure in held))
        if account.is_margin_call:
            recovery = (terms.margin_call_level_bps + RECOVERY_BPS) * sums.used_margin
            gap = recovery - sums.cross_equity * BPS
            if gap > 0:
                bands |= band_prices(held, gap, is_recovery=True)
    _replace_bands(state, account.account, bands)
    _replace_watches(state, account.account, watched)


def _may_stay(state: State, account: Account, held: list[Exposure], cushion: int) -> bool:
    """Return whether the bands of an account without call and watch are sound as they are (rule B2)."""
    bands = state.bands.get(account.account)
    if not bands or account.is_margin_call or account.account in state.watched:
        return False
    return are_sound(bands, held, cushion)


def exposures(state: State, account: Account) -> list[Exposure]:
    """Return the account's cross exposures, one per symbol and direction, at the closing prices."""
    units: dict[int, int] = {}
    for position in account.positions.values():
        if position.is_cross:
            key = position.instrument * 2 + position.is_long
            units[key] = units.get(key, 0) + position.quantity_units
    rows = []
    for key, quantity_units in units.items():
        instrument = state.instruments[key >> 1]
        is_long = key & 1 == 1
        price_ticks = instrument.bid if is_long else instrument.ask
        rows.append((instrument.index, is_long, quantity_units, price_ticks, instrument.k))
    return rows


def _replace_bands(state: State, account_id: int, bands: dict[int, int]) -> None:
    before = state.bands.get(account_id)
    # The new bands stand before any is queued: queueing may compact, and compacting asks the state.
    if bands:
        state.bands[account_id] = bands
    elif before is not None:
        del state.bands[account_id]
    if before is None:
        before = {}
    instruments = state.instruments
    for slot, price_ticks in before.items():
        if bands.get(slot) != price_ticks:
            instruments[slot >> _QUEUE_BITS].queues.disarm(slot & _QUEUE_MASK)
    for slot, price_ticks in bands.items():
        if before.get(slot) != price_ticks:
            instrument = instruments[slot >> _QUEUE_BITS]
            arm(state, instrument, slot & _QUEUE_MASK, price_ticks, account_id, 0, BAND)


def _replace_watches(state: State, account_id: int, watched: tuple[int, ...]) -> None:
    for index in state.watched.pop(account_id, ()):
        state.instruments[index].watchers.pop(account_id, None)
    for index in watched:
        state.instruments[index].watchers[account_id] = None
    if watched:
        state.watched[account_id] = watched


def spent_bands(state: State) -> list[int]:
    """Take every band that the current quotes have crossed and return the accounts they belong to, by id.

    Fixed-price triggers that wait (on halted instruments) stay where they are.
    """
    spent: dict[int, None] = {}
    for instrument in state.instruments:
        if instrument.bid == 0:
            continue
        for queue in range(_QUEUE_MASK + 1):
            waiting = []
            while (
                key := instrument.queues.pop_reached(queue, instrument.bid, instrument.ask)
            ) >= 0:
                if not stands(state, instrument, queue, key):
                    continue
                _, account_id, _, kind = trigger_parts(queue, key)
                if kind == BAND:
                    del state.bands[account_id][instrument.index << _QUEUE_BITS | queue]
                    instrument.queues.disarm(queue)
                    spent[account_id] = None
                else:
                    waiting.append(key)
            for key in waiting:
                instrument.queues.push_back(queue, key)
    return sorted(spent)
