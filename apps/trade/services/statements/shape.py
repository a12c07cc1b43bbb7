"""A statement as JSON has it, with every figure as an exact number."""

from apps.common.clock import datetime_from_us
from apps.common.money import number_from_micros
from apps.trade.models import HistoryEvent
from apps.trade.services.shapes import Shape
from apps.trade.services.statements.collect import Day, Statement
from apps.trade.services.statements.performance import (
    balance_points,
    figures_shape,
    symbols_shape,
)


def statement_shape(statement: Statement) -> Shape:
    """Return a statement as JSON has it."""
    return {
        "accountId": statement.account_id,
        "from": datetime_from_us(statement.period.start_us),
        "to": datetime_from_us(statement.period.end_us),
        "currency": "USD",
        "openingBalance": number_from_micros(statement.opening_micros),
        "closingBalance": number_from_micros(statement.closing_micros),
        "figures": figures_shape(statement),
        "symbols": symbols_shape(statement),
        "totals": {kind: number_from_micros(sum_) for kind, sum_ in statement.totals.items()},
        "days": [_day_shape(day) for day in statement.days],
        "entries": [entry_shape(event) for event in statement.entries],
    }


def performance_shape(statement: Statement) -> Shape:
    """Return a statement without its entries, and the balance over time in their place."""
    shape = statement_shape(statement)
    del shape["entries"], shape["totals"]
    return shape | {"balances": balance_points(statement)}


def _day_shape(day: Day) -> Shape:
    return {
        "date": day.date,
        "openingBalance": number_from_micros(day.opening_micros),
        "closingBalance": number_from_micros(day.closing_micros),
        "pnl": number_from_micros(day.pnl_micros),
        "commission": number_from_micros(day.commission_micros),
        "swap": number_from_micros(day.swap_micros),
        "other": number_from_micros(day.other_micros),
        "result": number_from_micros(day.result_micros),
        "equity": number_from_micros(day.equity_micros),
        "trades": day.trades,
    }


def entry_shape(event: HistoryEvent) -> Shape:
    """Return one line of a statement."""
    return {
        "seq": event.seq,
        "time": datetime_from_us(event.at_us),
        "kind": event.kind,
        "orderId": event.order_id or None,
        "symbol": event.symbol or None,
        "amount": number_from_micros(event.amount_micros),
        "balance": number_from_micros(event.balance_micros),
    }
