"""How the simulated coins move: what the simulator and its invented past have in common."""

from dataclasses import dataclass
from typing import Final

from apps.market.choices import Liquidity
from apps.market.selectors import InstrumentInfo

# Yearly volatility of the factor that all coins share.
MARKET_VOLATILITY_PERCENT: Final = 45


@dataclass(frozen=True, slots=True)
class Character:
    """How one coin moves."""

    # Share of the common factor that it follows.
    beta_percent: int
    # Yearly volatility of its own.
    volatility_percent: int
    # Chance of a quote in a calm tenth of a second.
    activity_percent: int

    @property
    def quotes_per_minute(self) -> int:
        """Return how many quotes a calm minute has."""
        return self.activity_percent * 6


def character_of(info: InstrumentInfo) -> Character:
    """Return how an instrument moves: spread over the list, so that coins differ and the same coin is always the same."""
    if info.liquidity is Liquidity.MAJOR:
        return Character(
            beta_percent=80 + 5 * info.rank, volatility_percent=20, activity_percent=60
        )
    return Character(
        beta_percent=90 + info.rank % 60,
        volatility_percent=40 + info.rank % 40,
        activity_percent=15,
    )
