"""Walks the engine's refusals: each is provoked on a real engine and reaches its client with code, status, sentence and numbers.

What a client can be refused is asked over REST and over the socket by two users in the same plight; what only operators, the
platform and the feed can be refused is provoked by their own commands. A code that nobody provokes fails the last test.
"""

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from string import Formatter
from typing import Any

import msgspec
import pytest
from rest_framework.test import APIClient

from apps.auth.facade import login_link_create
from apps.auth.services.identities import session_cache
from apps.common.clock import now_us
from apps.common.exact_json import json_decode
from apps.common.names import camel_case
from apps.common.refusals import Decimals, http_status, refusal_error, sentences
from apps.market import facade as market
from apps.profile import selectors as profile_selectors
from apps.profile.models import TradingAccount
from apps.trade.operations import OPERATIONS
from engine.messages import codec, streams
from engine.messages.commands import (
    DefineGroup,
    DefineInstrument,
    OpenAccount,
    PlaceOrder,
    PostCash,
    Quote,
    SetAccountStatus,
    SetPriceSource,
    SetTradingMode,
    Tick,
)
from engine.messages.definitions import GroupSpec, InstrumentSpec, Tier
from engine.messages.rejects import RejectCode
from engine.messages.replies import Rejected
from engine.values import (
    AccountKind,
    AccountStatus,
    Actor,
    CashKind,
    OrderType,
    Side,
    SourceClass,
    TradingMode,
)
from tests.apps.live import Live
from tests.apps.trade.wire import Wire, signed_in

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

MICRO = 10**6
_numbers = itertools.count()
BUY = {"symbol": "BTC", "type": "buy", "quantity": "0.1", "leverage": 10}
ROUTES = {operation.op: operation.rest.partition(" ")[2] for operation in OPERATIONS}
WIDE = (Tier(10**9 * MICRO, 100, 4_000, 0),)
SMALL = (Tier(20_000 * MICRO, 100, 4_000, 0), Tier(100_000 * MICRO, 5, 100_000, 1_920 * MICRO))


class Stage:
    """A user, an account, and what a test does to get it into its plight."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self.user, account = live.user()
        self.account = account.id

    def order(self, **changes: Any) -> str:
        """Place an order that must be taken, and return its id."""
        answer = self.live.client(self.user).post("/api/v1/trade/create", BUY | changes)
        data = json_decode(answer.content)
        assert answer.status_code == 200, data
        return str(data["data"]["orderId"])

    def many(self, **terms: Any) -> None:
        """Place 200 orders at once."""
        commands = [
            PlaceOrder(
                request_id=f"many-{number}",
                user_id=self.user.pk,
                account=self.account,
                symbol="BTCUSDT",
                side=Side.BUY,
                quantity_units=10,
                leverage=100,
                **terms,
            )
            for number in range(200)
        ]

        async def send() -> None:
            await asyncio.gather(*map(self.live.gateway.send, commands))

        self.live.gateway.run(send())

    def status(self, status: AccountStatus) -> None:
        """Let the account do less, as an operator does."""
        self.live.send(
            SetAccountStatus(
                request_id=f"status-{self.account}",
                actor=Actor.OPERATOR,
                staff_id=1,
                reason="test",
                account=self.account,
                status=status,
            )
        )


class Market:
    """Instruments with terms of the test's own, by the names of real ones."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self.sequence = 1_000

    def define(self, symbol: str, **changes: Any) -> None:
        info = market.instrument_get(symbol)
        names = [name for name in InstrumentSpec.__struct_fields__ if hasattr(info, name)]
        spec = InstrumentSpec(**{name: getattr(info, name) for name in names}, version=1)
        spec = msgspec.structs.replace(
            spec, **({"quantity_max_units": 10**7, "exposure_account_micros_max": 0} | changes)
        )
        self.live.send(
            DefineInstrument(
                request_id=f"define-{symbol}",
                source="test",
                actor=Actor.SYSTEM,
                spec=spec,
                trading_mode=TradingMode.OPEN,
                source_class=SourceClass.SIMULATED,
            )
        )

    def quote(self, symbol: str, *, per_mille: int = 1_000, spread_ticks: int = 1) -> None:
        bid = market.instrument_get(symbol).reference_price_ticks * per_mille // 1_000
        self.sequence += 1
        self.live.quotes(Quote(symbol, bid, bid + spread_ticks, now_us()), self.sequence)

    def mode(self, symbol: str, mode: TradingMode) -> None:
        self.live.send(
            SetTradingMode(
                request_id=f"mode-{symbol}-{next(_numbers)}",
                source="test",
                actor=Actor.SYSTEM,
                symbol=symbol,
                trading_mode=mode,
            )
        )

    def quantity(self, symbol: str, notional: int) -> str:
        """Return about as much of a coin as costs that many dollars."""
        info = market.instrument_get(symbol)
        price = Decimal(info.reference_price_ticks).scaleb(-info.price_decimals)
        step = Decimal(info.quantity_step_units).scaleb(-info.quantity_decimals)
        return f"{(Decimal(notional) / price // step) * step:f}"


