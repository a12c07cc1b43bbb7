"""Rules E1, E3-E5, R1-R4: one answer per request id, deadlines, owners, time, skipped entries."""

import msgspec

from engine.core import requests
from engine.core.machine import Machine
from engine.messages import commands as cmd
from engine.messages.codec import content_digest
from engine.messages.rejects import RejectCode
from engine.messages.replies import Accepted, Duplicate, Rejected
from engine.values import Actor, Side
from tests.engine.scenarios.story import CLIENT, ENTRY_BITS, START_MS, Story

BEGIN = """
    account 1 1000.00
    quote BTCUSDT 60000.0 60010.0
    """


def order(**fields: object) -> cmd.PlaceOrder:
    body = {"type": "PlaceOrder", "request_id": "same", "user_id": CLIENT, "account": 1}
    body |= {"symbol": "BTCUSDT", "side": "buy", "quantity_units": 1000, "leverage": 10}
    return msgspec.convert(body | fields, cmd.PlaceOrder)


def test_same_content_is_answered_by_the_first_output() -> None:
    story = Story().tell(BEGIN)
    first = story.apply(order(deadline_us=8_999_999_999_999_999, quoted_price_ticks=600_100))
    first_ms = story.ms
    again = story.apply(order(deadline_us=8_888_888_888_888_888, quoted_price_ticks=600_200))
    other = story.apply(order(quantity_units=2000))
    third = story.apply(order())

    assert first is not None
    assert isinstance(first.reply, Accepted)
    assert again is not None
    assert again.reply == Duplicate(output_id=f"{first_ms}-0")
    assert again.events == ()
    assert other is not None
    assert other.reply.code is RejectCode.EXISTS_WITH_DIFFERENT_CONTENT
    assert third is not None
    assert third.reply == again.reply
    assert len(story.machine.state.accounts[1].positions) == 1


def test_refusals_burn_their_id() -> None:
    story = Story().tell(BEGIN)
    refused = story.apply(order(leverage=101))
    again = story.apply(order(leverage=101))
    better = story.apply(order(leverage=10))

    assert refused is not None
    assert refused.reply.code is RejectCode.LEVERAGE_INVALID
    assert again is not None
    assert isinstance(again.reply, Duplicate)
    assert better is not None
    assert better.reply.code is RejectCode.EXISTS_WITH_DIFFERENT_CONTENT


def test_clients_expire_operators_do_not() -> None:
    story = Story().tell(BEGIN)
    now_us = story.ms * 1000
    late = story.apply(order(request_id="a", deadline_us=now_us), decided_at_us=now_us + 1)
    exact = story.apply(order(request_id="b", deadline_us=now_us), decided_at_us=now_us)
    staff = story.apply(
        order(request_id="c", deadline_us=now_us, actor=Actor.OPERATOR), decided_at_us=now_us + 1
    )

    assert late is not None
    assert late.reply == Rejected(
        code=RejectCode.EXPIRED, data={"deadline_us": now_us, "decided_at_us": now_us + 1}
    )
    assert exact is not None
    assert isinstance(exact.reply, Accepted)
    assert staff is not None
    assert isinstance(staff.reply, Accepted)


def test_s17_foreign_and_unknown_accounts_are_refused() -> None:
    story = Story().tell(BEGIN)
    foreign = story.apply(order(user_id=8))
    unknown = story.apply(order(account=2))

    assert foreign is not None
    assert foreign.reply.code is RejectCode.NOT_OWNER
    assert unknown is not None
    assert unknown.reply.code is RejectCode.ACCOUNT_UNKNOWN


def test_a_log_clock_far_ahead_refuses_opens_only() -> None:
    story = Story().tell(BEGIN)
    story.tell("open P 1 BTCUSDT buy 0.10 x100")
    story.ms += 4000
    behind_us = (story.ms + 100) * 1000 - 5_000_001
    opened = story.apply(order(), decided_at_us=behind_us)
    closed = story.send("ClosePosition", account=1, position_id="1-1", decided_at_us=behind_us)

    assert opened is not None
    assert opened.reply.code is RejectCode.CLOCK_AHEAD
    assert closed is not None
    assert isinstance(closed.reply, Accepted)


def test_time_never_goes_back() -> None:
    story = Story().tell(BEGIN)
    before_us = story.machine.now_us
    story.machine.decide(story.machine.entry_id + 1, cmd.Tick())

    assert story.machine.now_us == before_us


def test_malformed_and_skipped_entries_change_nothing_but_the_position() -> None:
    story = Story().tell(BEGIN)
    before = story.machine.state_hash()
    malformed = story.machine.decide(story.machine.entry_id + 1, None)
    skipped = story.machine.skip(story.machine.entry_id + 1)
    answer = story.send("SkipEntry", source="test", entry_id="1-1")

    assert malformed is not None
    assert malformed.reply == Rejected(code=RejectCode.MALFORMED)
    assert skipped.events[0].entry_id == f"{story.ms - 100}-2"
    assert answer is not None
    assert answer.reply == Accepted()
    assert before != story.machine.state_hash()  # the SkipEntry request itself is remembered


def test_the_table_forgets_by_number_and_by_age(monkeypatch) -> None:
    monkeypatch.setattr(requests, "REQUESTS_MAX", 3)
    machine = Machine()

    def ask(name: str, ms: int) -> object:
        command = cmd.CancelAll(request_id=name, actor=Actor.SYSTEM, account=1, side=Side.BUY)
        outcome = machine.decide(ms << ENTRY_BITS, command, content_digest(command))
        return outcome and outcome.reply

    for index, name in enumerate("abcd"):
        ask(name, START_MS + index)
    assert not isinstance(ask("a", START_MS + 10), Duplicate)
    assert isinstance(ask("d", START_MS + 11), Duplicate)
    day_ms = 24 * 3600 * 1000
    ask("e", START_MS + 11 + day_ms)
    assert [record.key for record in machine.state.requests] == ["a1:e"]
