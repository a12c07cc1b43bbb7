"""Each way in which a venue goes mad is refused under its own reason, and the good quotes go through."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.market.feed.base import RawQuote
from apps.market.feed.guards import Guards, Refusal
from tests.apps.market.support import START_US, shipped_instruments

INSTRUMENTS = shipped_instruments()
SECOND = 1_000_000


def quote(bid, ask, *, after_s=0.0, symbol="BTCUSDT", sequence=0):
    return RawQuote(symbol, bid, ask, START_US + round(after_s * SECOND), sequence)


def admit(guards, *quotes):
    return [guards.admit(one, one.ts_us) for one in quotes]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (quote(775_000, 775_008, symbol="NOPE"), Refusal.SYMBOL_UNKNOWN),
        (quote(0, 775_008, after_s=1), Refusal.NOT_POSITIVE),
        (quote(-775_000, -774_000, after_s=1), Refusal.NOT_POSITIVE),
        (quote(775_009, 775_008, after_s=1), Refusal.CROSSED),
        (quote(775_000, 775_008, after_s=-1), Refusal.OUT_OF_ORDER),
        (quote(770_000, 780_000, after_s=1), Refusal.SPREAD_TOO_WIDE),
        (quote(7_750_000, 7_750_080, after_s=1), Refusal.JUMP_QUARANTINED),
        (quote(775_000_000, 775_000_008, after_s=1), Refusal.JUMP_QUARANTINED),
        (quote(775, 776, after_s=1), Refusal.JUMP_QUARANTINED),
    ],
    ids=str,
)
def test_bad_quote_is_refused_and_counted(bad, reason):
    guards = Guards(INSTRUMENTS)
    admit(guards, quote(775_000, 775_008))

    assert admit(guards, bad) == [False]
    assert guards.refusals == {reason: 1}
    assert guards.accepted == 1


def test_quote_from_the_future_is_refused():
    guards = Guards(INSTRUMENTS)

    assert not guards.admit(quote(775_000, 775_008, after_s=3), START_US)
    assert guards.refusals == {Refusal.TIME_AHEAD: 1}


def test_locked_market_is_admitted():
    assert admit(Guards(INSTRUMENTS), quote(775_000, 775_000)) == [True]


def test_one_tick_of_spread_is_always_admitted():
    # HOT costs 520 ticks, so one tick is 0.19 %; at 20 ticks it would be 5 %.
    assert admit(Guards(INSTRUMENTS), quote(20, 21, symbol="HOTUSDT")) == [True]


def test_wick_of_one_quote_never_gets_through():
    guards = Guards(INSTRUMENTS)

    admitted = admit(
        guards,
        quote(775_000, 775_008),
        quote(1_000, 1_001, after_s=1),
        quote(775_100, 775_108, after_s=2),
    )

    assert admitted == [True, False, True]


def test_jump_is_believed_when_three_quotes_over_a_second_agree():
    guards = Guards(INSTRUMENTS)

    admitted = admit(
        guards,
        quote(775_000, 775_008),
        quote(700_000, 700_008, after_s=1.0),
        quote(700_100, 700_108, after_s=1.2),
        quote(700_050, 700_058, after_s=1.4),
        quote(700_020, 700_028, after_s=2.0),
        quote(700_020, 700_028, after_s=2.1),
    )

    assert admitted == [True, False, False, False, True, True]


def test_quotes_that_jump_apart_confirm_nothing():
    guards = Guards(INSTRUMENTS)

    admitted = admit(
        guards,
        quote(775_000, 775_008),
        *(quote(10_000 * 2**k, 10_000 * 2**k + 1, after_s=k + 1) for k in range(5)),
    )

    assert admitted == [True] + [False] * 5


def test_silence_after_a_doubted_quote_confirms_nothing():
    guards = Guards(INSTRUMENTS)

    assert not guards.is_confirmable("BTCUSDT")
    admit(guards, quote(775_000, 775_008))
    assert guards.is_confirmable("BTCUSDT")
    admit(guards, quote(700_000, 700_008, after_s=1))
    assert not guards.is_confirmable("BTCUSDT")
    admit(guards, quote(775_000, 775_008, after_s=2))
    assert guards.is_confirmable("BTCUSDT")
    admit(guards, quote(775_000, 775_008, after_s=0))
    assert guards.is_confirmable("BTCUSDT")


def test_venue_that_numbers_anew_is_heard_again_after_a_silence():
    guards = Guards(INSTRUMENTS)

    admitted = admit(
        guards,
        quote(775_000, 775_008, sequence=1000),
        quote(775_000, 775_008, after_s=1, sequence=1000),
        quote(775_000, 775_008, after_s=2, sequence=7),
        quote(775_000, 775_008, after_s=11, sequence=8),
        quote(775_000, 775_008, after_s=12, sequence=9),
        quote(775_000, 775_008, after_s=13, sequence=10),
    )

    # The two before the last are not refused for their numbers: they are the first after an outage.
    assert admitted == [True, False, False, False, False, True]
    assert guards.refusals == {Refusal.OUT_OF_ORDER: 2, Refusal.SETTLING: 2}


@given(seed=st.integers(0, 2**32), copies=st.integers(1, 3))
def test_permuted_and_repeated_quotes_leave_a_growing_sequence(seed, copies):
    generator = random.Random(seed)  # noqa: S311 - not a secret
    sent = [
        quote(775_000 + k, 775_008 + k, after_s=k / 10, sequence=k + 1) for k in range(20)
    ] * copies
    generator.shuffle(sent)
    guards = Guards(INSTRUMENTS)

    admitted = [one for one in sent if guards.admit(one, START_US + 2 * SECOND)]

    assert admitted[0] == sent[0]
    sequences = [one.venue_sequence for one in admitted]
    assert sequences == sorted(set(sequences))
    assert admitted[-1].venue_sequence == 20
    assert guards.accepted + sum(guards.refusals.values()) == len(sent)


def test_price_after_an_outage_settles_before_it_is_believed():
    guards = Guards(INSTRUMENTS)
    admit(guards, quote(775_000, 775_008))

    back = [quote(775_010, 775_018, after_s=60 + step) for step in (0, 0.5, 1, 1.5, 2, 2.5)]

    assert admit(guards, *back) == [False, False, False, False, True, True]
    assert guards.refusals == {Refusal.SETTLING: 4}


def test_silence_that_was_confirmed_is_no_outage():
    guards = Guards(INSTRUMENTS)
    admit(guards, quote(775_000, 775_008))
    guards.confirmed("BTCUSDT", START_US + 59 * SECOND)

    assert admit(guards, quote(775_010, 775_018, after_s=60)) == [True]


def test_repeated_quote_without_a_number_is_dropped_by_its_time():
    guards = Guards(INSTRUMENTS)
    one = quote(775_000, 775_008)

    assert admit(guards, one, one) == [True, False]
    assert guards.refusals == {Refusal.OUT_OF_ORDER: 1}


# Bids before, in and after a wick, ticks. The first two were really printed: ETH on GDAX in 2017 (319 to 0.10 USD), the won of
# Synthetix' oracle in 2019 (a thousand times its price).
WICKS = [(31_900, 10, 31_700), (1_300, 1_300_000, 1_301), (77_500, 775_000, 77_510)]


@pytest.mark.parametrize(("before", "wick", "after"), WICKS)
def test_historic_wick_of_one_tick_never_gets_through(before, wick, after):
    guards = Guards(INSTRUMENTS)

    verdicts = admit(
        guards,
        quote(before, before + 1),
        quote(wick, wick + 1, after_s=0.1),
        quote(after, after + 1, after_s=0.2),
    )

    assert verdicts == [True, False, True]
    assert guards.refusals == {Refusal.JUMP_QUARANTINED: 1}


@given(
    st.lists(
        st.tuples(st.integers(700_000, 710_000), st.integers(0, 2_000_000)),
        min_size=1,
        max_size=50,
    ),
    st.randoms(),
)
def test_permuted_duplicated_and_late_ticks_only_ever_move_forward(drawn, shuffle):
    quotes = [
        RawQuote("BTCUSDT", bid, bid + 8, START_US + offset, number)
        for number, (bid, offset) in enumerate(sorted(drawn, key=lambda one: one[1]), start=1)
    ]
    told = quotes * 2
    shuffle.shuffle(told)
    guards = Guards(INSTRUMENTS)

    admitted = [one for one in told if guards.admit(one, START_US + 2_000_000)]

    assert [one.venue_sequence for one in admitted] == sorted({q.venue_sequence for q in admitted})
    assert [one.ts_us for one in admitted] == sorted(one.ts_us for one in admitted)
    assert guards.accepted == len(admitted)
    assert guards.accepted + sum(guards.refusals.values()) == len(told)
