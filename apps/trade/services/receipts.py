"""Tells of one order all that is on record: its terms, fills and closings, and why each step happened.

The reasons are the receipts in the journal: the quotes around the event, the rule and its inputs, and the hash by which the
output stands in its shard's chain.
"""

from channels.db import database_sync_to_async

from apps.common.clock import datetime_from_us
from apps.common.money import number_from_micros
from apps.common.names import camel_case
from apps.common.outputs import Output
from apps.common.refusals import exact_numbers
from apps.market import facade as market
from apps.market.facade import InstrumentInfo
from apps.profile.facade import AccountInfo
from apps.trade import selectors
from apps.trade.models import Fill, HistoryEvent, Position
from apps.trade.services import numbers
from apps.trade.services.history import (
    closed_trade_shape,
    event_of,
    history_reach,
    order_row_shape,
)
from apps.trade.services.lookup import OrderUnknownError, account_of_order
from apps.trade.services.projection.journal import output_of
from apps.trade.services.rules import rule_text
from apps.trade.services.shapes import Shape, order_type_word
from apps.trade.services.snapshots import event_shape
from engine.messages.events import Receipt, ReceiptQuote
from engine.values import Direction


async def order_detail(*, user_id: int, account_id: int | None = None, order_id: str) -> Shape:
    """Return an order of the user's with its position, fills, closings and receipts, and whether that is all until now.

    Errors: ServiceError 404 for an order that does not exist or is somebody else's, or another account's than the one named;
    its data tells whether all until now was looked through.
    """
    account = await account_of_order(user_id, account_id, order_id)
    reach = (await history_reach(account)).shape()
    read = database_sync_to_async(_order_detail_read, thread_sensitive=False)
    detail = await read(account=account, order_id=order_id)
    if detail is None:
        raise OrderUnknownError(order_id, more=reach)
    return detail | reach


def _order_detail_read(*, account: AccountInfo, order_id: str) -> Shape | None:
    order = selectors.order_by_id(order_id=order_id)
    if order is None or order.account != account.id:
        return None
    position, fills, closings = selectors.order_parts(order_id=order_id)
    events = selectors.history_of_order(account_id=account.id, order_id=order_id)
    journal = selectors.journal_entries_of(events=events)
    outputs = {key: output_of(entry) for key, entry in journal.items()}
    instrument = market.instrument_get(order.symbol)
    return {
        "order": order_row_shape(order),
        "position": None if position is None else _position_shape(instrument, position),
        "fills": [_fill_shape(instrument, fill) for fill in fills],
        "closings": [closed_trade_shape(row) for row in closings],
        "receipts": [
            _receipt_shape(instrument, row, outputs[row.layout, row.shard, row.n]) for row in events
        ],
    }


def _position_shape(instrument: InstrumentInfo, row: Position) -> Shape:
    return {
        "type": order_type_word(Direction(row.direction)),
        "isOpen": row.closed_at_us is None,
        "quantity": numbers.quantity_number(instrument, row.quantity_units),
        "openQuantity": numbers.quantity_number(instrument, row.open_units),
        "entryPrice": numbers.price_number(instrument, row.entry_price_ticks),
        "leverage": row.leverage,
        "marginMode": row.margin_mode,
        "margin": number_from_micros(row.margin_micros),
        "pnl": number_from_micros(row.pnl_micros),
        "commission": number_from_micros(row.commission_micros),
        "swap": number_from_micros(row.swap_micros),
        "stopLoss": numbers.price_number(instrument, row.stop_loss_ticks),
        "takeProfit": numbers.price_number(instrument, row.take_profit_ticks),
        "trailingDistance": numbers.price_number(instrument, row.trailing_ticks),
        "liquidationPrice": numbers.price_number(instrument, row.liquidation_ticks),
        "openedAt": datetime_from_us(row.opened_at_us),
        "closedAt": None if row.closed_at_us is None else datetime_from_us(row.closed_at_us),
    }


def _fill_shape(instrument: InstrumentInfo, row: Fill) -> Shape:
    return {
        "fillId": row.fill_id,
        "type": row.side,
        "isClosing": row.is_closing,
        "quantity": numbers.quantity_number(instrument, row.quantity_units),
        "price": numbers.price_number(instrument, row.price_ticks),
        "commission": number_from_micros(row.commission_micros),
        "time": datetime_from_us(row.at_us),
    }


def _receipt_shape(instrument: InstrumentInfo, row: HistoryEvent, output: Output) -> Shape:
    """Return one step of an order and why it happened; `rule` is null for what a client simply wished."""
    event = event_of(row, output)
    receipt: Receipt | None = getattr(event, "receipt", None)
    return {
        "seq": row.seq,
        "event": event_shape(event, {row.order_id: row.symbol}),
        "time": datetime_from_us(row.at_us),
        "rule": None if receipt is None else receipt.rule,
        "ruleText": None if receipt is None else rule_text(receipt.rule),
        "inputs": {} if receipt is None else _inputs(instrument, receipt),
        "quote": None if receipt is None else _quote_shape(receipt.quote),
        "previousQuote": None if receipt is None else _quote_shape(receipt.previous_quote),
        "requestId": output.request_id or None,
        "asOf": output.output_id,
        "journal": {
            "layout": row.layout,
            "shard": row.shard,
            "number": output.n,
            "chainHash": output.chain.hex(),
            "build": output.build,
            "decidedAt": datetime_from_us(output.decided_at_us),
        },
    }


def _inputs(instrument: InstrumentInfo, receipt: Receipt) -> Shape:
    named = exact_numbers(receipt.inputs, numbers.decimals_of(instrument))
    return {camel_case(name): value for name, value in named.items()}


def _quote_shape(quote: ReceiptQuote | None) -> Shape | None:
    if quote is None:
        return None
    instrument = market.instrument_get(quote.symbol)
    return {
        "symbol": quote.symbol,
        "bid": numbers.price_number(instrument, quote.bid_ticks),
        "ask": numbers.price_number(instrument, quote.ask_ticks),
        "time": datetime_from_us(quote.ts_us),
        "source": quote.source,
        "sourceClass": quote.source_class.value,
        "sequence": f"{quote.feed_epoch}-{quote.sequence}",
    }
