"""The wire form of messages: JSON by msgspec, one encoder and decoder per kind, and the content digest."""

import hashlib

import msgspec

from engine.messages.commands import AnyCommand, AnyMessage, ClosePosition, PlaceOrder
from engine.messages.events import AnyEvent
from engine.messages.replies import AnyReply
from engine.messages.views import AnyQuery, AnyView

# Version of the wire form; an entry names the version that it was written in. 2 added the event Resharded.
WIRE_VERSION = 2
# A release reads what its predecessors wrote, else an upgrade would refuse what waits in the log: engines are upgraded
# before gateways. A version whose messages differ from today's is translated here before it is decoded.
READABLE_VERSIONS = frozenset({b"1", b"2"})

# Commands to which the gateway adds its last quote.
_QUOTED = frozenset({PlaceOrder, ClosePosition})

_encode = msgspec.json.Encoder().encode
_replace = msgspec.structs.replace
_blake2b = hashlib.blake2b
_message_decoder: msgspec.json.Decoder[AnyMessage] = msgspec.json.Decoder(AnyMessage)
_reply_decoder: msgspec.json.Decoder[AnyReply] = msgspec.json.Decoder(AnyReply)
_events_decoder = msgspec.json.Decoder(tuple[AnyEvent, ...])
_query_decoder: msgspec.json.Decoder[AnyQuery] = msgspec.json.Decoder(AnyQuery)
_view_decoder: msgspec.json.Decoder[AnyView] = msgspec.json.Decoder(AnyView)

MalformedError = msgspec.DecodeError


def encode(value: msgspec.Struct | tuple[AnyEvent, ...] | list[AnyEvent]) -> bytes:
    """Encode any message, reply, view or sequence of events."""
    return _encode(value)


def decode_message(raw: bytes) -> AnyMessage:
    """Decode an input entry's message.

    Errors: MalformedError for anything that is not exactly one known message.
    """
    try:
        return _message_decoder.decode(raw)
    except (UnicodeDecodeError, RecursionError) as error:
        # The decoder lets bad UTF-8 and bottomless nesting through as other errors, and one such entry would halt a shard.
        raise MalformedError(str(error)) from error


def decode_reply(raw: bytes) -> AnyReply:
    """Decode an output entry's reply; errors as decode_message."""
    return _reply_decoder.decode(raw)


def decode_events(raw: bytes) -> tuple[AnyEvent, ...]:
    """Decode an output entry's events; errors as decode_message."""
    return _events_decoder.decode(raw)


def decode_query(raw: bytes) -> AnyQuery:
    """Decode a query; errors as decode_message."""
    return _query_decoder.decode(raw)


def decode_view(raw: bytes) -> AnyView:
    """Decode the answer to a query; errors as decode_message."""
    return _view_decoder.decode(raw)


def content_digest(command: AnyCommand) -> bytes:
    """Return 16 bytes that stand for what the sender meant.

    What the gateway adds (deadline, last quote) is left out, else an honest retry would be "other content".
    """
    if type(command) in _QUOTED:
        command = _replace(command, deadline_us=0, quoted_price_ticks=None)
    elif command.deadline_us:
        command = _replace(command, deadline_us=0)
    return _blake2b(_encode(command), digest_size=16).digest()
