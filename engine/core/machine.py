"""The state machine behind one interface: decide new entries, evolve recorded ones, answer queries.

Nothing here knows streams, files or clocks; the runtime feeds entries in order and publishes what comes out.
"""

import msgspec

from engine.messages.commands import AnyMessage
from engine.messages.events import AnyEvent
from engine.messages.replies import AnyReply
from engine.messages.views import AnyQuery, AnyView


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What one entry brought: the body of its output."""

    # Account and request id of the command; 0 and "" for quotes, ticks and undecodable entries.
    account: int
    request_id: str
    # The terminal answer; None for quotes and ticks.
    reply: AnyReply | None
    # In order of happening.
    events: tuple[AnyEvent, ...]
