"""The oracle's commands: the second half of naive_model."""

import re
from copy import deepcopy
from dataclasses import replace
from fractions import Fraction
from math import ceil, floor
from typing import Any

from msgspec import UNSET

from engine.messages import commands as c
from engine.messages.definitions import InstrumentSpec, Terms
from engine.messages.replies import Accepted, AnyReply, Duplicate, Rejected
from engine.values import entry_time_us, text_from_entry_id
from tests.engine.properties.naive_model import MILLION, NaiveModel
from tests.engine.properties.naive_state import Account, Instrument, Order, Position, terms_of

DAY_US = 86_400_000_000


class Refusal(Exception):  # noqa: N818 - a "no", not an error
    """A reject on its way to the reply."""


class Oracle(NaiveModel):
    """The whole model: predict reply, events and state of every entry."""

    def command(self, entry_id: int, m: c.AnyCommand | None, digest: bytes) -> AnyReply:
        if m is None:
            return Rejected(code="MALFORMED")
        key = (m.account if isinstance(m, c.AccountCommand) else m.source, m.request_id)
        has_window = not isinstance(m, c.PostCash)
        if has_window and key in self.answered:
            known, answer = self.answered[key]
            same = known == digest
            return (
                Duplicate(output_id=text_from_entry_id(answer))
                if same
                else refused("EXISTS_WITH_DIFFERENT_CONTENT")
            )
        if has_window:
            oldest = entry_time_us(entry_id) - DAY_US
            self.answered = {
                k: v for k, v in self.answered.items() if entry_time_us(v[1]) >= oldest
            }
            self.answered[key] = digest, entry_id
        try:
            is_late = m.actor == "client" and m.deadline_us and self.decided_at > m.deadline_us
            need(not is_late or not has_window, "EXPIRED")
            return getattr(self, snake_case(type(m).__name__))(m) or Accepted()
        except Refusal as no:
            return refused(str(no))

    def account_of(self, m: c.AccountCommand) -> Account:
        a = self.accounts.get(m.account)
        need(a is not None, "ACCOUNT_UNKNOWN")
        need(m.actor != "client" or m.user_id == a.owner, "NOT_OWNER")
        return a

    def active(self, m: c.AccountCommand, reduces: bool = False) -> Account:
        a = self.account_of(m)
        symbol = getattr(m, "symbol", None)
        need(symbol is None or symbol in self.instruments, "SYMBOL_UNKNOWN")
        need(a.status != "suspended" or (reduces and m.actor != "client"), "ACCOUNT_SUSPENDED")
        return a

    def opener(self, m: c.AccountCommand) -> Account:
        a = self.active(m)
        need(not (code := self.opening_code(a)), code)
        return a

    def opening_code(self, a: Account) -> str:
        is_ahead = self.now > self.decided_at + 5 * MILLION
        return self.account_code(a) or ("CLOCK_AHEAD" if is_ahead else "")

    def position(self, a: Account, position_id: str) -> Position:
        found = [p for k, p in a.positions.items() if f"{a.id}-{k}" == position_id]
        need(bool(found), "POSITION_UNKNOWN")
        return found[0]

    def order(self, a: Account, order_id: str) -> Order:
        found = [o for k, o in a.orders.items() if f"{a.id}-{k}" == order_id]
        need(bool(found), "ORDER_UNKNOWN")
        return found[0]

    def open_account(self, m: c.OpenAccount) -> None:
        need(m.account not in self.accounts, "ACCOUNT_EXISTS")
        need(m.group in self.groups, "GROUP_UNKNOWN")
        terms = terms_of(self.groups[m.group])
        a = Account(m.account, m.owner_id, m.kind, m.margin_mode, m.leverage_cap, terms)
        self.accounts[a.id] = a
        self.emit(a, "AccountOpened", owner_id=a.owner, kind=a.book, margin_mode=a.mode, leverage_cap=a.cap,
                  terms=terms, opened_at_us=self.now)  # fmt: skip

    def post_cash(self, m: c.PostCash) -> None:
        a = self.account_of(m)
        need(m.cash_seq <= a.cash_seq + 1, "CASH_GAP")
        need(m.cash_seq == a.cash_seq + 1, "CASH_ALREADY_DECIDED")
        a.cash_seq += 1
        x = m.amount_micros
        client = {"withdrawal": -x, "settle": 0}.get(m.kind, x)
        pending = {"withdrawal": x, "settle": -x, "return": -x}.get(m.kind, 0)
        code = ""
        if (x < 0 and m.kind != "adjustment") or x == 0 or abs(a.balance + client) >= 2**53:
            code = "AMOUNT_INVALID"
        elif client < 0 and -client > self.withdrawable(a):
            code = "WITHDRAWABLE_INSUFFICIENT"
        elif a.pending_cash + pending < 0:
            code = "PENDING_CASH_INSUFFICIENT"
        same = {
            "cash_seq": m.cash_seq,
            "kind": m.kind,
            "amount_micros": x,
            "method": m.method,
            "reference": m.reference,
        }
        if code:
            self.emit(a, "CashRefused", code=code, **same)
            raise Refusal(code)
        a.balance, a.pending_cash = a.balance + client, a.pending_cash + pending
        names = {
            "client:" + str(a.id): client,
            "cash:pending": pending,
            f"cash:{m.method}": -client - pending,
        }
        self.emit(a, "CashPosted", balance_micros=a.balance, **same,
                  postings={f"{a.book}:{n}": v for n, v in names.items() if v})  # fmt: skip

    def check_stops(
        self, spec: InstrumentSpec, sign: int, price: int, sl: Any, tp: Any, trail: Any
    ) -> None:
        least = max(1, spec.stop_distance_ticks)
        need(not sl or sign * (price - sl) >= least, "STOPS_INVALID")
        need(not tp or sign * (tp - price) >= least, "STOPS_INVALID")
        need(not trail or least <= trail < price, "STOPS_INVALID")

    def is_marketable(self, o: Order) -> bool:
        return o.is_limit and o.sign * (o.price - self.instruments[o.symbol].opening(o.sign)) >= 0

    def is_passed(self, o: Order) -> bool:
        waits = o.kind == "stop" or (o.kind == "stopLimit" and not o.active)
        return waits and o.sign * (self.instruments[o.symbol].opening(o.sign) - o.stop) >= 0

    def next_day(self) -> int:
        return (self.now // DAY_US + 1) * DAY_US

    def place_order(self, m: c.PlaceOrder) -> Accepted:
        a = self.opener(m)
        i = self.instruments[m.symbol]
        need(i.mode != "halted", "INSTRUMENT_HALTED")
        need(i.mode != "close_only", "INSTRUMENT_CLOSE_ONLY")
        code = self.limits_code(a, m.symbol, m.quantity_units, m.leverage)
        need(not code, code)
        is_market, is_gtd = m.order_type == "market", m.time_in_force == "gtd"
        shape = {
            "market": (False, False),
            "limit": (True, False),
            "stop": (False, True),
            "stopLimit": (True, True),
        }
        fits = (m.price_ticks is not None, m.stop_price_ticks is not None) == shape[m.order_type]
        sign = 1 if m.side == "buy" else -1
        expires = self.next_day() if m.time_in_force == "day" else m.expires_at_us
        o = Order(a.counter + 1, m.symbol, sign, m.order_type, m.quantity_units, m.leverage, m.margin_mode or a.mode,
                  m.price_ticks, m.stop_price_ticks, m.time_in_force, expires, m.stop_loss_ticks,
                  m.take_profit_ticks, m.trailing_ticks)  # fmt: skip
        fills = is_market or (fits and i.bid > 0 and self.is_marketable(o))
        need(fills or len(a.orders) < 200, "ORDERS_LIMIT")
        need(not fills or len(a.positions) < 200, "POSITIONS_LIMIT")
        need(
            (m.expires_at_us is not None) == is_gtd and (not is_market or m.time_in_force == "gtc"),
            "EXPIRY_INVALID",
        )
        need(not is_gtd or m.expires_at_us > self.now, "EXPIRY_INVALID")
        need(not (code := self.quote_code(i)), code)
        need(fits and not self.is_passed(o), "PRICE_INVALID")
        if is_market:
            self.check_slippage(m, i.opening(sign), sign)
        self.check_stops(
            i.spec, sign, i.closing(sign) if is_market else o.own_price, o.sl, o.tp, o.trail
        )
        if fills:
            need(not (code := self.fill_code(a, o)), code)
            self.open(a, o)
        else:
            a.counter = o.k
            a.orders[o.k] = o
            self.emit(a, "OrderPlaced", symbol=o.symbol, side=m.side, order_type=o.kind, leverage=o.leverage,
                      margin_mode=o.mode, placed_at_us=self.now, **self.order_fields(a, o))  # fmt: skip
        return Accepted(created=(f"{a.id}-{o.k}",))

    def order_fields(self, a: Account, o: Order) -> dict[str, Any]:
        return {
            "order_id": f"{a.id}-{o.k}", "quantity_units": o.qty, "price_ticks": o.price, "stop_price_ticks": o.stop,
            "time_in_force": o.tif, "expires_at_us": o.expires, "stop_loss_ticks": o.sl, "take_profit_ticks": o.tp,
            "trailing_ticks": o.trail,
        }  # fmt: skip

    def check_slippage(self, m: c.PlaceOrder | c.ClosePosition, price: int, sign: int) -> None:
        expected = m.expected_price_ticks or m.quoted_price_ticks
        if m.slippage_ppm is not None and expected:
            need(sign * (price - expected) * MILLION <= m.slippage_ppm * expected, "PRICE_MOVED")

    def modify_order(self, m: c.ModifyOrder) -> None:
        a = self.active(m, reduces=True)
        old = self.order(a, m.order_id)
        i = self.instruments[old.symbol]
        o = deepcopy(old)
        need(i.mode != "halted", "INSTRUMENT_HALTED")
        o.qty = given(m.quantity_units, o.qty)
        code = self.limits_code(a, o.symbol, o.qty, leverage=1)
        need(not code, code)
        o.tif = given(m.time_in_force, o.tif)
        if o.tif == "gtd":
            o.expires = given(m.expires_at_us, old.expires if old.tif == "gtd" else None)
            need(o.expires is not None and o.expires > self.now, "EXPIRY_INVALID")
        else:
            need(m.expires_at_us is UNSET, "EXPIRY_INVALID")
            o.expires = (
                None
                if o.tif == "gtc"
                else old.expires
                if m.time_in_force is UNSET
                else self.next_day()
            )
        need(not (code := self.quote_code(i)), code)
        need(m.price_ticks is UNSET or o.kind != "stop", "PRICE_INVALID")
        need(m.stop_price_ticks is UNSET or (o.kind != "limit" and not o.active), "PRICE_INVALID")
        o.price, o.stop = given(m.price_ticks, o.price), given(m.stop_price_ticks, o.stop)
        need(not self.is_passed(o), "PRICE_INVALID")
        o.sl, o.tp = given(m.stop_loss_ticks, o.sl), given(m.take_profit_ticks, o.tp)
        o.trail = given(m.trailing_ticks, o.trail)
        self.check_stops(i.spec, o.sign, o.own_price, o.sl, o.tp, o.trail)
        fills = self.is_marketable(o)
        if fills:
            need(not (code := self.opening_code(a) or self.fired_code(a, o)), code)
        a.orders[o.k] = o
        if o != old:
            self.emit(a, "OrderModified", **self.order_fields(a, o))
        if fills:
            self.open(a, o)

    def cancel(self, m: c.AccountCommand, a: Account, o: Order) -> None:
        del a.orders[o.k]
        self.emit(a, "OrderCancelled", order_id=f"{a.id}-{o.k}", cancel_reason=by(m))

    def cancel_order(self, m: c.CancelOrder) -> None:
        a = self.active(m, reduces=True)
        self.cancel(m, a, self.order(a, m.order_id))

    def cancel_all(self, m: c.CancelAll) -> None:
        a = self.active(m, reduces=True)
        sign = {None: 0, "buy": 1, "sell": -1}[m.side]
        for o in sorted(a.orders.values(), key=lambda o: o.k):
            if m.symbol in (None, o.symbol) and sign in (0, o.sign):
                self.cancel(m, a, o)

    def modify_position(self, m: c.ModifyPosition) -> None:
        a = self.active(m, reduces=True)
        p = self.position(a, m.position_id)
        closing = self.closing(p)
        changes = [
            given(x, None) for x in (m.stop_loss_ticks, m.take_profit_ticks, m.trailing_ticks)
        ]
        self.check_stops(self.instruments[p.symbol].spec, p.sign, closing, *changes)
        before = (p.sl, p.tp, p.trail)
        p.sl, p.tp = given(m.stop_loss_ticks, p.sl), given(m.take_profit_ticks, p.tp)
        p.trail = given(m.trailing_ticks, p.trail)
        if p.trail and p.sl is None:
            p.sl = max(1, closing - p.sign * p.trail)
        if (p.sl, p.tp, p.trail) != before:
            self.emit(a, "PositionModified", position_id=m.position_id, stop_loss_ticks=p.sl,
                      take_profit_ticks=p.tp, trailing_ticks=p.trail)  # fmt: skip

    def close_position(self, m: c.ClosePosition) -> None:
        a = self.active(m, reduces=True)
        p = self.position(a, m.position_id)
        i = self.instruments[p.symbol]
        need(i.mode != "halted", "INSTRUMENT_HALTED")
        qty = m.quantity_units or p.qty
        fits = p.qty - qty >= i.spec.quantity_min_units and qty % i.spec.quantity_step_units == 0
        need(qty == p.qty or fits, "QUANTITY_INVALID")
        need(not (code := self.quote_code(i)), code)
        self.check_slippage(m, self.closing(p), -p.sign)
        self.close(a, p, qty, by(m))

    def close_all(self, m: c.CloseAll) -> Accepted:
        a = self.active(m, reduces=True)
        passed = []
        for k, p in sorted(a.positions.items()):
            direction = "long" if p.sign > 0 else "short"
            wins = {"all": True, "winners": self.pnl(p) > 0, "losers": self.pnl(p) < 0}
            if (
                m.symbol not in (None, p.symbol)
                or m.direction not in (None, direction)
                or not wins[m.profit]
            ):
                continue
            if self.can_fill(p.symbol):
                self.close(a, p, p.qty, by(m))
            else:
                passed.append(f"{a.id}-{k}")
        return Accepted(passed_over=tuple(passed))

    def close_by(self, m: c.CloseBy) -> None:
        a = self.active(m, reduces=True)
        pair = [self.position(a, m.position_id), self.position(a, m.other_position_id)]
        older, newer = sorted(pair, key=lambda p: (p.opened_us, p.k))
        opposite = older.symbol == newer.symbol and older.sign == -newer.sign
        need(opposite and older.mode == newer.mode == "cross", "CLOSE_BY_INVALID")
        need(self.instruments[older.symbol].mode != "halted", "INSTRUMENT_HALTED")
        qty = min(older.qty, newer.qty)
        spec = self.instruments[older.symbol].spec
        rest = max(older.qty, newer.qty) - qty
        fits = rest >= spec.quantity_min_units and qty % spec.quantity_step_units == 0
        need(rest == 0 or fits, "QUANTITY_INVALID")
        for p in (older, newer):
            self.close(a, p, qty, "close_by", older.entry)

    def reverse_position(self, m: c.ReversePosition) -> Accepted:
        a = self.opener(m)
        p = self.position(a, m.position_id)
        i = self.instruments[p.symbol]
        need(i.mode != "halted", "INSTRUMENT_HALTED")
        need(i.mode != "close_only", "INSTRUMENT_CLOSE_ONLY")
        need(not (code := self.limits_code(a, p.symbol, p.qty, p.leverage)), code)
        need(not (code := self.quote_code(i)), code)
        nothing = [None] * 3
        o = Order(
            a.counter + 1,
            p.symbol,
            -p.sign,
            "market",
            p.qty,
            p.leverage,
            p.mode,
            None,
            None,
            "gtc",
            None,
            *nothing,
        )
        events, before = (
            len(self.events),
            deepcopy((a, self.touched, self.may_stop_out, self.filled)),
        )
        self.close(a, p, p.qty, "reverse")
        if code := self.fill_code(a, o):
            self.accounts[a.id], self.touched, self.may_stop_out, self.filled = before
            del self.events[events:]
            raise Refusal(code)
        self.open(a, o)
        return Accepted(created=(f"{a.id}-{o.k}",))

    def add_margin(self, m: c.AddMargin | c.RemoveMargin, sign: int = 1) -> None:
        a = self.active(m, reduces=True)
        p = self.position(a, m.position_id)
        need(p.mode == "isolated", "POSITION_NOT_ISOLATED")
        equity, used = self.figures(a)
        if sign > 0:
            need(m.amount_micros <= equity - used, "FREE_MARGIN_INSUFFICIENT")
        else:
            need(not (code := self.quote_code(self.instruments[p.symbol])), code)
        after = replace(p, margin=p.margin + sign * m.amount_micros)
        after.lp = self.liquidation(a, after)
        initial = Fraction(p.qty * p.entry * self.instruments[p.symbol].k, p.leverage)
        safe = after.margin + min(0, self.pnl(p)) >= ceil(initial) and not self.is_crossed(after)
        need(sign > 0 or safe, "MARGIN_NOT_RELEASABLE")
        a.positions[p.k] = p = after
        self.emit(a, "PositionMarginChanged", position_id=m.position_id, amount_micros=sign * m.amount_micros,
                  margin_micros=p.margin, liquidation_ticks=p.lp)  # fmt: skip

    def remove_margin(self, m: c.RemoveMargin) -> None:
        self.add_margin(m, -1)

    def set_account_status(self, m: c.SetAccountStatus) -> None:
        a = self.account_of(m)
        if a.status != m.status:
            a.status = m.status
            self.emit(a, "AccountStatusChanged", status=m.status)

    def set_account_leverage_cap(self, m: c.SetAccountLeverageCap) -> None:
        a = self.account_of(m)
        if a.cap != m.leverage_cap:
            a.cap = m.leverage_cap
            self.emit(a, "AccountLeverageCapChanged", leverage_cap=a.cap)

    def take_terms(self, a: Account, terms: Terms, symbol: str | None = None) -> None:
        changed_terms, a.terms, changed = a.terms != terms, terms, []
        for k, p in sorted(a.positions.items()):
            if symbol in (None, p.symbol) and (lp := self.liquidation(a, p)) != p.lp:
                p.lp = lp
                changed.append((f"{a.id}-{k}", lp))
        if changed_terms or changed:
            self.emit(a, "AccountTermsChanged", terms=terms, liquidations=tuple(changed))

    def set_account_group(self, m: c.SetAccountGroup) -> None:
        a = self.account_of(m)
        need(m.group in self.groups, "GROUP_UNKNOWN")
        self.take_terms(a, terms_of(self.groups[m.group]))

    def define_group(self, m: c.DefineGroup) -> None:
        s, old = m.spec, self.groups.get(m.spec.name)
        fits = s.stop_out_level_bps < s.margin_call_level_bps and not (m.after_account and s != old)
        need(fits and (old is None or s == old or s.version > old.version), "DEFINITION_INVALID")
        if s != old:
            self.groups[s.name] = s
            self.emit(None, "GroupDefined", spec=s)
        for _, a in sorted(self.accounts.items()):
            if a.id > m.after_account and a.terms.group == s.name and a.terms != terms_of(s):
                self.take_terms(a, terms_of(s))

    def define_instrument(self, m: c.DefineInstrument) -> None:
        s, i = m.spec, self.instruments.get(m.spec.symbol)
        old, caps = i and i.spec, [t.notional_cap_micros for t in s.tiers]
        decimals = (s.price_decimals, s.quantity_decimals)
        fits = sum(decimals) <= 6 and s.quantity_min_units <= s.quantity_max_units
        fits = (
            fits and s.quantity_min_units % s.quantity_step_units == 0 and sorted(set(caps)) == caps
        )
        need(fits and not (m.after_account and s != old), "DEFINITION_INVALID")
        need(old is None or s == old or s.version > old.version, "DEFINITION_INVALID")
        need(
            old is None or not i.bid or decimals == (old.price_decimals, old.quantity_decimals),
            "DEFINITION_INVALID",
        )
        if i is None:
            i = self.instruments[s.symbol] = Instrument(s, m.trading_mode, m.source_class)
        if s != old:
            i.spec = s
            self.emit(
                None, "InstrumentDefined", spec=s, trading_mode=i.mode, source_class=i.source_class
            )
        for _, a in sorted(self.accounts.items()):
            if a.id > m.after_account:
                self.take_terms(a, a.terms, s.symbol)

    def named(self, m: c.SetTradingMode | c.SetPriceSource) -> list[tuple[str, Instrument]]:
        need(m.symbol is None or m.symbol in self.instruments, "SYMBOL_UNKNOWN")
        return [(s, i) for s, i in self.instruments.items() if m.symbol in (None, s)]

    def set_trading_mode(self, m: c.SetTradingMode) -> None:
        for symbol, i in self.named(m):
            if i.mode != m.trading_mode:
                i.mode = m.trading_mode
                self.emit(None, "TradingModeSet", symbol=symbol, trading_mode=i.mode)

    def set_price_source(self, m: c.SetPriceSource) -> None:
        for symbol, i in self.named(m):
            if i.source_class != m.source_class:
                i.source_class = m.source_class
                self.emit(None, "PriceSourceSet", symbol=symbol, source_class=i.source_class)

    def charge_swap(self, m: c.ChargeSwap) -> None:
        need(m.symbol in self.instruments, "SYMBOL_UNKNOWN")
        i = self.instruments[m.symbol]
        for _, a in sorted(self.accounts.items()):
            for _, p in sorted(a.positions.items()):
                due = p.opened_us < m.rollover_day * DAY_US and p.swap_day < m.rollover_day
                if p.symbol == m.symbol and due and a.id > m.after_account:
                    self.charge(
                        a, p, m, i.spec.swap_long_ppm if p.sign > 0 else i.spec.swap_short_ppm
                    )

    def charge(self, a: Account, p: Position, m: c.ChargeSwap, rate: int) -> None:
        i = self.instruments[p.symbol]
        amount = floor(Fraction(p.qty * self.closing(p) * i.k * rate * m.nights, 360 * MILLION))
        if not amount:
            return
        p.swap_day, insured = m.rollover_day, 0
        if p.mode == "isolated":
            insured = max(0, -amount - p.margin)
            p.margin += amount + insured
            p.lp = self.liquidation(a, p)
        a.balance += amount + insured
        self.touch_symbol(p.symbol)
        self.emit(
            a, "SwapCharged", position_id=f"{a.id}-{p.k}", rollover_day=m.rollover_day, nights=m.nights,
            amount_micros=amount, insured_micros=insured, margin_micros=p.margin, liquidation_ticks=p.lp,
            balance_micros=a.balance, postings=self.postings(a, client=amount + insured, swap=-amount, insurance=-insured),
        )  # fmt: skip
        if not p.margin and self.can_fill(p.symbol):
            self.close(a, p, p.qty, "liquidation")


def refused(code: str) -> Rejected:
    return Rejected(code=code)


def need(condition: bool, code: str) -> None:
    if not condition:
        raise Refusal(code)


def given(value: Any, present: Any) -> Any:
    return present if value is UNSET else value


def snake_case(name: str) -> str:
    return re.sub("(?<=.)(?=[A-Z])", "_", name).lower()


def by(m: c.AccountCommand) -> str:
    return "client" if m.actor == "client" else "operator"
