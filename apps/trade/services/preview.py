"""Tells what an order would cost and whether it would be accepted; nothing is placed."""

from decimal import Decimal

from apps.common.engine_gateway import engine_gateway
from apps.common.money import number_from_micros
from apps.common.refusals import refusal_error
from apps.common.requests import request_id_make
from apps.market import facade as market
from apps.profile.facade import AccountInfo, AccountUnknownError
from apps.trade.services import numbers
from apps.trade.services.orders import OrderWish, order_command
from apps.trade.services.shapes import Shape
from engine.messages.replies import Rejected
from engine.messages.views import PreviewQuery, PreviewView


async def order_preview(*, user_id: int, account: AccountInfo, wish: OrderWish) -> Shape:
    """Return margin, costs, limits and the refusal that the order would get now.

    Errors: as order_create for numbers that are none; EngineBusyError.
    """
    # Nothing is kept of a question, so its id means nothing.
    command = order_command(
        user_id=user_id, account=account, request_id=request_id_make(), wish=wish
    )
    view = await engine_gateway().query(PreviewQuery(order=command))
    if not isinstance(view, PreviewView):
        raise AccountUnknownError(account.id)
    return _shape(view)


def _shape(view: PreviewView) -> Shape:
    instrument = market.instrument_get(view.symbol)
    refusal = None
    if view.code is not None:
        error = refusal_error(
            Rejected(code=view.code, data=view.data),
            request_id="",
            decimals=numbers.decimals_of(instrument),
        )
        refusal = {"code": error.code, "message": error.message, "data": error.data}
    quantity_max = view.quantity_units_max
    return {
        "accountId": view.account,
        "symbol": view.symbol,
        "isAccepted": refusal is None,
        "refusal": refusal,
        "price": numbers.price_number(instrument, view.price_ticks),
        "notional": _money(view.notional_micros),
        "margin": _money(view.margin_micros),
        "commission": _money(view.commission_micros),
        "spreadCost": _money(view.spread_cost_micros),
        "swapNight": _money(view.swap_night_micros),
        "freeMarginAfter": _money(view.free_margin_after_micros),
        "liquidationPrice": numbers.price_number(instrument, view.liquidation_ticks),
        "stopOutPrice": numbers.price_number(instrument, view.stop_out_ticks),
        "maxQuantity": None
        if quantity_max is None
        else numbers.quantity_number(instrument, quantity_max),
        "maxLeverage": view.leverage_max,
        "asOf": view.as_of,
    }


def _money(micros: int | None) -> Decimal | None:
    return None if micros is None else number_from_micros(micros)
