"""What the engine costs: orders, quotes, triggers, cross margin, restore and snapshot, on large books.

Prints one line a figure, `name: value unit (x of limit)`, with the names that dashboards read, and further lines beside
them that say where the time goes. Everything runs in one thread, with the garbage collector frozen and resting, as the
dedicated engine does. Each figure is the processor time of that thread, the median of several rounds; other load on the
machine still moves it by a third.

`make bench-engine` runs it; `ARGS=--profile` names the functions that take the time, `ARGS="--scale 10"` takes books a
tenth as large.
"""

import argparse
import resource
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter, process_time

from bench.books import EFFECTIVE_LEVERAGES_PERCENT, USD, Market, cross_book, crowd, symbol_name
from bench.measuring import ROUNDS, Bench, machine_us, settled
from engine.adapters.forked_snapshots import ForkedSnapshots
from engine.adapters.snapshot_files import SnapshotFiles
from engine.config import EngineConfig, SnapshotKey
from engine.core.figures import figures
from engine.core.machine import Machine, Outcome
from engine.core.margin import is_at_or_below
from engine.core.requests import remember, request_key
from engine.core.triggers import BID_FALLS, STOP_LOSS, trigger_parts
from engine.messages import codec
from engine.messages import commands as cmd
from engine.messages.chain import chain_hash
from engine.messages.events import AnyEvent, PositionClosed
from engine.messages.replies import Accepted
from engine.runtime.ports import InputEntry, Output, Position, Snapshot, SnapshotHeader
from engine.runtime.runner import PART
from engine.runtime.shard import Shard
from engine.runtime.snapshots import header_of
from engine.values import Side, check, entry_time_us

LIMITS = {
    "order_us": 25,
    "idle_quote_us": 3,
    "trigger_us": 20,
    "cross_quote_us": 5,
    "restore_ms": 500,
}
SYMBOLS = 100
# The crowd holds four positions an account: 1,000,000 to trade in, 200,000 to restore.
CROWD_ACCOUNTS = 250_000
CROWD_POSITIONS = 4
RESTORED_ACCOUNTS = 50_000
RESTORED_REQUESTS = 200_000
CROSS_ACCOUNTS = 50_000
CROSS_SYMBOLS = 18
ORDERS = 14_000
# Accounts that trade, round after round.
TRADERS = 2_100
QUOTES = 140_000
TRIGGERS = 1_400
CROSS_QUOTES = 210_000
CRASH_ROUNDS = 140
CRASH_PPM = 1_000
NAIVE_QUOTES = 14
PPM = 1_000_000
# What a gateway adds to an order: a deadline and its last quote.
DEADLINE_US = 3_000_000
GATEWAY = b"web-1"


# --- entries, as they stand in the log -----------------------------------------------------------------------------


def command_entry(market: Market, command: cmd.Command) -> InputEntry:
    """Return the next entry with a command."""
    return InputEntry(market.next_id(), b"1", codec.encode(command), GATEWAY)


def quote_message(market: Market, index: int, bid: int) -> tuple[int, cmd.UpdateQuotes]:
    """Return the id and message of the next entry, with one quote."""
    entry_id = market.next_id()
    return entry_id, market.entry(market.quote(index, bid))


