"""Decides whether a command may still be sent: by what waits here, by the engine's lag and by the log's memory.

Opens are refused first and everything else at twice the limits: whoever wants out must still get through. A command that is
refused here was not sent at all, so its sender may simply try again.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec
from redis.asyncio.connection import AbstractConnection
from typing_extensions import override

from apps.common.clock import now_us
from apps.common.errors import EngineBusyError
from apps.common.gateway_wire import ConnectedTask
from engine.messages.commands import AnyCommand, PlaceOrder, ReversePosition
from engine.messages.health import EngineHealth, EngineState

# Limits for opens.
PENDING_MAX: Final = 20_000
LAG_MS_MAX: Final = 1_000
LAG_ENTRIES_MAX: Final = 5_000
_OTHERS_FACTOR: Final = 2
# Share of the log's memory from which on opens are refused, and everything: a full log would refuse the engine too.
_MEMORY_PERCENT_OPENS: Final = 80
_MEMORY_PERCENT_ALL: Final = 90
# A union in the call would be built anew for every command.
_OPENS: Final = (PlaceOrder, ReversePosition)
_POLL_S: Final = 0.5
# An older report says nothing any more; a halt is final and stays.
_BELIEVED_US: Final = 3_000_000

_decoder = msgspec.json.Decoder(EngineHealth)


class HealthWatch(ConnectedTask):
    """Keeps the newest report of every shard's engine."""

    def __init__(self, url: str, keys: Sequence[str]) -> None:
        super().__init__(url, "gateway-health")
        self._keys = list(keys)
        self.reports: dict[int, EngineHealth] = {}

    @override
    async def _serve(self, connection: AbstractConnection) -> None:
        self.up.set()
        while True:
            await connection.send_command("MGET", *self._keys)
            for shard, raw in enumerate(await connection.read_response(disable_decoding=True)):
                if raw is None:
                    self.reports.pop(shard, None)
                else:
                    self.reports[shard] = _decoder.decode(raw)
            await asyncio.sleep(_POLL_S)


def admit(command: AnyCommand, *, pending: int, report: EngineHealth | None) -> None:
    """Return if the command may be sent.

    Errors: EngineBusyError with the reason.
    """
    is_open = isinstance(command, _OPENS)
    factor = 1 if is_open else _OTHERS_FACTOR
    reason = ""
    if pending >= PENDING_MAX * factor:
        reason = f"{pending} commands wait for the engine"
    elif report is not None and report.state is EngineState.HALTED:
        reason = "the engine has halted and waits for an operator"
    elif report is not None and now_us() - report.reported_at_us < _BELIEVED_US:
        is_late = report.lag_ms > LAG_MS_MAX * factor
        memory_percent_max = _MEMORY_PERCENT_OPENS if is_open else _MEMORY_PERCENT_ALL
        if is_late or report.lag_entries > LAG_ENTRIES_MAX * factor:
            reason = f"the engine is {report.lag_ms} ms and {report.lag_entries} entries behind"
        elif report.log_memory_percent >= memory_percent_max:
            reason = f"the log has used {report.log_memory_percent} % of its memory"
    if reason:
        raise EngineBusyError(reason, request_id=command.request_id)
