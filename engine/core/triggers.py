"""Trigger queues: everything that a price can set off, as integer keys in four heaps per instrument (rules T1-T3).

A key packs (distance key, account, k, kind), so that heap order is the order of firing: nearest to the previous quote
first, then id, then kind. Queues that wait for a fall store ``PRICE_MAX - price``, so that the highest threshold is on top.

Entries are deleted lazily. Whether one still stands is asked of the state itself when it is popped; a queue is compacted
when more than half of it is stale. A quote that fires nothing costs four comparisons.
"""

from heapq import heappop, heappush

# Above every price that the codec lets in: what stands here is never reached.
PRICE_MAX = 1 << 53
_KIND_BITS = 4
_K_BITS = 28
_ACCOUNT_BITS = 40
_ID_BITS = _KIND_BITS + _K_BITS + _ACCOUNT_BITS
_KIND_MASK = (1 << _KIND_BITS) - 1
_K_MASK = (1 << _K_BITS) - 1
_ACCOUNT_MASK = (1 << _ACCOUNT_BITS) - 1
# Larger than every key: keeps the heaps non-empty, so that a peek needs no length check.
_SENTINEL = 1 << (_ID_BITS + 60)
_COMPACT_MIN = 64

# The four queues in their order of firing.
BID_FALLS = 0
BID_RISES = 1
ASK_FALLS = 2
ASK_RISES = 3

# Kinds in their order of firing at one price.
STOP_LOSS = 0
TAKE_PROFIT = 1
ENTRY = 2
LIQUIDATION = 3
TRAILING = 4
BAND = 5


def owner_of(account: int, k: int) -> int:
    """Return whose trigger it is, as a part of a key; k is 0 for a band."""
    return account << _K_BITS | k


def trigger_key(queue: int, price_ticks: int, account: int, k: int, kind: int) -> int:
    """Return the heap key of a trigger."""
    # Queues that wait for a rise have odd numbers.
    distance = price_ticks if queue & 1 else PRICE_MAX - price_ticks
    return distance << _ID_BITS | owner_of(account, k) << _KIND_BITS | kind


def trigger_parts(queue: int, key: int) -> tuple[int, int, int, int]:
    """Return (price in ticks, account, k, kind) of a heap key."""
    distance = key >> _ID_BITS
    price_ticks = distance if queue & 1 else PRICE_MAX - distance
    account = key >> (_KIND_BITS + _K_BITS) & _ACCOUNT_MASK
    return price_ticks, account, key >> _KIND_BITS & _K_MASK, key & _KIND_MASK


def _top_ticks(queue: int, heap: list[int]) -> int:
    distance = heap[0] >> _ID_BITS
    return distance if queue & 1 else PRICE_MAX - distance


class TriggerQueues:
    """The four heaps of one instrument."""

    __slots__ = ("heaps", "stale", "tops")

    def __init__(self) -> None:
        """Create empty queues."""
        self.heaps: list[list[int]] = [[_SENTINEL], [_SENTINEL], [_SENTINEL], [_SENTINEL]]
        # Stale entries per heap; an estimate that decides only when to compact.
        self.stale = [0, 0, 0, 0]
        # Price of the first entry of each heap; where there is none one that no quote reaches.
        self.tops = [_top_ticks(queue, heap) for queue, heap in enumerate(self.heaps)]

    def arm(self, queue: int, price_ticks: int, owner: int, kind: int) -> bool:
        """Add a trigger of an owner_of(); return whether the queue is worth compacting now."""
        heap = self.heaps[queue]
        # trigger_key(), written out: most of what an order costs is calls.
        distance = price_ticks if queue & 1 else PRICE_MAX - price_ticks
        key = distance << _ID_BITS | owner << _KIND_BITS | kind
        heappush(heap, key)
        if heap[0] is key:
            self.tops[queue] = price_ticks
        return self.stale[queue] * 2 > len(heap) > _COMPACT_MIN

    def disarm(self, queue: int) -> None:
        """Note that one entry of a queue became stale."""
        self.stale[queue] += 1

    def is_touched(self, bid_ticks: int, ask_ticks: int) -> bool:
        """Return whether a quote reaches the top of any queue."""
        falls_bid, rises_bid, falls_ask, rises_ask = self.tops
        return (
            bid_ticks <= falls_bid
            or bid_ticks >= rises_bid
            or ask_ticks <= falls_ask
            or ask_ticks >= rises_ask
        )

    def pop_reached(self, queue: int, bid_ticks: int, ask_ticks: int) -> int:
        """Take the first entry that a quote reaches, stale or not; -1 when there is none."""
        price_ticks = bid_ticks if queue <= BID_RISES else ask_ticks
        top_ticks = self.tops[queue]
        if price_ticks < top_ticks if queue & 1 else price_ticks > top_ticks:
            return -1
        # A valid entry is counted stale by its own effect, a stale one already was.
        self.stale[queue] -= 1
        heap = self.heaps[queue]
        key = heappop(heap)
        self.tops[queue] = _top_ticks(queue, heap)
        return key

    def push_back(self, queue: int, key: int) -> None:
        """Return an entry that was taken but must wait."""
        self.stale[queue] += 1
        heap = self.heaps[queue]
        heappush(heap, key)
        self.tops[queue] = _top_ticks(queue, heap)

    def dump(self, queue: int) -> list[int]:
        """Return the entries of a queue in order; the queue is left in order too, so that the next time is cheap."""
        heap = self.heaps[queue]
        heap.sort()
        return heap[:-1]

    def load(self, queue: int, keys: list[int]) -> None:
        """Replace the entries of a queue by what dump() returned: in order, they are a heap as they stand."""
        keys.append(_SENTINEL)
        self.heaps[queue] = keys
        self.stale[queue] = 0
        self.tops[queue] = _top_ticks(queue, keys)
