"""State of the oracle: plain dataclasses, no behaviour beyond their own fields."""

from dataclasses import dataclass, field

from engine.messages.definitions import GroupSpec, InstrumentSpec, Terms


@dataclass
class Instrument:
    spec: InstrumentSpec
    mode: str
    source_class: str
    bid: int = 0
    ask: int = 0
    ts_us: int = 0
    quote_class: str = ""

    @property
    def k(self) -> int:
        return 10 ** (6 - self.spec.price_decimals - self.spec.quantity_decimals)

    def closing(self, sign: int) -> int:
        return self.bid if sign > 0 else self.ask

    def opening(self, sign: int) -> int:
        return self.ask if sign > 0 else self.bid


@dataclass
class Order:
    k: int
    symbol: str
    sign: int
    kind: str
    qty: int
    leverage: int
    mode: str
    price: int | None
    stop: int | None
    tif: str
    expires: int | None
    sl: int | None
    tp: int | None
    trail: int | None
    active: bool = False

    @property
    def own_price(self) -> int:
        return self.stop if self.kind == "stop" else self.price

    @property
    def is_limit(self) -> bool:
        return self.kind == "limit" or (self.kind == "stopLimit" and self.active)


@dataclass
class Position:
    k: int
    symbol: str
    sign: int
    qty: int
    entry: int
    leverage: int
    mode: str
    margin: int
    sl: int | None
    tp: int | None
    trail: int | None
    opened_us: int
    lp: int = 0
    fills: int = 1
    swap_day: int = 0


@dataclass
class Account:
    id: int
    owner: int
    book: str
    mode: str
    cap: int
    terms: Terms
    balance: int = 0
    pending_cash: int = 0
    status: str = "active"
    seq: int = 0
    cash_seq: int = 0
    counter: int = 0
    call: bool = False
    stop_pending: bool = False
    positions: dict[int, Position] = field(default_factory=dict)
    orders: dict[int, Order] = field(default_factory=dict)


def terms_of(group: GroupSpec) -> Terms:
    return Terms(
        group.name, group.version, group.commission_ppm, group.leverage_cap, group.margin_call_level_bps,
        group.stop_out_level_bps, group.stop_out_strategy, group.negative_balance_protection,
    )  # fmt: skip
