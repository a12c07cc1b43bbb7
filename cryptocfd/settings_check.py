"""What only Django or an app can judge of the settings; `serve` asks before it starts anything."""

from importlib import import_module

from django.conf import settings
from django.utils.module_loading import import_string

from apps.common.rate_limits import rate_limits_parse
from apps.market.facade import FeedSettingError, feeds_of_settings_check
from apps.profile.facade import payment_methods_known
from cryptocfd.embedded.errors import SetupError

_LIMITS = (
    "LOGIN_LIMITS_PER_ADDRESS",
    "LOGIN_LIMITS_PER_IP",
    "GUEST_LIMITS_PER_IP",
    "SESSION_TOKEN_LIMITS",
    "REFRESH_LIMITS_PER_IP",
    "API_LIMITS_WRITE",
    "API_LIMITS_READ",
    "API_LIMITS_PUBLIC",
)


def settings_check(*, with_feed: bool) -> None:
    """Refuse a setting that would only fail once somebody needs it; tapes need to lie where the feed runs only.

    Errors: SetupError naming the variable and what it must be.
    """
    for name in _LIMITS:
        try:
            rate_limits_parse(getattr(settings, name))
        except ValueError as error:
            raise SetupError(f"{name} cannot be read: {error}.") from error
    if with_feed:
        try:
            feeds_of_settings_check()
        except FeedSettingError as error:
            raise SetupError(f"FEEDS cannot be read: {error}.") from error
    unknown = set(settings.PAYMENT_PROVIDERS) - set(payment_methods_known())
    if unknown:
        raise SetupError(
            f"PAYMENT_PROVIDERS must be made of {', '.join(payment_methods_known())}, found {', '.join(sorted(unknown))!r}."
        )
    _backend_check("EMAIL_URL", settings.EMAIL_BACKEND)
    _backend_check("SMS_BACKEND", settings.SMS_BACKEND)


def _backend_check(name: str, dotted: str) -> None:
    try:
        import_module(dotted.rpartition(".")[0])
        import_string(dotted)
    except (ImportError, ValueError) as error:
        raise SetupError(
            f"{name} names the backend {dotted}, which is not there: {error}."
        ) from error
