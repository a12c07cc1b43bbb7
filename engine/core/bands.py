"""Safe bands: cross margin without scanning (rules B1-B4).

An account's equity depends on every symbol that it holds, and a naive engine revalues every account on every quote.
Here each exposure gets a band: as long as every price stays strictly inside its band, the account cannot have reached
its next level, whatever moves together. Only when a band is hit is the account revalued, exactly.

    C           = cross_equity * 10000 - level_bps * used_margin            (the cushion, > 0)
    distance_i  = ceil(C * n_i / (sum(n) * q_i * k_i * 10000))              ticks
    band_i      = price - distance (long, watched at the bid), price + distance (short, watched at the ask)

Ceil, not floor: strictly inside the band each price moved at most distance - 1 < C * w / (q * k), so the total loss stays
below C; floor would give distance 0 and fire for ever.

    1 long 0.10 BTC at 60 000.0, k 1, q 10 000 units, equity 89.00, used 60.01, call level 100 %:
    C = 89.00e6 * 1e4 - 1e4 * 60.01e6 = 2.899e11;  distance = ceil(2.899e11 / (10 000 * 1e4)) = 2 899 ticks = 289.9 USD
"""

from collections.abc import Mapping, Sequence

from engine.core.margin import BPS
from engine.core.triggers import ASK_FALLS, ASK_RISES, BID_FALLS, BID_RISES
from engine.rounding import ceil_div

# (instrument index, is long, units, closing price in ticks, k)
Exposure = tuple[int, bool, int, int, int]
# Slot of a band: instrument index * 4 + queue.
QUEUES = 4


def are_sound(bands: Mapping[int, int], exposures: Sequence[Exposure], cushion: int) -> bool:
    """Return whether bands still hold a cushion: strictly inside them all, no move of prices can use it up.

    Each price can move by at most its distance less one tick; a long without a band may fall to one tick.
    Units: the cushion in micro-USD times basis points.
    Source: docs/ENGINE.md, rule B2.
    """
    loss = 0
    for index, is_long, units, price, k in exposures:
        if is_long:
            distance = price - bands.get(index * QUEUES + BID_FALLS, 0)
        else:
            distance = bands.get(index * QUEUES + ASK_RISES, 0) - price
        if distance <= 0:
            return False
        loss += (distance - 1) * units * k
    return loss * BPS < cushion


def band_prices(
    exposures: Sequence[Exposure], cushion: int, *, is_recovery: bool
) -> dict[int, int]:
    """Return the bands {slot: price in ticks} over a cushion; a band that is not positive is left out.

    Units: the cushion in micro-USD times basis points, above zero. ``is_recovery`` watches the way up instead of down.
    Rounding: up (see above).
    Source: docs/ENGINE.md, rules B1 and B3.
    """
    # n_i / (q_i * k_i) is the price itself, so the distance needs no more than C * price / sum(n).
    total = 0
    for _, _, units, price, k in exposures:
        total += price * units * k
    total *= BPS
    bands: dict[int, int] = {}
    for index, is_long, _, price, _ in exposures:
        distance = ceil_div(cushion * price, total)
        if is_long:
            queue = BID_RISES if is_recovery else BID_FALLS
        else:
            queue = ASK_FALLS if is_recovery else ASK_RISES
        band = price + distance if is_long == is_recovery else price - distance
        if band > 0:
            bands[index * QUEUES + queue] = band
    return bands
