"""Large books for the engine's benchmarks: instruments, a market that walks, accounts with positions.

Positions are built by evolving the events that an engine would have recorded, and armed by the engine's own code: what is
measured afterwards is a state that could have come from a log.
"""

import random
from dataclasses import dataclass, field

from engine.core.evolve import evolve
from engine.core.ledger import cash_postings, fill_postings
from engine.core.liquidation import liquidation_ticks
from engine.core.machine import Machine
from engine.core.margin import initial_margin, notional_micros
from engine.core.rearm import rearm
from engine.core.state import Account, Instrument, entity_id
from engine.messages import commands as cmd
from engine.messages import events as ev
from engine.messages.definitions import GroupSpec, InstrumentSpec, Terms, Tier
from engine.values import (
    AccountKind,
    Actor,
    CashKind,
    Direction,
    MarginMode,
    OrderType,
    SourceClass,
    StopOutStrategy,
)

USD = 1_000_000
START_MS = 1_790_000_000_000
DEPOSIT = 10_000 * USD
# Spread of every instrument, and how far one move goes: 0.03 % of the price.
SPREAD_PPM = 100
MOVE_PPM = 300
PPM = 1_000_000

# First prices in ticks of the symbols, in turn: from dollars to tens of thousands of them.
_FIRST_TICKS = (600_000, 31_200, 5_873, 142_503, 61_240, 27_780)
_TIERS = (
    Tier(50_000 * USD, 100, 4_000, 0),
    Tier(600_000 * USD, 75, 5_000, 50 * USD),
    Tier(3_000_000 * USD, 50, 6_500, 950 * USD),
    Tier(12_000_000 * USD, 25, 10_000, 11_450 * USD),
    Tier(70_000_000 * USD, 10, 20_000, 131_450 * USD),
)
TERMS = Terms("standard", 1, 400, 100, 10_000, 5_000, StopOutStrategy.LARGEST_LOSS, True)  # noqa: FBT003 - a row


def symbol_name(index: int) -> str:
    """Return the symbol of an instrument."""
    return f"C{index:02d}USDT"


