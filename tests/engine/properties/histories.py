"""Random but plausible histories: one generator of entries for the seeded driver and for hypothesis.

It reads the oracle's state to aim: prices land on thresholds and one tick beside them, sizes use up the free margin,
cash moves while a position hangs by a thread.
"""

import os
import random
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
from hypothesis import strategies as st

from engine.messages import commands as c
from engine.messages.definitions import GroupSpec, InstrumentSpec, Tier
from engine.values import (
    AccountKind,
    AccountStatus,
    Actor,
    CashKind,
    Direction,
    MarginMode,
    OrderType,
    ProfitFilter,
    Side,
    SourceClass,
    StopOutStrategy,
    TimeInForce,
    TradingMode,
)
from tests.engine.properties.naive_commands import Oracle
from tests.engine.properties.naive_state import Account, Order, Position

USD = 1_000_000
# 2023-11-14, a minute before midnight UTC: day orders end and rollovers pass early in each history.
START_MS = 1_700_006_340_000
# How many times as many histories are told as in CI; `make nightly-engine` asks for more.
HISTORY_TIMES = int(os.environ.get("HISTORY_TIMES", "1"))
LEVERAGES = (1, 2, 3, 7, 10, 30, 50, 100)


def seeds_from(first: int, count: int) -> range:
    """Return the seeds of so many histories, or of HISTORY_TIMES as many; each test's begin elsewhere."""
    return range(first, first + count * HISTORY_TIMES)


class Chooser(Protocol):
    """Where a history takes its decisions from."""

    def integer(self, low: int, high: int) -> int: ...


