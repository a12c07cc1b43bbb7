"""Binance's markets and the shapes of their messages; nothing is connected here."""

from dataclasses import dataclass
from typing import Final

import msgspec

STREAM_URL: Final = "wss://data-stream.binance.vision"
REST_URL: Final = "https://data-api.binance.vision"


@dataclass(frozen=True, slots=True)
class Venue:
    """One of its markets."""

    name: str
    stream_url: str
    rest_url: str
    books_path: str
    symbols_path: str
    klines_path: str


SPOT: Final = Venue(
    name="binance",
    stream_url=STREAM_URL,
    rest_url=REST_URL,
    books_path="/api/v3/ticker/bookTicker",
    symbols_path="/api/v3/exchangeInfo?permissions=SPOT&showPermissionSets=false",
    klines_path="/api/v3/klines",
)
USDM: Final = Venue(
    name="binance:usdm",
    stream_url="wss://fstream.binance.com/public",
    rest_url="https://fapi.binance.com",
    books_path="/fapi/v1/ticker/bookTicker",
    symbols_path="/fapi/v1/exchangeInfo",
    klines_path="/fapi/v1/klines",
)


class Book(msgspec.Struct, frozen=True, gc=False):
    """Best prices of one symbol by REST."""

    symbol: str
    bid: str = msgspec.field(name="bidPrice")
    ask: str = msgspec.field(name="askPrice")


class Symbol(msgspec.Struct, frozen=True, gc=False):
    """Whether the venue trades a symbol."""

    symbol: str
    status: str


class Symbols(msgspec.Struct, frozen=True, gc=False):
    """What the venue trades."""

    symbols: list[Symbol]


class BookTicker(msgspec.Struct, frozen=True, gc=False):
    """Best prices of one symbol by stream: update number, symbol, bid, ask."""

    u: int
    s: str
    b: str
    a: str


class Frame(msgspec.Struct, frozen=True, gc=False):
    """What the combined stream wraps around every message."""

    data: BookTicker


books_decoder = msgspec.json.Decoder(list[Book])
symbols_decoder = msgspec.json.Decoder(Symbols)
frame_decoder = msgspec.json.Decoder(Frame)

# The decoder lets bad UTF-8 and bottomless nesting through as errors of other kinds; fuzzing found the first.
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
