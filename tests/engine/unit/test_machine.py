"""The machine's own promises: order of entries, what recovery refuses, images of another layout."""

from collections.abc import Iterator

import msgspec
import pytest

from engine.core import invariants
from engine.core.evolve import evolve
from engine.core.machine import Machine, Outcome
from engine.core.rearm import rearm
from engine.core.state import State
from engine.core.triggers import ASK_FALLS, BAND, BID_RISES, trigger_key
from engine.messages import commands as c
from engine.messages.events import EntrySkipped, Posting, QuoteRefused, Resharded
from engine.messages.rejects import RejectCode
from engine.messages.replies import Accepted, Rejected
from engine.messages.views import AccountQuery, AccountView
from engine.values import (
    Actor,
    CashKind,
    InvariantError,
    MarginMode,
    OrderType,
    Side,
    SourceClass,
    TimeInForce,
    entry_id_from_text,
)
from tests.engine.properties.comparing import Comparison, tell
from tests.engine.properties.histories import START_MS, Seeded, Storyteller

SECOND = 1_000_000


@pytest.fixture
def told() -> tuple[Comparison, Storyteller]:
    """A machine after some history, with its oracle."""
    *_, last = tell(Seeded(11), 60)
    return last


def entry(ms: int) -> int:
    return entry_id_from_text(f"{ms}-0")


def test_entry_ids_must_rise(told: tuple[Comparison, Storyteller]) -> None:
    machine = told[0].machine
    for apply in (
        lambda: machine.decide(machine.entry_id, c.Tick()),
        lambda: machine.skip(machine.entry_id - 1),
        lambda: machine.evolve_recorded(machine.entry_id, c.Tick(), None),
    ):
        with pytest.raises(InvariantError, match="must rise"):
            apply()


def test_time_never_goes_back_even_if_the_clock_of_the_log_does() -> None:
    machine = Machine()
    machine.decide(entry(2_000), c.Tick())

    machine.decide(entry(2_000) + 1, c.Tick())

    assert machine.now_us == 2 * SECOND
    assert machine.entry_id == entry(2_000) + 1


def test_a_tick_without_effect_has_no_outcome() -> None:
    assert Machine().decide(1, c.Tick()) is None


def test_an_undecodable_entry_is_refused_and_time_passes_for_orders_too() -> None:
    comparison = Comparison()
    storyteller = Storyteller(Seeded(0), comparison.oracle)
    for told_entry in storyteller.prologue():
        comparison.step(*told_entry)
    order = c.PlaceOrder(
        request_id="limit",
        account=1,
        user_id=101,
        symbol="BTCUSDT",
        side=Side.BUY,
        quantity_units=1,
        leverage=10,
        order_type=OrderType.LIMIT,
        price_ticks=500_000,
        time_in_force=TimeInForce.GTD,
        expires_at_us=(START_MS + 500) * 1000,
    )
    comparison.step(entry(START_MS + 400), order, 0)

    outcome = comparison.step(entry(START_MS + 500), None, 0)

    assert outcome is not None
    assert outcome.reply == Rejected(code=RejectCode.MALFORMED)
    assert [type(event).__name__ for event in outcome.events] == ["OrderExpired"]


def test_a_skipped_entry_changes_nothing_but_position_and_time(
    told: tuple[Comparison, Storyteller],
) -> None:
    machine = told[0].machine
    before, later = machine.state_hash(), machine.entry_id + 1

    outcome = machine.skip(later)

    assert [type(event) for event in outcome.events] == [EntrySkipped]
    assert machine.state_hash() == before
    assert machine.entry_id == later
    recorded = told[0].replay()
    recorded.evolve_recorded(later, None, outcome)
    assert recorded.state_hash() == before
    assert recorded.market_hash() == machine.market_hash()


def test_a_skip_command_is_answered() -> None:
    skip = c.SkipEntry(request_id="r", source="ops", actor=Actor.OPERATOR, entry_id="7-0")

    outcome = Machine().decide(9, skip, b"x")

    assert outcome == Outcome(0, "r", Accepted(), ())


def test_recovery_refuses_a_command_without_an_output() -> None:
    command = c.CancelAll(account=1, request_id="r")

    for message in (command, None):
        with pytest.raises(InvariantError, match="must have an output"):
            Machine().evolve_recorded(1, message, None)


