"""Writes of the market's tables: the shipped catalogue with its defaults, and changes of a specification.

The feed pins source classes itself (feed/pins.py). The rules behind the defaults are docs/INSTRUMENTS.md, quoted by number.
"""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from uuid import uuid4

from django.db import transaction
from django.db.models import F

from apps.common.engine_gateway import engine_gateway
from apps.common.refusals import refusal_error
from apps.market.choices import Liquidity
from apps.market.models import Instrument
from apps.market.selectors import instruments_forget, instruments_read
from engine.messages.commands import DefineInstrument, SetPriceSource
from engine.messages.definitions import InstrumentSpec
from engine.messages.replies import Rejected
from engine.messages.streams import FIRST_LAYOUT
from engine.values import (
    DECIMALS_MAX,
    MICROS_PER_USD,
    Actor,
    SourceClass,
    TradingMode,
    scaled_from_text,
)

_CATALOGUE: Final = Path(__file__).parent / "catalogue"
_PPM: Final = 1_000_000
# Namespace of the request ids of definitions (engine/messages, DefinitionCommand.source).
DEFINITION_SOURCE: Final = "catalogue"

# What the engine is told; a change of any of these is a new version.
_SPEC_FIELDS: Final = frozenset(
    {
        "quantity_min_units",
        "quantity_step_units",
        "quantity_max_units",
        "stop_distance_ticks",
        "tiers",
        "swap_long_ppm",
        "swap_short_ppm",
        "quote_age_us_max",
        "exposure_account_micros_max",
        "exposure_house_micros_max",
    }
)
# What only the feed and the lists use.
_FEED_FIELDS: Final = frozenset(
    {"name", "rank", "spread_ticks", "spread_ppm_max", "jump_ppm_max", "markup_ppm"}
)


def catalogue_install() -> int:
    """Add the instruments of the shipped catalogue that the database lacks; return how many.

    Existing rows stay as they are: an operator may have changed them.
    """
    present = set(Instrument.objects.values_list("symbol", flat=True))
    missing = [row for row in catalogue_rows() if row.symbol not in present]
    # Two first starts at the same moment are harmless: the row that came first stays.
    Instrument.objects.bulk_create(missing, ignore_conflicts=True)
    instruments_forget()
    return len(missing)


def catalogue_rows() -> Iterator[Instrument]:
    """Yield unsaved rows of the shipped catalogue, with the defaults of docs/INSTRUMENTS.md."""
    tiers_by_symbol: dict[str, list[list[int]]] = json.loads(
        (_CATALOGUE / "leverage_tiers.json").read_text(encoding="utf-8")
    )
    with (_CATALOGUE / "instruments.csv").open(encoding="utf-8", newline="") as file:
        for rank, line in enumerate(csv.DictReader(file), start=1):
            yield _catalogue_row(rank, line, tiers_by_symbol[line["symbol"]])


def instrument_update(*, symbol: str, **changes: object) -> Instrument:
    """Change an instrument's specification; the version grows when the engine has to be told.

    Decimals, symbol and source class are not changed here: open positions are counted in them.
    Errors: ValueError for a field that is not a specification; ValidationError from the model.
    """
    unknown = changes.keys() - _SPEC_FIELDS - _FEED_FIELDS
    if unknown:
        message = f"not a field of the specification: {', '.join(sorted(unknown))}"
        raise ValueError(message)
    with transaction.atomic():
        row = Instrument.objects.select_for_update().get(symbol=symbol)
        changed = [name for name, value in changes.items() if getattr(row, name) != value]
        for name in changed:
            setattr(row, name, changes[name])
        if _SPEC_FIELDS.intersection(changed):
            row.spec_version += 1
        row.full_clean()
        row.save(update_fields=[*changed, "spec_version", "updated_at"])
    instruments_forget()
    return row


def trading_mode_record(*, symbol: str | None, trading_mode: TradingMode) -> None:
    """Record the trading mode that the engine has set for one instrument, or for all of them (None)."""
    rows = Instrument.objects.all() if symbol is None else Instrument.objects.filter(symbol=symbol)
    rows.update(trading_mode=trading_mode.value)
    instruments_forget()


def price_source_record(*, symbol: str, source_class: SourceClass) -> None:
    """Record the class that the engine takes for an instrument, as an operator has decided.

    The version grows, since a definition under the old one names another class: the same id with other content.
    """
    Instrument.objects.filter(symbol=symbol).exclude(source_class=source_class.value).update(
        source_class=source_class.value, spec_version=F("spec_version") + 1
    )
    instruments_forget()


def price_source_command(
    *, symbol: str | None, source_class: SourceClass, staff_id: int, reason: str
) -> SetPriceSource:
    """Return the command that lets an instrument (None: all of them) take prices of another class.

    Positions stay as they are, and from the next quote on they are valued by the new prices: for people, never for a fail-over.
    """
    return SetPriceSource(
        request_id=uuid4().hex,
        actor=Actor.OPERATOR,
        staff_id=staff_id,
        reason=reason,
        source="operator",
        source_class=source_class,
        symbol=symbol,
    )


