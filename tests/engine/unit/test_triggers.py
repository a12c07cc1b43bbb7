"""Trigger queues: keys keep the order of firing, and stale entries neither fire nor pile up."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core import triggers
from engine.core.packing import packed_run
from engine.core.triggers import PRICE_MAX, TriggerQueues, owner_of, trigger_key, trigger_parts

PRICES = st.integers(1, PRICE_MAX - 1)
PARTS = st.tuples(PRICES, st.integers(1, 2**40 - 1), st.integers(0, 2**28 - 1), st.integers(0, 5))
QUEUES = range(4)


@given(st.sampled_from(QUEUES), PARTS)
def test_a_key_gives_its_parts_back(queue: int, parts: tuple[int, int, int, int]) -> None:
    assert trigger_parts(queue, trigger_key(queue, *parts)) == parts


@given(st.sampled_from(QUEUES), PARTS, PARTS)
def test_keys_are_ordered_nearest_first_then_by_id_and_kind(
    queue: int, one: tuple[int, int, int, int], other: tuple[int, int, int, int]
) -> None:
    falls = queue in (triggers.BID_FALLS, triggers.ASK_FALLS)

    def rank(parts: tuple[int, int, int, int]) -> tuple[int, ...]:
        return (-parts[0] if falls else parts[0], *parts[1:])

    is_first = trigger_key(queue, *one) < trigger_key(queue, *other)
    assert is_first == (rank(one) < rank(other))


def armed(queue: int, *prices: int) -> TriggerQueues:
    queues = TriggerQueues()
    for account, price in enumerate(prices, 1):
        queues.arm(queue, price, owner_of(account, 1), triggers.ENTRY)
    return queues


@pytest.mark.parametrize(
    ("queue", "bid", "ask", "expected"),
    [
        (triggers.BID_FALLS, 100, 999, [110, 100]),
        (triggers.BID_RISES, 100, 1, [90, 100]),
        (triggers.ASK_FALLS, 1, 100, [110, 100]),
        (triggers.ASK_RISES, 999, 100, [90, 100]),
    ],
)
def test_each_queue_watches_its_side_and_fires_nearest_first(
    queue: int, bid: int, ask: int, expected: list[int]
) -> None:
    queues = armed(queue, 90, 110, 100)

    fired = []
    while (key := queues.pop_reached(queue, bid, ask)) >= 0:
        fired.append(trigger_parts(queue, key)[0])

    assert fired == expected


@pytest.mark.parametrize("queue", QUEUES)
def test_a_quote_touches_a_queue_at_its_threshold_and_not_before(queue: int) -> None:
    queues = armed(queue, 100)
    step = 1 if queue in (triggers.BID_FALLS, triggers.ASK_FALLS) else -1
    other_side = 10**6 if queue == triggers.ASK_RISES else 50
    other_side = other_side if queue <= triggers.BID_RISES else 10

    def is_touched(price: int) -> bool:
        sides = (price, other_side) if queue <= triggers.BID_RISES else (other_side, price)
        return queues.is_touched(*sides)

    assert is_touched(100)
    assert not is_touched(100 + step)


def test_empty_queues_are_never_touched() -> None:
    assert not TriggerQueues().is_touched(1, PRICE_MAX - 1)
    assert TriggerQueues().pop_reached(triggers.BID_RISES, PRICE_MAX - 1, PRICE_MAX - 1) == -1


def test_dumped_entries_are_sorted_and_load_again() -> None:
    queues = armed(triggers.ASK_RISES, 30, 10, 20)

    keys = queues.dump(triggers.ASK_RISES)

    assert [trigger_parts(triggers.ASK_RISES, key)[0] for key in keys] == [10, 20, 30]
    fresh = TriggerQueues()
    fresh.load(triggers.ASK_RISES, list(keys))
    assert fresh.dump(triggers.ASK_RISES) == keys
    assert fresh.dump(triggers.ASK_FALLS) == []


def keys_of(queue: int, *prices: int) -> list[int]:
    return sorted(trigger_key(queue, price, 9, 1, triggers.ENTRY) for price in prices)


def loaded(queue: int, *prices: int) -> TriggerQueues:
    queues = TriggerQueues()
    queues.load_packed(queue, packed_run(keys_of(queue, *prices)))
    return queues


@given(
    st.sampled_from(QUEUES),
    st.lists(st.integers(1, 30), max_size=20),
    st.lists(st.one_of(st.integers(1, 30), st.none()), max_size=30),
)
def test_a_loaded_queue_fires_as_one_that_was_armed(
    queue: int, prices: list[int], steps: list[int | None]
) -> None:
    raw = packed_run(keys_of(queue, *prices))
    packed, plain = TriggerQueues(), TriggerQueues()
    packed.load_packed(queue, raw)
    plain.load(queue, keys_of(queue, *prices))

    for step in steps:
        both = []
        for queues in (packed, plain):
            if step is None:
                # A quote that reaches all of them takes the first.
                both.append(queues.pop_reached(queue, *reaching(queue)))
            else:
                queues.arm(queue, step, owner_of(step % 3 + 8, 1), triggers.ENTRY)
        assert len(set(both)) <= 1
        assert packed.tops == plain.tops
        assert packed.stale == plain.stale

    assert packed.dump_packed(queue) == plain.dump_packed(queue)
    assert packed.dump(queue) == plain.dump(queue)


@given(
    st.sampled_from(QUEUES),
    st.lists(st.integers(1, 30), max_size=20),
    st.lists(st.integers(1, 30), max_size=20),
    st.randoms(use_true_random=False),
)
def test_entries_are_all_there_and_may_be_loaded_in_any_order(
    queue: int, prices: list[int], added: list[int], chooser: random.Random
) -> None:
    queues = loaded(queue, *prices)
    for price in added:
        queues.arm(queue, price, owner_of(8, 1), triggers.ENTRY)

    entries = queues.entries(queue)

    in_order = queues.dump(queue)
    assert sorted(entries) == in_order
    chooser.shuffle(entries)
    fresh = TriggerQueues()
    fresh.load(queue, entries)
    assert fresh.tops == queues.tops
    assert [fresh.pop_reached(queue, *reaching(queue)) for _ in in_order] == in_order


def reaching(queue: int) -> tuple[int, int]:
    return (1, 1) if queue in (triggers.BID_FALLS, triggers.ASK_FALLS) else (99, 99)


@pytest.mark.parametrize("queue", QUEUES)
def test_a_loaded_queue_has_only_its_first_entry_at_hand(queue: int) -> None:
    queues = loaded(queue, 10, 20, 30)
    nearest = keys_of(queue, 10, 20, 30)[0]

    assert queues.heaps[queue][:-1] == [nearest]
    assert queues.tops[queue] == trigger_parts(queue, nearest)[0]
    assert queues.dump_packed(queue) == packed_run(keys_of(queue, 10, 20, 30))
    assert queues.heaps[queue][:-1] == [nearest]
    assert queues.dump(queue) == keys_of(queue, 10, 20, 30)
    assert len(queues.heaps[queue]) == 4


@pytest.mark.parametrize("queue", QUEUES)
def test_a_key_that_is_armed_again_fires_twice(queue: int) -> None:
    queues = loaded(queue, 10, 20)
    queues.arm(queue, 10, owner_of(9, 1), triggers.ENTRY)
    queues.arm(queue, 20, owner_of(9, 1), triggers.ENTRY)

    fired = [queues.pop_reached(queue, *reaching(queue)) for _ in range(5)]

    first, second = keys_of(queue, 10, 20)
    assert fired == [first, first, second, second, -1]


@pytest.mark.parametrize(("stale", "is_asked"), [(80, False), (81, True)])
def test_what_a_load_brought_counts_when_a_queue_asks_to_be_compacted(
    stale: int, is_asked: bool
) -> None:
    queue = triggers.BID_FALLS
    # 94 are left, of which the heap has the head; then the sentinel, 63 that are armed here, and the last one.
    queues = loaded(queue, *range(1, 95))
    for price in range(1, 64):
        queues.arm(queue, price, owner_of(1, 1), triggers.ENTRY)
    for _ in range(stale):
        queues.disarm(queue)

    assert queues.arm(queue, 5, owner_of(1, 2), triggers.ENTRY) is is_asked


def test_a_queue_that_is_replaced_forgets_what_was_loaded_before() -> None:
    queue = triggers.ASK_RISES
    queues = loaded(queue, 10, 20)

    queues.load(queue, keys_of(queue, 30))

    assert queues.dump_packed(queue) == packed_run(keys_of(queue, 30))
    assert [queues.pop_reached(queue, 99, 99) for _ in range(2)] == [*keys_of(queue, 30), -1]


def test_nothing_is_stale_in_empty_and_in_loaded_queues() -> None:
    queues = TriggerQueues()
    assert queues.stale == [0, 0, 0, 0]
    for queue in QUEUES:
        queues.disarm(queue)

        queues.load(queue, [])

    assert queues.stale == [0, 0, 0, 0]


@pytest.mark.parametrize("queue", QUEUES)
def test_each_change_of_a_trigger_makes_one_entry_stale(queue: int) -> None:
    queues = armed(queue, 100, 100)

    queues.disarm(queue)

    assert queues.stale == [int(queue == other) for other in QUEUES]


@pytest.mark.parametrize(("stale", "is_asked"), [(50, False), (51, True)])
def test_a_queue_asks_to_be_compacted_when_more_than_half_of_it_is_stale(
    stale: int, is_asked: bool
) -> None:
    # 98 entries, the sentinel, and the one that is armed: half of the hundred is not more than half.
    queues = armed(triggers.BID_FALLS, *range(1, 99))
    for _ in range(stale):
        queues.disarm(triggers.BID_FALLS)

    asked = queues.arm(triggers.BID_FALLS, 100, owner_of(1, 2), triggers.STOP_LOSS)

    assert asked is is_asked


@pytest.mark.parametrize(("entries", "is_asked"), [(62, False), (63, True)])
def test_a_small_queue_is_not_worth_compacting(entries: int, is_asked: bool) -> None:
    queues = armed(triggers.BID_FALLS, *range(1, entries + 1))
    for _ in range(entries):
        queues.disarm(triggers.BID_FALLS)

    asked = queues.arm(triggers.BID_FALLS, 100, owner_of(1, 2), triggers.STOP_LOSS)

    assert asked is is_asked


def test_an_entry_that_must_wait_goes_back_to_its_place() -> None:
    queues = armed(triggers.BID_FALLS, 100)
    key = queues.pop_reached(triggers.BID_FALLS, 90, 90)

    queues.push_back(triggers.BID_FALLS, key)

    assert queues.dump(triggers.BID_FALLS) == [key]
    assert queues.stale[triggers.BID_FALLS] == 0


@given(st.sampled_from(QUEUES), PARTS)
def test_what_is_armed_is_the_key_of_its_parts(
    queue: int, parts: tuple[int, int, int, int]
) -> None:
    queues = TriggerQueues()
    price, account, k, kind = parts

    queues.arm(queue, price, owner_of(account, k), kind)

    assert queues.dump(queue) == [trigger_key(queue, *parts)]
