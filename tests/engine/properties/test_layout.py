"""A reshard changes nothing: not what is known, not what happens next."""

import random

import pytest

from engine.core.layout import layout_digest, resharded
from engine.core.machine import Machine
from engine.core.state import State
from engine.messages import commands as c
from engine.messages.streams import shard_of
from engine.messages.views import AccountQuery
from engine.values import InvariantError
from tests.engine.properties.comparing import Comparison, digest_of, plain, tell
from tests.engine.properties.histories import Seeded, seeds_from

ACCOUNTS = (1, 2, 3, 4, 5, 6, 7, 8)
SEEDS = seeds_from(4_000, 30)
BEFORE, AFTER = 80, 60


def machines_of(states: list[State]) -> list[Machine]:
    """Return machines as a start makes them: from dumps."""
    shards = len(states)
    return [
        Machine.load(
            Machine(shard=shard, shards=shards, state=state).dump(), shard=shard, shards=shards
        )
        for shard, state in enumerate(states)
    ]


def history(seed: int, length: int) -> Comparison:
    # Without a house cap, which is each shard's own share, and without ids that leave a table by age.
    *_, (comparison, _) = tell(
        Seeded(seed), length, accounts=ACCOUNTS, house_cap_usd=0, hours_max=2
    )
    return comparison


def at_entry(comparison: Comparison, count: int) -> Machine:
    """Return the machine after so many entries of a history."""
    machine = Machine()
    for entry_id, message, _, decided_at_us in comparison.entries[:count]:
        machine.decide(entry_id, message, digest_of(message), decided_at_us)
    return machine


def test_one_four_two_one_gives_the_first_state_again() -> None:
    for seed in SEEDS:
        comparison = history(seed, BEFORE)
        states = [comparison.machine.state]
        digest = layout_digest(states)
        entry_id = comparison.machine.entry_id
        for shards in (4, 2, 1):
            entry_id += 1
            machines = machines_of(resharded(states, shards, entry_id))
            for machine in machines:
                machine.verify()
            states = [machine.state for machine in machines]
            assert layout_digest(states) == digest
            totals: dict[str, int] = {}
            for state in states:
                assert state.ledger_total_micros() == 0
                for name, amount in state.house.items():
                    totals[name] = totals.get(name, 0) + amount
            assert {n: a for n, a in totals.items() if a} == {
                n: a for n, a in comparison.machine.state.house.items() if a
            }

        (machine,) = machines
        assert list(comparison.machine.state.accounts) == sorted(ACCOUNTS)
        assert machine.state_hash() == comparison.machine.state_hash()


def heard_by(
    shard: int, shards: int, message: c.AnyMessage | None, home: dict[int, int]
) -> c.AnyMessage | None:
    is_foreign = isinstance(message, c.AccountCommand) and home[message.account] != shard
    return c.Tick() if is_foreign else message


def test_what_happens_next_is_the_same_in_every_layout() -> None:
    for seed in SEEDS:
        comparison = history(seed, BEFORE + AFTER)
        start = len(comparison.entries) - AFTER
        whole = at_entry(comparison, start)
        # The one shard hears of the reshards as of time that passes, so that all clocks are the same.
        states, entry_id = [whole.state], whole.entry_id
        for shards in random.Random(seed).choice(((2,), (4,), (4, 2), (3, 4), (4, 1))):  # noqa: S311 - repeatable.
            machines = machines_of(resharded(states, shards, entry_id))
            states = [machine.state for machine in machines]
        home = {a: shard_of(a, len(machines)) for a in ACCOUNTS}
        told: list[dict[int, list[object]]] = [{a: [] for a in ACCOUNTS} for _ in range(2)]
        for later_id, message, _, decided_at_us in comparison.entries[start:]:
            pairs = [(whole, message, told[0])]
            for shard, machine in enumerate(machines):
                pairs.append((machine, heard_by(shard, len(machines), message, home), told[1]))
            for machine, heard, heard_events in pairs:
                outcome = machine.decide(later_id, heard, digest_of(heard), decided_at_us)
                for name, fields in map(plain, outcome.events if outcome else ()):
                    if "account" in fields:
                        heard_events[fields["account"]].append((later_id, name, fields))

        assert told[0] == told[1], f"seed {seed}, {len(machines)} shards"
        last = whole.entry_id + 1
        for machine in (whole, *machines):
            machine.decide(last, c.Tick())
            machine.verify()
        for account in ACCOUNTS:
            query = AccountQuery(account=account)
            assert machines[home[account]].answer(query) == whole.answer(query)


def test_a_request_that_was_answered_before_a_reshard_is_known_afterwards() -> None:
    comparison = history(SEEDS[0], BEFORE)
    machines = machines_of(resharded([comparison.machine.state], 4, comparison.machine.entry_id))
    keys = {record.key for record in comparison.machine.state.requests}

    assert {record.key for m in machines for record in m.state.requests} == keys
    for shard, machine in enumerate(machines):
        for key in (record.key for record in machine.state.requests):
            assert key.startswith("s") or shard_of(int(key[1 : key.index(":")]), 4) == shard


def test_shards_that_contradict_each_other_are_refused() -> None:
    comparison = history(SEEDS[0], BEFORE)
    states = resharded([comparison.machine.state], 2, comparison.machine.entry_id)
    states[1].instruments[0].net_units += 1
    name = states[1].instruments[0].spec.symbol

    assert layout_digest(states) == layout_digest([comparison.machine.state])
    states[1].instruments[0].trading_mode = next(
        mode
        for mode in type(states[1].instruments[0].trading_mode)
        if mode is not states[1].instruments[0].trading_mode
    )
    with pytest.raises(InvariantError, match=f"know {name} differently"):
        resharded(states, 1, comparison.machine.entry_id)


def test_an_account_in_two_shards_is_refused() -> None:
    comparison = history(SEEDS[0], BEFORE)
    state = comparison.machine.state

    with pytest.raises(InvariantError, match="two shards have account"):
        resharded([state, state], 1, comparison.machine.entry_id)


def test_the_shard_that_has_heard_most_of_the_feed_knows_the_last_quotes() -> None:
    *_, (comparison, storyteller) = tell(Seeded(4_000), BEFORE)
    entry_id = storyteller.next_entry_id()
    ahead, behind = machines_of(resharded([comparison.machine.state], 2, entry_id))
    symbol = "BTCUSDT"
    quote = storyteller.entry_of_quotes([(symbol, 600_000, 600_001)])

    ahead.decide(storyteller.next_entry_id(), quote)
    (whole,) = resharded([behind.state, ahead.state], 1, storyteller.next_entry_id())

    found = whole.instrument_by_symbol[symbol]
    assert (found.bid, found.ask) == (600_000, 600_001)
    assert found.previous == behind.state.instrument_by_symbol[symbol].quote
