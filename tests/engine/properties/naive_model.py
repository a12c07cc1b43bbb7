"""The oracle: docs/ENGINE.md once more, in the plainest form, with exact fractions.

It revalues every account on every quote and looks at every threshold after every change. It knows nothing of
bands, queues or heaps, and shares with the engine only the messages. Events are (name, fields) without receipts.
"""

from fractions import Fraction
from math import ceil, floor
from typing import Any

from engine.messages import commands as c
from engine.messages.definitions import GroupSpec, InstrumentSpec
from engine.messages.replies import AnyReply
from engine.values import entry_time_us
from tests.engine.properties.naive_state import Account, Instrument, Order, Position

# What makes step 4 look at an account, and what lets a stop-out start without a quote.
STARTS_STOP_OUT = ("PositionClosed", "CashPosted", "SwapCharged")
TOUCHES = (*STARTS_STOP_OUT, "PositionOpened", "PositionMarginChanged", "AccountTermsChanged")
MILLION = 10**6


class NaiveModel:
    """Predict reply, events and state of every entry."""

    def __init__(self) -> None:
        self.instruments: dict[str, Instrument] = {}
        self.groups: dict[str, GroupSpec] = {}
        self.accounts: dict[int, Account] = {}
        self.answered: dict[tuple[int | str, str], tuple[bytes, int]] = {}
        self.sources: dict[str, tuple[int, int]] = {}
        self.now = 0

    # --- one entry ------------------------------------------------------------------------------------------

    def apply(
        self,
        entry_id: int,
        message: c.AnyMessage | None,
        digest: bytes = b"",
        decided_at_us: int = 0,
    ) -> tuple[AnyReply | None, list[tuple[str, dict[str, Any]]]]:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.touched: set[int] = set()
        self.may_stop_out: set[int] = set()
        self.filled: list[str] = []
        self.is_quotes = isinstance(message, c.UpdateQuotes)
        self.now = max(self.now, entry_time_us(entry_id))
        self.decided_at = decided_at_us or entry_time_us(entry_id)
        self.expire_orders()
        reply: AnyReply | None = None
        if isinstance(message, c.UpdateQuotes):
            self.filled = self.write_quotes(message)
            holders = [
                a.id for a in self.accounts.values()
                if any(p.mode == "cross" and p.symbol in self.filled for p in a.positions.values())
            ]  # fmt: skip
            self.sweep()
            self.touched.update(holders)
            self.may_stop_out = self.touched
        elif not isinstance(message, c.Tick):
            reply = self.command(entry_id, message, digest)
            self.sweep()
        for account_id in sorted(self.touched):
            self.check_margin(self.accounts[account_id])
        return reply, self.events

    def emit(self, a: Account | None, name: str, **fields: Any) -> None:
        if a is not None:
            a.seq += 1
            fields |= {"account": a.id, "seq": a.seq}
            if name in TOUCHES:
                self.touched.add(a.id)
            if name in STARTS_STOP_OUT:
                self.may_stop_out.add(a.id)
        self.events.append((name, fields))

    def expire_orders(self) -> None:
        due = sorted(
            (o.expires, a.id, o.k)
            for a in self.accounts.values()
            for o in a.orders.values()
            if o.expires is not None and o.expires <= self.now
        )
        for expires, account, k in due:
            a = self.accounts[account]
            del a.orders[k]
            self.emit(a, "OrderExpired", order_id=f"{a.id}-{k}", expires_at_us=expires)

    @staticmethod
    def is_beyond(spec: InstrumentSpec, q: c.Quote) -> bool:
        k = 10 ** (6 - spec.price_decimals - spec.quantity_decimals)
        return q.ask_ticks * spec.quantity_max_units * k >= 2**53

    def write_quotes(self, m: c.UpdateQuotes) -> list[str]:
        number, accepted = (m.feed_epoch, m.sequence), []
        in_sequence = number > self.sources.get(m.source, (-1, 0))
        for q in m.quotes:
            i = self.instruments.get(q.symbol)
            code = ""
            if i is None:
                code = "SYMBOL_UNKNOWN"
            elif m.source_class != i.source_class:
                code = "PRICE_SOURCE_MISMATCH"
            elif (
                q.bid_ticks <= 0
                or q.ask_ticks <= 0
                or self.is_beyond(i.spec, q)
                or q.ts_us > self.now + 5 * MILLION
            ):
                code = "QUOTE_INVALID"
            elif q.bid_ticks > q.ask_ticks:
                code = "QUOTE_CROSSED"
            elif not in_sequence or q.ts_us < i.ts_us:
                code = "QUOTE_OUT_OF_ORDER"
            elif self.now - q.ts_us > i.spec.quote_age_us_max:
                code = "QUOTE_STALE"
            if code or i is None:
                self.emit(None, "QuoteRefused", symbol=q.symbol, code=code, bid_ticks=q.bid_ticks,
                          ask_ticks=q.ask_ticks, ts_us=q.ts_us)  # fmt: skip
                continue
            i.bid, i.ask, i.ts_us, i.quote_class = q.bid_ticks, q.ask_ticks, q.ts_us, m.source_class
            if q.symbol not in accepted:
                accepted.append(q.symbol)
        if in_sequence:
            self.sources[m.source] = number
        return accepted

    # --- money ----------------------------------------------------------------------------------------------

    def closing(self, p: Position) -> int:
        return self.instruments[p.symbol].closing(p.sign)

    def pnl(self, p: Position) -> int:
        return p.sign * (self.closing(p) - p.entry) * p.qty * self.instruments[p.symbol].k

    def figures(self, a: Account) -> tuple[int, int]:
        """Return cross equity and used margin."""
        cross = [p for p in a.positions.values() if p.mode == "cross"]
        isolated = sum(p.margin for p in a.positions.values() if p.mode == "isolated")
        return a.balance - isolated + sum(map(self.pnl, cross)), sum(p.margin for p in cross)

    def withdrawable(self, a: Account) -> int:
        equity, used = self.figures(a)
        pnl = sum(self.pnl(p) for p in a.positions.values() if p.mode == "cross")
        return max(0, equity - pnl + min(0, pnl) - used)

    def commission(self, a: Account, notional: int) -> int:
        return ceil(Fraction(notional * a.terms.commission_ppm, MILLION))

    def liquidation(self, a: Account, p: Position) -> int:
        """Return the tick at which margin and result just cover maintenance and the closing commission."""
        if p.mode != "isolated":
            return 0
        i = self.instruments[p.symbol]
        if p.margin == 0:
            return (2**53 - 1) // (i.spec.quantity_max_units * i.k) if p.sign > 0 else 1
        size, below = p.qty * i.k, Fraction(-1)
        for number, tier in enumerate(i.spec.tiers, 1):
            rate = Fraction(tier.maintenance_ppm + a.terms.commission_ppm, MILLION)
            money = p.margin + tier.maintenance_amount_micros - p.sign * size * p.entry
            price = money / (size * (rate - p.sign))
            is_last = number == len(i.spec.tiers)
            if (number == 1 or price * size > below) and (
                is_last or price * size <= tier.notional_cap_micros
            ):
                return max(0, floor(price) if p.sign > 0 else ceil(price))
            below = Fraction(tier.notional_cap_micros)
        raise AssertionError("tiers leave a hole")

    def is_crossed(self, p: Position) -> bool:
        return p.lp > 0 and p.sign * (self.closing(p) - p.lp) <= 0

    def can_fill(self, symbol: str) -> bool:
        i = self.instruments[symbol]
        return i.mode != "halted" and not self.quote_code(i)

    def quote_code(self, i: Instrument) -> str:
        if i.bid and i.quote_class != i.source_class:
            return "PRICE_SOURCE_MISMATCH"
        return "QUOTE_STALE" if not i.bid or self.now - i.ts_us > i.spec.quote_age_us_max else ""

    # --- fills ----------------------------------------------------------------------------------------------

    def fill_code(self, a: Account, o: Order) -> str:
        """Return why an order cannot be filled at the current price, or nothing."""
        i = self.instruments[o.symbol]
        price = i.opening(o.sign)
        notional = o.qty * price * i.k
        mine = [p for p in a.positions.values() if p.symbol == o.symbol]
        total = notional + sum(p.qty * self.closing(p) * i.k for p in mine)
        tier = next((t for t in i.spec.tiers if total <= t.notional_cap_micros), None)
        everyone = [
            p for x in self.accounts.values() for p in x.positions.values() if p.symbol == o.symbol
        ]
        net = sum(p.sign * p.qty for p in everyone)
        after = net + o.sign * o.qty
        equity, used = self.figures(a)
        p = self.position_of(a, o)
        cost = p.margin + self.commission(a, notional) + o.qty * (i.ask - i.bid) * i.k
        house, own = i.spec.exposure_house_micros_max, i.spec.exposure_account_micros_max
        if len(a.positions) >= 200:
            return "POSITIONS_LIMIT"
        if tier is None:
            return "NOTIONAL_ABOVE_TIERS"
        if o.leverage > tier.leverage_max:
            return "LEVERAGE_ABOVE_TIER"
        if own and total > own:
            return "EXPOSURE_ACCOUNT"
        if house and abs(after) * price * i.k > house and abs(after) > abs(net):
            return "EXPOSURE_HOUSE"
        if equity - used - cost < 0:
            return "FREE_MARGIN_INSUFFICIENT"
        return "WOULD_LIQUIDATE" if self.is_crossed(p) else ""

    def limits_code(self, a: Account, symbol: str, qty: int, leverage: int) -> str:
        """Return which limit of instrument, account or group stands against whatever opens, or nothing."""
        spec = self.instruments[symbol].spec
        is_within = spec.quantity_min_units <= qty <= spec.quantity_max_units
        if not is_within or qty % spec.quantity_step_units:
            return "QUANTITY_INVALID"
        return "LEVERAGE_INVALID" if leverage > min(100, a.cap, a.terms.leverage_cap) else ""

    def position_of(self, a: Account, o: Order) -> Position:
        i = self.instruments[o.symbol]
        price, closing, sl = i.opening(o.sign), i.closing(o.sign), o.sl
        if o.trail and sl is None:
            sl = max(1, closing - o.sign * o.trail)
        margin = ceil(Fraction(o.qty * price * i.k, o.leverage))
        p = Position(
            o.k,
            o.symbol,
            o.sign,
            o.qty,
            price,
            o.leverage,
            o.mode,
            margin,
            sl,
            o.tp,
            o.trail,
            self.now,
        )
        p.lp = self.liquidation(a, p)
        return p

    def tier(self, symbol: str, notional: int) -> int:
        """Return the number of the tier that a notional falls into, from 1."""
        caps = [t.notional_cap_micros for t in self.instruments[symbol].spec.tiers]
        return min(1 + sum(cap < notional for cap in caps), len(caps))

    def open(self, a: Account, o: Order) -> None:
        p = self.position_of(a, o)
        i = self.instruments[o.symbol]
        mine = [x for x in a.positions.values() if x.symbol == o.symbol]
        gross = o.qty * p.entry * i.k + sum(x.qty * self.closing(x) * i.k for x in mine)
        tier = self.tier(o.symbol, gross)
        fee = self.commission(a, p.qty * p.entry * i.k)
        a.orders.pop(o.k, None)
        a.positions[o.k] = p
        a.counter = max(a.counter, o.k)
        a.balance -= fee
        self.touch_symbol(o.symbol)
        self.emit(
            a, "PositionOpened", position_id=f"{a.id}-{o.k}", fill_id=f"{a.id}-{o.k}.1", symbol=o.symbol,
            direction="long" if o.sign > 0 else "short", order_type=o.kind, quantity_units=p.qty,
            price_ticks=p.entry, leverage=p.leverage, margin_mode=p.mode, margin_micros=p.margin,
            commission_micros=fee, stop_loss_ticks=p.sl, take_profit_ticks=p.tp, trailing_ticks=p.trail,
            liquidation_ticks=p.lp, opened_at_us=self.now, balance_micros=a.balance,
            postings=self.postings(a, client=-fee, commission=fee), tier=tier,
        )  # fmt: skip

    def close(self, a: Account, p: Position, qty: int, reason: str, price: int = 0) -> None:
        """Close at the closing price, or at the given one without commission."""
        i = self.instruments[p.symbol]
        reached = (
            {"tier": self.tier(p.symbol, p.lp * p.qty * i.k)}
            if reason == "liquidation" and p.margin
            else {}
        )
        fee = 0 if price else self.commission(a, qty * self.closing(p) * i.k)
        price = price or self.closing(p)
        pnl = p.sign * (price - p.entry) * qty * i.k
        share = floor(Fraction(p.margin * qty, p.qty))
        rest, insured = p.margin - share, 0
        if p.mode == "isolated" and fee - pnl > share:
            taken = min(rest, fee - pnl - share)
            insured = fee - pnl - share - taken
            rest -= taken
        p.qty, p.margin, p.fills = p.qty - qty, rest, p.fills + 1
        a.balance += pnl - fee + insured
        if p.qty:
            p.lp = self.liquidation(a, p)
        else:
            del a.positions[p.k]
        self.touch_symbol(p.symbol)
        self.emit(
            a, "PositionClosed", position_id=f"{a.id}-{p.k}", fill_id=f"{a.id}-{p.k}.{p.fills}", symbol=p.symbol,
            direction="long" if p.sign > 0 else "short", close_reason=reason, quantity_units=qty,
            remaining_units=p.qty, entry_price_ticks=p.entry, price_ticks=price, pnl_micros=pnl,
            commission_micros=fee, insured_micros=insured, margin_micros=p.margin,
            liquidation_ticks=p.lp if p.qty else 0, closed_at_us=self.now, balance_micros=a.balance,
            postings=self.postings(a, client=pnl - fee + insured, pnl=-pnl, commission=fee, insurance=-insured),
            **reached,
        )  # fmt: skip

    def postings(self, a: Account, client: int, **house: int) -> dict[str, int]:
        names = {f"{a.book}:house:{name}": amount for name, amount in house.items()}
        return {n: x for n, x in ({f"{a.book}:client:{a.id}": client} | names).items() if x}

    def touch_symbol(self, symbol: str) -> None:
        if symbol not in self.filled:
            self.filled.append(symbol)

    # --- step 3: everything a price sets off ---------------------------------------------------------------

    def sweep(self) -> None:
        fired = True
        while fired:
            fired = False
            for symbol in list(self.filled):
                for queue in range(4):
                    while self.can_fill(symbol) and (due := self.due(symbol, queue)):
                        fired = True
                        self.fire(*min(due))

    def due(self, symbol: str, queue: int) -> list[tuple[int, int, int, int, str]]:
        """Return what the current price sets off: queues are bid falls, bid rises, ask falls, ask rises."""
        found = []
        i = self.instruments[symbol]
        price, falls = (i.bid if queue < 2 else i.ask), queue in (0, 2)
        for a in self.accounts.values():
            if not (self.is_quotes or a.id in self.touched):
                continue
            for p in (p for p in a.positions.values() if p.symbol == symbol):
                losing = 0 if p.sign > 0 else 3
                step = p.sign * ((p.trail or 0) + max(1, (p.trail or 0) // 50))
                ratchet = p.sl + step if p.trail and p.sl is not None else None
                found += [
                    (losing, p.sl, a.id, p.k, 0, "stop_loss"),
                    (losing, p.lp, a.id, p.k, 3, "liquidation"),
                ]
                gaining = 1 if p.sign > 0 else 2
                found += [
                    (gaining, p.tp, a.id, p.k, 1, "take_profit"),
                    (gaining, ratchet, a.id, p.k, 4, "trailing"),
                ]
            for o in (o for o in a.orders.values() if o.symbol == symbol and self.is_quotes):
                limit, stop = (2, 3) if o.sign > 0 else (1, 0)
                entry = (limit, o.price) if o.is_limit else (stop, o.stop)
                found.append((*entry, a.id, o.k, 2, "entry"))
        return [
            (-level if falls else level, account, k, kind, action)
            for where, level, account, k, kind, action in found
            if where == queue
            and level
            and level > 0
            and (price <= level if falls else price >= level)
        ]

    def fire(self, _level: int, account: int, k: int, _kind: int, action: str) -> None:
        a = self.accounts[account]
        if action == "trailing":
            p = a.positions[k]
            p.sl = self.closing(p) - p.sign * p.trail
            self.emit(a, "TrailingStopMoved", position_id=f"{account}-{k}", stop_loss_ticks=p.sl)
        elif action != "entry":
            self.close(a, a.positions[k], a.positions[k].qty, action)
        elif (o := a.orders[k]).kind == "stopLimit" and not o.active:
            o.active = True
            self.emit(a, "StopLimitActivated", order_id=f"{account}-{k}")
        elif code := self.account_code(a) or self.fired_code(a, o):
            del a.orders[k]
            self.emit(a, "OrderRejected", order_id=f"{account}-{k}", code=code)
        else:
            self.open(a, o)

    def account_code(self, a: Account) -> str:
        if a.status != "active":
            return "ACCOUNT_SUSPENDED" if a.status == "suspended" else "ACCOUNT_CLOSE_ONLY"
        return "STOP_OUT_PENDING" if a.stop_pending else ""

    def fired_code(self, a: Account, o: Order) -> str:
        if self.instruments[o.symbol].mode == "close_only":
            return "INSTRUMENT_CLOSE_ONLY"
        return self.limits_code(a, o.symbol, o.qty, o.leverage) or self.fill_code(a, o)

    # --- step 4: margin -------------------------------------------------------------------------------------

    def check_margin(self, a: Account) -> None:
        equity, used = self.figures(a)
        call, stop = a.terms.margin_call_level_bps, a.terms.stop_out_level_bps
        if used and not a.call and equity * 10_000 <= call * used:
            a.call = True
            self.emit(a, "MarginCallRaised", equity_micros=equity, used_margin_micros=used,
                      margin_level_bps=equity * 10_000 // used)  # fmt: skip
        if a.id in self.may_stop_out and used and equity * 10_000 <= stop * used:
            self.stop_out(a)
        equity, used = self.figures(a)
        if a.call and (not used or equity * 10_000 >= (call + 500) * used):
            a.call = False
            self.emit(a, "MarginCallCleared", equity_micros=equity, used_margin_micros=used)
        if not used or equity * 10_000 > stop * used:
            self.resume(a)
        debt = sum(p.margin for p in a.positions.values()) - a.balance
        if not used and debt > 0 and a.terms.negative_balance_protection:
            a.balance += debt
            self.emit(a, "NegativeBalanceCovered", amount_micros=debt, balance_micros=a.balance,
                      postings=self.postings(a, client=debt, insurance=-debt))  # fmt: skip

    def resume(self, a: Account) -> None:
        if a.stop_pending:
            a.stop_pending = False
            equity, used = self.figures(a)
            self.emit(a, "StopOutResumed", equity_micros=equity, used_margin_micros=used)

    def is_below(self, a: Account) -> bool:
        equity, used = self.figures(a)
        return used > 0 and equity * 10_000 <= a.terms.stop_out_level_bps * used

    def closable(self, a: Account) -> list[Position]:
        cross = [p for _, p in sorted(a.positions.items()) if p.mode == "cross"]
        return [p for p in cross if self.can_fill(p.symbol)]

    def stop_out(self, a: Account) -> None:
        equity, used = self.figures(a)
        if not a.stop_pending:
            self.emit(a, "StopOutStarted", equity_micros=equity, used_margin_micros=used,
                      margin_level_bps=equity * 10_000 // used)  # fmt: skip
        for k in sorted(a.orders):
            del a.orders[k]
            self.emit(a, "OrderCancelled", order_id=f"{a.id}-{k}", cancel_reason="stop_out")
        strategy = a.terms.stop_out_strategy
        while self.is_below(a) and (legs := self.closable(a)):
            if strategy == "close_all":
                for p in legs:
                    self.close(a, p, p.qty, "stop_out")
            elif strategy == "largest_loss":
                worst = min(legs, key=lambda p: (self.pnl(p), p.k))
                self.close(a, worst, worst.qty, "stop_out")
            else:
                largest = min(legs, key=lambda p: (-p.margin, p.k))
                self.close(a, largest, self.slice_of(a, largest), "stop_out")
        if self.is_below(a) and not a.stop_pending:
            a.stop_pending = True
            equity, used = self.figures(a)
            self.emit(a, "StopOutPending", equity_micros=equity, used_margin_micros=used)

    def slice_of(self, a: Account, p: Position) -> int:
        """Try every step from the smallest on."""
        i = self.instruments[p.symbol]
        equity, used = self.figures(a)
        value, step, stop = (
            self.closing(p) * i.k,
            i.spec.quantity_step_units,
            a.terms.stop_out_level_bps,
        )
        for qty in range(step, p.qty, step):
            fee = -(-qty * value * a.terms.commission_ppm // MILLION)
            left = used - p.margin * qty // p.qty
            if not left or (equity - fee) * 10_000 > stop * left:
                return qty if p.qty - qty >= i.spec.quantity_min_units else p.qty
        return p.qty

    def command(self, entry_id: int, m: c.AnyCommand | None, digest: bytes) -> AnyReply:
        raise NotImplementedError
