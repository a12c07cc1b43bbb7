"""Reads what was closed, from the read models, and makes sure that one's own last close is among it."""

import asyncio
from typing import Final

from channels.db import database_sync_to_async

from apps.common.clock import datetime_from_us
from apps.common.errors import EngineBusyError
from apps.common.money import number_from_micros
from apps.market import facade as market
from apps.profile import facade as profile
from apps.profile.facade import AccountInfo
from apps.trade import selectors
from apps.trade.models import ClosedTrade
from apps.trade.services import numbers
from apps.trade.services.orders import order_type_word
from engine.values import Direction

# How long an answer waits for the projector; usually it is there within a few milliseconds.
_WAIT_S: Final = 1.0
_POLL_S: Final = 0.01

_account_seq = database_sync_to_async(selectors.account_seq, thread_sensitive=False)
_closed_trades = database_sync_to_async(selectors.closed_trades, thread_sensitive=False)


async def closed_orders(*, account: AccountInfo, limit: int, offset: int) -> dict[str, object]:
    """Return an account's closed orders, newest first; part closings stand for themselves.

    `isCurrent` tells whether everything that the engine has decided before the request is among them.
    """
    is_current = await _is_projected(account)
    rows = await _closed_trades(account_id=account.id, limit=limit, offset=offset)
    return {"message": [_shape(row) for row in rows], "isCurrent": is_current}


async def _is_projected(account: AccountInfo) -> bool:
    try:
        view = await profile.account_view(account)
    except EngineBusyError:
        # History must be readable without the engine; it just cannot promise to be complete.
        return False
    deadline = asyncio.get_running_loop().time() + _WAIT_S
    while await _account_seq(account_id=account.id) < view.seq:
        if asyncio.get_running_loop().time() >= deadline:
            return False
        await asyncio.sleep(_POLL_S)
    return True


def _shape(row: ClosedTrade) -> dict[str, object]:
    instrument = market.instrument_get(row.symbol)
    return {
        "orderId": row.position_id,
        "accountId": row.account,
        "symbol": row.symbol,
        "type": order_type_word(Direction(row.direction)),
        "quantity": numbers.quantity_number(instrument, row.quantity_units),
        "entryPrice": numbers.price_number(instrument, row.entry_price_ticks),
        "closePrice": numbers.price_number(instrument, row.close_price_ticks),
        "pnl": number_from_micros(row.pnl_micros),
        "commission": number_from_micros(row.commission_micros),
        "closeReason": row.close_reason,
        "openedAt": datetime_from_us(row.opened_at_us),
        "closedAt": datetime_from_us(row.closed_at_us),
    }