@dataclass(frozen=True)
class Case:
    """How a client comes to be refused: an operation, and what leads to its body."""

    code: RejectCode
    op: str
    body: Callable[[Stage, Market], dict[str, Any]]
    # What the client is told where that is not the engine's own code.
    shown: RejectCode | None = None


def _order(**changes: Any) -> Callable[[Stage, Market], dict[str, Any]]:
    return lambda _stage, _market: BUY | changes


def _other(stage: Stage, _market: Market) -> dict[str, Any]:
    stage.order(clientOrderId="same")
    return BUY | {"clientOrderId": "same", "quantity": "0.2"}


def _unknown(stage: Stage, _market: Market) -> dict[str, Any]:
    # The database has it, the engine does not.
    row = TradingAccount.objects.create(
        user=stage.user, kind=AccountKind.DEMO, group="standard", is_open=True
    )
    profile_selectors.accounts_cache.clear()
    return BUY | {"accountId": row.pk}


def _foreign(stage: Stage, _market: Market) -> dict[str, Any]:
    # The database says that it is this user's, the engine knows better.
    other = Stage(stage.live)
    TradingAccount.objects.filter(pk=other.account).update(user_id=stage.user.pk, is_default=False)
    profile_selectors.accounts_cache.clear()
    return BUY | {"accountId": other.account}


def _status(status: AccountStatus) -> Callable[[Stage, Market], dict[str, Any]]:
    def body(stage: Stage, _market: Market) -> dict[str, Any]:
        stage.status(status)
        return BUY

    return body


def _stopped_out(stage: Stage, market_: Market) -> dict[str, Any]:
    symbol = "DOTUSDT"
    market_.mode(symbol, TradingMode.OPEN)
    market_.quote(symbol)
    stage.order(symbol=symbol, quantity=market_.quantity(symbol, 500_000), leverage=100)
    # The price falls while nothing can be closed.
    market_.mode(symbol, TradingMode.HALTED)
    market_.quote(symbol, per_mille=982)
    return BUY


def _clock_ahead(stage: Stage, _market: Market) -> dict[str, Any]:
    # An entry of the future moves the log's clock, whose ids never go back.
    at_ms = now_us() // 1_000 + 60_000
    stage.live.hand.redis.xadd(
        stage.live.hand.input,
        {
            streams.IN_VERSION: codec.WIRE_VERSION,
            streams.IN_MESSAGE: codec.encode(Tick()),
            streams.IN_GATEWAY: b"",
        },
        id=f"{at_ms}-0",
    )
    return BUY


def _mode(symbol: str) -> Callable[[Stage, Market], dict[str, Any]]:
    def body(_stage: Stage, market_: Market) -> dict[str, Any]:
        return BUY | {"symbol": symbol, "quantity": market_.quantity(symbol, 1_000)}

    return body


def _notional(symbol: str, notional: int, **changes: Any) -> Callable[..., dict[str, Any]]:
    def body(_stage: Stage, market_: Market) -> dict[str, Any]:
        market_.quote(symbol)
        return BUY | {"symbol": symbol, "quantity": market_.quantity(symbol, notional)} | changes

    return body


