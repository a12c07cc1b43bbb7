"""The work on one entry: the events so far, and who must be looked at before the entry ends."""

from engine.core.evolve import evolve
from engine.core.state import Account, Instrument, State
from engine.messages.events import AnyEvent, Receipt
from engine.messages.rejects import RejectCode
from engine.messages.replies import Rejected


class Work:
    """What decide functions share while one entry is decided."""

    __slots__ = (
        "decided_at_us",
        "entry_time_us",
        "events",
        "filled",
        "is_quotes",
        "now_us",
        "state",
        "touched",
    )

    def __init__(self, state: State, *, entry_time_us: int, decided_at_us: int) -> None:
        """Begin the work on an entry; the state's logical time is already the entry's."""
        self.state = state
        self.now_us = state.now_us
        self.entry_time_us = entry_time_us
        self.decided_at_us = decided_at_us
        self.events: list[AnyEvent] = []
        # Accounts whose margin must be checked at the end, and whether a stop-out may start.
        self.touched: dict[int, bool] = {}
        # Instruments in which something was filled or charged, in order of first touch.
        self.filled: dict[int, None] = {}
        self.is_quotes = False

    def emit(self, event: AnyEvent) -> None:
        """Record an event and evolve the state by it at once."""
        evolve(self.state, event)
        self.events.append(event)

    def touch(self, account: Account, *, may_stop_out: bool) -> None:
        """Have the account's margin checked at the end of the entry."""
        key = account.account
        self.touched[key] = self.touched.get(key, False) or may_stop_out


def rejected(code: RejectCode, **data: int | str) -> Rejected:
    """Return a refusal with the numbers behind it."""
    return Rejected(code=code, data=data)


def receipt(rule: str, instrument: Instrument, **inputs: int) -> Receipt:
    """Return why something happens: the rule, its inputs, and the quotes around it."""
    return Receipt(
        rule=rule, quote=instrument.quote, previous_quote=instrument.previous, inputs=inputs
    )
