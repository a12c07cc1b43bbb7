"""Whatever a venue sends is a quote or is counted as malformed; nothing raises, nothing impossible is admitted."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.market.clock import WallClock
from apps.market.feed.binance import BinanceSource, _Listing
from apps.market.feed.guards import Guards
from tests.apps.market.support import shipped_instruments

INSTRUMENTS = shipped_instruments()
CLOCK = WallClock()
BTC = {"BTCUSDT": _Listing(INSTRUMENTS["BTCUSDT"], 0)}


def read(frame):
    source = BinanceSource(instruments=INSTRUMENTS, clock=CLOCK)
    source._listings = BTC
    quote = source._quote_from(frame)
    assert (quote is None) == (source.malformed == 1)
    return quote


def frame_of(bid, ask, update=5, symbol="BTCUSDT"):
    data = {"u": update, "s": symbol, "b": bid, "B": "1", "a": ask, "A": "1"}
    return json.dumps({"stream": "x", "data": data}).encode()


BAD = [
    "",
    "NaN",
    "inf",
    "-inf",
    "1e309",
    "1e5",
    True,
    None,
    77500.1,
    "\u0667\u0667\u0665",
    "0x10",
    " 1",
    "1_0",
    "9" * 40,
    "1." + "0" * 19,
]


@pytest.mark.parametrize("text", BAD, ids=repr)
def test_s30_what_is_no_price_is_counted(text):
    assert read(frame_of(text, "77500.2")) is None
    assert read(frame_of("77500.1", text)) is None


@pytest.mark.parametrize(
    "raw",
    [
        b'{"data":{"u":1,"s":"\xec\xec","b":"1","a":"2"}}',
        b'{"data":{"u":1,"s":"BTCUSDT","b":"\xff","a":"2"}}',
        b'{"x":' + b"[" * 100_000,
        b"",
        b"null",
    ],
    ids=["bad UTF-8 in a name", "bad UTF-8 in a price", "bottomless nesting", "empty", "null"],
)
def test_what_fuzzing_found_is_counted(raw):
    assert read(raw) is None


@pytest.mark.parametrize("text", ["0", "0.00", "-1", "-77500.1"])
def test_s30_price_that_cannot_be_is_read_and_refused_by_the_guards(text):
    quote = read(frame_of(text, "77500.2"))
    guards = Guards(INSTRUMENTS)

    assert quote is None or not guards.admit(quote, CLOCK.now_us())


@given(st.binary(max_size=200))
def test_s30_bytes_never_raise(raw):
    read(raw)


@given(st.text(max_size=30), st.text(max_size=30), st.integers(-(2**70), 2**70))
def test_text_never_raises_and_never_becomes_an_impossible_price(bid, ask, update):
    quote = read(frame_of(bid, ask, update))

    if quote is not None and Guards(INSTRUMENTS).admit(quote, CLOCK.now_us()):
        assert 0 < quote.bid_ticks <= quote.ask_ticks
