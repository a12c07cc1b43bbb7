"""A platform of N shards in this process: engine threads as `serve` makes them, one gateway, one projector."""

import itertools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import msgspec
from django.conf import settings
from redis import Redis

from apps.common.clock import now_us
from apps.common.engine_gateway import EngineGateway
from apps.common.outputs import Output
from apps.market.facade import catalogue_install
from apps.trade.projector import Projector, output_from_journal
from cryptocfd.engine_config import engine_config, layout_check
from cryptocfd.history.recorded import JournalOutputs
from engine.adapters.compose import build_runner
from engine.messages import codec, streams
from engine.messages.commands import (
    ClosePosition,
    DefineGroup,
    DefineInstrument,
    OpenAccount,
    PlaceOrder,
    PostCash,
    Quote,
    UpdateQuotes,
)
from engine.messages.definitions import GroupSpec, InstrumentSpec, Tier
from engine.messages.replies import Accepted
from engine.messages.views import AccountQuery
from engine.values import (
    AccountKind,
    Actor,
    CashKind,
    OrderType,
    Side,
    SourceClass,
    TradingMode,
    entry_id_from_text,
)
from tests.integration.engine_log import RunningEngine, wait_for

SYMBOLS = ("BTCUSDT", "ETHUSDT")
ACCOUNTS = tuple(range(1001, 1009))
# Feed epoch and number: quotes of a test never count as old, also after a restart of the platform.
_numbers = itertools.count(1)


class Sharded:
    """Engines of every shard at work, and what a test does with them."""

    def __init__(self, gateway: EngineGateway, engines: list[RunningEngine]) -> None:
        self.gateway = gateway
        self.engines = engines
        self.redis = Redis.from_url(settings.LOG_REDIS_URL)

    def send(self, command: Any) -> Output:
        """Send a command that must be accepted."""
        output = self.gateway.send_sync(command)
        assert isinstance(output.reply, Accepted), output.reply
        return output

    def price(self, bid_ticks: int) -> None:
        """Give every symbol a fresh quote in every shard, as the feed does."""
        quotes = tuple(Quote(symbol, bid_ticks, bid_ticks + 10, now_us()) for symbol in SYMBOLS)
        epoch = int(self.redis.get(streams.feed_epoch_key(settings.STREAM_PREFIX)) or 0)
        message = codec.encode(
            UpdateQuotes(
                source="test",
                source_class=SourceClass.SIMULATED,
                feed_epoch=max(1, epoch),
                sequence=next(_numbers),
                quotes=quotes,
            )
        )
        fields = {
            streams.IN_VERSION: codec.WIRE_VERSION,
            streams.IN_MESSAGE: message,
            streams.IN_GATEWAY: b"",
        }
        shards = settings.ENGINE_SHARDS
        for shard in range(shards):
            self.redis.xadd(streams.input_stream(settings.STREAM_PREFIX, shard, shards), fields)

    def define(self) -> None:
        """Tell PostgreSQL and every shard what is traded."""
        catalogue_install()
        self.send(
            DefineGroup(
                request_id="group",
                source="test",
                actor=Actor.SYSTEM,
                spec=GroupSpec(name="standard", version=1, commission_ppm=500),
            )
        )
        for symbol in SYMBOLS:
            self.send(
                DefineInstrument(
                    request_id=f"define-{symbol}",
                    source="test",
                    actor=Actor.SYSTEM,
                    spec=instrument_spec(symbol),
                    trading_mode=TradingMode.OPEN,
                    source_class=SourceClass.SIMULATED,
                )
            )

    def open_accounts(self) -> None:
        """Open the accounts, each with 10,000 dollars of which some are on their way out."""
        for account in ACCOUNTS:
            self.send(
                OpenAccount(
                    request_id="open",
                    actor=Actor.SYSTEM,
                    account=account,
                    owner_id=account,
                    kind=AccountKind.DEMO if account % 2 else AccountKind.LIVE,
                    group="standard",
                )
            )
            self.send(cash(account, 1, CashKind.DEPOSIT, 10_000_000_000))
            self.send(cash(account, 2, CashKind.WITHDRAWAL, account * 1_000_000))

    def order(self, account: int, request_id: str, **changes: Any) -> Output:
        """Send a market order, or what the changes make of it."""
        return self.send(place(account, request_id, **changes))

    def close(self, account: int, position_id: str, request_id: str) -> Output:
        """Close a position."""
        return self.send(
            ClosePosition(
                request_id=request_id, user_id=account, account=account, position_id=position_id
            )
        )

    def views(self) -> dict[int, dict[str, Any]]:
        """Return everything that the engines say about the accounts, but for the time."""
        views = {}
        for account in ACCOUNTS:
            view = msgspec.to_builtins(self.gateway.query_sync(AccountQuery(account=account)))
            del view["as_of"], view["as_of_us"]
            views[account] = view
        return views

    def settled(self) -> None:
        """Wait until no shard has an entry before it."""

        def is_settled() -> bool:
            shards = settings.ENGINE_SHARDS
            for shard, engine in enumerate(self.engines):
                stream = streams.input_stream(settings.STREAM_PREFIX, shard, shards)
                last = self.redis.xinfo_stream(stream)["last-generated-id"].decode()
                done = engine.runner.health().entry_id
                if entry_id_from_text(done) < entry_id_from_text(last):
                    return False
            return True

        wait_for(is_settled, "the engines to settle")


