"""What a subscription may say: its channels, and after which events the accounts among them go on."""

from typing import Any, Final

from apps.common.errors import ServiceError
from apps.trade.consumers.limits import SUBSCRIPTIONS_MAX

_ACCOUNT_DIGITS_MAX: Final = 13


def channels_of(request: dict[str, Any]) -> list[str]:
    """Return the channels that a message names.

    Errors: ServiceError INVALID, CHANNEL_UNKNOWN.
    """
    channels: Any = request.get("channels")
    is_list = isinstance(channels, list) and all(isinstance(c, str) for c in channels)
    if not is_list or not 1 <= len(channels) <= SUBSCRIPTIONS_MAX:
        raise ServiceError(
            "INVALID", f"channels: expected a list of 1 to {SUBSCRIPTIONS_MAX} names"
        )
    for channel in channels:
        if not channel.startswith(("prices:", "candles:", "account:")):
            raise ServiceError(
                "CHANNEL_UNKNOWN",
                f"expected a channel such as prices:BTCUSDT, prices:*, candles:BTCUSDT:1m or account:1001, was {channel[:40]!r}",
            )
    return list(channels)


def account_of(text: str) -> int:
    """Return the account that a channel names after its colon.

    Errors: ServiceError INVALID.
    """
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