def _liquidated(_stage: Stage, market_: Market) -> dict[str, Any]:
    # A spread wider than the margin.
    symbol = "AVAXUSDT"
    spread = market.instrument_get(symbol).reference_price_ticks // 50
    market_.quote(symbol, spread_ticks=spread)
    quantity = market_.quantity(symbol, 1_000)
    return BUY | {"symbol": symbol, "quantity": quantity, "leverage": 100, "marginMode": "isolated"}


def _mismatched(stage: Stage, market_: Market) -> dict[str, Any]:
    symbol = "ADAUSDT"
    market_.quote(symbol)
    stage.live.send(
        SetPriceSource(
            request_id=f"source-{stage.account}",
            source="test",
            actor=Actor.OPERATOR,
            staff_id=1,
            reason="test",
            symbol=symbol,
            source_class=SourceClass.LIVE,
        )
    )
    return BUY | {"symbol": symbol, "quantity": market_.quantity(symbol, 1_000)}


def _orders_full(stage: Stage, _market: Market) -> dict[str, Any]:
    stage.many(order_type=OrderType.LIMIT, price_ticks=50_000)
    return BUY | {"orderType": "limit", "price": "5000"}


def _positions_full(stage: Stage, _market: Market) -> dict[str, Any]:
    stage.many()
    return BUY


def _two(stage: Stage, _market: Market) -> dict[str, Any]:
    return {"orderId": stage.order(), "otherOrderId": stage.order()}


def _isolated(stage: Stage, _market: Market) -> dict[str, Any]:
    order_id = stage.order(marginMode="isolated")
    return {"orderId": order_id, "amount": 50, "action": "remove"}


CLIENTS = (
    Case(RejectCode.EXISTS_WITH_DIFFERENT_CONTENT, "order.create", _other),
    Case(RejectCode.ACCOUNT_UNKNOWN, "order.create", _unknown),
    Case(RejectCode.NOT_OWNER, "order.create", _foreign, shown=RejectCode.ACCOUNT_UNKNOWN),
    Case(RejectCode.SYMBOL_UNKNOWN, "order.create", _order(symbol="TRX", quantity="100")),
    Case(RejectCode.ACCOUNT_SUSPENDED, "order.create", _status(AccountStatus.SUSPENDED)),
    Case(RejectCode.ACCOUNT_CLOSE_ONLY, "order.create", _status(AccountStatus.CLOSE_ONLY)),
    Case(RejectCode.STOP_OUT_PENDING, "order.create", _stopped_out),
    Case(RejectCode.ORDER_UNKNOWN, "order.cancel", lambda s, _: {"orderId": f"{s.account}-99"}),
    Case(RejectCode.POSITION_UNKNOWN, "order.close", lambda s, _: {"orderId": f"{s.account}-99"}),
    Case(
        RejectCode.POSITION_NOT_ISOLATED,
        "order.margin",
        lambda s, _: {"orderId": s.order(), "amount": 1},
    ),
    Case(RejectCode.CLOSE_BY_INVALID, "order.closeBy", _two),
    Case(RejectCode.INSTRUMENT_HALTED, "order.create", _mode("LTCUSDT")),
    Case(RejectCode.INSTRUMENT_CLOSE_ONLY, "order.create", _mode("LINKUSDT")),
    Case(RejectCode.QUANTITY_INVALID, "order.create", _order(quantity="0.00001")),
    Case(RejectCode.LEVERAGE_INVALID, "order.create", _order(leverage=1_000)),
    Case(RejectCode.ORDERS_LIMIT, "order.create", _orders_full),
    Case(RejectCode.POSITIONS_LIMIT, "order.create", _positions_full),
    Case(
        RejectCode.EXPIRY_INVALID,
        "order.create",
        _order(orderType="limit", price="9000", timeInForce="gtd"),
    ),
    Case(RejectCode.PRICE_SOURCE_MISMATCH, "order.create", _mismatched),
    Case(RejectCode.QUOTE_STALE, "order.create", _mode("XRPUSDT")),
    Case(RejectCode.PRICE_INVALID, "order.create", _order(orderType="stop", stopPrice="9000")),
    Case(RejectCode.PRICE_MOVED, "order.create", _order(expectedPrice="9000", slippage="0.1")),
    Case(RejectCode.STOPS_INVALID, "order.create", _order(stopLoss="20000")),
    Case(RejectCode.LEVERAGE_ABOVE_TIER, "order.create", _notional("ETHUSDT", 30_000)),
    Case(RejectCode.NOTIONAL_ABOVE_TIERS, "order.create", _notional("ETHUSDT", 200_000)),
    Case(RejectCode.EXPOSURE_ACCOUNT, "order.create", _notional("SOLUSDT", 5_000)),
    Case(RejectCode.EXPOSURE_HOUSE, "order.create", _notional("BNBUSDT", 5_000)),
    Case(RejectCode.FREE_MARGIN_INSUFFICIENT, "order.create", _order(quantity="5", leverage=1)),
    Case(RejectCode.WOULD_LIQUIDATE, "order.create", _liquidated),
    Case(RejectCode.MARGIN_NOT_RELEASABLE, "order.margin", _isolated),
    # Last, since the log's clock cannot be set back.
    Case(RejectCode.CLOCK_AHEAD, "order.create", _clock_ahead),
)


