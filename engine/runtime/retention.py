"""What the log may forget: nothing that a recovery or a durable consumer could still ask for.

Every engine of a shard, active or standby, registers its own verified snapshots. The active one trims:
  1. input below the oldest of the hosts' second newest snapshots, so that one torn file is never fatal;
  2. outputs below that too, and below every position that a durable consumer has reported.
A host silent for an hour is struck off: not by its clock and ours alone, of which either may be wrong, but after it was
seen to stay silent for some of its own intervals; when it comes back with snapshots that the log has outlived, it needs a copy of
a newer one. Without a single consumer no output is ever removed.
"""

import logging
from collections.abc import Mapping
from typing import Final, NamedTuple, Protocol

import msgspec

from engine.messages.health import EngineState
from engine.runtime.errors import LogUnavailableError
from engine.runtime.ports import Clock
from engine.runtime.status import Status
from engine.values import entry_id_from_text, entry_time_us, text_from_entry_id

_logger = logging.getLogger(__name__)

# Snapshots that a host must have before anything is removed: the newest may turn out to be unreadable.
SNAPSHOTS_HELD: Final = 2
SILENT_US_MAX: Final = 3_600_000_000
# A living host says so this often, also when it has nothing new.
_REGISTER_EVERY_US: Final = 60_000_000
# A host that is silent for an hour by the clocks is watched for so long before it is believed: a clock that jumped makes
# every host look silent at once, and a living one has said something new by then.
_WATCH_US: Final = 3 * _REGISTER_EVERY_US
# Whoever holds the log back by more than this is named in an alarm.
_HELD_BACK_US_MAX: Final = 600_000_000
# Outputs that may wait for a first consumer before an alarm says that there is none.
_UNCLAIMED_MAX: Final = 100_000


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """The snapshots of one host that were read back or recovered from."""

    # Stream ids, newest first, at most two.
    entry_ids: tuple[str, ...]
    # Hash of the newest one's state, hexadecimal.
    state_hash: str
    # Wall clock, microseconds.
    registered_at_us: int


class LogMemory(NamedTuple):
    """What the log's server uses, and what it may; bytes."""

    used: int
    limit: int


class Retention(Protocol):
    """The registers beside the log, and the removal of what is not needed any more.

    Errors: LogUnavailableError.
    """

    @property
    def host(self) -> str:
        """Return the name of this host's store of snapshots."""
        ...

    def register(self, registration: Registration) -> None:
        """Say which snapshots this host has."""
        ...

    def registrations(self) -> Mapping[str, Registration]:
        """Return what every host has said last."""
        ...

    def strike_off(self, host: str) -> None:
        """Forget a host."""
        ...

    def consumers(self) -> Mapping[str, int]:
        """Return the packed ids up to which durable consumers have kept the outputs."""
        ...

    def newest_output(self) -> int:
        """Return the packed id of the newest output that there has been; 0 before the first."""
        ...

    def trim_input(self, below: int) -> int:
        """Remove input entries below an id, as far as is cheap; return how many."""
        ...

    def trim_outputs(self, below: int) -> int:
        """Remove output entries below an id, as far as is cheap; return how many."""
        ...

    def memory(self) -> LogMemory:
        """Return what the log's server uses."""
        ...

    def disk_percent(self) -> int:
        """Return how full the disk of this host's snapshots is; 0 when that is unknown."""
        ...

    def close(self) -> None:
        """Give up the connection."""
        ...


class Bounds(NamedTuple):
    """Packed ids below which streams may be trimmed (0: nothing may go), and who holds them there."""

    input_below: int
    outputs_below: int
    held_by: str


def bounds(registrations: Mapping[str, Registration], consumers: Mapping[str, int]) -> Bounds:
    """Return what may go."""
    held = {
        f"host {host}": entry_id_from_text(registration.entry_ids[-1])
        if len(registration.entry_ids) >= SNAPSHOTS_HELD
        else 0
        for host, registration in registrations.items()
    }
    if not held:
        return Bounds(0, 0, "no host has registered a snapshot")
    input_below = min(held.values())
    held |= {f"consumer {name}": entry_id for name, entry_id in consumers.items()}
    holder = min(held, key=lambda name: (held[name], name))
    if not consumers:
        return Bounds(input_below, 0, "no durable consumer has reported a position")
    return Bounds(input_below, held[holder], holder)


