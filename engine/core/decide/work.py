"""The work on one entry: the events so far, and who must be looked at before the entry ends."""

import msgspec

from engine.core.evolve import evolve
from engine.core.fills import close_fill, open_fill
from engine.core.state import Account, Instrument, Position, State
from engine.messages.events import AnyEvent, PositionClosed, PositionOpened, Receipt
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
    filled: dict[int, Instrument] = {}

    def emit(self, event: AnyEvent) -> None:
        """Record an event and evolve the state by it at once."""
        evolve(self.state, event)
        self.events.append(event)

    def emit_opened(
        self, account: Account, instrument: Instrument, k: int, event: PositionOpened
    ) -> None:
        """Record a fill that opens: its account is checked at the end, and what waits in the instrument may fire.

        At a command no stop-out may start from it, for it was judged by the free margin.
        """
        account.seq += 1
        open_fill(self.state, account, instrument, k, event)
        self.events.append(event)
        self.filled[instrument.index] = instrument
        self.touched[account.account] = self.is_quotes or self.touched.get(account.account, False)

    def emit_closed(
        self, account: Account, instrument: Instrument, position: Position, event: PositionClosed
    ) -> None:
        """Record a fill that closes: its account is checked at the end, and what waits in the instrument may fire."""
        account.seq += 1
        close_fill(self.state, account, instrument, position, event)
        self.events.append(event)
        self.filled[instrument.index] = instrument
        self.touched[account.account] = True

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
