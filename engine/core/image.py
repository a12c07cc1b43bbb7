"""The state as bytes: what is hashed, what a snapshot holds, and back (rules H1, H2)."""

import hashlib
import struct

import msgspec

from engine.core.state import (
    Account,
    Instrument,
    RequestRecord,
    State,
)
from engine.messages.definitions import GroupSpec, InstrumentSpec
from engine.messages.events import ReceiptQuote
from engine.values import SourceClass, TradingMode, check

# 2 holds its parts as bytes, so that a reader passes over what it does not want. 1 held them as they are.
FORMAT = 2
_FIRST_FORMAT = 1
# Form of what is hashed (core and market): dumps may change around it.
HASHED_FORM = 1
_KEY_BYTES = 16
_KEY = struct.Struct(f"{_KEY_BYTES}s")
_DIGEST_BYTES = 32


class InstrumentImage(msgspec.Struct, array_like=True, gc=False):
    """One instrument without its quotes."""

    spec: InstrumentSpec
    trading_mode: TradingMode
    source_class: SourceClass
    net_units: int
    open_count: int


class Core(msgspec.Struct, array_like=True, gc=False):
    """What outputs alone determine; every order in it is an order of events."""

    accounts: list[Account]
    instruments: list[InstrumentImage]
    groups: list[GroupSpec]
    house: dict[str, int]
    requests: list[RequestRecord]


class Market(msgspec.Struct, array_like=True, gc=False):
    """Last quotes, logical time, entry count and feed sequences: known from the input only."""

    entry_id: int
    now_us: int
    entry_count: int
    feed_sequences: dict[str, tuple[int, int]]
    # Last and previous accepted quote by instrument index.
    quotes: list[tuple[ReceiptQuote | None, ReceiptQuote | None]]


class Derived(msgspec.Struct, array_like=True, gc=False):
    """Queues and bands: sound until their account changes, so that a restart rebuilds nothing."""

    # Four sorted key arrays by instrument index, sixteen bytes a key.
    queues: list[tuple[bytes, bytes, bytes, bytes]]
    bands: dict[int, dict[int, int]]
    watched: dict[int, tuple[int, ...]]
    expiries: bytes


class Image(msgspec.Struct, array_like=True, gc=False):
    """A whole machine: each part as msgpack of its own; read, they are views of the dump."""

    format: int
    shard: int
    shards: int
    core: memoryview
    market: memoryview
    derived: memoryview


class _FirstImage(msgspec.Struct, array_like=True, gc=False):
    """A whole machine in the first format."""

    format: int
    shard: int
    shards: int
    core: msgspec.Raw
    market: msgspec.Raw
    derived: msgspec.Raw


class _Head(msgspec.Struct, array_like=True, gc=False):
    """What every format begins with."""

    format: int


_encode = msgspec.msgpack.Encoder().encode
_head_decoder = msgspec.msgpack.Decoder(_Head)
_image_decoder = msgspec.msgpack.Decoder(Image)
_first_image_decoder = msgspec.msgpack.Decoder(_FirstImage)
_core_decoder = msgspec.msgpack.Decoder(Core)
_market_decoder = msgspec.msgpack.Decoder(Market)
_derived_decoder = msgspec.msgpack.Decoder(Derived)


def _image_in(raw: bytes) -> Image | _FirstImage:
    """Return the parts of a dump, undecoded.

    Errors: InvariantError for a format that this build does not know.
    """
    found = _head_decoder.decode(raw).format
    check(_FIRST_FORMAT <= found <= FORMAT, f"image format {found}, expected {FORMAT}")
    return (_image_decoder if found == FORMAT else _first_image_decoder).decode(raw)


def _core_bytes(state: State) -> bytes:
    return _encode(
        Core(
            list(state.accounts.values()),
            [
                InstrumentImage(
                    instrument.spec,
                    instrument.trading_mode,
                    instrument.source_class,
                    instrument.net_units,
                    instrument.open_count,
                )
                for instrument in state.instruments
            ],
            list(state.groups.values()),
            state.house,
            list(state.request_queue),
        )
    )