@dataclass
class Market:
    """A seeded walk of all prices, told to the machine as entries."""

    machine: Machine
    rng: random.Random
    bids: list[int]
    ms: int = START_MS
    sequence: int = 0
    # Bids before the walk.
    first_bids: list[int] = field(default_factory=list)

    def next_id(self) -> int:
        """Return the id of the next entry; twenty of them share a millisecond."""
        self.sequence += 1
        return (self.ms + self.sequence // 20) << 21 | self.sequence % 20

    def quote(self, index: int, bid: int) -> cmd.Quote:
        """Return a quote of one symbol, stamped now."""
        self.bids[index] = bid
        ts_us = (self.ms + self.sequence // 20) * 1000
        return cmd.Quote(symbol_name(index), bid, bid + max(1, bid * SPREAD_PPM // PPM), ts_us)

    def entry(self, *quotes: cmd.Quote) -> cmd.UpdateQuotes:
        """Return an entry of quotes."""
        return cmd.UpdateQuotes(
            source="simulator",
            source_class=SourceClass.SIMULATED,
            feed_epoch=1,
            sequence=self.sequence,
            quotes=quotes,
        )

    def moved(self, index: int) -> int:
        """Return the next bid of a symbol's walk."""
        bid = self.bids[index]
        step = max(1, bid * MOVE_PPM // PPM)
        return bid + step if self.rng.getrandbits(1) else max(100, bid - step)

    def quote_all(self) -> None:
        """Quote every symbol once, where it stands."""
        entry_id = self.next_id()
        quotes = [self.quote(index, bid) for index, bid in enumerate(self.bids)]
        self.machine.decide(entry_id, self.entry(*quotes))


def new_market(symbols: int, seed: int) -> Market:
    """Return a machine with a group and so many instruments, each quoted once."""
    machine = Machine()
    rng = random.Random(seed)  # noqa: S311 - repeatable, not secret
    bids = [_FIRST_TICKS[index % len(_FIRST_TICKS)] for index in range(symbols)]
    market = Market(machine, rng, bids)
    group = GroupSpec(name="standard", version=1, commission_ppm=TERMS.commission_ppm)
    commands: list[cmd.AnyCommand] = [
        cmd.DefineGroup(request_id="g", actor=Actor.SYSTEM, source="bench", spec=group)
    ]
    for index in range(symbols):
        spec = InstrumentSpec(
            symbol=symbol_name(index),
            base=symbol_name(index)[:-4],
            version=1,
            price_decimals=1 + index % 3,
            quantity_decimals=3,
            quantity_min_units=1,
            quantity_step_units=1,
            quantity_max_units=1_000_000,
            stop_distance_ticks=2,
            tiers=_TIERS,
            swap_long_ppm=-100_000,
            swap_short_ppm=20_000,
            quote_age_us_max=10**15,
        )
        commands.append(
            cmd.DefineInstrument(
                request_id=f"i{index}",
                actor=Actor.SYSTEM,
                source="bench",
                spec=spec,
                source_class=SourceClass.SIMULATED,
            )
        )
    for command in commands:
        machine.decide(market.next_id(), command, b"0" * 16)
    market.quote_all()
    market.first_bids = list(bids)
    return market


def add_account(machine: Machine, account_id: int) -> Account:
    """Open an account of the standard group with the deposit on it."""
    state = machine.state
    evolve(
        state,
        ev.AccountOpened(
            account=account_id,
            seq=1,
            owner_id=account_id,
            kind=AccountKind.DEMO,
            margin_mode=MarginMode.CROSS,
            leverage_cap=100,
            terms=TERMS,
            opened_at_us=state.now_us,
        ),
    )
    account = state.accounts[account_id]
    evolve(
        state,
        ev.CashPosted(
            account=account_id,
            seq=2,
            cash_seq=1,
            kind=CashKind.DEPOSIT,
            amount_micros=DEPOSIT,
            method="card",
            reference="",
            balance_micros=DEPOSIT,
            postings=cash_postings(account, client_micros=DEPOSIT, pending_micros=0, method="card"),
        ),
    )
    return account


@dataclass(frozen=True)
class Wish:
    """A position to build."""

    index: int
    is_long: bool
    is_cross: bool
    notional_micros: int
    leverage: int
    # Distances from the closing price, ppm of it; 0: none.
    stop_loss_ppm: int = 0
    take_profit_ppm: int = 0


def add_position(machine: Machine, account: Account, wish: Wish) -> None:
    """Build one position at the current quote."""
    instrument = machine.state.instruments[wish.index]
    price = instrument.ask if wish.is_long else instrument.bid
    units = max(1, wish.notional_micros // (price * instrument.k))
    margin = initial_margin(notional_micros(price, units, instrument.k), wish.leverage)
    commission = notional_micros(price, units, instrument.k) * TERMS.commission_ppm // PPM
    sign = 1 if wish.is_long else -1
    closing = instrument.bid if wish.is_long else instrument.ask
    stop_loss = closing - sign * closing * wish.stop_loss_ppm // PPM
    take_profit = closing + sign * closing * wish.take_profit_ppm // PPM
    position_id = entity_id(account.account, account.next_k)
    evolve(
        machine.state,
        ev.PositionOpened(
            account=account.account,
            seq=account.seq + 1,
            position_id=position_id,
            fill_id=f"{position_id}.1",
            symbol=instrument.spec.symbol,
            direction=Direction.LONG if wish.is_long else Direction.SHORT,
            order_type=OrderType.MARKET,
            quantity_units=units,
            price_ticks=price,
            leverage=wish.leverage,
            margin_mode=MarginMode.CROSS if wish.is_cross else MarginMode.ISOLATED,
            margin_micros=margin,
            commission_micros=commission,
            stop_loss_ticks=stop_loss if wish.stop_loss_ppm else None,
            take_profit_ticks=take_profit if wish.take_profit_ppm else None,
            trailing_ticks=None,
            liquidation_ticks=0
            if wish.is_cross
            else _liquidation(instrument, wish, price, units, margin),
            opened_at_us=machine.now_us,
            balance_micros=account.balance_micros - commission,
            postings=fill_postings(account, 0, commission, 0),
            receipt=ev.Receipt(rule="P1"),
        ),
    )


def _liquidation(instrument: Instrument, wish: Wish, price: int, units: int, margin: int) -> int:
    return liquidation_ticks(
        is_long=wish.is_long,
        entry_ticks=price,
        quantity_units=units,
        margin_micros=margin,
        tiers=_TIERS,
        commission_ppm=TERMS.commission_ppm,
        k=instrument.k,
    )


def crowd(accounts: int, positions_each: int, symbols: int, seed: int) -> Market:
    """Return a market whose accounts hold a few modest positions: two of three cross, most with stops."""
    market = new_market(symbols, seed)
    machine, rng = market.machine, market.rng
    for account_id in range(1, accounts + 1):
        account = add_account(machine, account_id)
        for _ in range(positions_each):
            add_position(
                machine,
                account,
                Wish(
                    index=rng.randrange(symbols),
                    is_long=rng.random() < 0.5,
                    is_cross=rng.random() < 0.67,
                    notional_micros=rng.randint(200, 1_500) * USD,
                    leverage=rng.randint(2, 4),
                    stop_loss_ppm=rng.randint(5_000, 120_000) if rng.random() < 0.6 else 0,
                    take_profit_ppm=rng.randint(20_000, 300_000) if rng.random() < 0.6 else 0,
                ),
            )
        rearm(machine.state, account)
    return market


# Gross notional over the deposit of the cross-margin book's accounts, in turn.
EFFECTIVE_LEVERAGES_PERCENT = (50, 100, 100, 150, 200, 200, 300, 400, 500, 800)


def cross_book(accounts: int, symbols: int, seed: int) -> Market:
    """Return a market where each account holds every symbol at cross margin, long or short.

    Prices walk all the while, so that entries and bands are of all ages, as in a book that has lived.
    """
    market = new_market(symbols, seed)
    machine, rng = market.machine, market.rng
    for account_id in range(1, accounts + 1):
        account = add_account(machine, account_id)
        percent = rng.choice(EFFECTIVE_LEVERAGES_PERCENT)
        notional = DEPOSIT * percent // 100 // symbols
        bias = rng.choice((0.2, 0.5, 0.8))
        for index in range(symbols):
            add_position(
                machine,
                account,
                Wish(
                    index=index,
                    is_long=rng.random() < bias,
                    is_cross=True,
                    notional_micros=notional * rng.randint(50, 150) // 100,
                    leverage=rng.choice((10, 20, 50)),
                ),
            )
        rearm(machine.state, account)
        entry_id = market.next_id()
        quotes = [market.quote(index, market.moved(index)) for index in range(symbols)]
        machine.decide(entry_id, market.entry(*quotes))
    return market
