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
from engine.rounding import ceil_div, floor_div

# (instrument index, micro-USD per tick: below zero for shorts, closing price in ticks)
Exposure = tuple[int, int, int]
# Bands by slot: instrument index * 4 + queue.
Bands = Mapping[int, int]
QUEUES = 4
_QUEUE_MASK = 3
# A price that may move by a quarter of itself is far from its band, and none needs more than its whole: what is left of the
# cushion then is kept for trades to come.
_FAR_PARTS = 4


def worst_ticks(slot: int, bands: Bands) -> int:
    """Return the worst closing price that the band of an exposure lets by, ticks; without one there is hardly a limit.

    Longs stand in slots that wait for the bid to fall, shorts in those that wait for the ask to rise.
    """
    if slot & _QUEUE_MASK == BID_FALLS:
        return bands.get(slot, -1) + 1
    return bands.get(slot, PRICE_MAX + 1) - 1


def spread_cushion(gross: int, cushion: int) -> int:
    """Return the part of a cushion that a fresh split gives away; of an ample one a part is kept (rule B2).

    Units: the notional of all exposures in micro-USD; the cushion in micro-USD times basis points.
    """
    total = gross * BPS
    if cushion * _FAR_PARTS <= total:
        return cushion
    return min(total, cushion - floor_div(cushion, _FAR_PARTS))


def newcomer_bands(newcomers: Sequence[Exposure], left: int) -> dict[int, int] | None:
    """Return the bands of shorts that have none from half of what the standing bands leave; None: they would be near.

    Units: micro-USD times basis points.
    Source: docs/ENGINE.md, rule B2.
    """
    gross = -sum(price * weight for _, weight, price in newcomers)
    given = floor_div(left, 2)
    if given * _FAR_PARTS <= gross * BPS:
        return None
    return band_prices(newcomers, gross, min(gross * BPS, given), is_recovery=False)


def band_prices(
    exposures: Sequence[Exposure], gross: int, cushion: int, *, is_recovery: bool
) -> dict[int, int]:
    """Return the bands {slot: price in ticks} over a cushion; a band that is not positive is left out.

    ``is_recovery`` watches the way up instead of down.
    Units: the notional of all exposures in micro-USD; the cushion in micro-USD times basis points, above zero.
    Rounding: up (see above).
    Source: docs/ENGINE.md, rules B1 and B3.
    """
    # n_i / weight_i is the price itself, so the distance needs no more than C * price / sum(n).
    total = gross * BPS
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
