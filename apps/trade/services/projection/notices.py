"""What the owners of accounts are told about the engine's events, as wishes for the notifications app."""

import logging
from collections.abc import Mapping, Sequence
from typing import Final

from django.utils.translation import gettext_noop

from apps.common.money import MICRO_DECIMALS
from apps.common.outputs import Output
from apps.market import facade as market
from apps.notifications.facade import NoticeEvent, Wish, notices_wanted
from engine.messages import events as ev
from engine.values import CloseReason, Direction, text_from_scaled

logger = logging.getLogger(__name__)

_LEVEL_DECIMALS: Final = 2
_CLOSINGS: Final[Mapping[CloseReason, NoticeEvent]] = {
    CloseReason.STOP_LOSS: NoticeEvent.STOP_LOSS_HIT,
    CloseReason.TAKE_PROFIT: NoticeEvent.TAKE_PROFIT_HIT,
    # Those of a stop-out were announced by that.
    CloseReason.LIQUIDATION: NoticeEvent.LIQUIDATED,
    CloseReason.CLIENT: NoticeEvent.ORDER_FILLED,
    CloseReason.OPERATOR: NoticeEvent.CLOSED_BY_STAFF,
    CloseReason.REVERSE: NoticeEvent.ORDER_FILLED,
    CloseReason.CLOSE_BY: NoticeEvent.ORDER_FILLED,
}
_ALARMS: Final[Mapping[type[ev.Event], NoticeEvent]] = {
    ev.MarginCallRaised: NoticeEvent.MARGIN_CALL,
    ev.StopOutStarted: NoticeEvent.STOP_OUT,
}


def notice_wishes(outputs: Sequence[Output], owners: Mapping[int, int]) -> list[Wish]:
    """Return what is to be told about some outputs to the owners of their accounts; after the read models know them."""
    told = [
        (owners[event.account], told_as, event)
        for output in outputs
        for event in output.events
        if (told_as := _told_as(event)) is not None and isinstance(event, ev.AccountEvent)
    ]
    # Most fills are told to nobody, so words are found for the others only.
    wanted = notices_wanted({(owner_id, told_as) for owner_id, told_as, _ in told})
    if not wanted:
        return []
    return [
        Wish(
            user_id=owner_id,
            event=told_as,
            # Events of an account are counted without a gap, so this names one for ever.
            key=f"engine:{event.account}:{event.seq}",
            facts={"account": str(event.account), **facts},
        )
        for owner_id, told_as, event in told
        if (owner_id, told_as) in wanted and (facts := _facts(event)) is not None
    ]


def _told_as(event: ev.Event) -> NoticeEvent | None:
    if type(event) is ev.PositionOpened:
        return NoticeEvent.ORDER_FILLED
    if type(event) is ev.PositionClosed:
        return _CLOSINGS.get(event.close_reason)
    return _ALARMS.get(type(event))


def _facts(event: ev.AccountEvent) -> dict[str, str] | None:
    """Return what the words of an event are about; None when there are no words for it."""
    if isinstance(event, ev.MarginCallRaised | ev.StopOutStarted):
        return {
            # Basis points of a ratio are hundredths of a per cent.
            "level": text_from_scaled(event.margin_level_bps, _LEVEL_DECIMALS),
            "equity": text_from_scaled(event.equity_micros, MICRO_DECIMALS),
            "margin": text_from_scaled(event.used_margin_micros, MICRO_DECIMALS),
        }
    if not isinstance(event, ev.PositionOpened | ev.PositionClosed):
        return {}
    try:
        fill = _fill(event)
    except market.SymbolUnknownError:
        # A journal may know instruments that the catalogue does not, after a restore for example: its record is kept
        # whole, whether or not there are words for it.
        logger.warning("nobody is told of a fill", extra={"symbol": event.symbol})
        return None
    side = _side(event.direction, is_closing=type(event) is ev.PositionClosed)
    if isinstance(event, ev.PositionOpened):
        return {**fill, "side": side}
    net_micros = event.pnl_micros - event.commission_micros
    return {**fill, "side": side, "pnl": text_from_scaled(net_micros, MICRO_DECIMALS)}


def _fill(event: ev.PositionOpened | ev.PositionClosed) -> dict[str, str]:
    instrument = market.instrument_get(event.symbol)
    return {
        "order": event.position_id,
        "symbol": event.symbol,
        "quantity": text_from_scaled(event.quantity_units, instrument.quantity_decimals),
        "price": text_from_scaled(event.price_ticks, instrument.price_decimals),
    }


def _side(direction: Direction, *, is_closing: bool) -> str:
    is_buy = (direction is Direction.LONG) is not is_closing
    return gettext_noop("Buy") if is_buy else gettext_noop("Sell")
