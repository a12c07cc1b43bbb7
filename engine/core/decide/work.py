"""The work on one entry: the events so far, and who must be looked at before the entry ends."""

import msgspec

from engine.core.evolve import evolve
from engine.core.state import Account, Instrument, State
from engine.messages.events import AnyEvent, Receipt
from engine.messages.rejects import RejectCode
from engine.messages.replies import Rejected


class Work(msgspec.Struct, gc=False):
    """What decide functions share while one entry is decided."""

    # Its logical time is already the entry's.
    state: State
    now_us: int
    entry_time_us: int
    # The engine's wall clock, as recorded.
    decided_at_us: int
    is_quotes: bool = False
    events: list[AnyEvent] = []
    # Accounts whose margin must be checked at the end, and whether a stop-out may start.
    touched: dict[int, bool] = {}
    # Instruments in which something was filled or charged, in order of first touch.
    filled: dict[int, None] = {}

    def emit(self, event: AnyEvent) -> None:
        """Record an event and evolve the state by it at once."""
        evolve(self.state, event)
        self.events.append(event)

    def touch(self, account: Account, *, may_stop_out: bool) -> None:
        """Have the account's margin checked at the end of the entry."""
        key = account.account
        self.touched[key] = may_stop_out or self.touched.get(key, False)


def rejected(code: RejectCode, **data: int | str) -> Rejected:
    """Return a refusal with the numbers behind it."""
    return Rejected(code=code, data=data)


def receipt(rule: str, instrument: Instrument, **inputs: int) -> Receipt:
    """Return why something happens: the rule, its inputs, and the quotes around it."""
    return Receipt(rule, instrument.quote, instrument.previous, inputs)
