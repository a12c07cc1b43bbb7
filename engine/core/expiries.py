"""The queue of expiries: which order ends when, as integer keys in one heap (rule O4).

Keys are deleted lazily, as triggers are: whether one still stands is asked of its order, and the queue is compacted when more
than half of it is stale. Else whoever places and cancels orders with far ends would make it grow without bound.
"""

from heapq import heapify, heappop, heappush

from engine.core.state import PendingOrder, State

_EXPIRY_K_BITS = 28
_EXPIRY_ACCOUNT_BITS = 40
_COMPACT_MIN = 64


def expiry_key(order: PendingOrder) -> int:
    """Return the key of an order's end: ordered by time, then account, then order."""
    owner = order.account << _EXPIRY_K_BITS | order.k
    return order.expires_at_us << (_EXPIRY_ACCOUNT_BITS + _EXPIRY_K_BITS) | owner


def queue_expiry(state: State, order: PendingOrder) -> None:
    """Queue the end of an order, if it has one, and compact the queue when most of it is stale."""
    if not order.expires_at_us:
        return
    heappush(state.expiries, expiry_key(order))
    if state.stale_expiries * 2 > len(state.expiries) > _COMPACT_MIN:
        _compact(state)


def forget_expiry(state: State, order: PendingOrder) -> None:
    """Count the end of an order, if it has one, as stale; call before it changes or when the order goes."""
    if order.expires_at_us:
        state.stale_expiries += 1


def is_due(state: State) -> bool:
    """Return whether the time of the first key has come, stale or not."""
    expiries = state.expiries
    return bool(expiries) and expiries[0] >> (_EXPIRY_ACCOUNT_BITS + _EXPIRY_K_BITS) <= state.now_us


def next_due(state: State) -> PendingOrder | None:
    """Take the keys off whose time has come, up to the first whose order still ends then, and return that order."""
    while is_due(state):
        key = heappop(state.expiries)
        order = _standing(state, key)
        # A key that stands is counted stale by its order's own end, a stale one already was.
        state.stale_expiries -= 1
        if order is not None:
            return order
    return None


def _standing(state: State, key: int) -> PendingOrder | None:
    """Return the order that a key names, if it still ends then."""
    account = state.accounts.by_id[key >> _EXPIRY_K_BITS & ((1 << _EXPIRY_ACCOUNT_BITS) - 1)]
    order = account.orders.get(key & ((1 << _EXPIRY_K_BITS) - 1))
    return order if order is not None and expiry_key(order) == key else None


def _compact(state: State) -> None:
    """Drop what is stale; an end that was changed and changed back stays once."""
    standing = [key for key in state.expiries if _standing(state, key) is not None]
    state.expiries = list(dict.fromkeys(standing))
    heapify(state.expiries)
    state.stale_expiries = 0
