"""Arming of an account's bands and watch lists from its present figures (rules B1-B4)."""

from engine.core.arming import compact, stands
from engine.core.bands import (
    QUEUES,
    Bands,
    Exposure,
    band_prices,
    newcomer_bands,
    spread_cushion,
)
from engine.core.figures import Figures, figures
from engine.core.margin import BPS, RECOVERY_BPS
from engine.core.state import NO_BANDS, Account, Instrument, State
from engine.core.triggers import BAND, PRICE_MAX, owner_of, trigger_parts

# A slot is instrument index * 4 + queue.
_QUEUE_BITS = 2
_QUEUE_MASK = 3


def guard(state: State, account: Account) -> bool:
    """Return whether an account stays above its call level at every price that its bands let by (rule B2).

    Then nothing is to be raised, cleared, closed or armed anew. Shorts that have no band yet are given one from what the others
    leave, so that trading need not queue all of them again. False says nothing: look at the prices.
    Sound once every band that a price has reached is spent.
    """
    if account.is_margin_call or account.is_stop_out_pending or account.account in state.watched:
        return False
    holdings = state.holdings.get(account.account) or state.holdings_of(account)
    exposed = holdings.exposed
    if not exposed:
        return False
    equity = account.balance_micros - holdings.isolated_margin + holdings.floor_micros
    least = account.terms.margin_call_level_bps * holdings.used_margin
    if equity * BPS > least:
        return True
    bands = state.bands.get(account.account, NO_BANDS)
    newcomers: list[Exposure] = []
    for slot, (instrument, weight, _) in exposed.items():
        if weight < 0 and slot not in bands:
            newcomers.append((instrument.index, weight, instrument.ask))
            # Counted at the worst price so far.
            equity += (instrument.ask - PRICE_MAX) * weight
    added = newcomer_bands(newcomers, equity * BPS - least) if newcomers else None
    if added is None:
        return False
    _add_bands(state, account, added)
    return True


def rearm(state: State, account: Account, sums: Figures | None = None) -> None:
    """Bring an account's bands in line with its present figures (None: to be found).

    1. The cushion over the next level that matters: the call level, or the stop-out level once the call is raised.
    2. A cushion above zero gives bands; without one the account is watched: checked at each accepted quote of its symbols.
    3. While the call is raised, bands on the way up watch for its end.
    No output depends on when this happens (rule B4): a band only marks an account for an exact check.
    """
    sums = sums or figures(state, account)
    held = sums.held
    bands: dict[int, int] = {}
    watched: tuple[int, ...] = ()
    if held:
        terms = account.terms
        level = terms.stop_out_level_bps if account.is_margin_call else terms.margin_call_level_bps
        cushion = sums.cross_equity * BPS - level * sums.used_margin
        if cushion > 0:
            bands = band_prices(
                held, sums.gross, spread_cushion(sums.gross, cushion), is_recovery=False
            )
        else:
            watched = tuple(dict.fromkeys(exposure[0] for exposure in held))
        if account.is_margin_call:
            recovery = (terms.margin_call_level_bps + RECOVERY_BPS) * sums.used_margin
            gap = recovery - sums.cross_equity * BPS
            if gap > 0:
                bands |= band_prices(held, sums.gross, gap, is_recovery=True)
    _replace_bands(state, account, bands)
    _replace_watches(state, account.account, watched)


def _add_bands(state: State, account: Account, added: dict[int, int]) -> None:
    bands = state.bands.setdefault(account.account, {})
    bands.update(added)
    state.holdings_of(account).note_bands(bands)
    _queue_bands(state, account.account, NO_BANDS, added)


def _replace_bands(state: State, account: Account, bands: dict[int, int]) -> None:
    account_id = account.account
    before = state.bands.get(account_id, NO_BANDS)
    # The new bands stand before any is queued: queueing may compact, and compacting asks the state.
    if bands:
        state.bands[account_id] = bands
    elif before:
        del state.bands[account_id]
    state.holdings_of(account).note_bands(bands)
    for slot in before.keys() - bands.keys():
        state.instruments[slot >> _QUEUE_BITS].queues.disarm(slot & _QUEUE_MASK)
    _queue_bands(state, account_id, before, bands)


def _queue_bands(state: State, account_id: int, before: Bands, bands: Bands) -> None:
    """Queue the bands that differ from those before, whose entries are stale from now on."""
    owner = owner_of(account_id, 0)
    for slot, price_ticks in bands.items():
        standing = before.get(slot)
        if standing == price_ticks:
            continue
        instrument, queue = state.instruments[slot >> _QUEUE_BITS], slot & _QUEUE_MASK
        queues = instrument.queues
        if standing is not None:
            queues.stale[queue] += 1
        if queues.arm(queue, price_ticks, owner, BAND):
            compact(state, instrument, queue)


def _replace_watches(state: State, account_id: int, watched: tuple[int, ...]) -> None:
    for index in state.watched.pop(account_id, ()):
        state.instruments[index].watchers.pop(account_id, None)
    for index in watched:
        state.instruments[index].watchers[account_id] = None
    if watched:
        state.watched[account_id] = watched


def spend_band(state: State, instrument: Instrument, queue: int, account_id: int) -> None:
    """Take away a band that was hit, and note the worst case without it."""
    bands = state.bands[account_id]
    slot = instrument.index * QUEUES + queue
    holdings = state.holdings.get(account_id)
    if holdings is not None:
        holdings.lose_band(slot, bands)
    del bands[slot]
    instrument.queues.disarm(queue)


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
                parts = trigger_parts(queue, key)
                if not stands(state, instrument, queue, parts):
                    continue
                _, account_id, _, kind = parts
                if kind == BAND:
                    spend_band(state, instrument, queue, account_id)
                    spent[account_id] = None
                else:
                    waiting.append(key)
            for key in waiting:
                instrument.queues.push_back(queue, key)
    return sorted(spent)
