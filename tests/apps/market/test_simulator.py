"""The invented market: the same for the same seed, plausible, and without a jump at a restart."""

import itertools
import statistics

import pytest

from apps.market.feed.guards import Guards
from apps.market.feed.positions import PositionFile
from apps.market.feed.simulator import SimulatorSource
from tests.apps.market.support import FakeClock, batches_take


def simulator(instruments, path, clock, seed=7):
    return SimulatorSource(
        instruments=instruments, seed=seed, position_file=PositionFile(path), clock=clock
    )


async def run(instruments, path, count, *, clock=None, seed=7):
    source = simulator(instruments, path, clock or FakeClock(), seed)
    symbols = await source.open()
    return await batches_take(source.quotes(symbols), count)


@pytest.mark.asyncio
async def test_seed_decides_every_quote(instruments, tmp_path):
    first = await run(instruments, tmp_path / "a.json", 50)
    second = await run(instruments, tmp_path / "b.json", 50)
    other = await run(instruments, tmp_path / "c.json", 50, seed=8)

    assert first == second
    assert first != other


@pytest.mark.asyncio
async def test_first_batch_quotes_every_instrument_near_its_reference(instruments, tmp_path):
    (batch,) = await run(instruments, tmp_path / "a.json", 1)

    assert {quote.symbol for quote in batch} == set(instruments)
    for quote in batch:
        reference = instruments[quote.symbol].reference_price_ticks
        assert abs(quote.bid_ticks - reference) <= reference // 100 + 8


@pytest.mark.asyncio
async def test_guards_believe_nearly_everything(instruments, tmp_path):
    clock = FakeClock()
    batches = await run(instruments, tmp_path / "a.json", 3000, clock=clock)
    guards = Guards(instruments)

    for quote in itertools.chain.from_iterable(batches):
        guards.admit(quote, clock.now_us())

    assert sum(guards.refusals.values()) <= guards.accepted // 1000
    assert all(
        type(q.bid_ticks) is int and 0 < q.bid_ticks < q.ask_ticks
        for batch in batches
        for q in batch
    )


@pytest.mark.asyncio
async def test_coins_move_together_but_not_alike(instruments, tmp_path):
    batches = await run(instruments, tmp_path / "a.json", 6000)
    # Ten-second moves of two majors.
    last = {}
    series = {"BTCUSDT": [], "ETHUSDT": []}
    for step, batch in enumerate(batches):
        last.update((quote.symbol, quote.bid_ticks) for quote in batch)
        if step % 100 == 0:
            for symbol, prices in series.items():
                prices.append(last[symbol])
    moves = [[b - a for a, b in itertools.pairwise(prices)] for prices in series.values()]

    assert 0.4 < statistics.correlation(*moves) < 0.999


@pytest.mark.asyncio
async def test_restart_goes_on_at_the_last_prices(instruments, tmp_path):
    path = tmp_path / "a.json"
    before = {}
    for batch in await run(instruments, path, 3000):
        before.update((quote.symbol, quote.bid_ticks) for quote in batch)

    (after,) = await run(instruments, path, 1)

    for quote in after:
        distance = abs(quote.bid_ticks - before[quote.symbol])
        assert distance <= before[quote.symbol] // 100 + 2


@pytest.mark.asyncio
async def test_restart_does_not_repeat_the_same_moves(instruments, tmp_path):
    path = tmp_path / "a.json"
    first = await run(instruments, path, 20)
    second = await run(instruments, path, 20)

    assert [q.symbol for q in first[5]] != [q.symbol for q in second[5]]
