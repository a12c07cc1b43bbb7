"""Reads of the market's tables, as frozen values; a process cache, since specifications change a few times a year.

Nothing here writes. The cache is filled by a blocking read: whoever lives on an event loop fills it first (price_stream_start).
"""

import asyncio
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from threading import Lock
from types import MappingProxyType

from asgiref.sync import sync_to_async
from django.db import connection

from apps.common.errors import ServiceError
from apps.market.choices import Liquidity
from apps.market.models import Instrument
from engine.messages.definitions import Tier
from engine.values import SourceClass, TradingMode

# The projector writes within a second what the engine decides, or is looked after.
_NOTED_SECONDS = 60.0
_SPELLING = re.compile(r"([A-Z0-9]{1,20})(?:[_/-]USDT)?", re.ASCII)
QUOTE_CURRENCY = "USDT"


class SymbolUnknownError(ServiceError):
    """A spelling that means no instrument."""

    def __init__(self, text: str) -> None:
        super().__init__(
            "SYMBOL_UNKNOWN",
            f"expected a symbol such as BTCUSDT or BTC, found {text[:32]!r}",
            data={"symbol": text[:32]},
        )


@dataclass(frozen=True, slots=True)
class InstrumentInfo:
    """One instrument as every part of the web and the feed sees it; units as in models.Instrument."""

    symbol: str
    base: str
    name: str
    rank: int
    liquidity: Liquidity
    spec_version: int
    price_decimals: int
    quantity_decimals: int
    reference_price_ticks: int
    quantity_min_units: int
    quantity_step_units: int
    quantity_max_units: int
    spread_ticks: int
    spread_ppm_max: int
    jump_ppm_max: int
    markup_ppm: int
    stop_distance_ticks: int
    tiers: tuple[Tier, ...]
    swap_long_ppm: int
    swap_short_ppm: int
    quote_age_us_max: int
    exposure_account_micros_max: int
    exposure_house_micros_max: int
    trading_mode: TradingMode
    # None until the first feed has served the instrument.
    source_class: SourceClass | None

    @property
    def leverage_max(self) -> int:
        """Return the highest leverage of any tier, whole number."""
        return max(tier.leverage_max for tier in self.tiers)


def instruments_read() -> tuple[InstrumentInfo, ...]:
    """Read all instruments from the database, in the order of lists."""
    return tuple(_info(row) for row in Instrument.objects.order_by("rank", "symbol"))


def instruments() -> tuple[InstrumentInfo, ...]:
    """Return all instruments from the process cache, in the order of lists."""
    return _cache.all()


def instruments_by_symbol() -> Mapping[str, InstrumentInfo]:
    """Return all instruments from the process cache, by symbol."""
    return _cache.by_symbol()


def instruments_refresh() -> None:
    """Read the instruments anew into the process cache."""
    _cache.fill()


def instruments_forget() -> None:
    """Let the next reader in a thread renew the process cache."""
    _cache.clear()


def instruments_known() -> tuple[InstrumentInfo, ...]:
    """Return the instruments as this process knows them now, without a look anywhere; the same object as long as nothing has changed."""
    return _cache.known


def trading_modes_note(modes: Mapping[str, TradingMode]) -> None:
    """Take in what the engine has just decided, by symbol; the database follows. For event loops too."""
    _cache.modes_note(modes)


def instrument_find(
    text: str, *, among: Mapping[str, InstrumentInfo] | None = None
) -> InstrumentInfo | None:
    """Return the instrument that a spelling means: BTC, BTCUSDT, BTC_USDT, BTC/USDT, BTC-USDT, any case.

    Without `among` the process cache is asked.
    """
    by_symbol = _cache.by_symbol() if among is None else among
    # As nearly everybody spells it.
    if (exact := by_symbol.get(text)) is not None:
        return exact
    found = _SPELLING.fullmatch(text.upper()) if text.isascii() else None
    if found is None:
        return None
    base = found.group(1).removesuffix(QUOTE_CURRENCY)
    return by_symbol.get(base + QUOTE_CURRENCY)


def instrument_resolve(text: str) -> InstrumentInfo:
    """Return the instrument that a spelling means, as instrument_find.

    Errors: SymbolUnknownError.
    """
    info = instrument_find(text)
    if info is None:
        raise SymbolUnknownError(text)
    return info


# One look into the index per symbol, whatever the length of the history.
_DAY_AGO_SQL = """
SELECT asked.symbol, first.bid_open FROM unnest(%s::text[]) AS asked(symbol) CROSS JOIN LATERAL (
    SELECT bid_open FROM candles_5m WHERE candles_5m.symbol = asked.symbol AND open_time >= %s
    ORDER BY open_time LIMIT 1) AS first"""