class Seeded:
    """Decisions of a seeded generator: fast, repeatable by the seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - repeatable, not secret

    def integer(self, low: int, high: int) -> int:
        return self._random.randint(low, high)


class Drawn:
    """Decisions of hypothesis: slower, shrunk when a history fails."""

    def __init__(self, data: st.DataObject) -> None:
        self._draw = data.draw

    def integer(self, low: int, high: int) -> int:
        return self._draw(st.integers(low, high))


def tiers(*, steep: bool = False) -> tuple[Tier, ...]:
    """Return continuous tiers with borders that these histories cross."""
    rates = (4_000, 10_000, 25_000, 100_000) if not steep else (5_000, 20_000, 50_000, 250_000)
    rows, amount, before = [], 0, (0, 0)
    for cap, leverage, rate in zip(
        (5_000, 20_000, 60_000, 110_000), (100, 50, 20, 5), rates, strict=True
    ):
        amount += before[0] * (rate - before[1])
        rows.append(Tier(cap * USD, leverage, rate, amount))
        before = (cap, rate)
    return tuple(rows)


def instrument(symbol: str, price: int, quantity: int, **changes: Any) -> InstrumentSpec:
    """Return a specification; `price` and `quantity` are decimals."""
    fields: dict[str, Any] = {
        "symbol": symbol,
        "base": symbol[:-4],
        "version": 1,
        "price_decimals": price,
        "quantity_decimals": quantity,
        "quantity_min_units": 1,
        "quantity_step_units": 1,
        "quantity_max_units": 10_000_000,
        "stop_distance_ticks": 0,
        "tiers": tiers(),
        "swap_long_ppm": -190_000,
        "swap_short_ppm": 30_000,
        "quote_age_us_max": 5_000_000,
    }
    return InstrumentSpec(**(fields | changes))


INSTRUMENTS = (
    instrument("BTCUSDT", 1, 2, exposure_account_micros_max=100_000 * USD),
    # A price of two digits: thresholds of many orders fall on the same tick.
    instrument(
        "TINYUSDT", 0, 2, quantity_min_units=10, quantity_step_units=5, swap_short_ppm=-9_000_000
    ),
    instrument(
        "DOGEUSDT", 5, 1, quantity_min_units=15, quantity_step_units=5, stop_distance_ticks=7
    ),
)
PRICES = {"BTCUSDT": 600_000, "TINYUSDT": 60, "DOGEUSDT": 10_000}
GROUPS = (
    GroupSpec(name="standard", version=1, commission_ppm=0),
    GroupSpec(
        name="sharp",
        version=1,
        commission_ppm=700,
        stop_out_strategy=StopOutStrategy.SMALLEST_SLICE,
        margin_call_level_bps=12_000,
        stop_out_level_bps=8_000,
    ),
    GroupSpec(
        name="blunt",
        version=1,
        commission_ppm=350,
        leverage_cap=50,
        stop_out_strategy=StopOutStrategy.CLOSE_ALL,
        negative_balance_protection=False,
    ),
)


class Storyteller:
    """Tell one history, entry by entry."""

    def __init__(
        self,
        chooser: Chooser,
        oracle: Oracle,
        *,
        accounts: Sequence[int] = (1, 2, 3, 10),
        house_cap_usd: int = 60_000,
        hours_max: int = 30,
    ) -> None:
        self.chooser = chooser
        self.oracle = oracle
        self.account_ids = accounts
        self.house_cap_usd = house_cap_usd
        self.hours_max = hours_max
        self.ms = START_MS
        self.sequence = 0
        self.was_long_gap = False
        # An instrument that was halted until the last entry.
        self.reopened = ""
        # 0 mild; 1 storms: gaps and few stops; 2 dark: quotes go missing, markets halt; 3 crowded: many small orders;
        # 4 a herd: everyone is long on borrowed money.
        self.weather = chooser.integer(0, 4)
        self.feed_epoch = 1
        self.feed_sequence = 0
        self.requests = 0
        self.sent: list[c.AnyCommand] = []

    # --- decisions ------------------------------------------------------------------------------------------

    def integer(self, low: int, high: int) -> int:
        return self.chooser.integer(low, high)

    def pick(self, options: Sequence[Any]) -> Any:
        return options[self.integer(0, len(options) - 1)]

    def chance(self, percent: int) -> bool:
        # Zero is what hypothesis shrinks to, so zero means no.
        return self.integer(0, 99) >= 100 - percent

    # --- the frame of an entry -----------------------------------------------------------------------------

    def next_entry_id(self) -> int:
        """Let time pass and return the id of the next entry."""
        kind = self.integer(0, 99)
        if kind < 80:
            gap = self.integer(1, 700)
        elif kind < 90:
            gap = 0
        elif kind < 99:
            gap = self.integer(3_000, 20_000)
        else:
            gap = self.integer(1, self.hours_max) * 3_600_000
        self.was_long_gap = gap >= 3_000
        self.ms += gap
        self.sequence = self.sequence + 1 if gap == 0 else 0
        return self.ms << 21 | self.sequence

    def decided_at_us(self, entry_id: int) -> int:
        lag = self.integer(-6_000, 4_000) if self.chance(4) else 0
        return ((entry_id >> 21) + lag) * 1000

    def frame(self, account: Account | None = None) -> dict[str, Any]:
        self.requests += 1
        frame: dict[str, Any] = {"request_id": f"r{self.requests}"}
        if account is not None:
            frame |= {"account": account.id, "user_id": account.owner}
            if self.chance(2):
                frame["user_id"] = 999
            if self.chance(5):
                frame["deadline_us"] = (self.ms + self.integer(-1_000, 3_000)) * 1000
            if self.chance(6):
                frame |= {"actor": Actor.OPERATOR, "user_id": 0, "staff_id": 7, "reason": "desk"}
        else:
            frame |= {"source": "ops", "actor": Actor.OPERATOR}
        return frame

    # --- the opening ----------------------------------------------------------------------------------------

    def opening(self) -> list[c.AnyMessage]:
        """Return the entries that set the stage."""
        stage: list[c.AnyMessage] = [c.DefineGroup(spec=g, **self.frame()) for g in GROUPS]
        for spec in INSTRUMENTS:
            spec = msgspec.structs.replace(spec, exposure_house_micros_max=self.house_cap_usd * USD)
            stage.append(
                c.DefineInstrument(spec=spec, source_class=SourceClass.SIMULATED, **self.frame())
            )
        for number, account in enumerate(self.account_ids):
            self.requests += 1
            stage.append(
                c.OpenAccount(
                    account=account,
                    request_id=f"r{self.requests}",
                    owner_id=100 + account,
                    kind=AccountKind.LIVE if number % 2 else AccountKind.DEMO,
                    group=GROUPS[number % 3].name,
                    margin_mode=MarginMode.ISOLATED if number % 4 == 2 else MarginMode.CROSS,
                )
            )
            stage.append(
                c.PostCash(
                    account=account,
                    request_id=f"cash{account}",
                    actor=Actor.SYSTEM,
                    cash_seq=1,
                    kind=CashKind.DEPOSIT,
                    amount_micros=(500 + 1_500 * number) * USD,
                    method="card",
                )
            )
        return stage

    def first_quotes(self) -> c.UpdateQuotes:
        return self.entry_of_quotes([(s, p, p + 1 + p // 5_000) for s, p in PRICES.items()])

    # --- quotes ---------------------------------------------------------------------------------------------

    def entry_of_quotes(self, prices: list[tuple[str, int, int]], **changes: Any) -> c.UpdateQuotes:
        self.feed_sequence += 1
        if self.chance(1):
            # The feed starts anew.
            self.feed_epoch, self.feed_sequence = self.feed_epoch + 1, 1
        classes = [i.source_class for i in self.oracle.instruments.values()] or ["simulated"]
        fields: dict[str, Any] = {
            "source": self.pick(("simulator",) * 9 + ("other",)),
            "source_class": SourceClass(self.pick(classes)),
            "feed_epoch": self.feed_epoch,
            "sequence": self.feed_sequence,
            "quotes": tuple(c.Quote(s, bid, ask, self.ms * 1000) for s, bid, ask in prices),
        }
        return c.UpdateQuotes(**(fields | changes))

    def thresholds(self, symbol: str) -> list[int]:
        found: list[int | None] = []
        for a in self.oracle.accounts.values():
            for p in a.positions.values():
                found += [p.sl, p.tp, p.lp, p.entry] if p.symbol == symbol else []
            for o in a.orders.values():
                found += [o.price, o.stop] if o.symbol == symbol else []
            found += self.critical(a, symbol)
        return [
            level for level in found if level and PRICES[symbol] // 8 < level < PRICES[symbol] * 6
        ]

    def critical(self, a: Account, symbol: str) -> list[int]:
        """Return the bids at which an account reaches one of its levels if only this symbol moves."""
        i = self.oracle.instruments[symbol]
        cross = [p for p in a.positions.values() if p.mode == "cross" and p.symbol == symbol]
        net = sum(p.sign * p.qty for p in cross)
        if not net:
            return []
        equity, used = self.oracle.figures(a)
        call, stop = a.terms.margin_call_level_bps, a.terms.stop_out_level_bps
        per_tick = 10_000 * i.k * net
        return [
            i.bid + (bps * used - equity * 10_000) // per_tick for bps in (call, stop, call + 500)
        ]

    def moved(self, symbol: str) -> tuple[str, int, int]:
        """Return the next price of a symbol: a step, a gap, or exactly a threshold."""
        i = self.oracle.instruments[symbol]
        bid = i.bid or PRICES[symbol]
        spread = self.integer(0, 2) + (bid * self.integer(0, 4)) // 5_000
        kind = self.integer(50 if self.weather in (1, 2) else 0, 99)
        targets = self.thresholds(symbol) if 50 <= kind < 80 else []
        if targets:
            bid = self.pick(targets) + self.integer(-1, 1) - (spread if self.chance(50) else 0)
        elif kind < 40:
            bid += self.integer(-bid // 500 - 1, bid // 500 + 1)
        elif kind < 90:
            bid += self.integer(-bid // 40 - 1, bid // 40 + 1)
        else:
            bid += self.integer(-bid // 5, bid // 4)
        # Prices stay within a decade of where they began, so that sizes keep their meaning.
        bid = min(max(bid, PRICES[symbol] // 8), PRICES[symbol] * 6)
        return symbol, bid, bid + spread

    def quotes(self) -> c.UpdateQuotes:
        missing = 60 if self.weather == 2 else 0 if self.was_long_gap else 40
        symbols = [s for s in PRICES if not self.chance(missing)] or ["BTCUSDT"]
        if self.chance(30):
            symbols.reverse()
        if self.chance(3):
            symbols.append(self.pick(symbols))
        return self.entry_of_quotes([self.moved(s) for s in symbols])

    def bad_quotes(self) -> c.UpdateQuotes:
        """One of the ways in which a feed goes wrong, beside a good quote."""
        symbol, bid, ask = self.moved(self.pick(list(PRICES)))
        kind = self.integer(0, 7)
        wrong = {
            0: (symbol, ask + 1, bid),
            1: (symbol, 0, ask),
            2: (symbol, -bid, ask),
            3: ("NOSUCH", bid, ask),
        }.get(kind, (symbol, bid, ask))
        entry = self.entry_of_quotes([wrong, self.moved("BTCUSDT")])
        if kind == 4:
            return msgspec.structs.replace(entry, source_class=SourceClass.REPLAY)
        if kind == 5:
            return msgspec.structs.replace(entry, sequence=max(0, entry.sequence - 2))
        if kind >= 6:
            ts_us = self.ms * 1000 + self.integer(-8_000_000, 8_000_000)
            old = tuple(msgspec.structs.replace(q, ts_us=ts_us) for q in entry.quotes)
            return msgspec.structs.replace(entry, quotes=old)
        return entry

    # --- commands of clients -------------------------------------------------------------------------------

    def account(self) -> Account:
        return self.pick(list(self.oracle.accounts.values()))

    def distance(self, price: int) -> int:
        part = self.pick((price // 2_000, price // 200, price // 50, price // 10))
        return self.integer(1, max(1, part))

    def stops(self, sign: int, price: int) -> dict[str, int]:
        """Return stop loss, take profit and trailing distance, mostly on their right sides."""
        wanted: dict[str, int] = {}
        if self.weather in (1, 2, 4) and self.chance(80):
            return {}
        if self.chance(35):
            wanted["stop_loss_ticks"] = price - sign * self.distance(price)
        if self.chance(35):
            wanted["take_profit_ticks"] = price + sign * self.distance(price)
        if self.chance(20):
            wanted["trailing_ticks"] = self.distance(price)
        if self.chance(4):
            wanted["stop_loss_ticks"] = price + sign * self.distance(price)
        return {name: max(1, level) for name, level in wanted.items()}

    def size(self, a: Account, symbol: str, price: int, leverage: int) -> int:
        """Return a quantity: a part of what the free margin allows, now and then more."""
        i = self.oracle.instruments[symbol]
        equity, used = self.oracle.figures(a)
        room = max(0, equity - used) * leverage // (price * i.k)
        shares = (1, 2, 5, 20) if self.weather == 3 else (5, 30, 60, 90, 97, 99, 110)
        shares = (20, 40) if self.weather == 2 else shares
        units = room * self.pick(shares) // 100
        step = i.spec.quantity_step_units
        units = max(units // step * step, i.spec.quantity_min_units)
        return units + 1 if self.chance(2) else units

    def expiry(self) -> dict[str, Any]:
        kind = self.integer(0, 99)
        if kind < 75:
            return {}
        if kind < 85:
            return {"time_in_force": TimeInForce.DAY}
        at = (self.ms + self.integer(-500, 20_000)) * 1000
        return {"time_in_force": TimeInForce.GTD} | ({} if kind == 99 else {"expires_at_us": at})

    def entry_price(self, sign: int, price: int, *, favourable: bool) -> int:
        way = -1 if favourable else 1
        if self.chance(8):
            way = -way
        return max(1, price + way * sign * (self.distance(price) - 1))

    def place_order(self) -> c.PlaceOrder:
        a = self.account()
        symbol = self.pick(list(PRICES)) if not self.chance(1) else "NOSUCH"
        i = self.oracle.instruments.get(symbol) or self.oracle.instruments["BTCUSDT"]
        side = Side.BUY if self.weather == 4 and self.chance(80) else self.pick(tuple(Side))
        sign = 1 if side is Side.BUY else -1
        leverage = self.pick(LEVERAGES) if not self.chance(2) else 101
        price = i.opening(sign) or PRICES[i.spec.symbol]
        fields: dict[str, Any] = {"order_type": OrderType.MARKET}
        kind = self.integer(0, 99)
        reference = i.closing(sign) or price
        if kind >= 50:
            fields = {
                "order_type": OrderType.LIMIT,
                "price_ticks": self.entry_price(sign, price, favourable=True),
            }
            reference = fields["price_ticks"]
        if kind >= 70:
            stop = self.entry_price(sign, price, favourable=False)
            fields = {"order_type": OrderType.STOP, "stop_price_ticks": stop}
            reference = stop
        if kind >= 88:
            fields |= {
                "order_type": OrderType.STOP_LIMIT,
                "price_ticks": self.entry_price(sign, reference, favourable=self.chance(50)),
            }
            reference = fields["price_ticks"]
        if kind >= 50 or self.chance(3):
            fields |= self.expiry()
        if self.chance(2):
            fields["price_ticks"] = price
        if self.chance(15):
            fields[self.pick(("expected_price_ticks", "quoted_price_ticks"))] = max(
                1, price + self.integer(-20, 20)
            )
            fields["slippage_ppm"] = self.pick((0, 10, 10_000))
        return c.PlaceOrder(
            symbol=symbol,
            side=side,
            leverage=leverage,
            quantity_units=self.size(a, i.spec.symbol, price, min(leverage, 100)),
            margin_mode=self.pick((None, None, MarginMode.CROSS, MarginMode.ISOLATED)),
            **fields,
            **self.stops(sign, reference),
            **self.frame(a),
        )

    def some_order(self) -> tuple[Account, Order | None]:
        found = [(a, o) for a in self.oracle.accounts.values() for o in a.orders.values()]
        return self.pick(found) if found else (self.account(), None)

    def some_position(self, mode: str | None = None) -> tuple[Account, Position | None]:
        found = [
            (a, p)
            for a in self.oracle.accounts.values()
            for p in a.positions.values()
            if mode in (None, p.mode)
        ]
        return self.pick(found) if found and not self.chance(2) else (self.account(), None)

    def changes(self, sign: int, price: int) -> dict[str, Any]:
        given: dict[str, Any] = dict(self.stops(sign, price))
        for name in ("stop_loss_ticks", "take_profit_ticks", "trailing_ticks"):
            if name not in given and self.chance(15):
                given[name] = None
        return given

    def modify_order(self) -> c.AnyCommand:
        a, o = self.some_order()
        if o is None and self.chance(90):
            return self.place_order()
        if o is None:
            return c.ModifyOrder(order_id=f"{a.id}-999", **self.frame(a))
        i = self.oracle.instruments[o.symbol]
        price = i.opening(o.sign)
        fields: dict[str, Any] = {}
        if (o.price or self.chance(5)) and self.chance(60):
            fields["price_ticks"] = self.entry_price(o.sign, price, favourable=True)
        if (o.stop or self.chance(5)) and self.chance(40):
            fields["stop_price_ticks"] = self.entry_price(o.sign, price, favourable=False)
        if self.chance(20):
            fields["quantity_units"] = self.size(a, o.symbol, price, o.leverage)
        if self.chance(30):
            fields |= self.expiry()
        if self.chance(4):
            fields["expires_at_us"] = self.ms * 1000 + 5_000_000
        own = fields.get("stop_price_ticks" if o.kind == "stop" else "price_ticks", o.own_price)
        fields |= self.changes(o.sign, own) if self.chance(50) else {}
        return c.ModifyOrder(order_id=f"{a.id}-{o.k}", **fields, **self.frame(a))

    def modify_position(self) -> c.AnyCommand:
        a, p = self.some_position()
        if p is None and self.chance(90):
            return self.place_order()
        if p is None:
            return c.ModifyPosition(position_id=f"{a.id}-999", **self.frame(a))
        changes = self.changes(p.sign, self.oracle.closing(p))
        return c.ModifyPosition(position_id=f"{a.id}-{p.k}", **changes, **self.frame(a))

    def cancel(self) -> c.AnyCommand:
        a, o = self.some_order()
        if o is None and self.chance(80):
            return self.place_order()
        if self.chance(15):
            symbol = self.pick((None, *PRICES))
            return c.CancelAll(symbol=symbol, side=self.pick((None, *Side)), **self.frame(a))
        return c.CancelOrder(order_id=f"{a.id}-{o.k if o else 999}", **self.frame(a))

    def close_position(self) -> c.AnyCommand:
        a, p = self.some_position()
        if p is None and self.chance(90):
            return self.place_order()
        fields: dict[str, Any] = {"position_id": f"{a.id}-{p.k if p else 999}"}
        if p is not None and self.chance(60):
            step = self.oracle.instruments[p.symbol].spec.quantity_step_units
            fields["quantity_units"] = max(1, self.integer(1, p.qty) // step * step)
        if p is not None and self.chance(15):
            fields["expected_price_ticks"] = max(1, self.oracle.closing(p) + self.integer(-20, 20))
            fields["slippage_ppm"] = self.pick((0, 100))
        return c.ClosePosition(**fields, **self.frame(a))

    def close_all(self) -> c.AnyCommand:
        return c.CloseAll(
            symbol=self.pick((None, *PRICES)),
            direction=self.pick((None, *Direction)),
            profit=self.pick(tuple(ProfitFilter)),
            **self.frame(self.account()),
        )

    def close_by(self) -> c.AnyCommand:
        pairs = [
            (a, p, q)
            for a in self.oracle.accounts.values()
            for p in a.positions.values()
            for q in a.positions.values()
            if p.symbol == q.symbol and p.sign == -q.sign and p.mode == q.mode == "cross"
        ]
        if pairs and not self.chance(10):
            a, p, q = self.pick(pairs)
        elif self.chance(70):
            return self.place_order()
        else:
            (a, p), q = self.some_position(), None
        ids = {
            "position_id": f"{a.id}-{p.k if p else 999}",
            "other_position_id": f"{a.id}-{q.k if q else self.pick([*a.positions, 998])}",
        }
        return c.CloseBy(**ids, **self.frame(a))

    def reverse(self) -> c.AnyCommand:
        a, p = self.some_position()
        if p is None and self.chance(90):
            return self.place_order()
        return c.ReversePosition(position_id=f"{a.id}-{p.k if p else 999}", **self.frame(a))

    def move_margin(self) -> c.AnyCommand:
        a, p = self.some_position(None if self.chance(5) else "isolated")
        if p is None and self.chance(90):
            return self.place_order()
        kind = self.pick((c.AddMargin, c.RemoveMargin))
        base = p.margin if p else 5 * USD
        equity, used = self.oracle.figures(a)
        amount = self.pick((1, base // 100, base // 3, base * 2, max(1, equity - used)))
        position_id = f"{a.id}-{p.k if p else 999}"
        return kind(position_id=position_id, amount_micros=max(1, amount), **self.frame(a))

    # --- cash, operators, definitions ----------------------------------------------------------------------

    def cash(self) -> c.AnyCommand:
        a = self.account()
        kind = self.pick((CashKind.DEPOSIT, CashKind.DEPOSIT, CashKind.WITHDRAWAL, *CashKind))
        limit = self.oracle.withdrawable(a)
        amount = self.pick(
            (1, 37 * USD, 400 * USD, max(1, limit), limit + 1, max(1, a.pending_cash))
        )
        if kind is CashKind.ADJUSTMENT and self.chance(60):
            amount = -amount
        if self.chance(3):
            amount = self.pick((0, -1, 2**53 - 1))
        self.requests += 1
        seq = a.cash_seq + 1 + (self.integer(-1, 1) if self.chance(5) else 0)
        sender: dict[str, Any] = {"actor": Actor.SYSTEM}
        if self.chance(10):
            sender = {"user_id": self.pick((a.owner, a.owner, 999)), "deadline_us": self.ms * 1000}
        return c.PostCash(
            account=a.id,
            request_id=f"cash{self.requests}",
            **sender,
            cash_seq=max(1, seq),
            kind=kind,
            amount_micros=amount,
            method=self.pick(("card", "wire")),
            reference="ref",
        )

    def swap(self) -> c.AnyCommand:
        day = self.ms // 86_400_000 + self.integer(0, 1)
        nights = self.pick((1, 1, 3, 31))
        symbol = self.pick(list(PRICES))
        if self.chance(60):
            # A month of it takes away what little margin a highly leveraged position has of its own.
            _, p = self.some_position("isolated")
            symbol, nights = (p.symbol, 31) if p else (symbol, nights)
        return c.ChargeSwap(
            symbol=symbol,
            rollover_day=day,
            nights=nights,
            after_account=self.page(),
            **self.frame(),
        )

    def page(self) -> int:
        """Return where a page starts, mostly the first one."""
        return self.account().id if self.chance(15) else 0

    def operator(self) -> c.AnyCommand:
        a = self.account()
        frame = {**self.frame(a), "actor": Actor.OPERATOR, "user_id": 0}
        kind = 4 if a.status != "active" else self.integer(0, 5)
        kind = 3 if self.weather == 2 and self.chance(60) else kind
        if kind == 0:
            return c.SetAccountGroup(group=self.pick([*GROUPS]).name, **frame)
        if kind == 1:
            # A cap that orders meet when they fire.
            waiting = [x for x in self.oracle.accounts.values() if x.orders] or [a]
            frame["account"] = self.pick(waiting).id
            cap = self.pick((5, 50, 100, 100))
            return c.SetAccountLeverageCap(leverage_cap=cap, **frame)
        if kind == 2:
            status = self.pick((AccountStatus.ACTIVE, AccountStatus.ACTIVE, *AccountStatus))
            return c.SetAccountStatus(status=status, **frame)
        if kind == 3:
            mode = self.pick((TradingMode.OPEN, TradingMode.OPEN, TradingMode.OPEN, *TradingMode))
            return c.SetTradingMode(
                trading_mode=mode, symbol=self.pick((None, *PRICES)), **self.frame()
            )
        if kind == 4:
            back = a.status != "active"
            return c.SetAccountStatus(
                status=AccountStatus.ACTIVE if back else AccountStatus.CLOSE_ONLY, **frame
            )
        source = self.pick((*[SourceClass.SIMULATED] * 5, SourceClass.LIVE))
        return c.SetPriceSource(source_class=source, **self.frame())

    def halt_or_reopen(self) -> c.AnyCommand:
        symbol = self.pick(list(PRICES))
        was_halted = self.oracle.instruments[symbol].mode == "halted"
        mode = TradingMode.OPEN if was_halted else TradingMode.HALTED
        self.reopened = symbol if was_halted else ""
        return c.SetTradingMode(trading_mode=mode, symbol=symbol, **self.frame())

    def before_the_quote(self) -> c.AnyCommand:
        """Fill or charge something in an instrument where much may wait for the quote after a halt."""
        symbol, self.reopened = self.reopened, ""
        waiting = [
            a
            for a in self.oracle.accounts.values()
            if any(x.symbol == symbol for x in (*a.orders.values(), *a.positions.values()))
        ]
        if not waiting or self.chance(30):
            day = self.ms // 86_400_000 + 1
            return c.ChargeSwap(symbol=symbol, rollover_day=day, nights=3, **self.frame())
        a = self.pick(waiting)
        price = self.oracle.instruments[symbol].ask or PRICES[symbol]
        return c.PlaceOrder(
            symbol=symbol,
            side=self.pick(tuple(Side)),
            leverage=10,
            quantity_units=self.size(a, symbol, price, 10),
            **self.frame(a),
        )

    def definition(self) -> c.AnyCommand:
        if self.chance(40):
            old = self.oracle.groups[self.pick(GROUPS).name]
            stop_out = self.pick((2_000, 5_000, 8_000, 10_500))
            spec = msgspec.structs.replace(
                old,
                version=old.version + self.integer(0, 1),
                commission_ppm=self.pick((0, 350, 5_000)),
                stop_out_level_bps=stop_out,
                margin_call_level_bps=stop_out + self.pick((0, 1, 500, 5_000)),
                stop_out_strategy=self.pick(tuple(StopOutStrategy)),
                negative_balance_protection=self.chance(70),
                leverage_cap=self.pick((10, 50, 100)),
            )
            spec = old if self.chance(20) else spec
            return c.DefineGroup(spec=spec, after_account=self.page(), **self.frame())
        was = self.oracle.instruments[self.pick(list(PRICES))].spec
        change: dict[str, Any] = self.pick(
            (
                {"tiers": tiers(steep=True)},
                {"tiers": tiers()},
                {"stop_distance_ticks": self.integer(0, 9)},
                {"quote_age_us_max": self.pick((1_000_000, 5_000_000, 30_000_000))},
                {"swap_long_ppm": self.pick((-10_000_000, -5, 0, 90_000))},
                {"exposure_account_micros_max": self.pick((0, 3_000, 100_000)) * USD},
                {"price_decimals": 2},
                {"quantity_min_units": 15, "quantity_step_units": 5},
                {"quantity_min_units": 1, "quantity_step_units": 1},
                {"quantity_max_units": 20_000},
                {"swap_short_ppm": self.pick((-10_000_000, -7, 0, 90_000))},
                {},
            )
        )
        spec = msgspec.structs.replace(was, version=was.version + self.integer(0, 1), **change)
        return c.DefineInstrument(
            spec=spec,
            source_class=SourceClass.SIMULATED,
            after_account=self.page(),
            **self.frame(),
        )

    def repeat(self) -> c.AnyCommand:
        """An honest retry, or the same id with other content."""
        if not self.sent:
            return self.cash()
        m = self.pick(self.sent[-20:])
        if self.chance(30):
            return msgspec.structs.replace(m, reason="changed")
        return m

    # --- the next entry -------------------------------------------------------------------------------------

    def tell(self) -> tuple[int, c.AnyMessage | None, int]:
        """Return the next entry: id, message (None stands for bytes that nobody can decode), decided_at."""
        entry_id = self.next_entry_id()
        is_refresh = self.was_long_gap and not self.chance(15)
        kind = 0 if is_refresh else self.integer(0, 999)
        m: c.AnyMessage | None = None
        if self.reopened and self.chance(60):
            return entry_id, self.note(self.before_the_quote()), self.decided_at_us(entry_id)
        if self.weather == 2 and self.chance(4):
            return entry_id, self.note(self.halt_or_reopen()), self.decided_at_us(entry_id)
        if self.was_long_gap and self.chance(15):
            # Financing while no quote is fresh enough to fill at.
            return entry_id, self.note(self.swap()), self.decided_at_us(entry_id)
        for share, make in SHARES:
            if kind < share:
                m = make(self)
                break
            kind -= share
        return entry_id, self.note(m), self.decided_at_us(entry_id)

    def note(self, m: c.AnyMessage | None) -> c.AnyMessage | None:
        """Keep a command, for it may be repeated."""
        if isinstance(m, c.Command):
            self.sent.append(m)
        return m

    def prologue(self) -> list[tuple[int, c.AnyMessage, int]]:
        """Return the entries before the first random one."""
        entries = [(self.ms << 21 | number, m, 0) for number, m in enumerate(self.opening(), 1)]
        self.ms += 1
        return [*entries, (self.ms << 21, self.first_quotes(), 0)]


# Out of 1000; what is left are undecodable entries.
SHARES = (
    (400, Storyteller.quotes),
    (230, Storyteller.place_order),
    (45, Storyteller.modify_position),
    (45, Storyteller.modify_order),
    (20, Storyteller.cancel),
    (30, Storyteller.close_position),
    (8, Storyteller.close_all),
    (25, Storyteller.close_by),
    (20, Storyteller.reverse),
    (40, Storyteller.move_margin),
    (45, Storyteller.cash),
    (15, Storyteller.swap),
    (20, Storyteller.operator),
    (12, Storyteller.definition),
    (15, Storyteller.repeat),
    (15, Storyteller.bad_quotes),
    (13, lambda _: c.Tick()),
)
