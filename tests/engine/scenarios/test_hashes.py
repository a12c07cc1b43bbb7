"""Rules H1-H3: what the two hashes stand for, and what they leave out."""

import pytest

from engine.values import InvariantError
from tests.engine.scenarios.story import Story

BEGIN = """
    account 1 1000.00
    quote BTCUSDT 60000.0 60010.0
    open P 1 BTCUSDT buy 0.10 x20 sl=50000.0
    """


def hashes(story: Story) -> tuple[bytes, bytes]:
    return story.machine.state_hash(), story.machine.market_hash()


def test_a_quote_changes_the_market_and_an_event_the_state() -> None:
    story = Story().tell(BEGIN)
    state, market = hashes(story)

    story.tell("quote BTCUSDT 59999.0 60009.0 -> nothing")
    assert story.machine.state_hash() == state
    assert story.machine.market_hash() != market

    story.tell("stops P sl=49000.0")
    assert story.machine.state_hash() != state


def test_a_refusal_changes_only_the_table_of_answered_requests() -> None:
    story = Story().tell(BEGIN)
    accounts, house = story.machine.state.accounts, story.machine.state.house
    state, _ = hashes(story)

    story.tell("open Q 1 BTCUSDT buy 0.10 x101 -> LEVERAGE_INVALID")

    assert story.machine.state_hash() != state
    assert (story.machine.state.accounts, story.machine.state.house) == (accounts, house)


def test_queues_and_bands_are_in_neither_hash() -> None:
    story = Story().tell(BEGIN)
    before = hashes(story)
    instrument = story.machine.state.instruments[0]

    for queue in range(4):
        instrument.queues.load(queue, [])

    assert hashes(story) == before
    with pytest.raises(InvariantError, match="missing from its queue"):
        story.machine.verify()


def test_time_alone_changes_the_market_only() -> None:
    story = Story().tell(BEGIN)
    state, market = hashes(story)

    story.tell("tick -> nothing")

    assert story.machine.state_hash() == state
    assert story.machine.market_hash() != market