def bids_since(instant: datetime) -> dict[str, int]:
    """Return each instrument's first bid at or after an instant, ticks; those without any are left out."""
    symbols = [info.symbol for info in instruments()]
    with connection.cursor() as cursor:
        cursor.execute(_DAY_AGO_SQL, [symbols, instant])
        return dict(cursor.fetchall())


def _info(row: Instrument) -> InstrumentInfo:
    return InstrumentInfo(
        symbol=row.symbol,
        base=row.base,
        name=row.name,
        rank=row.rank,
        liquidity=Liquidity(row.liquidity),
        spec_version=row.spec_version,
        price_decimals=row.price_decimals,
        quantity_decimals=row.quantity_decimals,
        reference_price_ticks=row.reference_price_ticks,
        quantity_min_units=row.quantity_min_units,
        quantity_step_units=row.quantity_step_units,
        quantity_max_units=row.quantity_max_units,
        spread_ticks=row.spread_ticks,
        spread_ppm_max=row.spread_ppm_max,
        jump_ppm_max=row.jump_ppm_max,
        markup_ppm=row.markup_ppm,
        stop_distance_ticks=row.stop_distance_ticks,
        tiers=tuple(Tier(*tier) for tier in row.tiers),
        swap_long_ppm=row.swap_long_ppm,
        swap_short_ppm=row.swap_short_ppm,
        quote_age_us_max=row.quote_age_us_max,
        exposure_account_micros_max=row.exposure_account_micros_max,
        exposure_house_micros_max=row.exposure_house_micros_max,
        trading_mode=TradingMode(row.trading_mode),
        source_class=SourceClass(row.source_class) if row.source_class else None,
    )


class _InstrumentCache:
    """All instruments of this process; replaced as a whole, so readers need no lock.

    Event loops cannot read the database: there a forgotten list serves on until the next reader in a thread has renewed it,
    and an empty one (a web process that started before the first seed) is read by a thread meanwhile.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        # Held for as long as it takes to put one list in the place of another.
        self._swapping = Lock()
        self._is_fresh = False
        self._all: tuple[InstrumentInfo, ...] = ()
        # Modes that were heard of lately, and when: the database may not have them yet.
        self._noted: dict[str, tuple[TradingMode, float]] = {}
        self._by_symbol: Mapping[str, InstrumentInfo] = MappingProxyType({})
        # The reading that an event loop waits for.
        self._filling: asyncio.Task[None] | None = None

    def all(self) -> tuple[InstrumentInfo, ...]:
        self._renew()
        return self._all

    def by_symbol(self) -> Mapping[str, InstrumentInfo]:
        self._renew()
        return self._by_symbol

    @property
    def known(self) -> tuple[InstrumentInfo, ...]:
        return self._all

    def modes_note(self, modes: Mapping[str, TradingMode]) -> None:
        # Not with the lock of who fills: that one may wait for the database, and the loop must not wait with it.
        with self._swapping:
            now = time.monotonic()
            self._noted |= {symbol: (mode, now) for symbol, mode in modes.items()}
            self._set(self._all)

    def _set(self, read: tuple[InstrumentInfo, ...]) -> None:
        since = time.monotonic() - _NOTED_SECONDS
        modes = {symbol: mode for symbol, (mode, at) in self._noted.items() if at >= since}
        self._all = tuple(
            replace(info, trading_mode=modes[info.symbol]) if info.symbol in modes else info
            for info in read
        )
        self._by_symbol = MappingProxyType({info.symbol: info for info in self._all})

    def fill(self) -> None:
        with self._lock:
            read = instruments_read()
            with self._swapping:
                for info in read:
                    # What the database has by now needs no note any more.
                    if self._noted.get(info.symbol, (None, 0.0))[0] is info.trading_mode:
                        del self._noted[info.symbol]
                self._set(read)
            # An empty table is about to be filled, so it is read again.
            self._is_fresh = bool(self._all)

    def clear(self) -> None:
        self._is_fresh = False

    def _renew(self) -> None:
        if self._is_fresh:
            return
        if not _is_on_event_loop():
            self.fill()
        elif not self._all and (self._filling is None or self._filling.done()):
            self._filling = asyncio.get_running_loop().create_task(self._fill_in_thread())

    async def _fill_in_thread(self) -> None:
        await sync_to_async(self.fill)()


def _is_on_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


_cache = _InstrumentCache()
