"""What the engine knows.

Plain records; every mutation is in evolve.py, of plain fills in plain_fills.py and of live quotes in decide/quotes.py; derived queues
are in triggers.py and bands.py.

Accounts, positions, orders, ledger, definitions and answered requests are what outputs alone determine (the state hash).
Last quotes, logical time and feed sequences are the market part. Trigger queues, bands and watchers are derived from both.
"""

from bisect import insort

import msgspec

from engine.core.bands import QUEUES, Bands, worst_ticks
from engine.core.packing import LazyTable
from engine.core.request_table import RequestTable
from engine.core.triggers import ASK_RISES, PRICE_MAX, TriggerQueues
from engine.messages.definitions import GroupSpec, InstrumentSpec, Terms
from engine.messages.events import ReceiptQuote
from engine.rounding import floor_div
from engine.values import (
    DECIMALS_MAX,
    SAFE_INTEGER_MAX,
    AccountKind,
    AccountStatus,
    OrderType,
    SourceClass,
    TimeInForce,
    TradingMode,
)

REQUESTS_MAX = 1_000_000
REQUEST_AGE_US_MAX = 24 * 3600 * 1_000_000
DAY_US = 24 * 3600 * 1_000_000
NO_BANDS: Bands = {}


class Position(msgspec.Struct, array_like=True, gc=False):
    """One open position; 0 stands for an absent price."""

    account: int
    # Counter within the account; with it the id "<account>-<k>".
    k: int
    # Index of the instrument in State.instruments.
    instrument: int
    is_long: bool
    is_cross: bool
    quantity_units: int
    price_ticks: int
    leverage: int
    # Initial margin (cross) or the position's own margin (isolated), micro-USD.
    margin_micros: int
    stop_loss_ticks: int
    take_profit_ticks: int
    trailing_ticks: int
    liquidation_ticks: int
    opened_at_us: int
    # Fills so far; numbers the next fill.
    fills: int
    # Last rollover that was charged, days since 1970.
    swap_day: int
    # Financing and commission so far, for display.
    swap_micros: int
    commission_micros: int


class PendingOrder(msgspec.Struct, array_like=True, gc=False):
    """One order that waits for its price; 0 stands for an absent price or time."""

    account: int
    k: int
    instrument: int
    is_buy: bool
    is_cross: bool
    order_type: OrderType
    quantity_units: int
    leverage: int
    price_ticks: int
    stop_price_ticks: int
    # The stop of a stop-limit order was reached.
    is_activated: bool
    time_in_force: TimeInForce
    expires_at_us: int
    stop_loss_ticks: int
    take_profit_ticks: int
    trailing_ticks: int
    placed_at_us: int


class Account(msgspec.Struct, array_like=True, gc=False):
    """One trading account."""

    account: int
    owner_id: int
    kind: AccountKind
    status: AccountStatus
    # Default margin mode of new orders.
    is_cross: bool
    leverage_cap: int
    terms: Terms
    balance_micros: int = 0
    # Withdrawals on their way, part of cash:pending.
    cash_pending_micros: int = 0
    cash_seq: int = 0
    # Last event of the account.
    seq: int = 0
    next_k: int = 1
    is_margin_call: bool = False
    is_stop_out_pending: bool = False
    positions: dict[int, Position] = {}
    orders: dict[int, PendingOrder] = {}


_account_in = msgspec.msgpack.Decoder(Account).decode


class Instrument:
    """One instrument with its last quotes and its queues."""

    __slots__ = (
        "ask",
        "bid",
        "index",
        "k",
        "net_units",
        "open_count",
        "previous",
        "price_ticks_max",
        "queues",
        "quote",
        "source_class",
        "spec",
        "trading_mode",
        "ts_us",
        "watchers",
    )

    def __init__(
        self,
        index: int,
        spec: InstrumentSpec,
        trading_mode: TradingMode,
        source_class: SourceClass,
    ) -> None:
        """Create an instrument that has seen no quote."""
        self.index = index
        self.trading_mode = trading_mode
        self.source_class = source_class
        # Net units of all clients of this shard; positive is long.
        self.net_units = 0
        # Open positions and pending orders: while any exists, decimals stay.
        self.open_count = 0
        # Last accepted quote, ticks and microseconds; 0: none yet.
        self.bid = 0
        self.ask = 0
        self.ts_us = 0
        self.quote: ReceiptQuote | None = None
        self.previous: ReceiptQuote | None = None
        self.queues = TriggerQueues()
        # Accounts without a band (cushion <= 0): checked at each accepted quote. Derived.
        self.watchers: dict[int, None] = {}
        self.define(spec)

    def define(self, spec: InstrumentSpec) -> None:
        """Take a specification; sets the micro-USD per tick and unit that follow from its decimals."""
        self.spec = spec
        self.k = 10 ** (DECIMALS_MAX - spec.price_decimals - spec.quantity_decimals)
        # Above it the notional of the largest order would leave the range of exact integers.
        self.price_ticks_max = floor_div(SAFE_INTEGER_MAX, spec.quantity_max_units * self.k)


