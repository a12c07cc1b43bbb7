"""What a statement's closings and entries say of an account: win rate, profit factor, expectancy, drawdown, results by market.

Every figure is made of the statement's own rows, so a reader can make it again: closings count after their own commission; the
result is everything that moved the balance but cash. Shares and factors are rounded down.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from apps.common.clock import datetime_from_us
from apps.common.money import number_from_micros, number_from_scaled, percent_from_bps
from apps.trade.models import ClosedTrade
from apps.trade.services.shapes import Shape
from apps.trade.services.statements.collect import Statement

CASH: Final = "CashPosted"
_SWAP: Final = "SwapCharged"
_WHOLE_BPS: Final = 10_000
_FACTOR_DECIMALS: Final = 2
# More points than a screen is wide tell nothing more.
_CURVE_POINTS_MAX: Final = 500


@dataclass(frozen=True, slots=True)
class Closings:
    """What some closings brought, each less its own commission; micro-USD."""

    trades: int
    wins: int
    losses: int
    won_micros: int
    lost_micros: int
    best_micros: int
    worst_micros: int

    @property
    def win_rate(self) -> Decimal | None:
        """Return closings with a gain / all closings, per cent; None without closings."""
        return percent_from_bps(self.wins * _WHOLE_BPS // self.trades) if self.trades else None

    @property
    def profit_factor(self) -> Decimal | None:
        """Return gains / losses; None where nothing was lost."""
        scale = 10**_FACTOR_DECIMALS
        if not self.lost_micros:
            return None
        return number_from_scaled(self.won_micros * scale // self.lost_micros, _FACTOR_DECIMALS)

    @property
    def expectancy(self) -> Decimal | None:
        """Return what one closing brought on average; None without closings."""
        if not self.trades:
            return None
        return number_from_micros((self.won_micros - self.lost_micros) // self.trades)


def closings_sum(rows: Iterable[ClosedTrade]) -> Closings:
    """Return what closings brought."""
    nets = [row.pnl_micros - row.commission_micros for row in rows]
    return Closings(
        trades=len(nets),
        wins=sum(net > 0 for net in nets),
        losses=sum(net < 0 for net in nets),
        won_micros=sum(net for net in nets if net > 0),
        lost_micros=-sum(net for net in nets if net < 0),
        best_micros=max(nets, default=0),
        worst_micros=min(nets, default=0),
    )


def drawdown_micros(statement: Statement) -> tuple[int, int]:
    """Return the deepest fall of the balance from its highest point before, micro-USD, and that highest point.

    Cash is no result: it lifts and lowers the highest point along with the balance.
    """
    peak, deepest = statement.opening_micros, (0, 0)
    for event in statement.entries:
        if event.kind == CASH:
            peak += event.amount_micros
        peak = max(peak, event.balance_micros)
        if peak - event.balance_micros > deepest[0]:
            deepest = (peak - event.balance_micros, peak)
    return deepest


def figures_shape(statement: Statement) -> Shape:
    """Return the figures of the whole period."""
    closings = closings_sum(statement.closings)
    cash = statement.totals.get(CASH, 0)
    swap = statement.totals.get(_SWAP, 0)
    commission = sum(day.commission_micros for day in statement.days)
    pnl = sum(day.pnl_micros for day in statement.days)
    result = statement.closing_micros - statement.opening_micros - cash
    fall, peak = drawdown_micros(statement)
    return {
        "result": number_from_micros(result),
        "pnl": number_from_micros(pnl),
        "commission": number_from_micros(commission),
        "swap": number_from_micros(swap),
        "covered": number_from_micros(result - pnl + commission - swap),
        "cash": number_from_micros(cash),
        "trades": closings.trades,
        "wins": closings.wins,
        "losses": closings.losses,
        "won": number_from_micros(closings.won_micros),
        "lost": number_from_micros(closings.lost_micros),
        "winRate": closings.win_rate,
        "profitFactor": closings.profit_factor,
        "expectancy": closings.expectancy,
        "best": number_from_micros(closings.best_micros),
        "worst": number_from_micros(closings.worst_micros),
        "maxDrawdown": number_from_micros(fall),
        "maxDrawdownPercent": percent_from_bps(fall * _WHOLE_BPS // peak) if peak > 0 else None,
    }


def symbols_shape(statement: Statement) -> list[Shape]:
    """Return one row per market that moved the balance, the largest result first."""
    symbols = {event.symbol for event in statement.entries if event.symbol}
    rows = [_symbol_row(statement, symbol) for symbol in symbols]
    rows.sort(key=lambda row: (-row[0], row[1]))
    return [shape for _, _, shape in rows]


def _symbol_row(statement: Statement, symbol: str) -> tuple[int, str, Shape]:
    entries = [event for event in statement.entries if event.symbol == symbol]
    closed = [row for row in statement.closings if row.symbol == symbol]
    closings = closings_sum(closed)
    result = sum(event.amount_micros for event in entries)
    swap = sum(event.amount_micros for event in entries if event.kind == _SWAP)
    pnl = sum(row.pnl_micros for row in closed)
    insured = sum(row.insured_micros for row in closed)
    shape: Shape = {
        "symbol": symbol,
        "trades": closings.trades,
        "wins": closings.wins,
        "winRate": closings.win_rate,
        "profitFactor": closings.profit_factor,
        "pnl": number_from_micros(pnl),
        # Of openings too: what is missing from the result.
        "commission": number_from_micros(pnl + swap + insured - result),
        "swap": number_from_micros(swap),
        "result": number_from_micros(result),
    }
    return result, symbol, shape


def balance_points(statement: Statement) -> list[Shape]:
    """Return the balance over time, oldest first: the last entry of each of some hundreds of equal spans."""
    entries = statement.entries
    if not entries:
        return []
    first, last = entries[0].at_us, entries[-1].at_us
    span = max(1, -(-(last - first + 1) // _CURVE_POINTS_MAX))
    by_span = {(event.at_us - first) // span: event for event in entries}
    return [
        {"time": datetime_from_us(event.at_us), "balance": number_from_micros(event.balance_micros)}
        for event in by_span.values()
    ]
