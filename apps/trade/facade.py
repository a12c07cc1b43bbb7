"""What trading tells the composition root; what comes out are frozen dataclasses."""

from apps.trade.selectors import SymbolTurnover, projected_number, projected_until, turnover_since
from apps.trade.services.house.exposure import BookExposure, house_exposure, net_micros
from apps.trade.services.house.ladder import LADDER_STEPS, Ladder, Rung, liquidation_ladder
from apps.trade.services.house.prices import HousePrice, house_prices
from apps.trade.services.house.results import (
    AccountResult,
    HouseResult,
    HouseResults,
    accounts_by_result,
    house_results,
)

__all__ = [
    "LADDER_STEPS",
    "AccountResult",
    "BookExposure",
    "HousePrice",
    "HouseResult",
    "HouseResults",
    "Ladder",
    "Rung",
    "SymbolTurnover",
    "accounts_by_result",
    "house_exposure",
    "house_prices",
    "house_results",
    "liquidation_ladder",
    "net_micros",
    "projected_number",
    "projected_until",
    "turnover_since",
]
