"""What a subscription may say: its channels, and after which events the accounts among them go on."""

from dataclasses import dataclass, field
from typing import Any, Final

from apps.common.errors import ServiceError
from apps.market.facade import CandleKey, candle_key, instrument_get
from apps.trade.consumers.limits import SUBSCRIPTIONS_MAX

_ACCOUNT_DIGITS_MAX: Final = 13


@dataclass(slots=True)
class Channels:
    """The channels of one message, all of them known before any is opened or ended."""

    # As they were written.
    names: list[str]
    # Of prices; all of them by the name *.
    symbols: set[str] = field(default_factory=set)
    has_all_symbols: bool = False
    candles: list[CandleKey] = field(default_factory=list)
    accounts: list[int] = field(default_factory=list)

    @property
    def has_prices(self) -> bool:
        """Return whether any of them is of prices."""
        return self.has_all_symbols or bool(self.symbols)


def channels_of(request: dict[str, Any]) -> Channels:
    """Return the channels that a message names.

    Errors: ServiceError INVALID, CHANNEL_UNKNOWN, SYMBOL_UNKNOWN.
    """
    names: Any = request.get("channels")
    is_list = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if not is_list or not 1 <= len(names) <= SUBSCRIPTIONS_MAX:
        raise ServiceError(
            "INVALID", f"channels: expected a list of 1 to {SUBSCRIPTIONS_MAX} names"
        )
    channels = Channels(list(names))
    for name in channels.names:
        _, _, rest = name.partition(":")
        if name == "prices:*":
            channels.has_all_symbols = True
        elif name.startswith("prices:"):
            channels.symbols |= {instrument_get(text).symbol for text in rest.split(",")}
        elif name.startswith("candles:"):
            channels.candles.append(candle_key(rest))
        elif name.startswith("account:"):
            channels.accounts.append(_account_of(rest))
        else:
            raise ServiceError(
                "CHANNEL_UNKNOWN",
                f"expected a channel such as prices:BTCUSDT, prices:*, candles:BTCUSDT:1m or account:1001, was {name[:40]!r}",
            )
    return channels


def _account_of(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _ACCOUNT_DIGITS_MAX):
        raise ServiceError("INVALID", "expected a channel such as account:1001")
    return int(text)


def after_of(request: dict[str, Any]) -> dict[str, int]:
    """Return the last event that was seen, by account as the channel names it.

    Errors: ServiceError INVALID.
    """
    after: Any = request.get("after")
    if after is None:
        return {}
    is_good = isinstance(after, dict) and all(
        isinstance(seq, int) and not isinstance(seq, bool) and seq >= 0 for seq in after.values()
    )
    if not is_good:
        raise ServiceError(
            "INVALID", 'after: expected the last seq by account, such as {"1001": 17}'
        )
    return dict(after)