def test_recovery_refuses_events_out_of_sequence(told: tuple[Comparison, Storyteller]) -> None:
    comparison, _ = told
    number, (entry_id, message, outcome, _) = next(
        (n, e) for n, e in enumerate(comparison.entries) if type(e[1]) is c.PostCash and e[2].events
    )
    twice = msgspec.structs.replace(outcome, events=outcome.events * 2)
    machine = Machine()
    for before in comparison.entries[:number]:
        machine.evolve_recorded(before[0], before[1], before[2], b"")

    with pytest.raises(InvariantError, match="out of sequence"):
        machine.evolve_recorded(entry_id, message, twice, b"")


def test_a_recorded_refused_quote_is_not_written() -> None:
    comparison = Comparison()
    storyteller = Storyteller(Seeded(0), comparison.oracle)
    for told_entry in storyteller.prologue():
        comparison.step(*told_entry)
    crossed = storyteller.entry_of_quotes([("BTCUSDT", 700_000, 699_999), ("TINYUSDT", 61, 62)])

    outcome = comparison.step(entry(START_MS + 2), crossed, 0)

    assert outcome is not None
    assert [type(event) for event in outcome.events] == [QuoteRefused]
    assert comparison.replay().market_hash() == comparison.machine.market_hash()


def test_an_image_of_another_format_or_layout_is_refused() -> None:
    image = Machine(shard=1, shards=4).dump()

    for shard, shards in ((0, 1), (1, 2), (2, 4)):
        with pytest.raises(InvariantError, match="image of shard 1 of 4"):
            Machine.load(image, shard=shard, shards=shards)
    with pytest.raises(msgspec.DecodeError):
        Machine.load(image[:-1], shard=1, shards=4)


def test_a_loaded_image_dumps_as_it_was(told: tuple[Comparison, Storyteller]) -> None:
    image = told[0].machine.dump()

    assert Machine.load(image, shard=0, shards=1).dump() == image


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"postings": ()}, "balance differs"),
        ({"postings": (Posting("demo:client:1", 5),)}, "does not sum to zero"),
        (
            {"postings": (Posting("live:client:1", 5), Posting("demo:cash:card", -5))},
            "posting to live:client:1",
        ),
        (
            {"postings": (Posting("demo:client:2", 5), Posting("demo:cash:card", -5))},
            "posting to demo:client:2",
        ),
        (
            {"postings": (Posting("live:cash:card", -5), Posting("demo:client:1", 5))},
            "posting to live:cash:card",
        ),
        ({"balance_micros": 1}, "balance differs"),
    ],
)
def test_a_recorded_event_that_makes_money_is_refused(
    told: tuple[Comparison, Storyteller], change: dict[str, object], message: str
) -> None:
    comparison, _ = told
    number, (entry_id, command, outcome, _) = next(
        (n, e) for n, e in enumerate(comparison.entries) if type(e[1]) is c.PostCash
    )
    forged = msgspec.structs.replace(outcome.events[0], **change)
    machine = Machine()
    for before in comparison.entries[:number]:
        machine.evolve_recorded(before[0], before[1], before[2], b"")

    with pytest.raises(InvariantError, match=message):
        machine.evolve_recorded(
            entry_id, command, msgspec.structs.replace(outcome, events=(forged,))
        )


def test_decimals_stay_once_quoted_on_a_shard_without_positions_too() -> None:
    comparison = Comparison()
    storyteller = Storyteller(Seeded(0), comparison.oracle)
    for told_entry in storyteller.prologue():
        comparison.step(*told_entry)
    was = comparison.oracle.instruments["BTCUSDT"].spec
    spec = msgspec.structs.replace(was, version=2, price_decimals=0)
    define = c.DefineInstrument(
        request_id="d",
        source="ops",
        actor=Actor.OPERATOR,
        spec=spec,
        source_class=SourceClass.SIMULATED,
    )

    outcome = comparison.step(entry(START_MS + 2), define, 0)

    assert outcome is not None
    assert isinstance(outcome.reply, Rejected)
    assert outcome.reply.code is RejectCode.DEFINITION_INVALID


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("balance_micros", "does not sum to zero"),
        ("cash_pending_micros", "cash:pending differs"),
    ],
)
def test_verify_finds_money_that_came_from_nowhere(
    told: tuple[Comparison, Storyteller], part: str, message: str
) -> None:
    machine = told[0].machine
    account = next(iter(machine.state.accounts.values()))
    setattr(account, part, getattr(account, part) + 1)

    with pytest.raises(InvariantError, match=message):
        machine.verify()


