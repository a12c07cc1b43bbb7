"""From the FEEDS setting to sources: `binance`, `binance:usdm`, `ccxt:<exchange>`, `simulator[:seed=N]`, `replay:<path>[?symbol=BTC&speed=1&loop=1&from=..&step=1]`."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl

from apps.market.clock import Clock
from apps.market.feed.base import Source
from apps.market.feed.binance import BinanceSource
from apps.market.feed.binance_wire import SPOT, USDM
from apps.market.feed.ccxt_source import CcxtSettingError, CcxtSource
from apps.market.feed.positions import PositionFile
from apps.market.feed.replay import STEPS, ReplaySource
from apps.market.feed.simulator import SimulatorSource
from apps.market.selectors import InstrumentInfo, instrument_find

_SPEED: Final = re.compile(r"[0-9]{1,4}(\.[0-9]{1,3})?", re.ASCII)
_SPEED_MAX: Final = 3600.0
_SEED_DEFAULT: Final = 1


class FeedSettingError(ValueError):
    """FEEDS cannot be understood; the message says what was expected and what was found."""


def sources_from(
    feeds: Sequence[str],
    *,
    instruments: Mapping[str, InstrumentInfo],
    data_dir: Path,
    base_dir: Path,
    clock: Clock,
) -> list[Source]:
    """Build the sources of the FEEDS setting, in its order; relative tapes are looked for in base_dir.

    Errors: FeedSettingError.
    """
    if not feeds:
        message = "FEEDS must name at least one of binance, simulator, replay:<path>"
        raise FeedSettingError(message)
    folder = data_dir / "feed"
    sources: list[Source] = []
    for text in feeds:
        kind, _, rest = text.strip().partition(":")
        if kind == "binance" and rest in ("", "usdm"):
            venue = USDM if rest else SPOT
            sources.append(BinanceSource(instruments=instruments, clock=clock, venue=venue))
        elif kind == "simulator":
            sources.append(
                SimulatorSource(
                    instruments=instruments,
                    seed=_seed(rest, text),
                    position_file=PositionFile(folder / "simulator.json"),
                    clock=clock,
                )
            )
        elif kind == "ccxt" and rest:
            sources.append(_ccxt(rest, instruments, clock))
        elif kind == "replay" and rest:
            sources.append(_replay(rest, text, folder, base_dir, instruments, clock))
        else:
            message = f"expected binance, binance:usdm, ccxt:<exchange>, simulator[:seed=N], replay:<path>, found {text!r}"
            raise FeedSettingError(message)
    return sources


def feeds_check(feeds: Sequence[str], *, data_dir: Path, base_dir: Path, clock: Clock) -> None:
    """Refuse FEEDS that no feed could be made of; asks neither the database nor a venue.

    Errors: FeedSettingError.
    """
    tapes = [text for text in feeds if text.strip().startswith("replay:")]
    live = [text for text in feeds if text not in tapes]
    if live or not tapes:
        sources_from(live, instruments={}, data_dir=data_dir, base_dir=base_dir, clock=clock)
    for text in tapes:
        # Its symbol needs the catalogue, so what else it says is read with that.
        path = base_dir / Path(text.strip().removeprefix("replay:").partition("?")[0]).expanduser()
        if not path.is_file():
            message = f"there is no tape {path}, found {text!r}"
            raise FeedSettingError(message)


def simulator_seed(feeds: Sequence[str]) -> int | None:
    """Return the seed of the simulator among these feeds; None when it is not among them.

    Errors: FeedSettingError.
    """
    for text in feeds:
        kind, _, rest = text.strip().partition(":")
        if kind == "simulator":
            return _seed(rest, text)
    return None


def _ccxt(exchange_id: str, instruments: Mapping[str, InstrumentInfo], clock: Clock) -> CcxtSource:
    try:
        return CcxtSource(exchange_id=exchange_id, instruments=instruments, clock=clock)
    except CcxtSettingError as error:
        raise FeedSettingError(str(error)) from error


def _seed(rest: str, text: str) -> int:
    if not rest:
        return _SEED_DEFAULT
    name, _, value = rest.partition("=")
    if name != "seed" or not (value.isascii() and value.isdigit()):
        message = f"expected simulator:seed=<whole number>, found {text!r}"
        raise FeedSettingError(message)
    return int(value)


def _replay(
    rest: str,
    text: str,
    folder: Path,
    base_dir: Path,
    instruments: Mapping[str, InstrumentInfo],
    clock: Clock,
) -> ReplaySource:
    path_text, _, query = rest.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    if not path_text or options.keys() - {"symbol", "speed", "loop", "from", "step"}:
        message = (
            f"expected replay:<path>[?symbol=..&speed=..&loop=..&from=..&step=..], found {text!r}"
        )
        raise FeedSettingError(message)
    instrument = instrument_find(options.get("symbol", "BTC"), among=instruments)
    if instrument is None:
        message = f"the tape's symbol is no instrument: {text!r}"
        raise FeedSettingError(message)
    speed_text = options.get("speed", "1")
    speed = float(speed_text) if _SPEED.fullmatch(speed_text) else 0.0
    if not 0 < speed <= _SPEED_MAX:
        message = f"the tape's speed must be above 0 and at most {_SPEED_MAX:g}, found {text!r}"
        raise FeedSettingError(message)
    loop_text = options.get("loop", "1")
    if loop_text not in ("0", "1"):
        message = f"the tape's loop must be 0 or 1, found {text!r}"
        raise FeedSettingError(message)
    steps = {str(step): step for step in STEPS}
    step = steps.get(options.get("step", "1"))
    if step is None:
        message = f"the tape's step must be one of {', '.join(steps)} seconds, found {text!r}"
        raise FeedSettingError(message)
    return ReplaySource(
        path=base_dir / Path(path_text).expanduser(),
        instrument=instrument,
        speed=speed,
        position_file=PositionFile(folder / f"replay-{instrument.symbol}.json"),
        clock=clock,
        is_looping=loop_text == "1",
        from_ms=_from_ms(options.get("from"), text),
        step=step,
    )


def _from_ms(value: str | None, text: str) -> int | None:
    if value is None:
        return None
    try:
        stated = datetime.fromisoformat(value)
    except ValueError as error:
        message = f"the tape's from must be a time such as 2022-01-10T12:00, found {text!r}"
        raise FeedSettingError(message) from error
    return int((stated if stated.tzinfo else stated.replace(tzinfo=UTC)).timestamp()) * 1000
