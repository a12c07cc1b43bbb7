"""One output of the engine as consumers read it from the stream: gateway, projector, journal.

The raw bytes stay as they are, because the chain hash covers them; replies and events are decoded when asked for.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Final

from engine.messages import codec
from engine.messages.chain import chain_hash
from engine.messages.events import AnyEvent
from engine.messages.replies import AnyReply
from engine.messages.streams import (
    OUT_ACCOUNT,
    OUT_BUILD,
    OUT_COMMAND,
    OUT_DECIDED_AT,
    OUT_EPOCH,
    OUT_EVENTS,
    OUT_GATEWAY,
    OUT_HASH,
    OUT_NUMBER,
    OUT_REPLY,
    OUT_REQUEST,
    OUT_VERSION,
)
from engine.values import check, entry_id_from_text


class Output:
    """What the engine published for one entry of its input."""

    def __init__(
        self,
        *,
        shard: int,
        output_id: str,
        n: int,
        account: int,
        request_id: str,
        reply_raw: bytes,
        events_raw: bytes,
        command_raw: bytes = b"",
        decided_at_us: int = 0,
        gateway: bytes = b"",
        epoch: int = 0,
        build: str = "",
        chain: bytes = b"",
        version: int = codec.WIRE_VERSION,
    ) -> None:
        self.shard = shard
        # Stream id "<ms>-<seq>", the same as that of the input entry.
        self.output_id = output_id
        # Gapless number of the output in its shard, from 1.
        self.n = n
        # Account and request id of the command; 0 and "" for quotes and ticks.
        self.account = account
        self.request_id = request_id
        self.reply_raw = reply_raw
        self.events_raw = events_raw
        # The command as it was sent; empty for quotes and ticks.
        self.command_raw = command_raw
        # The engine's wall clock at the decision, microseconds.
        self.decided_at_us = decided_at_us
        # Tag of the sender that waits for the reply.
        self.gateway = gateway
        self.epoch = epoch
        self.build = build
        self.chain = chain
        # Version of the wire form of the bytes above.
        self.version = version

    @cached_property
    def reply(self) -> AnyReply | None:
        """Return the terminal answer, None for quotes and ticks."""
        return codec.decode_reply(self.reply_raw) if self.reply_raw else None

    @cached_property
    def events(self) -> tuple[AnyEvent, ...]:
        """Return what happened, in order."""
        return codec.decode_events(self.events_raw) if self.events_raw else ()

    @cached_property
    def entry_id(self) -> int:
        """Return the output id packed into one ordered integer."""
        return entry_id_from_text(self.output_id)

    def chain_after(self, previous: bytes) -> bytes:
        """Return the hash that this output must carry after one with the given hash."""
        return chain_hash(
            previous,
            self.entry_id,
            number=self.n,
            account=self.account,
            request_id=self.request_id,
            reply=self.reply_raw,
            events=self.events_raw,
            command=self.command_raw,
            decided_at_us=self.decided_at_us,
        )


# In the order in which the engine writes them.
_FIELDS: Final = [
    OUT_VERSION,
    OUT_NUMBER,
    OUT_GATEWAY,
    OUT_ACCOUNT,
    OUT_REQUEST,
    OUT_REPLY,
    OUT_EVENTS,
    OUT_COMMAND,
    OUT_DECIDED_AT,
    OUT_EPOCH,
    OUT_BUILD,
    OUT_HASH,
]


def output_from_entry(shard: int, entry_id: bytes, fields: Sequence[bytes]) -> Output:
    """Read one stream entry; `fields` alternates names and values, as the server sends them.

    Errors: InvariantError for an entry that no engine of ours has written.
    """
    values = fields[1::2]
    # Every gateway reads every output, so the usual order is not looked up name by name.
    if fields[::2] != _FIELDS:
        named = dict(zip(fields[::2], values, strict=True))
        missing = sorted(set(_FIELDS) - named.keys())
        check(not missing, f"output entry {entry_id!r} lacks {missing}")
        values = [named[name] for name in _FIELDS]
    (
        version,
        n,
        gateway,
        account,
        request_id,
        reply,
        events,
        command,
        decided_at,
        epoch,
        build,
        chain,
    ) = values
    return Output(
        shard=shard,
        output_id=entry_id.decode(),
        n=int(n),
        account=int(account),
        request_id=request_id.decode(),
        reply_raw=reply,
        events_raw=events,
        command_raw=command,
        decided_at_us=int(decided_at),
        gateway=gateway,
        epoch=int(epoch),
        build=build.decode(),
        chain=chain,
        version=int(version),
    )
