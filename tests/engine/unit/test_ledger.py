"""A plain fill's money: settle() posts in one step what fill_postings() and post() do in two, in the same order."""

from hypothesis import example, given
from hypothesis import strategies as st

from engine.core.ledger import fill_postings, post, settle
from engine.core.state import Holdings, State
from tests.engine.unit.positions import account


@given(st.integers(-(10**9), 10**9), st.integers(0, 10**6))
@example(0, 0)
@example(0, 5)
@example(5, 0)
@example(5, 5)
# The first commission of a book comes with a close, after an opening that was free.
@example(-7, 5)
def test_a_settled_fill_leaves_the_books_as_the_posted_group_does(pnl: int, commission: int):
    straight, general = State(), State()
    one, other = account(), account()

    group = settle(straight, one, Holdings(one), pnl, commission)
    expected = fill_postings(other, pnl, commission, 0)
    post(general, other, expected, other.balance_micros + pnl - commission)

    assert group == expected
    assert list(straight.house.items()) == list(general.house.items())
    assert one.balance_micros == other.balance_micros
