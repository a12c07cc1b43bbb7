"""Hypothesis tells the histories: it looks for the shortest one in which engine and oracle part."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from engine.messages import commands as c
from tests.engine.properties.comparing import Comparison
from tests.engine.properties.histories import Drawn, Storyteller

# The nightly profile takes some twenty minutes, more than any other test may.
pytestmark = pytest.mark.timeout(3_600)
Teller = Callable[[Storyteller], c.AnyMessage]


class EngineMachine(RuleBasedStateMachine):
    """Each rule is one entry of the log."""

    @initialize()
    def begin(self) -> None:
        self.comparison = Comparison()
        # The prologue takes no decisions, so that hypothesis shrinks only what follows it.
        self.storyteller = Storyteller(First(), self.comparison.oracle, accounts=(1, 2, 10))
        for entry in self.storyteller.prologue():
            self.comparison.step(*entry)
        self.snapshot = self.comparison.machine.dump()
        self.skip = len(self.comparison.entries)

    def entry(self, data: st.DataObject, make: Teller) -> None:
        self.storyteller.chooser = Drawn(data)
        entry_id = self.storyteller.next_entry_id()
        message = make(self.storyteller)
        if isinstance(message, c.Command):
            self.storyteller.sent.append(message)
        self.comparison.step(entry_id, message, self.storyteller.decided_at_us(entry_id))

    @rule(data=st.data())
    def quotes(self, data: st.DataObject) -> None:
        self.entry(data, Storyteller.quotes)

    @rule(data=st.data())
    def more_quotes(self, data: st.DataObject) -> None:
        self.entry(data, Storyteller.quotes)

    @rule(data=st.data())
    def bad_quotes(self, data: st.DataObject) -> None:
        self.entry(data, Storyteller.bad_quotes)

    @rule(data=st.data())
    def place_order(self, data: st.DataObject) -> None:
        self.entry(data, Storyteller.place_order)

    @rule(data=st.data())
    def another_order(self, data: st.DataObject) -> None:
        self.entry(data, Storyteller.place_order)

    @rule(data=st.data())
    def modify(self, data: st.DataObject) -> None:
        kinds = (Storyteller.modify_order, Storyteller.modify_position, Storyteller.move_margin)
        self.entry(data, data.draw(st.sampled_from(kinds)))

    @rule(data=st.data())
    def reduce(self, data: st.DataObject) -> None:
        kinds = (
            Storyteller.close_position,
            Storyteller.close_by,
            Storyteller.reverse,
            Storyteller.cancel,
            Storyteller.close_all,
        )
        self.entry(data, data.draw(st.sampled_from(kinds)))

    @rule(data=st.data())
    def cash(self, data: st.DataObject) -> None:
        self.entry(data, Storyteller.cash)

    @rule(data=st.data())
    def house(self, data: st.DataObject) -> None:
        kinds = (Storyteller.swap, Storyteller.operator, Storyteller.definition, Storyteller.repeat)
        self.entry(data, data.draw(st.sampled_from(kinds)))

    @rule()
    def restart(self) -> None:
        """Load the snapshot and catch up: the machine goes on from there."""
        before = self.comparison.machine
        self.comparison.machine = self.comparison.replay(self.snapshot, self.skip)
        assert self.comparison.machine.state_hash() == before.state_hash()
        assert self.comparison.machine.market_hash() == before.market_hash()
        self.snapshot, self.skip = self.comparison.machine.dump(), len(self.comparison.entries)

    @invariant()
    def ledger_is_zero(self) -> None:
        if hasattr(self, "comparison"):
            assert sum(self.comparison.ledger.values()) == 0

    def teardown(self) -> None:
        if hasattr(self, "comparison"):
            self.comparison.finish()
            assert self.comparison.replay().state_hash() == self.comparison.machine.state_hash()


class First:
    """Decides nothing: always the lowest."""

    def integer(self, low: int, high: int) -> int:
        return min(low, high)


TestEngineMachine = EngineMachine.TestCase
TestEngineMachine.settings = settings(
    stateful_step_count=40,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.filter_too_much,
    ],
)
