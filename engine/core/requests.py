"""The table of answered requests: one terminal answer per id, bounded, evicted by log position (rule E3)."""

from engine.core.state import REQUEST_AGE_US_MAX, REQUESTS_MAX, RequestRecord, State
from engine.messages.commands import AccountCommand, AnyCommand, PostCash
from engine.messages.rejects import RejectCode
from engine.messages.replies import AnyReply, Duplicate, Rejected
from engine.values import entry_time_us, text_from_entry_id


def request_key(command: AnyCommand) -> str:
    """Return the key of a request: its account, or the source of a command without one, and its id."""
    if isinstance(command, AccountCommand):
        return f"a{command.account}:{command.request_id}"
    return f"s{command.source}:{command.request_id}"


def is_remembered(command: AnyCommand) -> bool:
    """Return whether a command's id is kept; cash has its own gapless numbers without a window instead."""
    return not isinstance(command, PostCash)


def answered(state: State, command: AnyCommand, digest: bytes) -> AnyReply | None:
    """Return the answer to a request id that was seen before; None for a new one."""
    if not is_remembered(command):
        return None
    record = state.requests.get(request_key(command))
    if record is None:
        return None
    output_id = text_from_entry_id(record.entry_id)
    if record.digest == digest:
        return Duplicate(output_id=output_id)
    return Rejected(
        code=RejectCode.EXISTS_WITH_DIFFERENT_CONTENT,
        data={"request_id": command.request_id, "output_id": output_id},
    )


def remember(
    state: State, command: AnyCommand, digest: bytes, entry_id: int, reply: AnyReply
) -> None:
    """Keep a terminal answer; the oldest leave by number and by age in the log, only when one is added."""
    if not is_remembered(command) or isinstance(reply, Duplicate):
        return
    code = reply.code if isinstance(reply, Rejected) else None
    if code is RejectCode.EXISTS_WITH_DIFFERENT_CONTENT:
        return
    record = RequestRecord(request_key(command), digest, entry_id, code)
    state.requests[record.key] = record
    # A dict that loses its first entry again and again scans its own holes; the queue does not.
    state.request_queue.append(record)
    oldest_us = entry_time_us(entry_id) - REQUEST_AGE_US_MAX
    while (
        len(state.request_queue) > REQUESTS_MAX
        or entry_time_us(state.request_queue[0].entry_id) < oldest_us
    ):
        del state.requests[state.request_queue.popleft().key]
