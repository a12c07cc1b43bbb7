"""The table of answered requests: one terminal answer per id, bounded, evicted by log position (rule E3)."""

from typing import Any

from engine.core.request_table import RequestRecord
from engine.core.state import REQUEST_AGE_US_MAX, REQUESTS_MAX, State
from engine.messages.commands import ACCOUNT_COMMANDS, AnyCommand, PostCash
from engine.messages.rejects import RejectCode
from engine.messages.replies import AnyReply, Duplicate, Rejected
from engine.values import entry_id_before, text_from_entry_id

# From an entry to the last one that may be too old for its table.
_BEFORE = entry_id_before(0, REQUEST_AGE_US_MAX)


def request_key(command: AnyCommand) -> str:
    """Return the key of a request: its account, or the source of a command without one, and its id.

    Cash has none: its own gapless numbers, without a window, stand for it.
    """
    found: Any = command
    if type(command) in ACCOUNT_COMMANDS:
        if type(command) is PostCash:
            return ""
        return f"a{found.account}:{command.request_id}"
    return f"s{found.source}:{command.request_id}"


def answered(
    state: State, key: str, command: AnyCommand, digest: bytes
) -> Duplicate | Rejected | None:
    """Return the answer to a request that was seen before; None for a new one."""
    record = state.requests.get(key)
    if record is None:
        return None
    output_id = text_from_entry_id(record.entry_id)
    if record.digest == digest:
        return Duplicate(output_id=output_id)
    return Rejected(
        code=RejectCode.EXISTS_WITH_DIFFERENT_CONTENT,
        data={"request_id": command.request_id, "output_id": output_id},
    )


def remember(state: State, key: str, digest: bytes, entry_id: int, reply: AnyReply) -> None:
    """Keep a terminal answer; the oldest leave by number and by age in the log, only when one is added."""
    code = None
    if type(reply) is Duplicate:
        return
    if type(reply) is Rejected:
        code = reply.code
        if code is RejectCode.EXISTS_WITH_DIFFERENT_CONTENT:
            return
    if not key:
        return
    keep(state, RequestRecord(key, digest, entry_id, code))


def keep(state: State, record: RequestRecord) -> None:
    """Keep the record of a new request; the oldest leave by number and by age."""
    requests = state.requests
    requests.add(record)
    # Nearly always nothing is that old; the millisecond in question is looked at more closely.
    if requests.count > REQUESTS_MAX or requests.oldest_id < record.entry_id + _BEFORE:
        oldest_id = entry_id_before(record.entry_id, REQUEST_AGE_US_MAX)
        while requests.count > REQUESTS_MAX or requests.oldest_id < oldest_id:
            requests.drop_oldest()