def price_source_change(
    *, symbol: str, source_class: SourceClass, staff_id: int, reason: str
) -> None:
    """Send the command and wait for the engine's answer; the projector records it, and the feed follows within seconds.

    Errors: ServiceError, among them the engine's refusal.
    """
    command = price_source_command(
        symbol=symbol, source_class=source_class, staff_id=staff_id, reason=reason
    )
    output = engine_gateway().send_sync(command)
    if isinstance(output.reply, Rejected):
        raise refusal_error(output.reply, request_id=command.request_id)


def definition_commands(
    *, shards: int = 1, layout: int = FIRST_LAYOUT
) -> Iterator[DefineInstrument]:
    """Yield one DefineInstrument per instrument, as the database states it now.

    The request id follows from symbol, version and shards, so the same definition is answered once however often it is sent. An
    instrument whose source class no feed has pinned yet is left out: its first definition names the class for good.
    Rounding: the house cap is divided among the shards, down.
    """
    for info in instruments_read():
        if info.source_class is None:
            continue
        # A reshard changes the share of the house cap, and an engine takes a change under a higher version only. Neither number
        # ever falls, so their sum names each pair of them once.
        version = info.spec_version + layout - FIRST_LAYOUT
        yield DefineInstrument(
            request_id=f"{info.symbol}:{version}:{shards}",
            actor=Actor.SYSTEM,
            source=DEFINITION_SOURCE,
            spec=InstrumentSpec(
                symbol=info.symbol,
                base=info.base,
                version=version,
                price_decimals=info.price_decimals,
                quantity_decimals=info.quantity_decimals,
                quantity_min_units=info.quantity_min_units,
                quantity_step_units=info.quantity_step_units,
                quantity_max_units=info.quantity_max_units,
                stop_distance_ticks=info.stop_distance_ticks,
                tiers=info.tiers,
                swap_long_ppm=info.swap_long_ppm,
                swap_short_ppm=info.swap_short_ppm,
                quote_age_us_max=info.quote_age_us_max,
                exposure_account_micros_max=info.exposure_account_micros_max,
                exposure_house_micros_max=info.exposure_house_micros_max // shards,
            ),
            source_class=SourceClass(info.source_class),
        )


def _catalogue_row(rank: int, line: dict[str, str], tiers: list[list[int]]) -> Instrument:
    """Build one row; the numbers in the comments are the rules of docs/INSTRUMENTS.md."""
    is_major = line["liquidity"] == Liquidity.MAJOR
    price_decimals = int(line["price_decimals"])
    quantity_decimals = int(line["quantity_decimals"])
    reference_ticks = scaled_from_text(line["reference_price"], price_decimals)
    unit_micros = reference_ticks * 10 ** (DECIMALS_MAX - price_decimals - quantity_decimals)
    # I3: the usual spread is a share of the price, at least one tick.
    spread_ticks = max(1, -(-reference_ticks * (10 if is_major else 100) // _PPM))
    largest_cap_micros = tiers[-1][0]
    return Instrument(
        symbol=line["symbol"],
        base=line["base"],
        name=line["name"],
        rank=rank,
        liquidity=line["liquidity"],
        price_decimals=price_decimals,
        quantity_decimals=quantity_decimals,
        reference_price_ticks=reference_ticks,
        # I2: steps of one unit, orders of at least about 5 and at most about 1,000,000 USD.
        quantity_min_units=_round_units_at_least(unit_micros, 5 * MICROS_PER_USD),
        quantity_step_units=1,
        quantity_max_units=_round_units_at_most(unit_micros, 1_000_000 * MICROS_PER_USD),
        spread_ticks=spread_ticks,
        # I4, I5: what the feed refuses or keeps waiting.
        spread_ppm_max=5_000 if is_major else 20_000,
        jump_ppm_max=20_000 if is_major else 50_000,
        # I6
        stop_distance_ticks=2 * spread_ticks,
        # I7
        tiers=tiers,
        # I8
        swap_long_ppm=-100_000 if is_major else -200_000,
        swap_short_ppm=-20_000 if is_major else -50_000,
        # I9
        quote_age_us_max=(5 if is_major else 15) * _PPM,
        # I10
        exposure_account_micros_max=_clamp_usd(largest_cap_micros // 100, 100_000, 20_000_000),
        exposure_house_micros_max=_clamp_usd(largest_cap_micros // 10, 1_000_000, 200_000_000),
    )


def _clamp_usd(value_micros: int, low_usd: int, high_usd: int) -> int:
    return min(max(value_micros, low_usd * MICROS_PER_USD), high_usd * MICROS_PER_USD)


def _round_units_at_least(unit_micros: int, target_micros: int) -> int:
    """Return the smallest 1, 2 or 5 times a power of ten whose value reaches the target."""
    power = 1
    while True:
        for digit in (1, 2, 5):
            if digit * power * unit_micros >= target_micros:
                return digit * power
        power *= 10


def _round_units_at_most(unit_micros: int, target_micros: int) -> int:
    """Return the largest 1, 2 or 5 times a power of ten whose value stays within the target, at least 1."""
    best = power = 1
    while power * unit_micros <= target_micros:
        best = max(
            digit * power for digit in (1, 2, 5) if digit * power * unit_micros <= target_micros
        )
        power *= 10
    return best
