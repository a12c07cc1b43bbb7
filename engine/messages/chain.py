"""The chain of outputs: each output's hash covers the one before, so a removed or edited record shows.

Writers (the engine) and readers (projector, replay) compute it by this one function.
"""

import hashlib
import struct
from typing import Final

CHAIN_HASH_BYTES: Final = 32
# What the first output of a chain names as the hash before it.
CHAIN_GENESIS: Final = bytes(CHAIN_HASH_BYTES)

# Fixed-width numbers and the lengths of the variable parts stand first: no two bodies share an encoding.
_HEADER: Final = struct.Struct(">QQQQIIII")


def chain_hash(
    previous: bytes,
    entry_id: int,
    *,
    number: int,
    account: int,
    request_id: str,
    reply: bytes,
    events: bytes,
    command: bytes,
    decided_at_us: int,
) -> bytes:
    """Return the chain hash of one output: BLAKE2b-256 over the previous hash, the entry id and the body.

    The parts are the bytes of the entry's fields as they stand in the stream; absent ones are empty. Epoch, build and
    gateway tag lie outside, so that a restart or another build of equal behaviour leaves the chain as it is.
    Units: entry_id as engine.values packs it, decided_at_us in microseconds.
    """
    request = request_id.encode()
    header = _HEADER.pack(
        entry_id,
        number,
        account,
        decided_at_us,
        len(request),
        len(reply),
        len(events),
        len(command),
    )
    body = b"".join((previous, header, request, reply, events, command))
    return hashlib.blake2b(body, digest_size=CHAIN_HASH_BYTES).digest()
