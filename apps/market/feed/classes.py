"""Which source class each instrument takes at its first start, and the sources of the settings that are asked for it."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from asgiref.sync import async_to_sync, sync_to_async
from django.conf import settings
from django.db import close_old_connections

from apps.market.clock import Clock, WallClock
from apps.market.feed.base import Source, SourceUnavailableError
from apps.market.feed.pins import source_classes_pin
from apps.market.feed.sources import feeds_check, sources_from
from apps.market.selectors import InstrumentInfo, instruments_read
from engine.values import SourceClass

logger = logging.getLogger(__name__)

_T = TypeVar("_T")


def source_classes_decide() -> None:
    """Pin the source class of every instrument that has none yet, by asking the sources of the settings.

    Blocks for some seconds on the first start with a venue in FEEDS and no network; returns at once when all are pinned.
    """
    infos = instruments_read()
    instruments = {info.symbol: info for info in infos}
    sources = sources_of_settings(instruments, WallClock())
    if found := async_to_sync(classes_find)(infos, sources):
        source_classes_pin(found)


async def classes_find(
    infos: Sequence[InstrumentInfo], sources: Sequence[Source]
) -> dict[str, SourceClass]:
    """Return, for each instrument without a class, that of the first source that can serve it."""
    missing = {info.symbol for info in infos if info.source_class is None}
    found: dict[str, SourceClass] = {}
    for source in sources:
        if missing <= found.keys():
            break
        try:
            covered = await source.open()
        except SourceUnavailableError as error:
            logger.info(
                "feed source cannot serve", extra={"source": source.name, "reason": str(error)}
            )
            continue
        for symbol in missing.intersection(covered):
            found.setdefault(symbol, source.source_class)
    return found


async def read_instruments() -> tuple[InstrumentInfo, ...]:
    return await sync_to_async(in_own_connection)(instruments_read)


def in_own_connection(action: Callable[[], _T]) -> _T:
    """Run a database action in a helper thread without leaving its connection behind."""
    try:
        return action()
    finally:
        close_old_connections()


def sources_of_settings(instruments: Mapping[str, InstrumentInfo], clock: Clock) -> list[Source]:
    return sources_from(
        settings.FEEDS,
        instruments=instruments,
        data_dir=Path(settings.DATA_DIR),
        base_dir=Path(settings.BASE_DIR),
        clock=clock,
    )


def feeds_of_settings_check() -> None:
    """Refuse the FEEDS of the settings if no feed could be made of them.

    Errors: FeedSettingError.
    """
    feeds_check(
        settings.FEEDS,
        data_dir=Path(settings.DATA_DIR),
        base_dir=Path(settings.BASE_DIR),
        clock=WallClock(),
    )
