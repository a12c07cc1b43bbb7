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
from engine.core.triggers import ASK_FALLS, ASK_RISES, BID_FALLS, BID_RISES, PRICE_MAX
from engine.rounding import ceil_div

# (instrument index, micro-USD per tick: below zero for shorts, closing price in ticks)
Exposure = tuple[int, int, int]
# Slot of a band: instrument index * 4 + queue.
QUEUES = 4


def extended(
    bands: Mapping[int, int], exposures: Sequence[Exposure], cushion: int
) -> dict[int, int] | None:
    """Return what must be added so that standing bands hold a cushion; None: they cannot, all must be found anew.

    1. Strictly inside its band a price can still move by its distance less one tick; a long without a band may fall to one
       tick. What is left of the cushion after all these losses goes to shorts that have no band yet.
    2. If that is less than half of what a fresh split would give them, a fresh split is better.
    Units: the cushion in micro-USD times basis points, above zero.
    Source: docs/ENGINE.md, rule B2.
    """
    loss = total = missing_total = 0
    missing: list[Exposure] = []
    for exposure in exposures:
        index, weight, price = exposure
        if weight > 0:
            total += price * weight
            distance = price - bands.get(index * QUEUES + BID_FALLS, 0)
            loss += (distance - 1) * weight
        else:
            total -= price * weight
            band = bands.get(index * QUEUES + ASK_RISES, 0)
            if band == 0:
                missing.append(exposure)
                missing_total -= price * weight
                continue
            distance = band - price
            loss -= (distance - 1) * weight
        if distance <= 0:
            return None
    left = cushion - loss * BPS
    if left <= 0 or 2 * left * total < cushion * missing_total:
        return None
    return band_prices(missing, left, is_recovery=False)


def band_prices(
    exposures: Sequence[Exposure], cushion: int, *, is_recovery: bool
) -> dict[int, int]:
    """Return the bands {slot: price in ticks} over a cushion; a band that is not positive is left out.

    Units: the cushion in micro-USD times basis points, above zero. ``is_recovery`` watches the way up instead of down.
    Rounding: up (see above).
    Source: docs/ENGINE.md, rules B1 and B3.
    """
    # n_i / weight_i is the price itself, so the distance needs no more than C * price / sum(n).
    total = 0
    for _, weight, price in exposures:
        total += price * weight if weight > 0 else -price * weight
    total *= BPS
    bands: dict[int, int] = {}
    for index, weight, price in exposures:
        distance = ceil_div(cushion * price, total)
        is_long = weight > 0
        if is_long is is_recovery:
            band = price + distance
            # No quote comes up to PRICE_MAX, so a band there is as safe as one beyond.
            bands[index * QUEUES + (BID_RISES if is_long else ASK_RISES)] = min(PRICE_MAX, band)
        elif price > distance:
            bands[index * QUEUES + (BID_FALLS if is_long else ASK_FALLS)] = price - distance
    return bands
