"""How an output stands in its stream: in one field, all of its parts packed.

One field instead of twelve: the server, its script, its file and every reader carry two strings for an output where they carried twenty-four.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from engine.values import InvariantError, check

OUTPUT_FIELD: Final = b"o"

# What engines wrote before: a field for each part, in the order of OutputEntry.
_FIELDS_BEFORE: Final = [
    *(b"v", b"n", b"g", b"acc", b"rid", b"reply", b"events", b"cmd", b"at", b"ep", b"build", b"h")
]


class OutputEntry(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The parts of an output. The chain hash covers number, account, request id, reply, events, command and decided_at_us."""

    # Version of the wire form of the bytes below.
    version: int
    # Gapless number of the output in its shard, from 1.
    number: int
    # Tag of the sender that waits for the reply.
    gateway: bytes
    # Account and request id of the command; 0 and "" for quotes and ticks.
    account: int
    request_id: str
    # JSON; empty without a reply.
    reply: bytes
    # JSON array, possibly empty.
    events: bytes
    # The command as it was sent; empty for quotes and ticks.
    command: bytes
    # The engine's wall clock at the start of the batch, microseconds.
    decided_at_us: int
    epoch: int
    build: str
    chain: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(OutputEntry).decode


def pack(entry: OutputEntry) -> bytes:
    """Return the value of the one field."""
    return _encode(entry)


def read(fields: Sequence[bytes]) -> OutputEntry:
    """Read a stream entry; `fields` alternates names and values, as the server sends them. Errors: as read_named()."""
    if fields and fields[0] == OUTPUT_FIELD:
        return _unpack(fields[1])
    return read_named(dict(zip(fields[::2], fields[1::2], strict=True)))


def read_named(fields: Mapping[bytes, bytes]) -> OutputEntry:
    """Read a stream entry from its fields by name.

    Errors: InvariantError for an entry that no engine of ours has written.
    """
    packed = fields.get(OUTPUT_FIELD)
    if packed is not None:
        return _unpack(packed)
    missing = [name for name in _FIELDS_BEFORE if name not in fields]
    check(not missing, f"an output entry has the fields {sorted(fields)} and lacks {missing}")
    version, number, gateway, account, request, reply, events, command, at, epoch, build, chain = (
        fields[name] for name in _FIELDS_BEFORE
    )
    return OutputEntry(
        int(version), int(number), gateway, int(account), request.decode(), reply, events, command,
        int(at), int(epoch), build.decode(), chain,
    )  # fmt: skip


def _unpack(packed: bytes) -> OutputEntry:
    try:
        return _decode(packed)
    except msgspec.DecodeError as error:
        raise InvariantError(f"an output entry is torn: {error}") from error
