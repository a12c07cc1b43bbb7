"""The liquidation ladder: what would be liquidated or stopped out if the price of one instrument alone moved by so many per cent.

Bid and ask move alike. Isolated positions go by their own liquidation price (rule M8 of docs/ENGINE.md). A cross account goes when what
it is worth falls to the stop-out level of its margin (M3, L2): with the cushion `C = equity * 10000 - level * margin` and the net value
`N` of its cross positions in the instrument, a move of `s` per cent against it is too much when `C <= |N| * 100 * s`. All of it is
whole numbers. An account that stands at its stop-out level already counts at every step.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from apps.profile.facade import stop_out_levels
from apps.trade.services.house.prices import PRICES_SQL, HousePrice, house_prices, price_columns
from apps.trade.services.house.sums import sums_read
from engine.values import AccountKind

# Distances in per cent, each down and up.
LADDER_STEPS: Final = (1, 2, 5, 10, 20)


@dataclass(frozen=True, slots=True)
class Rung:
    """What one move of one instrument would take, in one book."""

    symbol: str
    book: AccountKind
    # Per cent, negative down.
    move: int
    # Isolated positions that are liquidated, whose accounts, and what they are worth now, micro-USD.
    isolated_positions: int
    isolated_accounts: int
    isolated_micros: int
    # Accounts that are stopped out, and their cross positions in this instrument. A stop-out closes the largest loss
    # first and only until the level is restored, so this is the most that it takes.
    cross_positions: int
    cross_accounts: int
    cross_micros: int

    @property
    def positions(self) -> int:
        """Return how many positions the move takes."""
        return self.isolated_positions + self.cross_positions

    @property
    def sum_micros(self) -> int:
        """Return what all of them are worth now, micro-USD."""
        return self.isolated_micros + self.cross_micros


@dataclass(frozen=True, slots=True)
class Ladder:
    """All rungs, by symbol, book and move."""

    rungs: tuple[Rung, ...]
    # Accounts with open cross positions whose group's terms are not known here, so they are in no rung.
    accounts_unjudged: int


# The first step that is far enough, in SQL: the condition of a step is put into each line.
def _first_step(condition: str) -> str:
    lines = (f"WHEN {condition.format(step=step)} THEN {step}" for step in LADDER_STEPS)
    return f"CASE {' '.join(lines)} END"


# 1. What is open, at what it is worth. 2. Isolated positions with the step that takes each, put together by account, so that an account
# counts at its first step only. 3. Cross accounts with their cushion, and by instrument with the step that takes them. Each step's
# rows are those that it takes and no smaller one does.
_SQL: Final = f"""
WITH open AS MATERIALIZED (
    SELECT p.account, p.symbol, p.direction = 'long' AS is_long, p.margin_mode = 'cross' AS is_cross, p.margin_micros,
        p.liquidation_ticks, price.bid, price.ask,
        p.open_units * price.k * CASE p.direction WHEN 'long' THEN price.bid ELSE price.ask END AS worth,
        p.open_units * price.k * CASE p.direction WHEN 'long' THEN price.bid - p.entry_price_ticks
            ELSE p.entry_price_ticks - price.ask END AS pnl
    FROM trade_position p LEFT JOIN {PRICES_SQL} ON price.symbol = p.symbol
    WHERE p.closed_at_us IS NULL
), isolated AS (
    SELECT account, symbol, is_long, CASE WHEN is_long
        THEN {_first_step("bid * (100 - {step}) <= liquidation_ticks * 100")}
        ELSE {_first_step("ask * (100 + {step}) >= liquidation_ticks * 100")} END AS step, worth
    FROM open WHERE NOT is_cross AND liquidation_ticks > 0
), isolated_account AS (
    SELECT account, symbol, is_long, step, count(*) AS positions, sum(worth) AS worth,
        step = min(step) OVER (PARTITION BY account, symbol, is_long) AS is_first
    FROM isolated WHERE step IS NOT NULL GROUP BY account, symbol, is_long, step
), cross_account AS (
    SELECT o.account, a.kind, (a.balance_micros - coalesce(sum(o.margin_micros) FILTER (WHERE NOT o.is_cross), 0)
        + coalesce(sum(o.pnl) FILTER (WHERE o.is_cross), 0)) * 10000
        - level.bps * sum(o.margin_micros) FILTER (WHERE o.is_cross) AS cushion
    FROM open o JOIN trade_account a USING (account)
    LEFT JOIN unnest(%(groups)s::text[], %(levels)s::bigint[]) AS level (name, bps) ON level.name = a."group"
    GROUP BY o.account, a.account, level.bps HAVING bool_or(o.is_cross)
), held AS (
    SELECT account, symbol, count(*) AS positions, sum(worth) AS worth,
        sum(CASE WHEN is_long THEN worth ELSE -worth END) AS net
    FROM open WHERE is_cross GROUP BY account, symbol
), cross_step AS (
    SELECT h.symbol, c.kind, h.net > 0 AS is_long, h.positions, h.worth,
        {_first_step("c.cushion <= abs(h.net) * 100 * {step}")} AS step
    FROM held h JOIN cross_account c USING (account) WHERE h.net <> 0
)
SELECT 'isolated', i.symbol, a.kind, i.is_long, i.step, sum(i.positions), count(*) FILTER (WHERE i.is_first), sum(i.worth)
FROM isolated_account i JOIN trade_account a USING (account) GROUP BY i.symbol, a.kind, i.is_long, i.step
UNION ALL
SELECT 'cross', symbol, kind, is_long, step, sum(positions), count(*), sum(worth)
FROM cross_step WHERE step IS NOT NULL GROUP BY symbol, kind, is_long, step
UNION ALL
SELECT 'unjudged', '', '', false, 0, 0, count(*), 0 FROM cross_account WHERE cushion IS NULL"""  # noqa: S608 - built of constants.


def liquidation_ladder(prices: Mapping[str, HousePrice] | None = None) -> Ladder:
    """Return what each move would take in every instrument where it takes anything, by symbol, book and move."""
    levels = stop_out_levels()
    parameters = {
        **price_columns(house_prices() if prices is None else prices),
        "groups": sorted(levels),
        "levels": [levels[name] for name in sorted(levels)],
    }
    unjudged = 0
    found: dict[tuple[str, str, int], list[int]] = {}
    for mode, symbol, kind, is_long, first, *figures in sums_read(_SQL, parameters):
        if mode == "unjudged":
            unjudged = figures[1]
            continue
        place = 0 if mode == "isolated" else 3
        # What a small move takes, every larger one takes too.
        for step in (step for step in LADDER_STEPS if step >= first):
            row = found.setdefault((symbol, kind, -step if is_long else step), [0] * 6)
            for number, figure in enumerate(figures, start=place):
                row[number] += int(figure)
    rungs = (
        Rung(symbol, AccountKind(kind), move, *found[symbol, kind, move])
        for symbol, kind, move in sorted(found)
    )
    return Ladder(tuple(rungs), unjudged)
