"""Names of streams, keys, channels and entry fields. Spelled here and nowhere else.

Every name takes the prefix of its deployment (empty in production, random in tests).
"""

from enum import StrEnum
from zlib import crc32

import msgspec

from engine.messages.commands import Quote
from engine.values import SourceClass

# Fields of an input entry: wire version, message JSON, tag of the gateway that waits for the answer.
IN_VERSION = b"v"
IN_MESSAGE = b"m"
IN_GATEWAY = b"g"

# Fields of the checkpoint hash.
CHECKPOINT_IN = b"in"
CHECKPOINT_NUMBER = b"n"
CHECKPOINT_HASH = b"h"
CHECKPOINT_COUNT = b"count"
CHECKPOINT_EPOCH = b"epoch"
CHECKPOINT_BUILD = b"build"

# Fields of the hash that says how the log is laid out.
LAYOUT_NUMBER = b"layout"
LAYOUT_SHARDS = b"shards"
FIRST_LAYOUT = 1


def shard_of(account: int, shards: int) -> int:
    """Return the shard of an account: CRC-32 of its decimal text mod N, the same in every process."""
    return crc32(str(account).encode()) % shards


def _sharded(name: str, shard: int, shards: int) -> str:
    return name if shards == 1 else f"{name}:{{{shard}}}"


def input_stream(prefix: str, shard: int = 0, shards: int = 1) -> str:
    """Return the key of the input stream: the log."""
    return prefix + _sharded("stream:exness", shard, shards)


def output_stream(prefix: str, shard: int = 0, shards: int = 1) -> str:
    """Return the key of the output stream."""
    return prefix + _sharded("stream:exnessReceive", shard, shards)


def layout_key(prefix: str) -> str:
    """Return the key of the hash that holds the number of the shard layout, and of its shards."""
    return f"{prefix}engine:layout"


def checkpoint_key(prefix: str, shard: int = 0) -> str:
    """Return the key of the hash that holds the engine's position, written with its outputs."""
    return f"{prefix}engine:{{{shard}}}:checkpoint"


def epoch_key(prefix: str, shard: int = 0) -> str:
    """Return the key of the fence: only the holder of the highest epoch may publish."""
    return f"{prefix}engine:{{{shard}}}:epoch"


def lease_key(prefix: str, shard: int = 0) -> str:
    """Return the key of the active engine's lease."""
    return f"{prefix}engine:{{{shard}}}:lease"


def snapshots_key(prefix: str, shard: int = 0) -> str:
    """Return the key where engines register their snapshots."""
    return f"{prefix}engine:{{{shard}}}:snapshots"


def consumers_key(prefix: str, shard: int = 0) -> str:
    """Return the key where durable consumers report their positions."""
    return f"{prefix}engine:{{{shard}}}:consumers"


def health_key(prefix: str, shard: int = 0) -> str:
    """Return the key (on the other instance) where the engine reports its health."""
    return f"{prefix}engine:{{{shard}}}:health"


def standby_health_key(prefix: str, shard: int = 0) -> str:
    """Return the key (on the other instance) where a standby reports its health."""
    return f"{prefix}engine:{{{shard}}}:standby"


def feed_lease_key(prefix: str) -> str:
    """Return the key of the feed's lease; two feeds never interleave."""
    return f"{prefix}feed:lease"


def feed_epoch_key(prefix: str) -> str:
    """Return the key of the counter of feed starts."""
    return f"{prefix}feed:epoch"


def feed_status_key(prefix: str) -> str:
    """Return the key (on the other instance) where the feed reports its state."""
    return f"{prefix}feed:status"


def query_channel(prefix: str, shard: int = 0) -> str:
    """Return the pub/sub channel of queries to a shard."""
    return f"{prefix}exness:query:{shard}"


def answer_channel(prefix: str, gateway: str) -> str:
    """Return the pub/sub channel where a gateway hears the answers to its queries."""
    return f"{prefix}exness:answer:{gateway}"


def prices_channel(prefix: str) -> str:
    """Return the pub/sub channel of price batches."""
    return f"{prefix}prices"


def candles_channel(prefix: str) -> str:
    """Return the pub/sub channel of candles that have changed."""
    return f"{prefix}candles"


class QueryEnvelope(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A query on its way: answered on answer_channel(gateway) after entry ``after`` was applied."""

    gateway: str
    # Chosen by the gateway; names the answer.
    query_id: int
    # Stream id "<ms>-<seq>" that must be applied before answering; empty: as it is.
    after: str = ""
    # JSON of an AnyQuery.
    query: msgspec.Raw


class QueryRefusal(StrEnum):
    """Why the engine does not answer a query; asking again changes nothing."""

    # It cannot be read.
    MALFORMED = "MALFORMED"
    # It was read, and answering it failed; the engine's log says how.
    FAILED = "FAILED"


class AnswerEnvelope(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The answer to a query."""

    query_id: int
    # JSON of an AnyView; null if refused.
    view: msgspec.Raw = msgspec.Raw(b"null")
    refusal: QueryRefusal | None = None
    # In words; empty with a view.
    reason: str = ""


class PriceBatch(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Prices on their way to browsers, conflated; nothing here is durable."""

    # Name and class of the source, such as "binance", "live".
    source: str
    source_class: SourceClass
    # When the feed sent the batch, microseconds.
    sent_us: int
    quotes: tuple[Quote, ...]
