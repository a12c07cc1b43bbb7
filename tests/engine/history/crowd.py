"""A seeded crowd of accounts with random positions, told to the engine along a tape of one symbol."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from engine.core.machine import Machine, Outcome
from engine.messages import commands as cmd
from engine.messages.codec import content_digest
from engine.messages.definitions import GroupSpec, InstrumentSpec, Tier
from engine.messages.events import AnyEvent
from engine.messages.replies import Rejected
from engine.values import AccountKind, Actor, CashKind, MarginMode, Side, SourceClass

SYMBOL = "BTCUSDT"
# Price ticks are 0.1 USD and quantity units 0.00001 BTC, so one tick and unit is one micro-USD.
SPREAD_TICKS = 10
COMMISSION_PPM = 400
MAINTENANCE_PPM = 4_000
STOP_OUT_BPS = 5_000
STEP_UNITS = 100
START_MS = 1_640_991_660_000
# Four quotes a minute.
STEP_MS = 15_000
ENTRY_BITS = 21
MICROS = 1_000_000


@dataclass(frozen=True)
class Wish:
    """A position that an account will open."""

    is_long: bool
    is_cross: bool
    quantity_units: int
    leverage: int


@dataclass
class Holder:
    """An account of the crowd: its money, when it enters, and with what."""

    account: int
    balance_micros: int
    enters_at: int
    wishes: list[Wish] = field(default_factory=list)


def crowd(count: int, bids: list[int], seed: int) -> list[Holder]:
    """Return accounts whose wishes cost at most nine tenths of their money, so that each is accepted."""
    dice = random.Random(seed)  # noqa: S311 - a test's own history
    holders = []
    for account in range(1, count + 1):
        enters_at = dice.randrange(len(bids) * 3 // 5)
        holder = Holder(account, dice.randrange(300, 5_000) * MICROS, enters_at)
        budget = holder.balance_micros * 9 // 10
        price = bids[enters_at] + SPREAD_TICKS
        for _ in range(dice.randint(1, 3)):
            leverage = dice.randint(1, 100)
            share = budget * dice.randint(10, 100) // 100
            # Margin, commission and spread of a position, all from its share; at most 15 000 USD of notional.
            notional = min(15_000 * MICROS, share * leverage * 10 // (10 + leverage // 10 + 1))
            quantity = notional // price // STEP_UNITS * STEP_UNITS
            if quantity == 0:
                continue
            wish = Wish(dice.random() < 0.6, dice.random() < 0.6, quantity, leverage)
            cost = -(-price * quantity // leverage) + price * quantity // 1_000 + 1
            if cost <= budget:
                budget -= cost
                holder.wishes.append(wish)
        holders.append(holder)
    return holders


class Telling:
    """The engine on a tape: prepares the crowd and yields the events of every entry."""

    def __init__(self, bids: list[int], holders: list[Holder]) -> None:
        """Define the instrument and the group, open the accounts and pay their money in."""
        self.machine = Machine()
        self.bids = bids
        self.entering: dict[int, list[Holder]] = {}
        for holder in holders:
            self.entering.setdefault(holder.enters_at, []).append(holder)
        self._entry_id = (START_MS - 60_000) << ENTRY_BITS
        self._requests = 0
        self._define()
        for holder in holders:
            self._open_account(holder)

    def _send(self, command: cmd.AnyCommand) -> Outcome:
        self._entry_id += 1
        outcome = self.machine.decide(self._entry_id, command, content_digest(command))
        assert outcome is not None
        assert not isinstance(outcome.reply, Rejected), outcome.reply
        return outcome

    def _request(self) -> str:
        self._requests += 1
        return f"r{self._requests}"

    def _define(self) -> None:
        spec = InstrumentSpec(
            symbol=SYMBOL,
            base="BTC",
            version=1,
            price_decimals=1,
            quantity_decimals=5,
            quantity_min_units=STEP_UNITS,
            quantity_step_units=STEP_UNITS,
            quantity_max_units=100_000_000,
            stop_distance_ticks=0,
            tiers=(Tier(50_000 * MICROS, 100, MAINTENANCE_PPM, 0),),
            swap_long_ppm=0,
            swap_short_ppm=0,
            quote_age_us_max=60_000_000,
        )
        group = GroupSpec(name="standard", version=1, commission_ppm=COMMISSION_PPM)
        system = {"actor": Actor.SYSTEM, "source": "test"}
        self._send(
            cmd.DefineInstrument(
                request_id=self._request(), spec=spec, source_class=SourceClass.REPLAY, **system
            )
        )
        self._send(cmd.DefineGroup(request_id=self._request(), spec=group, **system))

    def _open_account(self, holder: Holder) -> None:
        system = {"actor": Actor.SYSTEM, "account": holder.account}
        self._send(
            cmd.OpenAccount(
                request_id=self._request(),
                owner_id=1,
                kind=AccountKind.DEMO,
                group="standard",
                **system,
            )
        )
        self._send(
            cmd.PostCash(
                request_id=self._request(),
                cash_seq=1,
                kind=CashKind.DEPOSIT,
                amount_micros=holder.balance_micros,
                method="test",
                **system,
            )
        )

    def events(self) -> Iterator[tuple[int, list[AnyEvent]]]:
        """Bring one quote after the other, let accounts enter, and yield (index, events) of each."""
        for index, bid in enumerate(self.bids):
            now_ms = START_MS + index * STEP_MS
            self._entry_id = now_ms << ENTRY_BITS
            quote = cmd.Quote(SYMBOL, bid, bid + SPREAD_TICKS, now_ms * 1000)
            entry = cmd.UpdateQuotes(
                source="tape",
                source_class=SourceClass.REPLAY,
                feed_epoch=1,
                sequence=index + 1,
                quotes=(quote,),
            )
            outcome = self.machine.decide(self._entry_id, entry)
            if outcome is not None:
                yield index, list(outcome.events)
            for holder in self.entering.get(index, ()):
                yield index, self._enter(holder)

    def _enter(self, holder: Holder) -> list[AnyEvent]:
        events: list[AnyEvent] = []
        for wish in holder.wishes:
            order = cmd.PlaceOrder(
                request_id=self._request(),
                user_id=1,
                account=holder.account,
                symbol=SYMBOL,
                side=Side.BUY if wish.is_long else Side.SELL,
                quantity_units=wish.quantity_units,
                leverage=wish.leverage,
                margin_mode=MarginMode.CROSS if wish.is_cross else MarginMode.ISOLATED,
            )
            events += self._send(order).events
        return events