def test_a_check_in_parts_errs_at_nothing_that_happens_between_two_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(invariants, "_ACCOUNTS_AT_ONCE", 1)
    monkeypatch.setattr(invariants, "_INSTRUMENTS_AT_ONCE", 1)
    checks = 0
    for seed in range(4):
        parts: Iterator[None] = iter(())
        # A part, an entry, a part, from the first definition on.
        for comparison, _ in tell(Seeded(seed), 120):
            if next(parts, parts) is parts:
                parts = comparison.machine.verifying()
                checks += 1

    assert checks > 20


def test_a_check_in_parts_finds_what_breaks_before_its_part(
    told: tuple[Comparison, Storyteller],
) -> None:
    machine = told[0].machine
    parts = machine.verifying()
    next(parts)
    machine.state.instruments[0].net_units += 1

    with pytest.raises(InvariantError, match="net units differ"):
        list(parts)


def test_verify_finds_a_trigger_that_is_missing() -> None:
    for comparison, _ in tell(Seeded(11), 60):
        machine = comparison.machine
        armed = [
            (instrument, queue)
            for instrument in machine.state.instruments
            for queue in range(4)
            if any(key & 15 != 5 for key in instrument.queues.dump(queue))
        ]
        if armed:
            break
    instrument, queue = armed[0]
    instrument.queues.load(queue, [])

    with pytest.raises(InvariantError, match="missing from its queue"):
        machine.verify()


def test_verify_finds_the_end_of_an_order_that_is_missing() -> None:
    comparison, _ = next(step for step in tell(Seeded(11), 150) if step[0].machine.state.expiries)
    comparison.machine.verify()
    comparison.machine.state.expiries = []

    with pytest.raises(InvariantError, match="the end of an order is missing"):
        comparison.machine.verify()


def test_without_any_quote_a_position_shows_no_result_and_its_stops_cannot_be_judged() -> None:
    for comparison, _ in tell(Seeded(11), 60):
        held = [(a, p) for a in comparison.oracle.accounts.values() for p in a.positions.values()]
        if held:
            break
    account, position = held[0]
    machine = comparison.machine
    # No history leads here; a state that was restored without its market part might.
    machine.state.instrument_by_symbol[position.symbol].bid = 0
    machine.state.instrument_by_symbol[position.symbol].ask = 0

    shown = machine.answer(AccountQuery(account=account.id))
    modify = c.ModifyPosition(
        request_id="m",
        account=account.id,
        user_id=account.owner,
        position_id=f"{account.id}-{position.k}",
        stop_loss_ticks=1,
    )
    outcome = machine.decide(machine.entry_id + 1, modify, b"x")

    assert isinstance(shown, AccountView)
    by_id = {row.position_id: row for row in shown.positions}
    assert by_id[modify.position_id].price_ticks is None
    assert by_id[modify.position_id].pnl_unrealised_micros == 0
    assert outcome is not None
    assert isinstance(outcome.reply, Rejected)
    assert outcome.reply.code is RejectCode.QUOTE_STALE


def test_changing_stops_for_ever_leaves_queues_small_and_the_last_stop_armed() -> None:
    comparison = Comparison()
    storyteller = Storyteller(Seeded(0), comparison.oracle)
    for told_entry in storyteller.prologue():
        comparison.step(*told_entry)
    order = c.PlaceOrder(
        request_id="o",
        account=1,
        user_id=101,
        symbol="BTCUSDT",
        side=Side.BUY,
        quantity_units=1,
        leverage=50,
    )
    comparison.step(entry(START_MS + 2), order, 0)

    for number in range(300):
        modify = c.ModifyPosition(
            request_id=f"m{number}",
            account=1,
            user_id=101,
            position_id="1-1",
            stop_loss_ticks=500_000 + number,
        )
        comparison.step(entry(START_MS + 3 + number), modify, 0)
    machine = comparison.machine
    queues = machine.state.instrument_by_symbol["BTCUSDT"].queues
    storyteller.ms = START_MS + 400
    outcome = comparison.step(
        entry(START_MS + 400), storyteller.entry_of_quotes([("BTCUSDT", 500_299, 500_300)]), 0
    )

    assert max(len(queues.dump(queue)) for queue in range(4)) <= 66
    assert outcome is not None
    assert [type(event).__name__ for event in outcome.events] == ["PositionClosed"]


