"""How real money comes and goes: an interface for payment providers, with a manual one and one for tests.

A provider never moves a balance. It says how to pay in and whether a destination can be paid; the balance moves by cash
commands, after two people of the staff have agreed.
"""

import re
from collections.abc import Mapping
from typing import Final, Protocol

from django.conf import settings
from django.utils.translation import gettext as _

from apps.common.errors import ServiceError

_IBAN: Final = re.compile(r"\A[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}\Z", re.ASCII)


class PaymentProvider(Protocol):
    """One way to pay; its name is the request's method and the ledger account cash:<name>."""

    name: str

    def deposit_instructions(self, *, reference: str) -> Mapping[str, str]:
        """Return what the person has to do, in words by field."""
        ...

    def destination_checked(self, destination: str) -> str:
        """Return where a withdrawal goes, as it is stored.

        Errors: ServiceError DESTINATION_INVALID.
        """
        ...


class BankTransfer:
    """Staff compares a bank statement with the list of requests."""

    name = "bank"

    def deposit_instructions(self, *, reference: str) -> Mapping[str, str]:
        """Return the account to pay to, and what to write on the transfer."""
        return {"payTo": settings.PAYMENT_BANK_ACCOUNT, "reference": reference}

    def destination_checked(self, destination: str) -> str:
        """Return an IBAN without its spaces, if its check digits are right.

        Errors: ServiceError DESTINATION_INVALID.
        """
        iban = "".join(destination.split()).upper()
        if not _IBAN.fullmatch(iban) or not _iban_is_right(iban):
            raise ServiceError(
                "DESTINATION_INVALID",
                _("destination: expected an IBAN"),
                data={"field": "destination"},
            )
        return iban


class TestProvider:
    """Pays nothing to nobody; for tests and demonstrations, switched on by PAYMENT_PROVIDERS."""

    name = "test"

    def deposit_instructions(self, *, reference: str) -> Mapping[str, str]:
        """Return that nothing has to be paid."""
        return {"payTo": "nobody: this is a test", "reference": reference}

    def destination_checked(self, destination: str) -> str:
        """Return any destination that is not empty.

        Errors: ServiceError DESTINATION_INVALID.
        """
        if not destination.strip():
            raise ServiceError(
                "DESTINATION_INVALID",
                "destination: expected any text",
                data={"field": "destination"},
            )
        return destination.strip()


_PROVIDERS: Final[tuple[PaymentProvider, ...]] = (BankTransfer(), TestProvider())


def known_methods() -> list[str]:
    """Return the names that PAYMENT_PROVIDERS may be made of."""
    return [provider.name for provider in _PROVIDERS]


def offered_methods() -> list[str]:
    """Return the names of the ways to pay that this installation offers."""
    return [provider.name for provider in _PROVIDERS if provider.name in settings.PAYMENT_PROVIDERS]


def instructions_of(*, method: str, reference: str) -> Mapping[str, str]:
    """Return what the person has to do for a deposit that stands, also by a way that is no longer offered."""
    provider = next(provider for provider in _PROVIDERS if provider.name == method)
    return provider.deposit_instructions(reference=reference)


def provider_for(method: str) -> PaymentProvider:
    """Return the provider of a method that this installation offers.

    Errors: ServiceError METHOD_UNKNOWN.
    """
    for provider in _PROVIDERS:
        if provider.name == method and method in settings.PAYMENT_PROVIDERS:
            return provider
    offered = ", ".join(settings.PAYMENT_PROVIDERS)
    raise ServiceError(
        "METHOD_UNKNOWN", f"method: expected one of {offered}", data={"field": "method"}
    )


def _iban_is_right(iban: str) -> bool:
    digits = "".join(str(int(sign, 36)) for sign in iban[4:] + iban[:4])
    return int(digits) % 97 == 1
