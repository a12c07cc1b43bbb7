"""The table of answered requests: what is kept, under which key, and when it leaves."""

import pytest

from engine.core import requests
from engine.core.state import REQUEST_AGE_US_MAX, State
from engine.messages import commands as c
from engine.messages.rejects import RejectCode
from engine.messages.replies import Accepted, AnyReply, Duplicate, Rejected
from engine.values import CashKind, TradingMode, entry_id_from_text

DAY_MS = REQUEST_AGE_US_MAX // 1000
DONE = Accepted()


def cancel(request_id: str = "r1", account: int = 1) -> c.CancelAll:
    return c.CancelAll(request_id=request_id, account=account)


def remember(
    state: State, command: c.AnyCommand, digest: bytes, entry_id: int, reply: AnyReply
) -> None:
    requests.remember(state, requests.request_key(command), digest, entry_id, reply)


def answered(state: State, command: c.AnyCommand, digest: bytes) -> AnyReply | None:
    return requests.answered(state, requests.request_key(command), command, digest)


def kept(state: State) -> list[str]:
    return [record.key for record in state.requests]


def test_the_same_content_is_a_duplicate_of_the_first_output() -> None:
    state = State()
    remember(state, cancel(), b"x", entry_id_from_text("7-3"), DONE)

    assert answered(state, cancel(), b"x") == Duplicate(output_id="7-3")
    assert answered(state, cancel("r2"), b"x") is None
    assert answered(state, cancel(account=2), b"x") is None


def test_other_content_under_the_same_id_is_refused_and_burns_nothing() -> None:
    state = State()
    remember(state, cancel(), b"x", 1, DONE)

    reply = answered(state, cancel(), b"y")

    assert isinstance(reply, Rejected)
    assert reply.code is RejectCode.EXISTS_WITH_DIFFERENT_CONTENT
    remember(state, cancel(), b"y", 2, reply)
    assert answered(state, cancel(), b"x") == Duplicate(output_id="0-1")


def test_a_refusal_burns_its_id_and_a_duplicate_is_not_kept_again() -> None:
    state = State()
    remember(state, cancel(), b"x", 1, Rejected(code=RejectCode.EXPIRED))
    remember(state, cancel(), b"x", 2, Duplicate(output_id="0-1"))

    assert answered(state, cancel(), b"x") == Duplicate(output_id="0-1")
    assert len(state.requests) == 1


def test_an_account_and_a_source_of_the_same_name_do_not_meet() -> None:
    halt = c.SetTradingMode(request_id="r1", source="1", trading_mode=TradingMode.HALTED)

    assert requests.request_key(halt) != requests.request_key(cancel(account=1))


def test_cash_is_numbered_and_needs_no_table() -> None:
    state = State()
    cash = c.PostCash(
        request_id="r1",
        account=1,
        cash_seq=1,
        kind=CashKind.DEPOSIT,
        amount_micros=1,
        method="card",
    )

    remember(state, cash, b"x", 1, DONE)

    assert answered(state, cash, b"x") is None
    assert kept(state) == []


def test_an_answer_leaves_after_a_day_when_another_comes() -> None:
    state = State()
    remember(state, cancel("old"), b"x", entry_id_from_text("5-0"), DONE)
    remember(state, cancel("same"), b"x", entry_id_from_text("6-0"), DONE)

    remember(state, cancel("new"), b"x", entry_id_from_text(f"{6 + DAY_MS}-9"), DONE)

    assert kept(state) == ["a1:same", "a1:new"]
    assert answered(state, cancel("old"), b"x") is None


def test_the_oldest_answers_leave_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "REQUESTS_MAX", 3)
    state = State()

    for number in range(1, 6):
        remember(state, cancel(f"r{number}"), b"x", number, DONE)

    assert kept(state) == ["a1:r3", "a1:r4", "a1:r5"]
    assert answered(state, cancel("r2"), b"x") is None
    assert answered(state, cancel("r3"), b"x") == Duplicate(output_id="0-3")