def test_changing_an_order_for_ever_leaves_queues_small() -> None:
    comparison = Comparison()
    for told_entry in Storyteller(Seeded(0), comparison.oracle).prologue():
        comparison.step(*told_entry)
    order = c.PlaceOrder(
        request_id="o",
        account=1,
        user_id=101,
        symbol="BTCUSDT",
        side=Side.BUY,
        quantity_units=1,
        leverage=50,
        order_type=OrderType.LIMIT,
        price_ticks=500_000,
    )
    comparison.step(entry(START_MS + 2), order, 0)

    for number in range(100):
        modify = c.ModifyOrder(
            request_id=f"m{number}",
            account=1,
            user_id=101,
            order_id="1-1",
            price_ticks=499_999 - number,
        )
        comparison.step(entry(START_MS + 3 + number), modify, 0)

    queues = comparison.machine.state.instrument_by_symbol["BTCUSDT"].queues
    assert max(len(queues.dump(queue)) for queue in range(4)) <= 66
    comparison.machine.verify()


def test_a_cushion_that_shrinks_for_ever_leaves_queues_small_and_the_last_band_armed() -> None:
    comparison = Comparison()
    for told_entry in Storyteller(Seeded(0), comparison.oracle).prologue():
        comparison.step(*told_entry)
    account = comparison.oracle.accounts[1]
    order = c.PlaceOrder(
        request_id="o",
        account=1,
        user_id=101,
        symbol="BTCUSDT",
        side=Side.SELL,
        quantity_units=1,
        leverage=50,
        margin_mode=MarginMode.CROSS,
    )
    comparison.step(entry(START_MS + 2), order, 0)
    # A cushion of less than a quarter of the notional is split to the last, so each withdrawal moves the band.
    amounts = [account.balance - 14_000_000] + [100_000] * 100
    for number, amount in enumerate(amounts):
        withdrawal = c.PostCash(
            request_id=f"w{number}",
            account=1,
            actor=Actor.SYSTEM,
            cash_seq=account.cash_seq + 1,
            kind=CashKind.WITHDRAWAL,
            amount_micros=amount,
            method="card",
        )
        comparison.step(entry(START_MS + 3 + number), withdrawal, 0)
        if number == 0:
            first = dict(comparison.machine.state.bands[1])

    state = comparison.machine.state
    queues = state.instrument_by_symbol["BTCUSDT"].queues
    assert max(len(queues.dump(queue)) for queue in range(4)) <= 66
    ((slot, price),) = state.bands[1].items()
    assert price < first[slot]
    assert trigger_key(slot & 3, price, 1, 0, BAND) in queues.dump(slot & 3)


def test_a_layout_never_begins_with_an_event() -> None:
    event = Resharded(layout=2, shard=0, shards=1, ended=(), state_hash="")

    with pytest.raises(InvariantError, match="begins with the snapshots"):
        evolve(State(), event)


@pytest.mark.parametrize("text", ["2-1", "1-", "1-0", "1-01", "1-x", "11", "1-²", "-1"])
def test_what_is_no_id_of_the_account_is_an_unknown_position(text: str) -> None:
    comparison = Comparison()
    for told_entry in Storyteller(Seeded(0), comparison.oracle).prologue():
        comparison.step(*told_entry)
    close = c.ClosePosition(request_id="c", account=1, user_id=101, position_id=text)

    outcome = comparison.step(entry(START_MS + 2), close, 0)

    assert outcome is not None
    assert isinstance(outcome.reply, Rejected)
    assert outcome.reply.code is RejectCode.POSITION_UNKNOWN


def test_a_call_that_is_over_has_no_band_on_the_way_up() -> None:
    """Recorded outputs of another build may leave such a call; a band at the present price would fire for ever."""
    for comparison, _ in tell(Seeded(11), 60):
        held = [a for a in comparison.oracle.accounts.values() if comparison.oracle.figures(a)[1]]
        if held and not held[0].call:
            break
    state = comparison.machine.state
    account = state.accounts[held[0].id]
    account.is_margin_call = True
    account.balance_micros += 10**12

    rearm(state, account)

    slots = [slot & 3 for slot in state.bands.get(account.account, {})]
    assert BID_RISES not in slots
    assert ASK_FALLS not in slots