def _cash(stage: Stage, **changes: Any) -> PostCash:
    fields = {
        "request_id": f"cash-{next(_numbers)}",
        "actor": Actor.SYSTEM,
        "account": stage.account,
        "cash_seq": 2,
        "kind": CashKind.WITHDRAWAL,
        "amount_micros": MICRO,
        "method": "demo",
    }
    return PostCash(**(fields | changes))


def _open(stage: Stage, **changes: Any) -> OpenAccount:
    fields = {
        "request_id": "open-again",
        "actor": Actor.SYSTEM,
        "account": stage.account,
        "owner_id": stage.user.pk,
        "kind": AccountKind.DEMO,
        "group": "standard",
    }
    return OpenAccount(**(fields | changes))


PLATFORM: dict[RejectCode, Callable[[Stage], Any]] = {
    RejectCode.ACCOUNT_EXISTS: _open,
    RejectCode.GROUP_UNKNOWN: lambda s: _open(s, account=999_999, group="nobody"),
    RejectCode.CASH_GAP: lambda s: _cash(s, cash_seq=9),
    RejectCode.CASH_ALREADY_DECIDED: lambda s: _cash(s, cash_seq=1),
    RejectCode.AMOUNT_INVALID: lambda s: _cash(s, amount_micros=-MICRO),
    RejectCode.WITHDRAWABLE_INSUFFICIENT: lambda s: _cash(
        s, cash_seq=3, amount_micros=10**6 * MICRO
    ),
    RejectCode.PENDING_CASH_INSUFFICIENT: lambda s: _cash(s, cash_seq=4, kind=CashKind.SETTLE),
    RejectCode.DEFINITION_INVALID: lambda _s: DefineGroup(
        request_id="group-bad",
        source="test",
        actor=Actor.SYSTEM,
        spec=GroupSpec(
            name="bad",
            version=1,
            commission_ppm=0,
            margin_call_level_bps=5_000,
            stop_out_level_bps=6_000,
        ),
    ),
}
# Bid, ask and what the quote's time is ahead of now.
QUOTES = {
    RejectCode.QUOTE_INVALID: (0, 100, 0),
    RejectCode.QUOTE_CROSSED: (101, 100, 0),
    RejectCode.QUOTE_OUT_OF_ORDER: (100_000, 100_010, -10_000_000),
}


@pytest.fixture
def market_(live) -> Market:
    market_ = Market(live)
    for symbol in ("LTCUSDT", "LINKUSDT", "XRPUSDT", "ADAUSDT", "DOTUSDT", "AVAXUSDT"):
        market_.define(symbol, tiers=WIDE)
    market_.define("ETHUSDT", tiers=SMALL)
    market_.define("SOLUSDT", tiers=WIDE, exposure_account_micros_max=2_000 * MICRO)
    market_.define("BNBUSDT", tiers=WIDE, exposure_house_micros_max=2_000 * MICRO)
    for symbol in ("LTCUSDT", "LINKUSDT"):
        market_.quote(symbol)
    market_.mode("LTCUSDT", TradingMode.HALTED)
    market_.mode("LINKUSDT", TradingMode.CLOSE_ONLY)
    session_cache.clear()
    return market_


