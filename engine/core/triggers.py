"""Trigger queues: everything that a price can set off, as integer keys in four heaps per instrument (rules T1-T3).

A key packs (distance key, account, k, kind), so that heap order is the order of firing: nearest to the previous quote
first, then id, then kind. Queues that wait for a fall store ``PRICE_MAX - price``, so that the highest threshold is on top.

Entries are deleted lazily. Whether one still stands is asked of the state itself when it is popped; a queue is compacted
when more than half of it is stale. A quote that fires nothing costs four comparisons.

What a load brought stays a run of bytes in order beside its heap. The heap holds the first key that is left of the run, so its
top is the first of all; when that key leaves the heap, the next one follows.
"""

from heapq import heapify, heappop, heappush

from engine.core.packing import Run, packed_run

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
# What stands in a heap that is as it was loaded: the head of its run, and the sentinel.
_UNTOUCHED = 2

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
    """The four heaps of one instrument, each with what a load brought and nobody has reached yet."""

    __slots__ = ("_runs", "heaps", "stale", "tops")

    def __init__(self) -> None:
        """Create empty queues."""
        self.heaps: list[list[int]] = [[_SENTINEL], [_SENTINEL], [_SENTINEL], [_SENTINEL]]
        # What is left of what a load brought; the head of each stands in the heap too.
        self._runs = [Run(), Run(), Run(), Run()]
        # Stale entries per queue; an estimate that decides only when to compact.
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
        return self.stale[queue] * 2 > len(heap) > _COMPACT_MIN and self._is_mostly_stale(queue)

    def _is_mostly_stale(self, queue: int) -> bool:
        return self.stale[queue] * 2 > len(self.heaps[queue]) + len(self._runs[queue])

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
        run = self._runs[queue]
        if key == run.head and (following := run.follow()) is not None:
            heappush(heap, following)
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
        # The head stands in the heap already.
        heap += self._runs[queue].keys()[1:]
        self._runs[queue] = Run()
        heap.sort()
        return heap[:-1]

    def entries(self, queue: int) -> list[int]:
        """Return the entries of a queue in no order."""
        found = self.heaps[queue] + self._runs[queue].keys()[1:]
        found.remove(_SENTINEL)
        return found

    def load(self, queue: int, keys: list[int]) -> None:
        """Replace the entries of a queue; the list is the queue's from now on."""
        heapify(keys)
        self._replace(queue, keys, Run())

    def dump_packed(self, queue: int) -> bytes:
        """Return what dump() returns as a run of bytes, which is at hand while the queue is as it was loaded."""
        run = self._runs[queue]
        if run.head is not None and len(self.heaps[queue]) == _UNTOUCHED:
            return run.packed()
        return packed_run(self.dump(queue))

    def load_packed(self, queue: int, raw: bytes) -> None:
        """Replace the entries of a queue by what dump_packed() returned, of which only the first is decoded.

        Errors: InvariantError when the bytes are torn.
        """
        run = Run(raw)
        self._replace(queue, [] if run.head is None else [run.head], run)

    def _replace(self, queue: int, keys: list[int], run: Run) -> None:
        keys.append(_SENTINEL)
        self.heaps[queue] = keys
        self._runs[queue] = run
        self.stale[queue] = 0
        self.tops[queue] = _top_ticks(queue, keys)