class Trimmer:
    """Registers this engine's snapshots and, when it is the active one, trims; driven by the heartbeat."""

    def __init__(self, *, retention: Retention, clock: Clock, status: Status) -> None:
        self._retention = retention
        self._clock = clock
        self._status = status
        self._registered: tuple[str, ...] | None = None
        self._registered_us = 0
        # What each host has said last, and since when it has said nothing else; monotonic microseconds.
        self._heard: dict[str, tuple[Registration, int]] = {}

    def beat(self) -> None:
        """Do what is due; a log out of reach is tried again with the next beat."""
        # Measured first: a full disk is one of the reasons for a log out of reach.
        self._status.disk_percent = self._retention.disk_percent()
        try:
            self._register()
            self._measure()
            if self._status.state is EngineState.LIVE:
                self._trim()
        except LogUnavailableError as error:
            _logger.debug("The log could not be trimmed.", extra={"reason": str(error)})

    def close(self) -> None:
        """Give up the connection."""
        self._retention.close()

    def _register(self) -> None:
        # Also without any: whoever has just begun to follow must not be overtaken before its second snapshot.
        verified = self._status.verified
        entry_ids = tuple(header.entry_id for header in verified)
        now_us = self._clock.monotonic_us()
        is_due = now_us - self._registered_us >= _REGISTER_EVERY_US
        if entry_ids == self._registered and not is_due:
            return
        self._retention.register(
            Registration(
                entry_ids=entry_ids,
                state_hash=verified[0].state_hash if verified else "",
                registered_at_us=self._clock.now_us(),
            )
        )
        self._registered, self._registered_us = entry_ids, now_us

    def _measure(self) -> None:
        used, limit = self._retention.memory()
        self._status.log_memory_percent = used * 100 // limit if limit else 0

    def _trim(self) -> None:
        registrations = dict(self._retention.registrations())
        for host, registration in list(registrations.items()):
            if self._is_silent(host, registration) and host != self._retention.host:
                _logger.warning("A host that keeps snapshots went silent.", extra={"host": host})
                self._retention.strike_off(host)
                del registrations[host], self._heard[host]
        may_go = bounds(registrations, self._retention.consumers())
        self._note_holder(may_go)
        removed = 0
        if may_go.input_below:
            removed += self._retention.trim_input(may_go.input_below)
        if may_go.outputs_below:
            removed += self._retention.trim_outputs(may_go.outputs_below)
        if removed:
            _logger.info(
                "The log was trimmed.",
                extra={
                    "shard": self._status.shard,
                    "removed": removed,
                    "input_below": text_from_entry_id(may_go.input_below),
                    "outputs_below": text_from_entry_id(may_go.outputs_below),
                },
            )

    def _is_silent(self, host: str, registration: Registration) -> bool:
        """Return whether a host has said nothing for an hour, by the clocks and by what was seen of it here."""
        now_us = self._clock.monotonic_us()
        last, since_us = self._heard.get(host, (None, now_us))
        if last != registration:
            since_us = now_us
        self._heard[host] = registration, since_us
        watched_us = now_us - since_us
        # Also by what was seen alone, since a host whose clock was ahead would never look silent.
        return watched_us > SILENT_US_MAX or (
            watched_us > _WATCH_US
            and self._clock.now_us() - registration.registered_at_us > SILENT_US_MAX
        )

    def _note_holder(self, may_go: Bounds) -> None:
        position = self._status.position
        behind_us = entry_time_us(position.entry_id) - entry_time_us(may_go.outputs_below)
        is_unclaimed = may_go.outputs_below == 0 and position.number < _UNCLAIMED_MAX
        if (
            behind_us <= _HELD_BACK_US_MAX
            or is_unclaimed
            or (may_go.outputs_below < may_go.input_below and self._has_all(may_go.outputs_below))
        ):
            self._status.held_back_by = ""
        else:
            self._status.held_back_by = may_go.held_by

    def _has_all(self, entry_id: int) -> bool:
        # In quiet hours quotes go on and cause no outputs, so whoever waits for one stands still and holds nothing back.
        return self._retention.newest_output() <= entry_id