class Holdings:
    """What the open positions of one account sum to, so that a check need not walk them."""

    __slots__ = (
        "entity_head",
        "exposed",
        "floor_micros",
        "isolated",
        "isolated_margin",
        "ledger",
        "used_margin",
    )

    def __init__(self, account: Account) -> None:
        """Begin with nothing."""
        # How the ids of the account's positions begin, and the name of its ledger account: every fill names them.
        self.entity_head = f"{account.account}-"
        self.ledger = client_ledger(account.kind, account.account)
        # Initial margins of cross positions, and margins of isolated ones, micro-USD.
        self.used_margin = 0
        self.isolated_margin = 0
        # Cross exposures by the slot of the band that guards them: (instrument, micro-USD per tick, micro-USD at entry), below
        # zero for shorts, so that the result at a closing price is price * weight - cost.
        self.exposed: dict[int, tuple[Instrument, int, int]] = {}
        # The results of all exposures at the worst prices that their bands let by, micro-USD: while no band is hit, the
        # account cannot fall lower (rule B2).
        self.floor_micros = 0
        # Isolated positions by such slots: micro-USD per tick, below zero for shorts.
        self.isolated: dict[int, int] = {}

    def is_same(self, other: "Holdings") -> bool:
        """Return whether both say the same."""
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    def add(self, instrument: Instrument, position: Position, sign: int, bands: Bands) -> None:
        """Count a position in (1) or out (-1), among the bands that stand."""
        weight = sign * position.quantity_units * instrument.k
        slot = instrument.index * QUEUES
        if not position.is_long:
            slot += ASK_RISES
            weight = -weight
        if not position.is_cross:
            self.isolated_margin += sign * position.margin_micros
            weight += self.isolated.pop(slot, 0)
            if weight:
                self.isolated[slot] = weight
            return
        self.used_margin += sign * position.margin_micros
        cost = weight * position.price_ticks
        self.floor_micros += worst_ticks(slot, bands) * weight - cost
        before = self.exposed.get(slot)
        if before is not None:
            weight += before[1]
            cost += before[2]
        if weight:
            self.exposed[slot] = (instrument, weight, cost)
        else:
            del self.exposed[slot]

    def note_bands(self, bands: Bands) -> None:
        """Find the floor anew: the bands are others now."""
        floor = 0
        for slot, (_, weight, cost) in self.exposed.items():
            # worst_ticks(), written out: this is done for every exposure whenever an account's bands are.
            worst = bands.get(slot, -1) + 1 if weight > 0 else bands.get(slot, PRICE_MAX + 1) - 1
            floor += worst * weight - cost
        self.floor_micros = floor

    def lose_band(self, slot: int, bands: Bands) -> None:
        """Lower the floor to what it is without one of the bands that stand; one on the way up guards nothing."""
        exposure = self.exposed.get(slot)
        if exposure is not None:
            lost = worst_ticks(slot, NO_BANDS) - worst_ticks(slot, bands)
            self.floor_micros += lost * exposure[1]


class State:
    """Everything that one shard knows."""

    def __init__(self) -> None:
        """Create the empty state of genesis."""
        self.accounts = LazyTable(_account_in)
        self.account_ids: list[int] = []
        self.instruments: list[Instrument] = []
        self.instrument_by_symbol: dict[str, Instrument] = {}
        self.groups: dict[str, GroupSpec] = {}
        # Ledger accounts other than clients: signed micro-USD by name with its book.
        self.house: dict[str, int] = {}
        # Answered requests.
        self.requests = RequestTable()
        # Last applied entry (packed id), logical time, entries so far.
        self.entry_id = 0
        self.now_us = 0
        self.entry_count = 0
        # Last (feed epoch, sequence) by source name.
        self.feed_sequences: dict[str, tuple[int, int]] = {}
        # Derived, by account; one that is absent is summed up when it is asked for.
        self.holdings: dict[int, Holdings] = {}
        # Derived: bands by account as {queue slot: price}; accounts on a watch list; expiry queue, and how much of it is stale,
        # an estimate that decides only when to compact.
        self.bands: dict[int, dict[int, int]] = {}
        self.watched: dict[int, tuple[int, ...]] = {}
        self.expiries: list[int] = []
        self.stale_expiries = 0
        # Accounts that a recovery has touched and must re-arm.
        self.marked: dict[int, None] = {}

    def add_account(self, account: Account) -> None:
        """Register an account under its id, keeping the ids sorted for pages."""
        self.accounts[account.account] = account
        insort(self.account_ids, account.account)

    def add_instrument(self, instrument: Instrument) -> None:
        """Register an instrument; its index never changes."""
        self.instruments.append(instrument)
        self.instrument_by_symbol[instrument.spec.symbol] = instrument

    def holdings_of(self, account: Account) -> Holdings:
        """Return what the account's positions sum to."""
        holdings = self.holdings.get(account.account)
        if holdings is None:
            holdings = self.holdings[account.account] = self.summed_up(account)
        return holdings

    def summed_up(self, account: Account) -> Holdings:
        """Return what the account's positions sum to, found anew."""
        holdings = Holdings(account)
        bands = self.bands.get(account.account, NO_BANDS)
        for position in account.positions.values():
            holdings.add(self.instruments[position.instrument], position, 1, bands)
        return holdings

    def ledger_total_micros(self) -> int:
        """Return the sum of the whole ledger, micro-USD; zero at all times."""
        clients = sum(account.balance_micros for account in self.accounts.values())
        return clients + sum(self.house.values())


def client_ledger(kind: AccountKind, account: int) -> str:
    """Return the name of a client's ledger account, such as "demo:client:1001"."""
    return f"{kind.value}:client:{account}"


def entity_id(account: int, k: int) -> str:
    """Return the id of an order and its position: "<account>-<k>"."""
    return f"{account}-{k}"


def entity_k(account: int, text: str) -> int:
    """Return the counter of an id, or 0 where the text is no id of this account."""
    head, _, tail = text.partition("-")
    if head != str(account) or not tail.isdecimal() or tail[0] == "0" or not tail.isascii():
        return 0
    return int(tail)


def next_midnight_us(now_us: int) -> int:
    """Return the first 00:00 UTC after a time, microseconds."""
    return (floor_div(now_us, DAY_US) + 1) * DAY_US
