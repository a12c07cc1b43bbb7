"""The state as bytes: what is hashed, what a snapshot holds, and back (rules H1, H2)."""

import hashlib

import msgspec

from engine.core.packing import Run, array_head, packed_run
from engine.core.request_table import RequestRecord, RequestsPacking, RequestTable
from engine.core.state import Account, Instrument, State
from engine.messages.definitions import GroupSpec, InstrumentSpec
from engine.messages.events import ReceiptQuote
from engine.values import SourceClass, TradingMode, check

# 3 says where accounts and answered requests lie, so that they stay as they are until somebody asks for them; what nobody
# asks for goes into the next dump byte by byte. Whoever changes their structs therefore raises the format.
# 2 holds its parts as bytes, so that a reader passes over what it does not want. 1 held them as they are.
FORMAT = 3
_FIRST_FORMAT = 1
# Form of what is hashed (core and market): dumps may change around it.
HASHED_FORM = 1
_DIGEST_BYTES = 32
# How msgpack begins a Core and a Definitions: arrays of five and of three.
_CORE_HEAD = array_head(5)
_DEFINITIONS_HEAD = array_head(3)


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


class Definitions(msgspec.Struct, array_like=True, gc=False):
    """What lies between accounts and answered requests in Core."""

    instruments: list[InstrumentImage]
    groups: list[GroupSpec]
    house: dict[str, int]


class Market(msgspec.Struct, array_like=True, gc=False):
    """Last quotes, logical time, entry count and feed sequences: known from the input only."""

    entry_id: int
    now_us: int
    entry_count: int
    feed_sequences: dict[str, tuple[int, int]]
    # Last and previous accepted quote by instrument index.
    quotes: list[tuple[ReceiptQuote | None, ReceiptQuote | None]]


class Packing(msgspec.Struct, array_like=True, gc=False):
    """Where the parts of Core lie that a load leaves encoded."""

    # Accounts in the order of Core, and where they end in its bytes, after where the first begins.
    account_ids: list[int]
    account_ends: list[int]
    requests: RequestsPacking


class Derived(msgspec.Struct, array_like=True, gc=False):
    """Queues and bands: sound until their account changes, so that a restart rebuilds nothing."""

    # Four sorted key arrays by instrument index, sixteen bytes a key.
    queues: list[tuple[bytes, bytes, bytes, bytes]]
    bands: dict[int, dict[int, int]]
    watched: dict[int, tuple[int, ...]]
    expiries: bytes
    # Absent in the formats before the third.
    packing: Packing | None = None


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


_encoder = msgspec.msgpack.Encoder()
_encode = _encoder.encode
_head_decoder = msgspec.msgpack.Decoder(_Head)
_image_decoder = msgspec.msgpack.Decoder(Image)
_first_image_decoder = msgspec.msgpack.Decoder(_FirstImage)
_definitions_decoder = msgspec.msgpack.Decoder(Definitions)
_core_decoder = msgspec.msgpack.Decoder(Core)
_market_decoder = msgspec.msgpack.Decoder(Market)
_derived_decoder = msgspec.msgpack.Decoder(Derived)


def _image_in(raw: bytes) -> Image | _FirstImage:
    """Return the parts of a dump, undecoded.

    Errors: InvariantError for a format that this build does not know.
    """
    found = _head_decoder.decode(raw).format
    check(_FIRST_FORMAT <= found <= FORMAT, f"image format {found}, expected {FORMAT}")
    return (_first_image_decoder if found == _FIRST_FORMAT else _image_decoder).decode(raw)


def _core(state: State) -> tuple[bytearray, Packing]:
    """Return a Core as msgpack, put together from what is encoded already, and where its parts lie in it."""
    core = bytearray(_CORE_HEAD + array_head(len(state.accounts)))
    ends = state.accounts.write(core, _encoder.encode_into)
    pages, packing = state.requests.dump()
    definitions = Definitions(
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
    )
    core += _encode(definitions)[len(_DEFINITIONS_HEAD) :] + array_head(len(state.requests))
    for page in pages:
        core += page
    return core, Packing(list(state.accounts), ends, packing)


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
    return hashlib.blake2b(_core(state)[0], digest_size=_DIGEST_BYTES).digest()


def state_hash_in(raw: bytes) -> bytes:
    """Return what state_hash() was when a dump was made, from the dump's own bytes and without loading it."""
    return hashlib.blake2b(_image_in(raw).core, digest_size=_DIGEST_BYTES).digest()


def market_hash(state: State) -> bytes:
    """Return BLAKE2b over the market part (rule H1)."""
    return hashlib.blake2b(_market_bytes(state), digest_size=_DIGEST_BYTES).digest()


def dump(state: State, shard: int, shards: int) -> bytes:
    """Return the whole state as msgpack."""
    queues = []
    for instrument in state.instruments:
        rows = [instrument.queues.dump_packed(queue) for queue in range(4)]
        queues.append((rows[0], rows[1], rows[2], rows[3]))
    core, packing = _core(state)
    expiries = packed_run(sorted(state.expiries))
    derived = Derived(queues, state.bands, state.watched, expiries, packing)
    return _encode(
        Image(
            FORMAT,
            shard,
            shards,
            memoryview(core),
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
    market = _market_decoder.decode(image.market)
    derived = _derived_decoder.decode(image.derived)
    state = State()
    # What an older build has encoded, with fewer fields perhaps, must not come back as it was.
    packing = derived.packing if image.format == FORMAT else None
    if packing is None:
        core = _core_decoder.decode(image.core)
        for account in core.accounts:
            state.accounts[account.account] = account
        for record in core.requests:
            state.requests.add(record)
        definitions = Definitions(core.instruments, core.groups, core.house)
    else:
        definitions = _load_packed(state, memoryview(image.core), packing)
    state.account_ids = sorted(state.accounts)
    state.groups = {group.name: group for group in definitions.groups}
    state.house = definitions.house
    _load_instruments(state, definitions.instruments, market, derived)
    state.entry_id = market.entry_id
    state.now_us = market.now_us
    state.entry_count = market.entry_count
    state.feed_sequences = market.feed_sequences
    state.bands = derived.bands
    state.watched = derived.watched
    state.expiries = Run(derived.expiries).keys()
    for account_id, indexes in state.watched.items():
        for index in indexes:
            state.instruments[index].watchers[account_id] = None
    return state


def _load_packed(state: State, core: memoryview, packing: Packing) -> Definitions:
    """Take accounts and answered requests as they lie in a Core, and return what else it holds."""
    accounts_end = packing.account_ends[-1]
    requests_at = len(core) - packing.requests.size()
    definitions_end = requests_at - len(array_head(packing.requests.count))
    state.accounts.load(packing.account_ids, packing.account_ends, bytes(core[:accounts_end]))
    state.requests = RequestTable.loaded(bytes(core[requests_at:]), packing.requests)
    return _definitions_decoder.decode(
        b"".join((_DEFINITIONS_HEAD, core[accounts_end:definitions_end]))
    )


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
            instrument.queues.load_packed(queue, keys)
        state.add_instrument(instrument)
