"""Opens positions: from the request's numbers to a command, and from the engine's output to the contract's answer."""

from apps.common.clock import datetime_from_us
from apps.common.engine_gateway import engine_gateway
from apps.common.errors import ServiceError
from apps.common.money import number_from_micros
from apps.common.outputs import Output
from apps.common.refusals import refusal_error
from apps.market import facade as market
from apps.market.facade import InstrumentInfo
from apps.profile.facade import AccountInfo
from apps.trade.services import numbers
from engine.messages.commands import PlaceOrder
from engine.messages.events import PositionOpened
from engine.messages.replies import Rejected
from engine.values import Direction, MarginMode, Side


async def order_create(
    *,
    user_id: int,
    account: AccountInfo,
    request_id: str,
    symbol: str,
    side: Side,
    quantity: str,
    leverage: str,
    margin_mode: MarginMode | None = None,
    slippage: str | None = None,
    expected_price: str | None = None,
    stop_loss: str | None = None,
    take_profit: str | None = None,
    trailing_distance: str | None = None,
) -> dict[str, object]:
    """Buy or sell at the market and return the fill; the same request id returns the same fill.

    Units: decimal text in the instrument's own price and quantity; slippage in per cent.
    Errors: ServiceError with the code of the engine's refusal or of a number that is none; EngineTimeoutError (408), the outcome
    is unknown and the same id asks again; EngineBusyError (503), nothing was sent.
    """
    instrument = market.instrument_get(symbol)
    slippage_ppm = numbers.slippage_ppm(slippage)
    command = PlaceOrder(
        request_id=request_id,
        user_id=user_id,
        account=account.id,
        symbol=instrument.symbol,
        side=side,
        quantity_units=numbers.quantity_units(instrument, quantity),
        leverage=numbers.leverage_whole(leverage),
        margin_mode=margin_mode,
        stop_loss_ticks=numbers.stop_ticks(instrument, "stopLoss", stop_loss),
        take_profit_ticks=numbers.stop_ticks(instrument, "takeProfit", take_profit),
        trailing_ticks=numbers.stop_ticks(instrument, "trailingDistance", trailing_distance),
        expected_price_ticks=numbers.price_ticks(instrument, "expectedPrice", expected_price),
        quoted_price_ticks=None
        if slippage_ppm is None
        else quoted_price_ticks(instrument.symbol, buys=side is Side.BUY),
        slippage_ppm=slippage_ppm,
    )
    output = await engine_gateway().send(command)
    if isinstance(output.reply, Rejected):
        decimals = numbers.decimals_of(instrument)
        raise refusal_error(output.reply, request_id=request_id, decimals=decimals)
    opened = next((e for e in output.events if isinstance(e, PositionOpened)), None)
    if opened is None:
        # Only a foreign command under the same id could have such an answer, and other content is refused.
        raise ServiceError("INTERNAL", "the order was accepted without a fill", http_status=500)
    return {
        "message": "Order created successfully",
        "orderId": opened.position_id,
        "requestId": request_id,
        **_fill_shape(instrument, opened, output),
    }


def quoted_price_ticks(symbol: str, *, buys: bool) -> int | None:
    """Return the last price that this process has for one who buys or sells; None without any."""
    quote = market.quote_latest(symbol)
    if quote is None:
        return None
    return quote.ask_ticks if buys else quote.bid_ticks


def _fill_shape(
    instrument: InstrumentInfo, opened: PositionOpened, output: Output
) -> dict[str, object]:
    return {
        "status": "filled",
        "accountId": opened.account,
        "symbol": opened.symbol,
        "type": order_type_word(opened.direction),
        "quantity": numbers.quantity_number(instrument, opened.quantity_units),
        "price": numbers.price_number(instrument, opened.price_ticks),
        "leverage": opened.leverage,
        "marginMode": opened.margin_mode.value,
        "margin": number_from_micros(opened.margin_micros),
        "commission": number_from_micros(opened.commission_micros),
        "stopLoss": numbers.price_number(instrument, opened.stop_loss_ticks),
        "takeProfit": numbers.price_number(instrument, opened.take_profit_ticks),
        "trailingDistance": numbers.price_number(instrument, opened.trailing_ticks),
        "liquidationPrice": numbers.price_number(instrument, opened.liquidation_ticks),
        "balance": number_from_micros(opened.balance_micros),
        "createdAt": datetime_from_us(opened.opened_at_us),
        "asOf": output.output_id,
    }


def order_type_word(direction: Direction) -> str:
    """Return the contract's `type` of the order that opened a position."""
    return Side.BUY.value if direction is Direction.LONG else Side.SELL.value