def orders(market: Market, accounts: Sequence[int]) -> list[InputEntry]:
    """Return a small market order of each account, with stops, as a gateway sends it."""
    entries = []
    for number, account in enumerate(accounts):
        index = number % len(market.bids)
        bid = market.bids[index]
        is_buy = number % 2 == 0
        sign = 1 if is_buy else -1
        entries.append(
            command_entry(
                market,
                cmd.PlaceOrder(
                    request_id=f"order-{market.sequence:08d}-{account}",
                    account=account,
                    user_id=account,
                    deadline_us=entry_time_us(market.next_id()) + DEADLINE_US,
                    symbol=symbol_name(index),
                    side=Side.BUY if is_buy else Side.SELL,
                    quantity_units=max(1, 50 * USD // (bid * 100)),
                    leverage=20,
                    stop_loss_ticks=bid - sign * bid // 20,
                    take_profit_ticks=bid + sign * bid // 10,
                    quoted_price_ticks=bid,
                    slippage_ppm=10_000,
                ),
            )
        )
    return entries


def closes(market: Market, outcomes: Sequence[Outcome]) -> list[InputEntry]:
    """Return the close of each position that orders opened."""
    entries = []
    for outcome in outcomes:
        reply = outcome.reply
        check(isinstance(reply, Accepted), f"an order was refused: {reply}")
        entries.append(
            command_entry(
                market,
                cmd.ClosePosition(
                    request_id=f"close-{outcome.request_id}",
                    account=outcome.account,
                    user_id=outcome.account,
                    position_id=reply.created[0],
                ),
            )
        )
    return entries


class Engine:
    """Takes commands and quotes from bytes to bytes, and keeps the outcomes."""

    def __init__(self, market: Market) -> None:
        """Begin behind what the market has told so far."""
        self._decide = market.machine.decide
        self.outcomes: list[Outcome] = []

    def command(self, entry: InputEntry) -> None:
        """Decode, digest, decide, evolve and encode one command."""
        message = codec.decode_message(entry.message)
        outcome = self._decide(entry.entry_id, message, codec.content_digest(message))
        codec.encode(outcome.reply)
        codec.encode(outcome.events)
        self.outcomes.append(outcome)

    def commands(self, entries: Sequence[InputEntry]) -> None:
        """Do the same with a part of a batch, stage by stage as a shard does."""
        messages = [codec.decode_message(entry.message) for entry in entries]
        digests = [codec.content_digest(message) for message in messages]
        outcomes = [
            self._decide(entry.entry_id, message, digest)
            for entry, message, digest in zip(entries, messages, digests, strict=True)
        ]
        for outcome in outcomes:
            codec.encode(outcome.reply)
            codec.encode(outcome.events)
        self.outcomes.extend(outcomes)

    def quote(self, entry: tuple[int, cmd.UpdateQuotes]) -> None:
        """Decide one entry of quotes, evolve and encode what it sets off."""
        outcome = self._decide(*entry)
        if outcome is not None:
            codec.encode(outcome.events)
            self.outcomes.append(outcome)


class Line:
    """A shard that takes entries and keeps its outputs: the whole way, with the chain of hashes."""

    def __init__(self, market: Market) -> None:
        """Begin behind what the market has told so far."""
        self._shard = Shard(
            market.machine, Position(market.machine.entry_id), epoch=1, build="bench"
        )
        self.outputs: list[Output] = []

    def take(self, entries: Sequence[InputEntry]) -> None:
        """Decode, decide, encode and hash a part of a batch."""
        decided = self._shard.decide_part(entries, entry_time_us(entries[0].entry_id))
        self.outputs.extend(output for output, _ in decided if output is not None)


# --- the crowd: orders, quotes and triggers among 1,000,000 positions --------------------------------------------------


def bench_crowd(bench: Bench, scale: int) -> None:
    """Trade in a book of a million positions."""
    accounts = CROWD_ACCOUNTS // scale
    market = crowd(accounts, CROWD_POSITIONS, SYMBOLS, seed=1)
    bench.note(
        f"crowd: {accounts * CROWD_POSITIONS:,} positions of {accounts:,} accounts, {SYMBOLS} symbols"
    )
    with settled():
        bench_quotes(bench, market)
        bench_orders(bench, market, range(1, TRADERS // scale + 1))
        bench_stages(bench, market, range(1, TRADERS // scale + 1))
        bench_triggers(bench, market)


def bench_quotes(bench: Bench, market: Market) -> None:
    """Quote every symbol one tick up and down; nothing fires."""
    decide = market.machine.decide
    messages = [
        quote_message(
            market, number % SYMBOLS, market.first_bids[number % SYMBOLS] + number // SYMBOLS % 2
        )
        for number in range(QUOTES)
    ]
    bench.show("idle_quote_us", bench.us_each(messages, lambda entry: decide(*entry)), "us")

    line = Line(market)
    entries = [
        InputEntry(entry_id, b"1", codec.encode(message), b"")
        for entry_id, message in (
            quote_message(market, number % SYMBOLS, market.first_bids[number % SYMBOLS])
            for number in range(QUOTES // 4)
        )
    ]
    taken_us = bench.us_each(in_parts(entries), line.take) / PART
    bench.show("idle_quote_with_decode_us", taken_us, "us")
    check(not line.outputs, "an idle quote had an effect")


def bench_orders(bench: Bench, market: Market, accounts: Sequence[int]) -> None:
    """Place orders and close what they opened: decode, digest, decide, evolve, encode.

    Orders of a batch are decided in parts, as the runner takes them; a lone order is told apart. Each account trades again and again, as traders do. Its first order since the engine's start, for which its positions are
    summed up, is told apart.
    """
    engine = Engine(market)
    first_us = bench.us_each(orders(market, accounts), engine.command)
    again = [account for _ in range(ROUNDS) for account in accounts]
    bench.show(
        "order_us", bench.us_each(in_parts(orders(market, again)), engine.commands) / PART, "us"
    )
    bench.show("lone_order_us", bench.us_each(orders(market, again), engine.command), "us")
    bench.show("first_order_us", first_us, "us")
    entries = in_parts(closes(market, engine.outcomes))
    bench.show("close_us", bench.us_each(entries, engine.commands) / PART, "us")


def in_parts(entries: Sequence[InputEntry]) -> list[Sequence[InputEntry]]:
    """Return the whole parts of a batch."""
    return [entries[first : first + PART] for first in range(0, len(entries) - PART + 1, PART)]


def bench_stages(bench: Bench, market: Market, accounts: Sequence[int]) -> None:
    """Take orders through a whole shard, and others through one stage after the other, to say where the time goes."""
    again = [account for _ in range(ROUNDS) for account in accounts]
    entries = orders(market, again)
    taken_us = bench.us_each(in_parts(entries), Line(market).take) / PART
    bench.show("order_in_shard_us", taken_us, "us")
    entries = orders(market, again)
    messages = [codec.decode_message(entry.message) for entry in entries]
    digests = [codec.content_digest(message) for message in messages]
    bench.show(
        "order_decode_us", bench.us_each(entries, lambda e: codec.decode_message(e.message)), "us"
    )
    bench.show("order_digest_us", bench.us_each(messages, codec.content_digest), "us")
    outcomes = []
    rows = list(zip(entries, messages, digests, strict=True))
    decide = market.machine.decide
    bench.show(
        "order_decide_us",
        bench.us_each(rows, lambda row: outcomes.append(decide(row[0].entry_id, row[1], row[2]))),
        "us",
    )
    bench.show(
        "order_encode_us",
        bench.us_each(outcomes, lambda o: (codec.encode(o.reply), codec.encode(o.events))),
        "us",
    )
    events = codec.encode(outcomes[0].events)
    bench.show(
        "order_chain_us",
        bench.us_each(
            entries,
            lambda e: chain_hash(
                b"0" * 32,
                e.entry_id,
                number=1,
                account=1,
                request_id="r",
                reply=b"{}",
                events=events,
                command=e.message,
                decided_at_us=1,
            ),
        ),
        "us",
    )


def bench_triggers(bench: Bench, market: Market) -> None:
    """Let one symbol's bid fall from stop loss to stop loss; each entry is a quote that fires."""
    instrument = market.machine.state.instruments[0]
    parts = [trigger_parts(BID_FALLS, key) for key in instrument.queues.dump(BID_FALLS)]
    stops = dict.fromkeys(price for price, _, _, kind in parts if kind == STOP_LOSS)
    entries = []
    for price in list(stops)[:TRIGGERS]:
        entry_id = market.next_id()
        quote = cmd.Quote(symbol_name(0), price, instrument.ask, entry_time_us(entry_id))
        entries.append((entry_id, market.entry(quote)))
    engine = Engine(market)
    us_each = bench.us_each(entries, engine.quote)
    events = [event for outcome in engine.outcomes for event in outcome.events]
    fired = sum(isinstance(event, PositionClosed) for event in events)
    check(fired >= len(engine.outcomes) > 0, "the stops did not fire")
    bench.show("trigger_us", us_each * len(entries) / fired, "us")
    bench.note(f"{fired} stops fired by {len(entries)} quotes; quote, events and encoding included")


# --- cross margin -----------------------------------------------------------------------------------------------------


def bench_cross(bench: Bench, scale: int) -> None:
    """Walk the prices of a book in which every account holds every symbol."""
    accounts = CROSS_ACCOUNTS // scale
    market = cross_book(accounts, CROSS_SYMBOLS, seed=2)
    leverages = ", ".join(f"{percent / 100:g}" for percent in EFFECTIVE_LEVERAGES_PERCENT)
    bench.note(
        f"cross: {accounts:,} accounts x {CROSS_SYMBOLS} symbols, notional {leverages} x deposit"
    )
    with settled():
        machine = market.machine
        walk = [
            quote_message(market, number % CROSS_SYMBOLS, market.moved(number % CROSS_SYMBOLS))
            for number in range(CROSS_QUOTES)
        ]
        before = dict(machine.state.bands)
        events: list[AnyEvent] = []
        cross_us = bench.show("cross_quote_us", bench.us_each(walk, taker(machine, events)), "us")
        moved = sum(machine.state.bands.get(key) is not bands for key, bands in before.items())
        bench.note(f"{moved:,} accounts were revalued, {len(events):,} events")
        naive_us = bench.show("naive_cross_quote_us", naive(bench, market), "us")
        bench.show("naive_ratio", naive_us / cross_us, "x")
        entries = orders(market, range(1, min(ORDERS, accounts) + 1))
        among_us = bench.us_each(entries, Engine(market).command)
        bench.show("order_among_18_positions_us", among_us, "us")
        events.clear()
        crash = [
            quote_message(market, index, market.bids[index] * (PPM - CRASH_PPM) // PPM)
            for _ in range(CRASH_ROUNDS)
            for index in range(CROSS_SYMBOLS)
        ]
        bench.show("cross_crash_quote_us", bench.us_each(crash, taker(machine, events)), "us")
        bench.note(f"{CRASH_ROUNDS} falls of 0.1 % in every symbol, {len(events):,} events")


def taker(machine: Machine, events: list[AnyEvent]):
    """Return an action that decides an entry and keeps its events."""

    def take(entry: tuple[int, cmd.UpdateQuotes]) -> None:
        outcome = machine.decide(*entry)
        if outcome is not None:
            events.extend(outcome.events)

    return take


def naive(bench: Bench, market: Market) -> float:
    """Return what a quote costs an engine that revalues every account: the whole book, the same figures, no bands."""
    state = market.machine.state
    accounts = list(state.accounts.values())

    def revalue(_: int) -> int:
        hits = 0
        for account in accounts:
            sums = figures(state, account)
            terms = account.terms
            if is_at_or_below(sums.cross_equity, sums.used_margin, terms.margin_call_level_bps):
                hits += 1
        return hits

    return bench.us_each(range(NAIVE_QUOTES), revalue)


# --- snapshot and restore ---------------------------------------------------------------------------------------------


def bench_restore(bench: Bench, scale: int) -> None:
    """Snapshot a book and restore it from its sealed file."""
    accounts = RESTORED_ACCOUNTS // scale
    market = crowd(accounts, CROWD_POSITIONS, SYMBOLS, seed=3)
    machine = market.machine
    for number in range(RESTORED_REQUESTS // scale):
        command = cmd.CancelAll(request_id=f"request-{number:08d}", account=1 + number % accounts)
        digest = codec.content_digest(command)
        remember(machine.state, request_key(command), digest, market.next_id(), Accepted())
    with tempfile.TemporaryDirectory() as folder:
        config = EngineConfig(
            prefix="",
            log_redis_url="",
            redis_url="",
            snapshot_dir=Path(folder),
            snapshot_keys=(SnapshotKey(key_id="k1", secret=b"0" * 32),),
            build="bench",
        )
        _snapshot_and_restore(bench, machine, SnapshotFiles(config))


def _snapshot_and_restore(bench: Bench, machine: Machine, files: SnapshotFiles) -> None:
    position = Position(machine.entry_id, 0, b"", 1)

    def copy() -> tuple[SnapshotHeader, bytes]:
        body, state_hash = machine.copy()
        header = header_of(
            state_hash, position, prefix="", shard=0, shards=1, build="bench", now_us=machine.now_us
        )
        return header, body

    def checked_copy() -> tuple[SnapshotHeader, bytes]:
        machine.verify()
        return copy()

    forked = ForkedSnapshots(files)

    def pause() -> None:
        forked.save(checked_copy)

    def written() -> None:
        forked.flush(60_000_000)
        check(forked.status().newest is not None, "a snapshot was not written")

    def restored() -> Machine:
        snapshot = next(files.newest_first())
        check(isinstance(snapshot, Snapshot), "the snapshot cannot be read")
        return Machine.load(snapshot.body, shard=0, shards=1)

    with settled():
        # The engine's own process forks. Inside the web process the state is checked in slices, a few milliseconds at a time,
        # and then copied between two entries: the longest stop of the world is that copy.
        bench.show("snapshot_pause_ms", bench.ms_of(pause, 3, written), "ms")
        bench.show("snapshot_pause_embedded_ms", bench.ms_of(copy, 3), "ms")
        bench.show("snapshot_slice_longest_ms", longest_part_ms(machine), "ms")
        bench.show("snapshot_verify_ms", bench.ms_of(machine.verify, 3), "ms")
        bench.show("snapshot_hash_ms", bench.ms_of(machine.state_hash, 3), "ms")
        bench.show("snapshot_dump_ms", bench.ms_of(machine.dump, 3), "ms")
        body = machine.dump()
        bench.show("restore_ms", bench.ms_of(restored, 5), "ms")
        state = machine.state
        keys = sum(len(i.queues.dump(queue)) for i in state.instruments for queue in range(4))
        bench.note(
            f"from the sealed file ({len(body) / 1e6:.1f} MB) to a machine that decides: "
            f"{len(state.accounts):,} accounts, "
            f"{sum(len(a.positions) for a in state.accounts.values()):,} positions, {keys:,} triggers "
            f"and bands, {len(state.requests):,} request ids; read, AES, decode, indexes, queues"
        )
    check(restored().state_hash() == machine.state_hash(), "the restored state differs")


def longest_part_ms(machine: Machine) -> float:
    """Return the longest part of a check that is made in parts."""
    longest = 0.0
    began = process_time()
    for _ in machine.verifying():
        ended = process_time()
        longest = max(longest, ended - began)
        began = ended
    return longest * 1e3


def main() -> None:
    """Run all of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=int, default=1, help="divide the size of the books by this")
    parser.add_argument("--profile", action="store_true", help="print where the time goes")
    parser.add_argument("--only", choices=("crowd", "cross", "restore"), help="run one part")
    options = parser.parse_args()
    bench = Bench(LIMITS, is_profiling=options.profile)
    began = perf_counter()
    bench.show("machine_us", machine_us(), "us")
    for name, part in (("restore", bench_restore), ("crowd", bench_crowd), ("cross", bench_cross)):
        if options.only in (None, name):
            part(bench, options.scale)
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    bench.note(f"{perf_counter() - began:.0f} s, at most {peak_mib:,.0f} MiB")


if __name__ == "__main__":
    main()
