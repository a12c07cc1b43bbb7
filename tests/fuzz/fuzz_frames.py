"""Coverage-guided fuzzing of what a venue may send: no bytes at all may do more than be refused and counted.

Run by `make nightly` with atheris: python -m tests.fuzz.fuzz_frames -max_total_time=600
"""

import sys

import atheris

import tests.conftest  # noqa: F401 - sets Django up, without starting anything.

with atheris.instrument_imports(include=["apps.market.feed"]):
    from apps.market.clock import WallClock
    from apps.market.feed.base import RawQuote
    from apps.market.feed.binance import BinanceSource, _Listing
    from apps.market.feed.guards import Guards
    from engine.values import check
    from tests.apps.market.support import shipped_instruments

INSTRUMENTS = shipped_instruments()
CLOCK = WallClock()
SOURCE = BinanceSource(instruments=INSTRUMENTS, clock=CLOCK)
SOURCE._listings = {
    "BTCUSDT": _Listing(INSTRUMENTS["BTCUSDT"], 0),
    "PEPEUSDT": _Listing(INSTRUMENTS["1000PEPEUSDT"], 3),
}
SEED = b'{"stream":"btcusdt@bookTicker","data":{"u":%b,"s":"%b","b":"%b","B":"1","a":"%b","A":"1"}}'


def one_input(data: bytes) -> None:
    provider = atheris.FuzzedDataProvider(data)
    if provider.ConsumeBool():
        frame = data[1:]
    else:
        parts = [provider.ConsumeBytes(12) for _ in range(3)]
        symbol = provider.PickValueInList([b"BTCUSDT", b"PEPEUSDT", b"NOPE"])
        frame = SEED % (parts[0], symbol, parts[1], parts[2])
    before = SOURCE.malformed
    quote = SOURCE._quote_from(frame)
    if quote is None:
        check(SOURCE.malformed == before + 1, "a refusal was not counted")
        return
    check(isinstance(quote, RawQuote), "not a quote")
    guards = Guards(INSTRUMENTS)
    if guards.admit(quote, CLOCK.now_us()):
        check(0 < quote.bid_ticks <= quote.ask_ticks, "a price that cannot be was admitted")


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