def over_rest(stage: Stage, op: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = stage.live.client(stage.user).post(f"/api/v1/{ROUTES[op]}", body)
    envelope: dict[str, Any] = json_decode(answer.content)
    assert envelope["success"] is False, envelope
    assert answer.status_code == envelope["statusCode"]
    return envelope


def over_the_socket(stage: Stage, op: str, body: dict[str, Any]) -> dict[str, Any]:
    link = login_link_create(stage.user.email).url
    token = APIClient().get(link).json()["data"]["accessToken"]

    async def talk() -> dict[str, Any]:
        wire = Wire()
        try:
            await signed_in(wire, token)
            return await wire.ask({"op": op, "id": 1, **body})
        finally:
            await wire.hang_up()

    frame: dict[str, Any] = stage.live.gateway.run(talk())
    assert frame["success"] is False, frame
    return frame


def fault_of(envelope: dict[str, Any], code: RejectCode, shown: RejectCode) -> str:
    """Return what is wrong with a refusal as a client got it; empty if nothing is."""
    if (envelope["code"], envelope["statusCode"]) != (shown.value, http_status(code)):
        return f"expected {shown.value} {http_status(code)}, got {envelope}"
    data = envelope["data"]
    told = next((s for s in sentences(code) if {_name(n) for n in _names(s)} <= data.keys()), None)
    if told is None:
        return f"the data lacks the numbers of every sentence: {envelope}"
    sentence = told.format_map({name: _text(data[_name(name)]) for name in _names(told)})
    return "" if envelope["message"] == sentence else f"expected {sentence!r}, got {envelope}"


def _name(name: str) -> str:
    # In the contract an open position is the order that opened it.
    return camel_case(name.replace("position_id", "order_id"))


def _text(value: Any) -> str:
    text = str(value)
    return text.rstrip("0").rstrip(".") if isinstance(value, Decimal) and "." in text else text


def _names(sentence: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(sentence) if name}


@pytest.mark.parametrize("way", [over_rest, over_the_socket])
def test_each_refusal_of_a_client_comes_with_code_sentence_and_numbers(live, market_, way):
    faults = {}
    for case in CLIENTS:
        live.price(100_000, 100_010)
        stage = Stage(live)
        envelope = way(stage, case.op, case.body(stage, market_))
        if fault := fault_of(envelope, case.code, case.shown or case.code):
            faults[case.code.value] = fault
        elif not envelope["requestId"]:
            faults[case.code.value] = "it cannot be asked for again"

    assert faults == {}


def test_each_refusal_of_the_platform_has_a_sentence_with_its_numbers(live):
    stage = Stage(live)
    faults = {}
    for code, command in PLATFORM.items():
        reply = live.gateway.send_sync(command(stage)).reply
        if not isinstance(reply, Rejected) or reply.code is not code:
            faults[code.value] = repr(reply)
            continue
        error = refusal_error(reply, request_id="r", decimals=Decimals(price=1, quantity=5))
        told = {_name(name) for name in _names(sentences(code)[0])}
        if error.message.startswith("refused") or not told <= error.data.keys():
            faults[code.value] = (error.message, error.data)

    assert faults == {}


def test_what_no_client_sends_is_refused_on_record(live):
    live.price(100_000, 100_010)
    codes = {}
    for number, (code, (bid, ask, ahead_us)) in enumerate(QUOTES.items(), start=1):
        entry_id = live.quotes(Quote("BTCUSDT", bid, ask, now_us() + ahead_us), number)
        events = codec.decode_events(live.hand.output_at(entry_id).events)
        codes[code] = [event.code for event in events]
    malformed = live.hand.reply_to(b"no message")

    assert codes == {code: [code] for code in QUOTES}
    assert malformed.code is RejectCode.MALFORMED


def test_no_refusal_is_left_out():
    provoked = [case.code for case in CLIENTS] + [*PLATFORM, *QUOTES]
    # These two have tests of their own: above, and test_unknown_outcome.py.
    provoked += [RejectCode.MALFORMED, RejectCode.EXPIRED]

    assert sorted(provoked) == sorted(RejectCode)
