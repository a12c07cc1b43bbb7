"""Asks the sender of a sensitive request to prove anew that it is really the owner: keys, withdrawals, addresses.

The accounts app installs how (apps/auth/apps.py); other apps ask here, so that none of them needs to know sessions or PINs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from typing_extensions import override

AnyRequest = Request | HttpRequest


@dataclass(frozen=True, slots=True)
class Proof:
    """What a request shows, and what it is to approve."""

    # The PIN of a device, empty without one.
    pin: str = ""
    # Whether a browser needs a second factor and not only its mailbox.
    needs_factor: bool = False
    # The very transaction that it approves; a browser's proof approves one and no other. Empty for what moves no money.
    approves: str = ""


@dataclass(frozen=True, slots=True)
class StepUp:
    """How it is done."""

    # Raises ServiceError unless the proof is good.
    check: Callable[[AnyRequest, Proof], None]
    # Where a browser gives a new proof before it goes on to a path.
    page: Callable[[HttpRequest, str], str]
    # Whether a member of the staff has shown a second factor.
    staff_may: Callable[[AnyRequest], bool]


_installed: list[StepUp] = []


def step_up_install(step_up: StepUp) -> None:
    """Name the checks; called once when the program starts."""
    _installed[:] = [step_up]


def _step_up() -> StepUp:
    # Without an installed check this fails, and so refuses.
    (step_up,) = _installed
    return step_up


def step_up_require(
    request: AnyRequest, *, pin: str = "", needs_factor: bool = False, approves: str = ""
) -> None:
    """Return if the sender has proved to be the owner: a device by its PIN, a browser by a sign-in of the last five minutes.

    Errors: ServiceError STEP_UP_REQUIRED, SECOND_FACTOR_NEEDED, PIN_NOT_SET, PIN_REQUIRED, PIN_WRONG, PIN_LOCKED, GUEST_FORBIDDEN.
    """
    _step_up().check(request, Proof(pin=pin, needs_factor=needs_factor, approves=approves))


def step_up_page(request: HttpRequest, next_path: str) -> str:
    """Return where a browser gives a new proof before it goes on to a path of this site."""
    return _step_up().page(request, next_path)


class StaffMay(BasePermission):
    """Lets staff pass that have shown a second factor, by the browser's session or when the device signed in."""

    @override
    def has_permission(self, request: Request, view: Any) -> bool:
        return bool(getattr(request.user, "is_staff", False)) and _step_up().staff_may(request)