def instrument_spec(symbol: str) -> InstrumentSpec:
    """Return an instrument with room for everybody."""
    return InstrumentSpec(
        symbol=symbol,
        base=symbol.removesuffix("USDT"),
        version=1,
        price_decimals=1,
        quantity_decimals=5,
        quantity_min_units=1,
        quantity_step_units=1,
        quantity_max_units=100_000_000,
        stop_distance_ticks=0,
        tiers=(Tier(10**15, 100, 4_000, 0),),
        swap_long_ppm=0,
        swap_short_ppm=0,
        quote_age_us_max=60_000_000,
    )


def place(account: int, request_id: str, **changes: Any) -> PlaceOrder:
    fields: dict[str, Any] = {
        "request_id": request_id,
        "user_id": account,
        "account": account,
        "symbol": SYMBOLS[account % 2],
        "side": Side.BUY if account % 3 else Side.SELL,
        "quantity_units": 1_000 + account,
        "leverage": 10,
    }
    return PlaceOrder(**(fields | changes))


def cash(account: int, cash_seq: int, kind: CashKind, amount_micros: int) -> PostCash:
    return PostCash(
        request_id=f"cash-{cash_seq}",
        actor=Actor.SYSTEM,
        account=account,
        cash_seq=cash_seq,
        kind=kind,
        amount_micros=amount_micros,
        method="card",
        reference=f"r-{account}-{cash_seq}",
    )


@contextmanager
def sharded_platform(
    *, engine_log_url: str = "", gateway_log_url: str = "", timeout_ms: int = 20_000
) -> Iterator[Sharded]:
    """Run the engines of ENGINE_SHARDS and a gateway; at the end everything is decided and projected.

    The addresses are ways of their own to the log.
    """
    layout_check(may_mark=True)
    gateway = EngineGateway(
        log_url=gateway_log_url or settings.LOG_REDIS_URL,
        redis_url=settings.REDIS_URL,
        prefix=settings.STREAM_PREFIX,
        shards=settings.ENGINE_SHARDS,
        timeout_ms=timeout_ms,
        journal=output_from_journal,
    )
    with ExitStack() as stack:
        engines = []
        for shard in range(settings.ENGINE_SHARDS):
            config = replace(
                engine_config(shard),
                build="test",
                log_redis_url=engine_log_url or settings.LOG_REDIS_URL,
            )
            engine = RunningEngine(build_runner(config, recorded=JournalOutputs(shard)))
            engine.thread.start()
            engines.append(engine)
            stack.callback(_stop, engine)
        gateway.start_in_thread()
        stack.callback(gateway.stop_thread)
        yield Sharded(gateway, engines)
    Projector().project_available()


def _stop(engine: RunningEngine) -> None:
    engine.runner.stop()
    error = engine.ended()
    assert error is None, error


def trade(platform: Sharded, round_: str) -> list[Output]:
    """Open, leave pending and close something in every account."""
    outputs = []
    platform.price(100_000)
    for account in ACCOUNTS:
        opened = platform.order(account, f"{round_}-open")
        platform.order(account, f"{round_}-stay", stop_loss_ticks=None, leverage=5)
        platform.order(
            account,
            f"{round_}-limit",
            side=Side.BUY,
            order_type=OrderType.LIMIT,
            price_ticks=90_000,
        )
        outputs.append(opened)
        if account % 2:
            platform.close(account, opened.reply.created[0], f"{round_}-close")
    platform.price(101_000)
    return outputs
