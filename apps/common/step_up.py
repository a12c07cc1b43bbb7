"""Asks the sender of a sensitive request to prove anew that it is really the owner: keys, withdrawals, addresses.

The accounts app installs how (apps/auth/apps.py); other apps ask here, so that none of them needs to know sessions or PINs.
"""

from collections.abc import Callable

from django.http import HttpRequest
from rest_framework.request import Request

# Raises ServiceError unless the proof is good; the second argument is the PIN that was sent, empty without one.
StepUp = Callable[[Request | HttpRequest, str], None]

_installed: list[StepUp] = []


def step_up_install(check: StepUp) -> None:
    """Name the check; called once when the program starts."""
    _installed[:] = [check]


def step_up_require(request: Request | HttpRequest, *, pin: str = "") -> None:
    """Return if the sender has proved to be the owner: a device by its PIN, a browser by a sign-in of the last five minutes.

    Errors: ServiceError STEP_UP_REQUIRED, PIN_NOT_SET, PIN_REQUIRED, PIN_WRONG, PIN_LOCKED, GUEST_FORBIDDEN.
    """
    # Without an installed check this fails, and so refuses.
    (check,) = _installed
    check(request, pin)
