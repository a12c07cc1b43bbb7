"""Invents prices for every instrument: correlated, bursty, with jumps and with spreads that widen in a storm.

The walk runs in floats, since it is made up anyway; what leaves this module is whole ticks. Seed, instruments and clock decide
every quote. The deviations from the reference prices are kept between runs, so that a restart is not a jump.
"""

import math
import random
from collections.abc import AsyncGenerator, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from apps.market.clock import Clock
from apps.market.feed.base import RawQuote, instruments_for, quote_around
from apps.market.feed.characters import MARKET_VOLATILITY_PERCENT, Character, character_of
from apps.market.feed.positions import PositionFile
from apps.market.selectors import InstrumentInfo
from engine.values import SourceClass

STEP_US: Final = 100_000
_STEP_SECONDS: Final = STEP_US / 1e6
_YEAR_SECONDS: Final = 365 * 24 * 3600
_POSITION_STEPS: Final = 10
# A storm multiplies volatility and activity, and halves in about a minute.
_STORM_CHANCE: Final = _STEP_SECONDS / 300
_STORM_DECAY: Final = 0.5 ** (_STEP_SECONDS / 60)
# Pull towards the reference price: half of a deviation is gone after three days.
_PULL: Final = math.log(2) * _STEP_SECONDS / (3 * 24 * 3600)
_JUMP_CHANCE: Final = _STEP_SECONDS / 1800
_SPREAD_WIDENING_MAX: Final = 8.0


@dataclass(slots=True)
class _Walk:
    """Where one coin stands."""

    instrument: InstrumentInfo
    character: Character
    # Natural logarithm of price over reference price.
    deviation: float
    # Excitement of its own that decays like a storm.
    burst: float = 0.0


class SimulatorSource:
    """A seeded market of all instruments."""

    name = "simulator"
    source_class = SourceClass.SIMULATED
    malformed = 0

    def __init__(
        self,
        *,
        instruments: Mapping[str, InstrumentInfo],
        seed: int,
        position_file: PositionFile,
        clock: Clock,
    ) -> None:
        """Take the instruments to invent prices for."""
        self._instruments = instruments
        self._seed = seed
        self._position_file = position_file
        self._clock = clock
        self._walks: list[_Walk] = []
        self._generation = 0
        self._is_running = False

    async def open(self) -> Collection[str]:
        """Return every symbol: an invented market has no gaps."""
        return self._instruments.keys()

    async def quotes(self, symbols: Collection[str]) -> AsyncGenerator[list[RawQuote], None]:
        """Yield a batch of quotes every 100 ms, for ever."""
        generator = self._begin(symbols)
        self._is_running = True
        try:
            due_us = self._clock.now_us()
            step = 0
            # The first batch quotes everything, so that no symbol waits for its turn.
            yield self._quotes_now(generator, 0.0, is_first=True)
            storm = 0.0
            while True:
                due_us = max(due_us + STEP_US, self._clock.now_us())
                await self._clock.sleep((due_us - self._clock.now_us()) / 1e6)
                storm = storm * _STORM_DECAY + (
                    generator.expovariate(0.5) if generator.random() < _STORM_CHANCE else 0.0
                )
                self._move(generator, storm)
                yield self._quotes_now(generator, storm, is_first=False)
                step += 1
                if step % _POSITION_STEPS == 0:
                    self.close()
        finally:
            self._is_running = False
            self.close()

    def is_live(self, symbol: str) -> bool:
        """Return whether the market is running."""
        return self._is_running and symbol in self._instruments

    def close(self) -> None:
        """Write down where every coin stands."""
        if self._walks:
            self._position_file.write(
                {
                    "seed": self._seed,
                    "generation": self._generation,
                    "deviations": {walk.instrument.symbol: walk.deviation for walk in self._walks},
                }
            )

    def _begin(self, symbols: Collection[str]) -> random.Random:
        stored = self._position_file.read()
        deviations = stored.get("deviations") if stored.get("seed") == self._seed else None
        if not isinstance(deviations, dict):
            deviations = {}
        generation = stored.get("generation")
        # A later run goes on with other numbers than the first, or it would repeat the same moves.
        self._generation = generation + 1 if deviations and isinstance(generation, int) else 1
        generator = random.Random(f"{self._seed}:{self._generation}")  # noqa: S311 - not a secret
        self._walks = [
            _Walk(info, character_of(info), _deviation(deviations.get(info.symbol)))
            for info in instruments_for(symbols, self._instruments)
        ]
        return generator

    def _move(self, generator: random.Random, storm: float) -> None:
        """Move every coin by one step."""
        scale = math.sqrt(_STEP_SECONDS / _YEAR_SECONDS) * (1 + storm)
        # Percent of a year's standard deviation.
        scale /= 100
        market = generator.gauss(0, MARKET_VOLATILITY_PERCENT * scale)
        for walk in self._walks:
            character = walk.character
            walk.burst *= _STORM_DECAY
            move = character.beta_percent / 100 * market + generator.gauss(
                0, character.volatility_percent * scale
            )
            if generator.random() < _JUMP_CHANCE:
                walk.burst += 1.0
                move += generator.choice((-1, 1)) * generator.uniform(0.001, 0.006)
            walk.deviation += move * (1 + walk.burst) - walk.deviation * _PULL

    def _quotes_now(
        self, generator: random.Random, storm: float, *, is_first: bool
    ) -> list[RawQuote]:
        now_us = self._clock.now_us()
        quotes = []
        for walk in self._walks:
            excitement = 1 + storm + walk.burst
            # Drawn in every case, so that the first batch does not shift the sequence.
            if generator.random() < walk.character.activity_percent / 100 * excitement or is_first:
                quotes.append(_quote(walk, generator, excitement, now_us))
        return quotes


def _deviation(stored: object) -> float:
    is_sane = isinstance(stored, int | float) and abs(stored) < math.log(1000)
    return float(stored) if is_sane and isinstance(stored, int | float) else 0.0


def _quote(walk: _Walk, generator: random.Random, excitement: float, now_us: int) -> RawQuote:
    info = walk.instrument
    price_ticks = max(2, round(info.reference_price_ticks * math.exp(walk.deviation)))
    widening = min(generator.lognormvariate(0, 0.25) * math.sqrt(excitement), _SPREAD_WIDENING_MAX)
    spread_ticks = max(1, round(info.spread_ticks * widening))
    bid_ticks, ask_ticks = quote_around(price_ticks, spread_ticks)
    return RawQuote(info.symbol, bid_ticks, ask_ticks, now_us)
