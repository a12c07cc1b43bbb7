"""One output of the engine as consumers read it from the stream: gateway, projector, journal.

The raw bytes stay as they are, because the chain hash covers them; replies and events are decoded when asked for.
"""

from collections.abc import Sequence

from django.utils.functional import cached_property

from engine.messages import codec
from engine.messages.chain import chain_hash
from engine.messages.events import AnyEvent
from engine.messages.output_entry import OutputEntry, read
from engine.messages.replies import AnyReply
from engine.values import entry_id_from_text


class Output:
    """What the engine published for one entry of its input."""

    def __init__(self, shard: int, output_id: str, entry: OutputEntry) -> None:
        self.shard = shard
        # Stream id "<ms>-<seq>", the same as that of the input entry.
        self.output_id = output_id
        self.n = entry.number
        self.account = entry.account
        self.request_id = entry.request_id
        self.reply_raw = entry.reply
        self.events_raw = entry.events
        self.command_raw = entry.command
        self.decided_at_us = entry.decided_at_us
        self.gateway = entry.gateway
        self.epoch = entry.epoch
        self.build = entry.build
        self.chain = entry.chain
        self.version = entry.version

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


def output_from_entry(shard: int, entry_id: bytes, fields: Sequence[bytes]) -> Output:
    """Read one stream entry; errors as output_entry.read()."""
    return Output(shard, entry_id.decode(), read(fields))