def _market_bytes(state: State) -> bytes:
    return _encode(
        Market(
            state.entry_id,
            state.now_us,
            state.entry_count,
            state.feed_sequences,
            [(instrument.quote, instrument.previous) for instrument in state.instruments],
        )
    )


def state_hash(state: State) -> bytes:
    """Return BLAKE2b over the core part (rule H1)."""
    return hashlib.blake2b(_core_bytes(state), digest_size=_DIGEST_BYTES).digest()


def state_hash_in(raw: bytes) -> bytes:
    """Return what state_hash() was when a dump was made, from the dump's own bytes and without loading it."""
    return hashlib.blake2b(_image_in(raw).core, digest_size=_DIGEST_BYTES).digest()


def market_hash(state: State) -> bytes:
    """Return BLAKE2b over the market part (rule H1)."""
    return hashlib.blake2b(_market_bytes(state), digest_size=_DIGEST_BYTES).digest()


def _key_bytes(keys: list[int]) -> bytes:
    return b"".join([key.to_bytes(_KEY_BYTES) for key in keys])


def _keys(raw: bytes) -> list[int]:
    check(len(raw) % _KEY_BYTES == 0, "a key array of the image is torn")
    from_bytes = int.from_bytes
    return [from_bytes(key) for (key,) in _KEY.iter_unpack(raw)]


def dump(state: State, shard: int, shards: int) -> bytes:
    """Return the whole state as msgpack."""
    queues = []
    for instrument in state.instruments:
        rows = [_key_bytes(instrument.queues.dump(queue)) for queue in range(4)]
        queues.append((rows[0], rows[1], rows[2], rows[3]))
    derived = Derived(queues, state.bands, state.watched, _key_bytes(sorted(state.expiries)))
    return _encode(
        Image(
            FORMAT,
            shard,
            shards,
            memoryview(_core_bytes(state)),
            memoryview(_market_bytes(state)),
            memoryview(_encode(derived)),
        )
    )


def load(raw: bytes, shard: int, shards: int) -> State:
    """Restore a state from its dump.

    Errors: InvariantError for another format or shard layout.
    """
    image = _image_in(raw)
    check(
        (image.shard, image.shards) == (shard, shards),
        f"image of shard {image.shard} of {image.shards}, expected {shard} of {shards}",
    )
    core = _core_decoder.decode(image.core)
    market = _market_decoder.decode(image.market)
    derived = _derived_decoder.decode(image.derived)
    state = State()
    state.accounts = {account.account: account for account in core.accounts}
    state.account_ids = sorted(state.accounts)
    state.groups = {group.name: group for group in core.groups}
    state.house = core.house
    state.request_queue.extend(core.requests)
    state.requests = {record.key: record for record in core.requests}
    _load_instruments(state, core.instruments, market, derived)
    state.entry_id = market.entry_id
    state.now_us = market.now_us
    state.entry_count = market.entry_count
    state.feed_sequences = market.feed_sequences
    state.bands = derived.bands
    state.watched = derived.watched
    state.expiries = _keys(derived.expiries)
    for account_id, indexes in state.watched.items():
        for index in indexes:
            state.instruments[index].watchers[account_id] = None
    return state


def _load_instruments(
    state: State, images: list[InstrumentImage], market: Market, derived: Derived
) -> None:
    for index, image in enumerate(images):
        instrument = Instrument(index, image.spec, image.trading_mode, image.source_class)
        instrument.net_units = image.net_units
        instrument.open_count = image.open_count
        quote, previous = market.quotes[index]
        if quote is not None:
            instrument.bid = quote.bid_ticks
            instrument.ask = quote.ask_ticks
            instrument.ts_us = quote.ts_us
        instrument.quote = quote
        instrument.previous = previous
        for queue, keys in enumerate(derived.queues[index]):
            instrument.queues.load(queue, _keys(keys))
        state.add_instrument(instrument)
